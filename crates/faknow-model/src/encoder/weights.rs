//! Weights in the directory of a Hugging Face model.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tch::Tensor;
use tch::nn;

use super::config::EncoderConfig;
use super::network::Encoder;
use super::params::Tensors;
use crate::{Error, Result, weights};

/// Files of weights in order of preference; an index lists the files of all tensors.
const FILES: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// Ends of the names of word embeddings; what precedes them is the prefix of all names.
const WORD_EMBEDDINGS: [&str; 2] = ["embeddings.word_embeddings.weight", "embeddings.tok_embeddings.weight"];

/// Former names of the parameters of layer normalizations.
const OLD_NAMES: [(&str, &str); 2] = [(".gamma", ".weight"), (".beta", ".bias")];

/// Reads the weights of the encoder in the directory of a Hugging Face model: `model.safetensors` or `pytorch_model.bin`, also in
/// several files with an index.
///
/// The names are those of [`Encoder::parameters`]: a prefix such as `bert.` and the former suffixes `gamma` and `beta` are
/// replaced; other tensors, such as heads of the pretraining, are returned too if they have the same prefix.
///
/// # Errors
/// A file is missing or cannot be read, or no tensor is a word embedding.
pub fn read_weights(dir: &Path) -> Result<Tensors> {
    let Some(path) = FILES.iter().map(|file| dir.join(file)).find(|path| path.exists()) else {
        return Err(Error::Io {
            path: dir.to_path_buf(),
            source: std::io::Error::new(
                std::io::ErrorKind::NotFound,
                format!(
                    "expected the directory of a Hugging Face model, with one of {}",
                    FILES.map(|file| format!("`{file}`")).join(", ")
                ),
            ),
        });
    };
    let mut tensors = Tensors::new();
    for path in files(dir, path)? {
        tensors.append(&mut weights::read(&path)?);
    }
    rename(tensors, dir)
}

impl Encoder {
    /// Creates an encoder with the weights in the directory of a Hugging Face model, converted to the kind of `path`.
    ///
    /// # Errors
    /// The directory cannot be read, see [`read_weights`], or [`Error::Weights`]: tensors are missing or have the wrong shape.
    pub fn from_dir(path: &nn::Path<'_>, config: &EncoderConfig, dir: &Path) -> Result<Self> {
        Self::from_tensors(path, config, &read_weights(dir)?, dir)
    }
}

/// Returns the files that an index lists, or the only file.
fn files(dir: &Path, path: PathBuf) -> Result<Vec<PathBuf>> {
    if path.extension().is_none_or(|extension| extension != "json") {
        return Ok(vec![path]);
    }
    let text = std::fs::read_to_string(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
    let invalid = |reason: String| Error::Unreadable { path: path.clone(), reason };
    let index: Value = serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))?;
    let Some(map) = index["weight_map"].as_object() else {
        return Err(invalid("expected a table `weight_map` of tensors and files".to_owned()));
    };
    let names: BTreeSet<&str> = map.values().filter_map(Value::as_str).collect();
    if let Some(name) =
        names.iter().find(|name| Path::new(name).components().count() != 1 || name.starts_with('.'))
    {
        return Err(invalid(format!("expected names of files in the same directory, got `{name}`")));
    }
    Ok(names.into_iter().map(|name| dir.join(name)).collect())
}

/// Removes the prefix of the encoder from the names, and tensors without it.
fn rename(tensors: Tensors, dir: &Path) -> Result<Tensors> {
    let prefix = tensors
        .keys()
        .filter_map(|name| WORD_EMBEDDINGS.iter().find_map(|end| name.strip_suffix(end)))
        .filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
        .min_by_key(|prefix| prefix.len())
        .map(str::to_owned);
    let Some(prefix) = prefix else {
        let names: Vec<&str> = tensors.keys().take(4).map(String::as_str).collect();
        return Err(Error::Weights {
            path: dir.to_path_buf(),
            report: vec![format!(
                "expected a tensor `{}` or `{}`, got {} others: {}",
                WORD_EMBEDDINGS[0],
                WORD_EMBEDDINGS[1],
                tensors.len(),
                names.join(", ")
            )],
        });
    };
    let rename = |(name, tensor): (String, Tensor)| {
        let name = name.strip_prefix(&prefix)?;
        let old = OLD_NAMES.iter().find_map(|(old, new)| Some(format!("{}{new}", name.strip_suffix(old)?)));
        Some((old.unwrap_or_else(|| name.to_owned()), tensor))
    };
    Ok(tensors.into_iter().filter_map(rename).collect())
}
