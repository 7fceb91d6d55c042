//! What a trainer was told, beside its parts.

use faknow_callbacks::{Interval, StopReason, Timestamp};

use crate::fit::limits::Limits;
use crate::{CheckpointPolicy, Interrupt, NonFinite};

/// The settings of a [`Trainer`](crate::Trainer); its builder documents and checks them.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) max_epochs: usize,
    /// Lengths at which the run ends before its last epoch.
    pub(crate) limits_of_run: Vec<Interval>,
    pub(crate) monitor: Option<String>,
    pub(crate) restore_best: bool,
    pub(crate) seed: u64,
    /// Batches whose gradients make one update, at least 1.
    pub(crate) accumulate: usize,
    /// How often to validate; `None` means after each epoch.
    pub(crate) validate_every: Option<Interval>,
    /// Validation batches that are tried before the first epoch.
    pub(crate) sanity_batches: usize,
    pub(crate) limits: Limits,
    pub(crate) on_non_finite: NonFinite,
    pub(crate) checkpoints: CheckpointPolicy,
    pub(crate) interrupt: Interrupt,
}

impl Settings {
    /// Why a run that is this long must end now.
    pub(crate) fn limit_reached(&self, now: &Timestamp) -> Option<StopReason> {
        let limit = self.limits_of_run.iter().find(|limit| limit.is_reached(now))?;
        Some(StopReason::Limit { limit: *limit })
    }
}
