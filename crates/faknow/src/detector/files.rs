//! The files of a run directory that prediction requires.

use std::path::{Path, PathBuf};

use faknow_data::Classes;
use faknow_model::weights;
use faknow_trainer::WEIGHTS_FILE;
use faknow_trainer::checkpoint::{CheckpointError, CheckpointStore};
use tch::nn::VarStore;

use crate::config::Config;
use crate::data::encoders::FieldEncoders;
use crate::files::{write_json, write_text_atomically};
use crate::{Error, Result};

/// The version of libtorch that this version uses.
pub(crate) const LIBTORCH: &str = "2.13.0";
pub(crate) const CONFIG: &str = "config.toml";
pub(crate) const CLASSES: &str = "classes.json";

/// Writes all files that [`Detector::load`](crate::Detector::load) requires, except the weights.
pub(crate) fn save_inputs(
    run: &Path,
    config: &Config,
    encoders: &FieldEncoders,
    classes: &Classes,
) -> Result<()> {
    encoders.save(run)?;
    write_json(&run.join(CLASSES), classes)?;
    save_config(run, config)
}

/// Writes the config atomically. It must be the last file: a directory with a config has all other files too.
pub(crate) fn save_config(run: &Path, config: &Config) -> Result<()> {
    let header = format!(
        "# All settings of this run. faknow {}, libtorch {LIBTORCH}, tch 0.26.0.\n",
        env!("CARGO_PKG_VERSION")
    );
    let text = toml::to_string(config).map_err(|e| Error::config("", e.to_string()))?;
    write_text_atomically(&run.join(CONFIG), &(header + &text))
}

/// Returns the name of the checkpoint with the final weights of a run by its config, or else of any with weights.
pub(crate) fn weights_checkpoint(run: &Path, config: &Config) -> Option<&'static str> {
    let last = ["last", "previous", "failed"];
    let names = if config.trainer.restore_best { [&["best"], &last[..]] } else { [&last[..], &["best"]] };
    names.concat().into_iter().find(|name| weights_file(run, name).exists())
}

/// Loads the weights of a checkpoint of a run, and verifies their checksum if the checkpoint has one.
///
/// # Errors
/// The weights are corrupted or do not fit the model.
pub(crate) fn load_weights(vars: &VarStore, run: &Path, checkpoint: &str) -> Result<()> {
    let path = weights_file(run, checkpoint);
    match CheckpointStore::new(run).read_weights(checkpoint).map_err(unreadable)? {
        Some(tensors) => weights::restore(vars, &tensors, &path)?,
        // Those of `Detector::save`.
        None => weights::load(vars, &path)?,
    }
    Ok(())
}

fn weights_file(run: &Path, checkpoint: &str) -> PathBuf {
    run.join("checkpoints").join(checkpoint).join(WEIGHTS_FILE)
}

/// Converts an error of reading weights: for prediction, a file is corrupted rather than a checkpoint.
fn unreadable(error: CheckpointError) -> Error {
    match error {
        CheckpointError::Corrupted { dir, file, what, fallback } => {
            let path = dir.join(file);
            let resume = fallback.map_or_else(String::new, |fallback| {
                format!(", or delete `{}` and resume the run from {fallback}", dir.display())
            });
            let message = format!(
                "{}: the file is corrupted: {what}; copy the run directory again{resume}",
                path.display()
            );
            Error::config("", message)
        }
        CheckpointError::Io { path, source, .. } => Error::io(path, source),
        other => Error::Trainer(other.into()),
    }
}
