//! The files of a run directory that prediction requires.

use std::path::{Path, PathBuf};

use faknow_data::Classes;
use faknow_trainer::WEIGHTS_FILE;

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

/// Returns the file of the final weights of a run by its config, or else of any weights.
pub(crate) fn weights_file(run: &Path, config: &Config) -> Option<PathBuf> {
    let last = ["last", "previous", "failed"];
    let names = if config.trainer.restore_best { [&["best"], &last[..]] } else { [&last[..], &["best"]] };
    names
        .concat()
        .iter()
        .map(|name| run.join("checkpoints").join(name).join(WEIGHTS_FILE))
        .find(|p| p.exists())
}
