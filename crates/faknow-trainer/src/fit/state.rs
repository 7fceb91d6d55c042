//! The state of the training loop between two updates, except for what callbacks see of the run.

use std::time::Instant;

use faknow_callbacks::{State, StopReason, Timestamp};
use faknow_metrics::Evaluation;
use serde::{Deserialize, Serialize};
use tch::Device;

use crate::Result;
use crate::checkpoint::part::{Checkpointable, from_state, to_state};
use crate::checkpoint::resume::Fingerprints;
use crate::fit::profile::Profile;
use crate::fit::report::FitReport;
use crate::fit::sums::{GradNorms, LossSums};
use crate::fit::train_metrics::TrainCounts;

/// The state of the training loop, a part of every checkpoint.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FitState {
    pub(crate) epoch: EpochState,
    /// The reason why the run stops after the current epoch, if it does.
    #[serde(rename = "stopping")]
    pub(crate) pending_stop: Option<StopReason>,
    /// The reason why the run stopped, if it has.
    #[serde(rename = "ended")]
    pub(crate) stop_reason: Option<StopReason>,
    /// Number of consecutive skipped updates.
    pub(crate) n_skips: u64,
    pub(crate) n_rollbacks: u32,
    /// Position of the run when `last` was saved.
    pub(crate) saved_at: Timestamp,
    /// Position of the run at its last validation.
    pub(crate) validated_at: Timestamp,
    pub(crate) profile: Profile,
    /// Fingerprints of the data and the model of this fit.
    pub(crate) fingerprints: Fingerprints,
    /// Start time of this fit, and the seconds of the run before it.
    #[serde(skip)]
    pub(crate) clock: Option<(Instant, f64)>,
    /// Number of updates at the last check that all of them are finite.
    #[serde(skip)]
    pub(crate) checked_at: u64,
    /// Whether this trainer has started a fit.
    #[serde(skip)]
    pub(crate) is_started: bool,
    /// Whether the run can be resumed exactly from here; false during an update.
    #[serde(skip)]
    pub(crate) is_consistent: bool,
    /// The report of a fit whose end a callback could not process.
    #[serde(skip)]
    pub(crate) unreported_fit: Option<FitReport>,
    /// The result of a test that a callback could not process.
    #[serde(skip)]
    pub(crate) unreported_test: Option<Evaluation>,
}

/// The state of the current epoch.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EpochState {
    /// Whether the epoch has started and is not recorded yet.
    pub(crate) is_open: bool,
    pub(crate) sums: LossSums,
    pub(crate) norms: GradNorms,
    /// Confusion counts of the training steps.
    pub(crate) counts: TrainCounts,
    /// Learning rates of the last update; before the first, those at the start of the epoch.
    pub(crate) learning_rates: Vec<f64>,
    /// Seconds of training.
    pub(crate) seconds: f64,
}

impl FitState {
    /// Starts the next epoch.
    pub(crate) fn start_epoch(&mut self, learning_rates: &[f64]) {
        self.epoch =
            EpochState { is_open: true, learning_rates: learning_rates.to_vec(), ..EpochState::default() };
        self.pending_stop = None;
    }

    /// Starts the clock of a fit; the run took `seconds_before` until then.
    pub(crate) fn start_clock(&mut self, now: Instant, seconds_before: f64) {
        self.clock = Some((now, seconds_before));
        self.is_consistent = true;
    }

    /// Returns the duration of the run so far in seconds.
    pub(crate) fn run_seconds(&self) -> f64 {
        self.clock.map_or(0.0, |(start, before)| before + start.elapsed().as_secs_f64())
    }

    /// Moves the sums to the device on which losses are computed.
    pub(crate) fn move_to(&mut self, device: Device) {
        self.epoch.sums.move_to(device);
        self.epoch.norms.move_to(device);
        self.epoch.counts.move_to(device);
    }
}

/// Restoring retains the state of this process: the clock and the fingerprints.
impl Checkpointable for FitState {
    fn state(&self) -> Result<State> {
        to_state("fit", self)
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        let Self { clock, fingerprints, .. } = std::mem::take(self);
        *self =
            Self { clock, fingerprints, is_started: true, is_consistent: true, ..from_state("fit", state)? };
        Ok(())
    }
}
