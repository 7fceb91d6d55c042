//! Keeps the weights of the best epoch, in the run folder or, without one, in memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use faknow_callbacks::Best;
use faknow_model::weights;
use serde::Serialize;
use tch::Tensor;
use tch::nn::VarStore;

use crate::{Error, Result};

/// File name of the weights in a checkpoint folder.
pub const WEIGHTS_FILE: &str = "model.safetensors";

/// Where the weights of the best epoch are.
#[derive(Debug, Default)]
pub(crate) enum BestWeights {
    /// There is none yet.
    #[default]
    None,
    /// Copies on the CPU.
    Memory(BTreeMap<String, Tensor>),
    /// A file in the run folder.
    File(PathBuf),
}

impl BestWeights {
    /// Keeps the present weights as the best.
    pub(crate) fn keep(&mut self, vars: &VarStore, run_dir: Option<&Path>, best: &Best) -> Result<()> {
        *self = match run_dir {
            Some(dir) => Self::File(save_checkpoint(vars, dir, "best", best)?),
            None => Self::Memory(weights::snapshot(vars)),
        };
        Ok(())
    }

    /// Puts the best weights back; answers whether there were any.
    pub(crate) fn restore(&self, vars: &VarStore) -> Result<bool> {
        match self {
            Self::None => return Ok(false),
            Self::Memory(tensors) => weights::restore(vars, tensors, Path::new("best weights")),
            Self::File(path) => weights::load(vars, path),
        }
        .map_err(Error::Weights)?;
        Ok(true)
    }
}

/// Writes the weights, and `facts` about them, to `checkpoints/<name>/`; answers the file of the weights.
pub(crate) fn save_checkpoint(
    vars: &VarStore,
    run_dir: &Path,
    name: &str,
    facts: &impl Serialize,
) -> Result<PathBuf> {
    let folder = run_dir.join("checkpoints").join(name);
    fs::create_dir_all(&folder).map_err(|source| Error::Io { path: folder.clone(), source })?;
    let path = folder.join(WEIGHTS_FILE);
    weights::save(vars, &path).map_err(Error::Weights)?;
    let about = folder.join("checkpoint.json");
    // Beside and renamed, as the weights are: a full disk leaves the former facts and not half of the new ones.
    let beside = about.with_extension("json.tmp");
    let json = serde_json::to_string_pretty(facts).map_err(std::io::Error::other);
    json.and_then(|json| fs::write(&beside, json + "\n"))
        .and_then(|()| fs::rename(&beside, &about))
        .map_err(|source| Error::Io { path: about, source })?;
    Ok(path)
}
