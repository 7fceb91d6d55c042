//! Where the loop stands inside an epoch.

use std::time::Instant;

use faknow_callbacks::{StopReason, Timestamp};

use crate::{GradNorms, LossSums};

/// What the loop itself has to remember between two updates, beside the run's counters.
#[derive(Debug, Default)]
pub(crate) struct EpochState {
    /// Whether the epoch was begun and is not recorded yet.
    pub(crate) open: bool,
    pub(crate) sums: LossSums,
    pub(crate) norms: GradNorms,
    /// Rates in force at the beginning of the epoch.
    pub(crate) learning_rates: Vec<f64>,
    /// Seconds of its training.
    pub(crate) seconds: f64,
    /// Why this is the last epoch, if that is known.
    pub(crate) stopping: Option<StopReason>,
    /// Updates skipped in a row.
    pub(crate) n_skips: u64,
    /// Where the run was when `last` was saved.
    pub(crate) saved_at: Timestamp,
    /// Where the run was when it was last validated.
    pub(crate) validated_at: Timestamp,
    /// When this fit began, and the seconds of the run before it.
    pub(crate) clock: Option<(Instant, f64)>,
}

impl EpochState {
    /// The beginning of another epoch.
    pub(crate) fn next(&mut self, learning_rates: &[f64]) {
        *self = Self {
            open: true,
            learning_rates: learning_rates.to_vec(),
            n_skips: self.n_skips,
            saved_at: self.saved_at,
            validated_at: self.validated_at,
            clock: self.clock,
            ..Self::default()
        };
    }

    /// Seconds of the run so far.
    pub(crate) fn run_seconds(&self) -> f64 {
        self.clock.map_or(0.0, |(start, before)| before + start.elapsed().as_secs_f64())
    }
}
