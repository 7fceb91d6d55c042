//! The settings of a trainer.

use faknow_callbacks::{Interval, IntervalUnit, MonitorChoice, StopReason, Timestamp};
use tch::Device;

use crate::Result;
use crate::checkpoint::options::Recorded;
use crate::checkpoint::policy::check_interval;
use crate::error::setting;
use crate::fit::length::EpochSize;
use crate::fit::limits::Limits;
use crate::fit::non_finite::NonFinitePolicy;
use crate::system::interrupt::Interrupt;

/// The settings of a [`Trainer`](crate::Trainer), documented and validated by its builder.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Number of epochs of a fit, unless it is a [`fast_dev_run`](Self::fast_dev_run).
    pub(crate) n_epochs: usize,
    /// Limits at which the run stops before its last epoch.
    pub(crate) stop_after: Vec<Interval>,
    pub(crate) monitor: Option<MonitorChoice>,
    pub(crate) restore_best: bool,
    pub(crate) seed: u64,
    /// Number of batches whose gradients are accumulated for one update, at least 1.
    pub(crate) accumulate_grad_batches: usize,
    /// Validation interval; `None` means after each epoch.
    pub(crate) validate_every: Option<Interval>,
    /// Number of validation batches to run before the first epoch.
    pub(crate) num_sanity_val_batches: usize,
    pub(crate) limits: Limits,
    /// Whether to train one epoch of one batch, with the schedule of the full run.
    pub(crate) fast_dev_run: bool,
    pub(crate) on_non_finite: NonFinitePolicy,
    /// Whether losses and gradients are checked only before checkpoints and at the end of an epoch; `None` means on devices.
    pub(crate) deferred_checks: Option<bool>,
    pub(crate) interrupt: Interrupt,
    /// Whether a fit resumes the run in the run directory.
    pub(crate) auto_resume: bool,
}

impl Settings {
    /// Validates all settings.
    ///
    /// # Errors
    /// A setting is outside its range: the error names it.
    pub(crate) fn validate(&self, has_run_dir: bool) -> Result<()> {
        for (name, value) in [
            ("max_epochs", self.n_epochs),
            ("accumulate_grad_batches", self.accumulate_grad_batches),
            ("limit_batches", self.limits.batches.unwrap_or(1)),
        ] {
            if value == 0 {
                return Err(setting(name, "at least 1", 0));
            }
        }
        for limit in &self.stop_after {
            check_interval("stop_after", *limit)?;
        }
        if let Some(every) = self.validate_every {
            check_interval("validate_every", every)?;
        }
        if self.deferred_checks == Some(true) && self.on_non_finite != NonFinitePolicy::Stop {
            return Err(setting("deferred_checks", "false unless `on_non_finite` is `stop`", true));
        }
        self.on_non_finite.validate(has_run_dir)
    }

    /// Returns whether losses and gradients are read and checked in each update.
    pub(crate) fn is_synchronous(&self, device: Device) -> bool {
        let is_deferred = device != Device::Cpu && self.on_non_finite == NonFinitePolicy::Stop;
        !self.deferred_checks.unwrap_or(is_deferred)
    }

    /// Returns the number of epochs of a fit.
    pub(crate) fn max_epochs(&self) -> usize {
        if self.fast_dev_run { 1 } else { self.n_epochs }
    }

    /// Returns the maximum number of updates in epochs of this size, if it is limited other than by time.
    pub(crate) fn max_steps(&self, epoch: &EpochSize) -> Option<u64> {
        self.stop_after.iter().filter_map(|limit| epoch.steps_until(limit)).min()
    }

    /// Returns the maximum number of seconds, if it is limited.
    pub(crate) fn max_seconds(&self) -> Option<f64> {
        let times = self.stop_after.iter().filter(|limit| limit.unit() == IntervalUnit::Seconds);
        times.map(Interval::amount).min_by(f64::total_cmp)
    }

    /// Returns the stop reason if a run of this length has reached a limit.
    pub(crate) fn limit_reached(&self, now: &Timestamp) -> Option<StopReason> {
        let limit = self.stop_after.iter().find(|limit| limit.is_reached(now))?;
        Some(StopReason::Limit { limit: *limit })
    }

    /// Records the settings, under the names of a config.
    pub(crate) fn record(&self, recorded: &mut Recorded) {
        recorded.add("trainer.epochs", self.max_epochs());
        let limits: Vec<String> = self.stop_after.iter().map(ToString::to_string).collect();
        recorded.add_changed("trainer.stop_after", limits, Vec::new());
        recorded.add_changed("trainer.accumulate", self.accumulate_grad_batches, 1);
        recorded.add("trainer.validate_every", self.validate_every);
        recorded.add_changed("trainer.sanity_batches", self.num_sanity_val_batches, 2);
        recorded.add("trainer.monitor", self.monitor.as_ref().map(MonitorChoice::name));
        recorded.add_changed("trainer.restore_best", self.restore_best, true);
        recorded.add_changed("trainer.on_non_finite", self.on_non_finite, NonFinitePolicy::default());
        let Limits { batches, overfit } = self.limits;
        let name = if overfit { "trainer.overfit_batches" } else { "trainer.limit_batches" };
        recorded.add(name, batches);
        recorded.add_changed("trainer.fast_dev_run", self.fast_dev_run, false);
        recorded.add("seed", self.seed);
    }
}
