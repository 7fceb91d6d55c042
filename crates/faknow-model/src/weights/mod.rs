//! Weights with PyTorch's names: written as safetensors, read as safetensors and as what PyTorch saves.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::Path;

use faknow_data::common::write_atomically;
use tch::nn::VarStore;
use tch::{Tensor, no_grad};

#[cfg(feature = "pytorch-files")]
mod objects;
mod partial;
#[cfg(feature = "pytorch-files")]
mod pickle;
#[cfg(feature = "pytorch-files")]
mod pytorch;
mod safetensors;

pub use partial::{Conversion, LoadReport, Mismatch, load_partial, restore_partial};
pub use safetensors::{SafetensorsWriter, from_bytes, to_bytes};

use crate::{Error, Result};

/// The first bytes of every zip archive.
const ZIP: &[u8] = b"PK\x03\x04";

/// Writes all variables to `path`, whole or not at all: the file is written beside, synced and renamed.
///
/// # Errors
/// The directory cannot be written.
pub fn save(vars: &VarStore, path: &Path) -> Result<()> {
    save_tensors(&snapshot(vars), path)
}

/// Writes named tensors to `path`, whole or not at all.
///
/// # Errors
/// The directory cannot be written.
pub fn save_tensors(tensors: &BTreeMap<String, Tensor>, path: &Path) -> Result<()> {
    let layout = SafetensorsWriter::new(tensors)?;
    write_atomically(path, |file| layout.write(|bytes| file.write_all(bytes), io::Error::other))
        .map_err(|source| Error::Io { path: path.to_path_buf(), source })
}

/// Copies of all variables by name, on the CPU and without gradients.
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
/// [`Error::Weights`] with all missing, unexpected and mismatched names (`origin` is the file they came from);
/// nothing is changed then.
pub fn restore(vars: &VarStore, tensors: &BTreeMap<String, Tensor>, origin: &Path) -> Result<()> {
    let variables: BTreeMap<String, Tensor> = vars.variables().into_iter().collect();
    let by_name = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let fit = partial::compare(&variables, &by_name);
    let missing = fit.missing.iter().map(|name| format!("missing `{name}` {:?}", variables[name].size()));
    let mismatched = fit.mismatched.iter().map(Mismatch::to_string);
    let unexpected = fit.unexpected.iter().map(|name| format!("unexpected `{name}`"));
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

/// Reads a file into the variables of the same names, which must be all of them; [`load_partial`] asks for less.
///
/// # Errors
/// The file cannot be read, or does not fit: see [`restore`].
pub fn load(vars: &VarStore, path: &Path) -> Result<()> {
    restore(vars, &read(path)?, path)
}

/// Reads all tensors of a file, by its content whether it is of safetensors or a state dict that PyTorch 1.6 or later
/// saved (`.pt`, `.pth`, `.bin`; needs the feature `pytorch-files`).
///
/// Of a checkpoint that has more than the state dict, that under `state_dict`, `model_state_dict` or `model` is read.
/// What PyTorch saves is a program in part; no file is executed here, and one that asks for more than tensors and
/// plain values is refused.
///
/// # Errors
/// The file cannot be read, is damaged, or is of neither format.
pub fn read(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let io = |source| Error::Io { path: path.to_path_buf(), source };
    let mut file = BufReader::new(File::open(path).map_err(io)?);
    let mut bytes = Vec::new();
    file.by_ref().take(ZIP.len() as u64).read_to_end(&mut bytes).map_err(io)?;
    let decoded = if bytes == ZIP {
        file.rewind().map_err(io)?;
        read_pytorch(file)
    } else {
        file.read_to_end(&mut bytes).map_err(io)?;
        // The first bytes of the two formats may be the same by chance, so safetensors is tried first.
        safetensors::decode(&bytes).map_err(|reason| refused(&bytes).map_or(reason, str::to_owned))
    };
    decoded.map_err(|reason| Error::Unreadable { path: path.to_path_buf(), reason })
}

#[cfg(feature = "pytorch-files")]
fn read_pytorch(file: BufReader<File>) -> Result<BTreeMap<String, Tensor>, String> {
    pytorch::decode(file)
}

#[cfg(not(feature = "pytorch-files"))]
fn read_pytorch(_: BufReader<File>) -> Result<BTreeMap<String, Tensor>, String> {
    Err("a file of PyTorch, which needs a build with the feature `pytorch-files`".to_owned())
}

/// Why a file that begins with these bytes is not read, if it is one that PyTorch or Python makes.
fn refused(start: &[u8]) -> Option<&'static str> {
    const LEGACY: [u8; 14] = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
    match start {
        _ if start.starts_with(&LEGACY) => Some(
            "refused: the format of PyTorch before 1.6; in Python, write it anew: \
             torch.save(torch.load(FILE, map_location=\"cpu\"), NEW_FILE)",
        ),
        [0x80, 2..=5, ..] => Some(
            "refused: a bare pickle, which is a program; in Python, save the weights with \
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
    fn what_is_saved_is_loaded_to_the_bit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        let (from, to) = (vars(&[3, 2]), vars(&[3, 2]));
        save(&from, &path).unwrap();
        load(&to, &path).unwrap();
        assert_eq!(from.variables()["a"], to.variables()["a"]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside");
    }

    #[test]
    fn weights_that_do_not_fit_are_refused_with_all_names_and_change_nothing() {
        let to = vars(&[3, 2]);
        let before = to.variables()["a"].copy();
        let tensors = BTreeMap::from([
            ("a".to_owned(), Tensor::zeros([2, 2], tch::kind::FLOAT_CPU)),
            ("c".to_owned(), Tensor::zeros([1], tch::kind::FLOAT_CPU)),
        ]);
        let error = restore(&to, &tensors, Path::new("w.safetensors")).unwrap_err().to_string();
        for part in ["w.safetensors", "missing `b`", "`a`: expected [3, 2], got [2, 2]", "unexpected `c`"] {
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(to.variables()["a"], before);
    }

    #[test]
    fn an_absent_file_a_foreign_file_and_an_absent_dir_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.safetensors");
        assert!(matches!(load(&vars(&[1]), &path), Err(Error::Io { .. })));
        std::fs::write(&path, "not weights").unwrap();
        assert!(matches!(load(&vars(&[1]), &path), Err(Error::Unreadable { .. })));
        assert!(matches!(save(&vars(&[1]), &dir.path().join("no/x.safetensors")), Err(Error::Io { .. })));
    }
}
