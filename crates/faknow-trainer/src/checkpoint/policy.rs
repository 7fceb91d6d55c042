//! Which checkpoints a run writes and keeps.

use faknow_callbacks::Interval;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::error::setting;

/// Which checkpoints a run writes and keeps, below `checkpoints/` in its directory.
///
/// | directory | what it holds |
/// |---|---|
/// | `last` | the run as it stands, written `every` so often, whenever a better one is found, and at the end |
/// | `previous` | what `last` held before, in case the disk damages `last` |
/// | `best` | the run at its best validation by the trainer's monitor |
/// | `best-<value>` | the same by each of `monitors` |
/// | `epoch-0007`, `step-00000120` | the newest `keep`, and the `best` best |
///
/// Every one is complete: weights, optimizer, and everything else that resuming the run needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointPolicy {
    /// How often `last` is written: `1 epoch`, `500 steps`, `10 minutes`. Default `1 epoch`.
    pub every: Interval,
    /// How many of those are kept under a name of their own. Default 0.
    pub keep: usize,
    /// How many of the best validations are kept; `best` is the first of them. Default 1.
    pub best: usize,
    /// Further validation values whose best is kept as `best-<value>`. Default: none.
    pub monitors: Vec<String>,
    /// Whether checkpoints are written while training continues, from a copy of the state in memory. Default false: the next
    /// batch waits until a checkpoint is on the disk.
    ///
    /// One at a time is written; if the disk is slower than the run, those that nothing retains are left out in favor of newer
    /// ones. All that are retained, and `last`, are on the disk before the fit returns. An error of writing ends the run at a
    /// later batch, at the latest at its end; `on_checkpoint` is called then too. A run that is killed resumes from an earlier
    /// checkpoint than without, to the same end.
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
    /// Names the one that is outside its range.
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
    Err(setting(name, "a length above 0, in whole steps or samples", interval))
}
