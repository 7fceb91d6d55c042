//! Weights with PyTorch's names: saved as safetensors, loaded from safetensors and PyTorch files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::Path;

use faknow_data::common::write_atomically;
use tch::nn::VarStore;
use tch::{Tensor, no_grad};

#[cfg(feature = "pytorch-files")]
mod legacy;
#[cfg(feature = "pytorch-files")]
mod objects;
#[cfg(feature = "pytorch-files")]
mod opcode;
mod partial;
#[cfg(feature = "pytorch-files")]
mod pickle;
#[cfg(feature = "pytorch-files")]
mod pytorch;
mod safetensors;
#[cfg(feature = "pytorch-files")]
mod state_dict;

pub use partial::{Conversion, LoadReport, Mismatch, load_partial, restore_partial};
pub use safetensors::{SafetensorsWriter, from_bytes, to_bytes};

use crate::{Error, Result};

/// Magic bytes of files of PyTorch before 1.6.
const LEGACY_MAGIC: [u8; 15] =
    [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];

/// Magic bytes of zip archives.
const ZIP_MAGIC: &[u8] = b"PK\x03\x04";

/// Saves all variables to `path` atomically: written to a temporary file, synced and renamed.
///
/// # Errors
/// A variable cannot be saved, or the directory is not writable.
pub fn save(vars: &VarStore, path: &Path) -> Result<()> {
    save_tensors(&snapshot(vars), path)
}

/// Saves named tensors to `path` atomically.
///
/// # Errors
/// A tensor cannot be saved, or the directory is not writable.
pub fn save_tensors(tensors: &BTreeMap<String, Tensor>, path: &Path) -> Result<()> {
    let writer = SafetensorsWriter::new(tensors)?;
    write_atomically(path, |file| writer.write(|bytes| file.write_all(bytes), io::Error::other))
        .map_err(|source| Error::Io { path: path.to_path_buf(), source })
}

/// Copies all variables by name, to the CPU and without gradients.
pub fn snapshot(vars: &VarStore) -> BTreeMap<String, Tensor> {
    no_grad(|| {
        vars.variables()
            .into_iter()
            .map(|(name, tensor)| (name, tensor.detach().to_device(tch::Device::Cpu).copy().contiguous()))
            .collect()
    })
}

/// Copies `tensors` into the variables of the same names.
///
/// # Errors
/// [`Error::Weights`] with all missing, unexpected and mismatched names (`origin` is the file of the tensors); no variable is
/// changed.
pub fn restore(vars: &VarStore, tensors: &BTreeMap<String, Tensor>, origin: &Path) -> Result<()> {
    let variables: BTreeMap<String, Tensor> = vars.variables().into_iter().collect();
    let by_name = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let comparison = partial::compare(&variables, &by_name);
    let missing =
        comparison.missing.iter().map(|name| format!("missing `{name}` {:?}", variables[name].size()));
    let mismatched = comparison.mismatched.iter().map(Mismatch::to_string);
    let unexpected = comparison.unexpected.iter().map(|name| format!("unexpected `{name}`"));
    let report: Vec<String> = missing.chain(mismatched).chain(unexpected).collect();
    if !report.is_empty() {
        return Err(Error::Weights { path: origin.to_path_buf(), report });
    }
    no_grad(|| {
        for (name, mut variable) in variables {
            variable.f_copy_(&tensors[&name])?;
        }
        Ok(())
    })
}

/// Loads a file into the variables; the names must be the same, as with PyTorch's `strict=True`. See also [`load_partial`].
///
/// # Errors
/// The file cannot be read, or does not fit, see [`restore`].
pub fn load(vars: &VarStore, path: &Path) -> Result<()> {
    restore(vars, &read(path)?, path)
}

/// Reads all tensors of a safetensors file or of a state dict saved by PyTorch (`.pt`, `.pth`, `.bin`, also those before
/// PyTorch 1.6; needs the feature `pytorch-files`). The format is detected from the content.
///
/// For a checkpoint with more than a state dict, the state dict under `state_dict`, `model_state_dict` or `model` is read.
/// PyTorch files contain pickles, which are programs; no code is executed here, and files that need more than tensors and plain
/// values are rejected, as with PyTorch's `weights_only=True`.
///
/// # Errors
/// The file cannot be read, is corrupted, or has neither format.
pub fn read(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let io = |source| Error::Io { path: path.to_path_buf(), source };
    let mut file = BufReader::new(File::open(path).map_err(io)?);
    let mut bytes = Vec::new();
    file.by_ref().take(LEGACY_MAGIC.len() as u64).read_to_end(&mut bytes).map_err(io)?;
    let (is_zip, is_legacy) = (bytes.starts_with(ZIP_MAGIC), bytes == LEGACY_MAGIC);
    let decoded = if is_zip || is_legacy {
        file.rewind().map_err(io)?;
        read_pytorch(file, is_legacy)
    } else {
        file.read_to_end(&mut bytes).map_err(io)?;
        // A safetensors file may start with the same bytes as a pickle, so safetensors is tried first.
        safetensors::decode(&bytes).map_err(|reason| unsupported_format(&bytes).map_or(reason, str::to_owned))
    };
    decoded.map_err(|reason| Error::Unreadable { path: path.to_path_buf(), reason })
}

#[cfg(feature = "pytorch-files")]
fn read_pytorch(file: BufReader<File>, is_legacy: bool) -> Result<BTreeMap<String, Tensor>, String> {
    if is_legacy { legacy::decode(file) } else { pytorch::decode(file) }
}

#[cfg(not(feature = "pytorch-files"))]
fn read_pytorch(_: BufReader<File>, _: bool) -> Result<BTreeMap<String, Tensor>, String> {
    Err("PyTorch files need a build with the feature `pytorch-files`".to_owned())
}

/// Returns why a file that starts with these bytes is not supported; `None` for unknown formats.
fn unsupported_format(start: &[u8]) -> Option<&'static str> {
    match start {
        [0x80, 2..=5, ..] => Some(
            "unsupported bare pickle, which may execute code; in Python, save the weights with \
             torch.save(model.state_dict(), FILE) or as safetensors",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    fn vars(dims: &[i64]) -> VarStore {
        let vars = VarStore::new(Device::Cpu);
        let _ = vars.root().randn("a", dims, 0.0, 1.0);
        let _ = vars.root().zeros("b", &[1]);
        vars
    }

    #[test]
    fn save_and_load_are_bit_exact() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        let (saved, loaded) = (vars(&[3, 2]), vars(&[3, 2]));
        save(&saved, &path).unwrap();
        load(&loaded, &path).unwrap();
        assert_eq!(saved.variables()["a"], loaded.variables()["a"]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "temporary files remain");
    }

    #[test]
    fn restore_lists_all_names_that_do_not_fit_and_changes_nothing() {
        let model = vars(&[3, 2]);
        let before = model.variables()["a"].copy();
        let tensors = BTreeMap::from([
            ("a".to_owned(), Tensor::zeros([2, 2], tch::kind::FLOAT_CPU)),
            ("c".to_owned(), Tensor::zeros([1], tch::kind::FLOAT_CPU)),
        ]);
        let error = restore(&model, &tensors, Path::new("w.safetensors")).unwrap_err().to_string();
        for part in ["w.safetensors", "missing `b`", "`a`: expected [3, 2], got [2, 2]", "unexpected `c`"] {
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(model.variables()["a"], before);
    }

    #[test]
    fn missing_files_and_other_formats_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.safetensors");
        assert!(matches!(load(&vars(&[1]), &path), Err(Error::Io { .. })));
        std::fs::write(&path, "not weights").unwrap();
        assert!(matches!(load(&vars(&[1]), &path), Err(Error::Unreadable { .. })));
        assert!(matches!(save(&vars(&[1]), &dir.path().join("no/x.safetensors")), Err(Error::Io { .. })));
    }
}
