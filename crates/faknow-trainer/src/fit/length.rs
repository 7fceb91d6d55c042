//! The length of a run, for which its learning-rate schedule is laid out: of the settings, and estimated from a time limit.

use faknow_callbacks::{Interval, IntervalUnit};
use faknow_model::Model;
use serde::{Deserialize, Serialize};

use crate::schedule::Unit;
use crate::{Result, Trainer};

/// Number of updates before the first estimate of the length of a run with a time limit.
const MIN_STEPS: u64 = 4;

/// The size of an epoch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EpochSize {
    pub(crate) n_batches: usize,
    /// Number of samples, as the mean over batches says.
    pub(crate) n_samples: f64,
    pub(crate) accumulate_grad_batches: usize,
}

impl EpochSize {
    /// Returns the number of updates per epoch.
    pub(crate) fn n_steps(&self) -> u64 {
        self.n_batches.div_ceil(self.accumulate_grad_batches) as u64
    }

    /// Returns the number of updates after which a limit is reached; `None` for a time limit.
    pub(crate) fn steps_until(&self, limit: &Interval) -> Option<u64> {
        let epochs = match limit.unit() {
            IntervalUnit::Steps => return Some(limit.amount() as u64),
            IntervalUnit::Seconds => return None,
            IntervalUnit::Epochs => limit.amount(),
            IntervalUnit::Samples => limit.amount() / self.n_samples.max(1.0),
        };
        let full_epochs = (epochs + 1e-9).floor();
        let n_batches = ((epochs - full_epochs) * self.n_batches as f64 - 1e-6).ceil().max(0.0) as u64;
        let n_steps = n_batches.div_ceil(self.accumulate_grad_batches as u64);
        Some((full_epochs as u64).saturating_mul(self.n_steps()).saturating_add(n_steps))
    }
}

/// The number of updates that a time limit allows, as measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimeEstimate {
    /// The time limit in seconds.
    pub(crate) limit: f64,
    pub(crate) n_steps: u64,
    /// The epoch in which it was measured.
    pub(crate) epoch: usize,
    /// Number of updates before the measurement.
    pub(crate) n_done: u64,
}

impl TimeEstimate {
    /// Estimates the length of a run that took `seconds` for its first `n_done` updates, including validations.
    pub(crate) fn new(limit: f64, epoch: usize, n_done: u64, seconds: f64) -> Self {
        let n_steps = n_done as f64 * limit / seconds.max(f64::MIN_POSITIVE);
        Self { limit, n_steps: (n_steps as u64).max(n_done.saturating_add(1)), epoch, n_done }
    }

    /// Returns the estimate for another limit of the same run.
    pub(crate) fn with_limit(self, limit: f64) -> Self {
        Self { limit, n_steps: (self.n_steps as f64 * limit / self.limit) as u64, ..self }
    }

    /// Returns whether the length is to be measured after update `step`: often at first, in each epoch, since validations take
    /// time too, and whenever a quarter of the remaining updates is done, so that the schedule never ends long before the run.
    fn is_due(last: Option<Self>, epoch: usize, step: u64) -> bool {
        let is_quarter_done = |last: Self| {
            let n_remaining = last.n_steps.saturating_sub(last.n_done);
            last.epoch != epoch || step >= last.n_done.saturating_add(n_remaining.div_ceil(4))
        };
        step >= MIN_STEPS && (step.is_power_of_two() || last.is_none_or(is_quarter_done))
    }
}

impl<M: Model> Trainer<M> {
    /// Measures how many updates the time limit allows if this is due, and lays the schedule out for them.
    pub(crate) fn estimate_length(&mut self, unit: Unit) -> Result<()> {
        let (epoch, step) = (self.run.epoch(), self.run.step());
        let rates = &mut self.optimization.learning_rates;
        let Some(limit) = rates.time_limit_of(unit) else { return Ok(()) };
        if !TimeEstimate::is_due(rates.estimate(), epoch, step) {
            return Ok(());
        }
        let estimate = TimeEstimate::new(limit, epoch, step, self.state.run_seconds());
        let is_first = rates.estimate().is_none();
        if let Some([from, to]) = rates.set_estimate(estimate)? {
            let message = format!(
                "the time limit of {limit} seconds allows about {to} updates instead of {from}: the learning-rate schedule \
                 is laid out for {to}"
            );
            if is_first { tracing::info!("{message}") } else { tracing::debug!("{message}") }
        }
        Ok(())
    }

    /// Continues the schedule at the current position of the new length, if the length of the run has changed by a resume or a
    /// further fit, and logs what this means for the learning rate.
    pub(crate) fn continue_schedule(&mut self) -> Result<()> {
        let (n_done, n_epochs) = (self.run.step(), self.run.history().epochs.len() as u64);
        let rates = &mut self.optimization.learning_rates;
        let Some(change) = rates.take_length_change(&self.run.learning_rates, n_done, n_epochs)? else {
            return Ok(());
        };
        let before = std::mem::replace(&mut self.run.learning_rates, change.learning_rates);
        let [from, to] = change.n_steps;
        let (before, now) = (show(&before), show(&self.run.learning_rates));
        let last =
            change.last.map_or_else(String::new, |last| format!(", {} in the last update", show(&last)));
        tracing::info!(
            "the run now has up to {to} updates instead of {from}; learning rate by the schedule: {now} from here on (before: \
             {before}){last}"
        );
        Ok(())
    }
}

/// Formats the learning rates of all groups with six significant digits.
fn show(rates: &[f64]) -> String {
    let number = |rate: &f64| format!("{rate:.5e}").parse::<f64>().unwrap_or(*rate).to_string();
    rates.iter().map(number).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_in_updates() {
        let check = |limit: &str, accumulate: usize, expected: Option<u64>| {
            let size = EpochSize { n_batches: 10, n_samples: 500.0, accumulate_grad_batches: accumulate };
            assert_eq!(size.steps_until(&limit.parse().unwrap()), expected, "{limit} {accumulate}");
        };
        check("7 steps", 1, Some(7));
        check("2 epochs", 1, Some(20));
        check("2.3 epochs", 1, Some(23));
        check("2.31 epochs", 1, Some(24));
        check("2.3 epochs", 4, Some(7));
        check("500 samples", 1, Some(10));
        check("501 samples", 1, Some(11));
        check("1250 samples", 1, Some(25));
        check("1250 samples", 3, Some(10));
        check("3 seconds", 1, None);
    }

    #[test]
    fn a_time_limit_is_divided_by_the_time_per_update() {
        let estimate = TimeEstimate::new(60.0, 1, 10, 2.0);
        assert_eq!(estimate.n_steps, 300);
        assert_eq!(
            estimate.with_limit(30.0),
            TimeEstimate { limit: 30.0, n_steps: 150, epoch: 1, n_done: 10 }
        );
        // At the limit no more than the current update is left, whatever was measured.
        assert_eq!(TimeEstimate::new(2.0, 1, 10, 2.5).n_steps, 11);
        assert_eq!(TimeEstimate::new(60.0, 1, 10, 0.0).n_steps, u64::MAX);
        let due = |last, epoch, step| TimeEstimate::is_due(last, epoch, step);
        assert_eq!(
            [1, 2, 3, 4, 5, 8, 9].map(|step| due(None, 1, step)),
            [false, false, false, true, true, true, true]
        );
        let last = Some(estimate);
        assert_eq!([11, 16, 17, 32].map(|step| due(last, 1, step)), [false, true, false, true]);
        assert!(due(last, 2, 17));
        // 10 + (300 - 10) / 4 = 82.5
        assert_eq!([82, 83].map(|step| due(last, 1, step)), [false, true]);
    }

    #[test]
    fn learning_rates_have_six_digits() {
        assert_eq!(show(&[0.000_345_491_502_812_526, 0.0, 0.1]), "0.000345492, 0, 0.1");
    }
}
