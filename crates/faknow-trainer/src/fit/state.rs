//! Where the loop stands: everything that it remembers between two updates, besides what callbacks see of the run.

use std::time::Instant;

use faknow_callbacks::{State, StopReason, Timestamp};
use serde::{Deserialize, Serialize};
use tch::Device;

use crate::Result;
use crate::checkpoint::part::{Checkpointable, from_state, to_state};
use crate::checkpoint::resume::Fingerprints;
use crate::fit::profile::Profile;
use crate::fit::sums::{GradNorms, LossSums};
use crate::fit::train_metrics::TrainCounts;

/// The state of the loop; it is part of every checkpoint as it is.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FitState {
    pub(crate) epoch: EpochState,
    /// Why the current epoch is the last one, if that is known.
    pub(crate) stopping: Option<StopReason>,
    /// Why the run ended, if it has.
    pub(crate) ended: Option<StopReason>,
    /// Updates skipped in a row.
    pub(crate) n_skips: u64,
    pub(crate) n_rollbacks: u32,
    /// Where the run was when `last` was saved.
    pub(crate) saved_at: Timestamp,
    /// Where the run was when it was last validated.
    pub(crate) validated_at: Timestamp,
    pub(crate) profile: Profile,
    /// Identifies the data and the model of this fit.
    pub(crate) fingerprints: Fingerprints,
    /// When this fit started, and the seconds of the run before it.
    #[serde(skip)]
    pub(crate) clock: Option<(Instant, f64)>,
    /// Whether this trainer has started a fit.
    #[serde(skip)]
    pub(crate) is_started: bool,
    /// Whether the run can be resumed exactly from here: not while an update is under way.
    #[serde(skip)]
    pub(crate) is_consistent: bool,
}

/// The epoch that is under way.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EpochState {
    /// Whether the epoch was started and is not recorded yet.
    pub(crate) is_open: bool,
    pub(crate) sums: LossSums,
    pub(crate) norms: GradNorms,
    /// Predictions of the training steps.
    pub(crate) counts: TrainCounts,
    /// Learning rates at its start.
    pub(crate) learning_rates: Vec<f64>,
    /// Seconds of its training.
    pub(crate) seconds: f64,
}

impl FitState {
    /// Starts another epoch.
    pub(crate) fn start_epoch(&mut self, learning_rates: &[f64]) {
        self.epoch =
            EpochState { is_open: true, learning_rates: learning_rates.to_vec(), ..EpochState::default() };
        self.stopping = None;
    }

    /// Starts the clock of a fit.
    pub(crate) fn start_clock(&mut self, now: Instant, seconds_before: f64) {
        self.clock = Some((now, seconds_before));
        self.is_consistent = true;
    }

    /// Returns the seconds of the run so far.
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

/// What belongs to this process stays: the clock, and what identifies its data.
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
