//! The files of a run directory that prediction requires.

use std::path::{Path, PathBuf};

use faknow_callbacks::SettingChange;
use faknow_data::Classes;
use faknow_model::weights;
use faknow_report::SUMMARY;
use faknow_trainer::WEIGHTS_FILE;
use faknow_trainer::checkpoint::{CheckpointError, CheckpointStore, FallbackCheckpoint};
use serde_json::Value;
use tch::nn::VarStore;

use crate::config::Config;
use crate::data::encoders::FieldEncoders;
use crate::data::image_encoder::ImageEncoderFile;
use crate::data::subword_encoder::SubwordEncoder;
use crate::files::{record_checksums, verify_files, write_json, write_text_atomically};
use crate::models::Fields;
use crate::{Error, Result};

/// The version of libtorch that this version uses.
pub(crate) const LIBTORCH: &str = "2.13.0";
pub(crate) const CONFIG: &str = "config.toml";
pub(crate) const CLASSES: &str = "classes.json";

/// Writes all files that [`Detector::load`](crate::Detector::load) requires, except the weights.
pub(crate) fn save_inputs(
    run: &Path,
    config: &Config,
    fields: &Fields,
    encoders: &FieldEncoders,
    classes: &Classes,
) -> Result<()> {
    // Saved first, as their names depend on what is saved; they are large and never change.
    if let Some(subwords) = &encoders.subwords {
        subwords.save(run, FieldEncoders::needs_weights(fields))?;
    }
    let has_images = encoders.images.as_ref().and_then(|images| images.encoder.as_ref());
    has_images.map_or(Ok(()), |encoder| encoder.save(run))?;
    let mut weights = SubwordEncoder::saved_weights(run)?;
    weights.extend(ImageEncoderFile::saved_weights(run));
    let names = encoders.files().into_iter().chain([CLASSES, CONFIG]);
    let names: Vec<&str> = names.chain(weights.iter().map(String::as_str)).collect();
    record_checksums(run, &names, || {
        encoders.save(run)?;
        write_json(&run.join(CLASSES), classes)?;
        write_config(run, config, &[])
    })
}

/// Writes the classes.
pub(crate) fn save_classes(run: &Path, classes: &Classes) -> Result<()> {
    record_checksums(run, &[CLASSES], || write_json(&run.join(CLASSES), classes))
}

/// Replaces the config.
pub(crate) fn save_config(run: &Path, config: &Config, changes: &[SettingChange]) -> Result<()> {
    record_checksums(run, &[CONFIG], || write_config(run, config, changes))
}

/// Writes the config atomically, with the settings that were changed when the run was resumed as comments. It must be the
/// last file: a directory with a config has all other files too.
fn write_config(run: &Path, config: &Config, changes: &[SettingChange]) -> Result<()> {
    let mut header = format!(
        "# All settings of this run. faknow {}, libtorch {LIBTORCH}, tch 0.26.0.\n",
        env!("CARGO_PKG_VERSION")
    );
    if !changes.is_empty() {
        header += "# These settings were changed when the run was resumed: the file has the last values, which alone do not train\n\
                   # the same detector again.\n";
    }
    let show = |value: &Option<Value>| value.as_ref().map_or_else(|| "not set".to_owned(), Value::to_string);
    for SettingChange { step, epoch, name, from, to } in changes {
        let (from, to) = (show(from), show(to));
        header += &format!("# after step {step} (epoch {epoch}): {name} was {from}, then {to}\n");
    }
    let text = toml::to_string(config).map_err(|e| Error::config("", e.to_string()))?;
    write_text_atomically(&run.join(CONFIG), &(header + &text))
}

/// Compares the classes with those of the config, from which a run was trained.
pub(crate) fn check_classes(run: &Path, config: &Config, classes: &Classes) -> Result<()> {
    // The config of a detector that was not trained by `train` has the default classes.
    if !run.join(SUMMARY).exists() || classes.names() == config.data.classes {
        return Ok(());
    }
    let (path, expected, got) = (run.join(CLASSES), &config.data.classes, classes.names());
    let message = format!(
        "{}: expected the classes {expected:?}, as in `{CONFIG}`, got {got:?}; copy the run directory again",
        path.display()
    );
    Err(Error::config("", message))
}

/// Returns the name of the checkpoint with the final weights of a run by its config, or of the newest without a best one;
/// `None` if there is no checkpoint.
///
/// # Errors
/// The best checkpoint is missing although the run has validated: other weights would give other predictions.
pub(crate) fn weights_checkpoint(run: &Path, config: &Config) -> Result<Option<&'static str>> {
    let store = CheckpointStore::new(run);
    let exists = |name: &&str| {
        store.path(name).exists() || !matches!(store.read_info(name), Err(CheckpointError::Missing { .. }))
    };
    let newest = ["last", "previous", "failed"].into_iter().find(exists);
    let best = Some("best").filter(exists);
    if !config.trainer.restore_best {
        return Ok(newest.or(best));
    }
    let validated = newest.and_then(|name| store.read_info(name).ok()).and_then(|info| info.value);
    if best.is_none() && validated.is_some_and(f64::is_finite) {
        let message = format!(
            "{}: the checkpoint with the best weights is missing; copy the run directory again, or let `faknow resume {}` \
             choose another one",
            store.path("best").display(),
            run.display()
        );
        return Err(Error::config("", message));
    }
    Ok(best.or(newest))
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
        None => {
            verify_files(run, &[&weights_name(checkpoint)])?;
            weights::load(vars, &path)?;
        }
    }
    Ok(())
}

/// Returns the file of the weights of a checkpoint, relative to the run directory.
pub(crate) fn weights_name(checkpoint: &str) -> String {
    format!("checkpoints/{checkpoint}/{WEIGHTS_FILE}")
}

fn weights_file(run: &Path, checkpoint: &str) -> PathBuf {
    run.join(weights_name(checkpoint))
}

/// Returns the error of a file of a checkpoint.
fn corrupted_file(dir: &Path, file: &str, what: &str, fallback: Option<Box<FallbackCheckpoint>>) -> Error {
    let resume = fallback.map_or_else(String::new, |fallback| {
        format!(", or delete `{}` and resume the run from {fallback}", dir.display())
    });
    let path = dir.join(file);
    Error::config("", format!("{}: {what}; copy the run directory again{resume}", path.display()))
}

/// Converts an error of reading weights: for prediction, a file is corrupted rather than a checkpoint.
fn unreadable(error: CheckpointError) -> Error {
    match error {
        CheckpointError::Corrupted { dir, file, what, fallback } => {
            corrupted_file(&dir, &file, &format!("the file is corrupted: {what}"), fallback)
        }
        CheckpointError::Incomplete { dir, file, fallback } => {
            corrupted_file(&dir, &file, "the file is missing", fallback)
        }
        CheckpointError::Io { path, source, .. } => Error::io(path, source),
        other => Error::Trainer(other.into()),
    }
}
