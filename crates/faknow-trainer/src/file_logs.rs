//! The callbacks that write to the run directory.

#[cfg(feature = "tensorboard")]
use faknow_callbacks::TensorBoard;
use faknow_callbacks::{Callbacks, CsvLog, JsonlLog, RunLog};

use crate::error::setting;
use crate::{CheckpointPolicy, Result};

/// Rejects settings of files without a run directory, and histograms in a build that cannot write them.
pub(crate) fn check_files(
    checkpoints: &CheckpointPolicy,
    histograms_every: Option<usize>,
    has_run_dir: bool,
) -> Result<()> {
    let settings = [
        ("checkpoints", *checkpoints != CheckpointPolicy::default()),
        ("histograms_every", histograms_every.is_some()),
    ];
    if let Some((name, _)) = settings.into_iter().find(|(_, is_set)| *is_set && !has_run_dir) {
        let expected = "no value without a run directory (`.run_dir(..)`), which would hold its files";
        return Err(setting(name, expected, "a value"));
    }
    if histograms_every.is_some() && cfg!(not(feature = "tensorboard")) {
        let expected = "no value, or a build with the feature `tensorboard`";
        return Err(setting("histograms_every", expected, "a number"));
    }
    Ok(())
}

/// Returns the callbacks that write to the run directory, followed by those of the user.
pub(crate) fn with_file_logs(custom: Callbacks, histograms_every: Option<usize>) -> Callbacks {
    #[cfg(not(feature = "tensorboard"))]
    let _ = histograms_every;
    let mut all = Callbacks::default();
    all.push(RunLog::new());
    all.push(CsvLog::new());
    all.push(JsonlLog::new());
    #[cfg(feature = "tensorboard")]
    all.push(match histograms_every {
        Some(epochs) => TensorBoard::new().histograms_every(epochs),
        None => TensorBoard::new(),
    });
    all.append(custom);
    all
}
