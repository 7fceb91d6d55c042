//! The callbacks that write to the run directory.

#[cfg(feature = "tensorboard")]
use faknow_callbacks::TensorBoard;
use faknow_callbacks::{Callbacks, CsvLog, JsonlLog, RunLog};

use crate::Result;
use crate::error::setting;

/// Rejects histograms in a build that cannot write them.
pub(crate) fn check_histograms(every: Option<usize>) -> Result<()> {
    if every.is_some() && cfg!(not(feature = "tensorboard")) {
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
