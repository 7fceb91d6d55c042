//! The checkpoints that a run writes and retains.

use faknow_callbacks::Interval;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::error::setting;

/// The checkpoints that a run writes and retains, below `checkpoints/` in its directory.
///
/// | directory | content |
/// |---|---|
/// | `last` | the newest state, written at every interval of `every`, after every new best validation, and at the end |
/// | `previous` | the previous content of `last`, in case `last` is corrupted on the disk |
/// | `best` | the run at its best validation by the trainer's monitor |
/// | `best-<value>` | the same for each of `monitors` |
/// | `epoch-0007`, `step-00000120` | the newest `keep` checkpoints and the `best` best ones |
///
/// Every checkpoint is complete: weights, optimizer, and everything else needed to resume the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointPolicy {
    /// Interval between two saves of `last`: `1 epoch`, `500 steps`, `10 minutes`. Default `1 epoch`.
    pub every: Interval,
    /// Number of the newest of these checkpoints to retain under their own names. Default 0.
    pub keep: usize,
    /// Number of the best validations to retain; `best` is the first of them. Default 1.
    pub best: usize,
    /// Additional validation values whose best checkpoint is retained as `best-<value>`. Default: none.
    pub monitors: Vec<String>,
    /// Whether checkpoints are written while training continues, from a copy of the state in memory. Default false: the next
    /// batch waits until a checkpoint is on the disk.
    ///
    /// One checkpoint is written at a time; if the disk is slower than the run, checkpoints that are not to be retained are
    /// skipped in favor of newer ones. All retained checkpoints and `last` are on the disk before the fit returns. A write
    /// error ends the run at a later batch, at the latest at its end; `on_checkpoint` is called then too. A killed run
    /// resumes from an earlier checkpoint than without this setting, with the same final result.
    pub background: bool,
}

impl Default for CheckpointPolicy {
    fn default() -> Self {
        Self { every: Interval::epochs(1.0), keep: 0, best: 1, monitors: Vec::new(), background: false }
    }
}

impl CheckpointPolicy {
    /// Checks every setting.
    ///
    /// # Errors
    /// Names the setting that is out of range.
    pub fn validate(&self) -> Result<()> {
        check_interval("checkpoint.every", self.every)?;
        if self.best == 0 {
            return Err(setting("checkpoint.best", "at least 1", 0));
        }
        Ok(())
    }
}

pub(crate) fn check_interval(name: &str, interval: Interval) -> Result<()> {
    if interval.is_valid() {
        return Ok(());
    }
    Err(setting(name, "a length above 0, in integer steps or samples", interval))
}
