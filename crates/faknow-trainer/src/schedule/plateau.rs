//! Reduction of the learning rate when validation no longer improves.

use faknow_callbacks::{BestTracker, Margin};
use faknow_metrics::Direction;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::check::{Checked, InvalidSetting, not_negative, positive};
use super::curve::read_state;
use super::lambda::check_saved;
use super::{Result, Schedule, TrainingLength, Unit, check};

/// Multiplication of the learning rate by `factor` when the monitored value has not improved for more than `patience`
/// validations (PyTorch's `ReduceLROnPlateau`).
///
/// The first finite value is the first best. A value that is undefined or not finite is not an improvement.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Plateau {
    /// Whether the value is minimized or maximized. Default: the direction of the run's monitored value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<PlateauMode>,
    /// Factor of each change, above 0 and below 1. Default: 0.1.
    pub factor: f64,
    /// Number of validations without improvement to tolerate; the next one reduces the learning rate. Default: 10.
    pub patience: u64,
    /// Minimum change that counts as an improvement, at least 0; see `threshold_mode`. Default: 0.0001.
    pub threshold: f64,
    /// Whether `threshold` is relative to the best value or absolute. Default: `rel`.
    pub threshold_mode: ThresholdMode,
    /// Number of validations after a reduction that do not count towards `patience`. Default: 0.
    pub cooldown: u64,
    /// Minimum learning rate, at least 0. Default: 0.
    pub min_lr: f64,
    /// Minimum change of the learning rate: smaller changes are ignored, at least 0. Default: 1e-8.
    pub eps: f64,
}

/// The direction of the monitored value.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum PlateauMode {
    /// Lower is better.
    Min,
    /// Higher is better.
    Max,
}

/// The meaning of the threshold of a [`Plateau`].
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdMode {
    /// Relative: an improvement is better than `best · (1 ∓ threshold)`.
    Rel,
    /// Absolute: an improvement is better than `best ∓ threshold`.
    Abs,
}

impl Default for Plateau {
    fn default() -> Self {
        Self {
            mode: None,
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            threshold_mode: ThresholdMode::Rel,
            cooldown: 0,
            min_lr: 0.0,
            eps: 1e-8,
        }
    }
}

impl Plateau {
    pub(super) fn build(&self, base_lrs: &[f64], length: &TrainingLength) -> Result<PlateauSchedule> {
        check::base_lrs(NAME, base_lrs)?;
        let direction = self.check(length).map_err(|e| e.in_schedule(NAME))?;
        let margin = match self.threshold_mode {
            ThresholdMode::Rel => Margin::Relative(self.threshold),
            ThresholdMode::Abs => Margin::Absolute(self.threshold),
        };
        let best = BestTracker::new(direction).margin(margin);
        let state =
            State { learning_rates: base_lrs.to_vec(), n_steps: 0, best: None, n_bad: 0, cooldown: 0 };
        Ok(PlateauSchedule { config: self.clone(), best, state })
    }

    fn check(&self, length: &TrainingLength) -> Checked<Direction> {
        positive("factor", self.factor)?;
        if self.factor >= 1.0 {
            return Err(InvalidSetting::new("factor", "a number below 1", self.factor));
        }
        not_negative("threshold", self.threshold)?;
        not_negative("min_lr", self.min_lr)?;
        not_negative("eps", self.eps)?;
        let Some(monitored) = length.monitor_direction else {
            return Err(InvalidSetting::new(
                "monitored value",
                "a validation value",
                "a run without validation",
            ));
        };
        let direction = match self.mode {
            None => monitored,
            Some(PlateauMode::Min) => Direction::Minimize,
            Some(PlateauMode::Max) => Direction::Maximize,
        };
        if direction != monitored {
            tracing::warn!(
                mode = ?self.mode,
                ?monitored,
                "schedule `plateau`: mode differs from the direction of the monitored value"
            );
        }
        Ok(direction)
    }
}

const NAME: &str = "plateau";

/// The schedule that a [`Plateau`] describes.
pub(super) struct PlateauSchedule {
    config: Plateau,
    best: BestTracker,
    state: State,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    learning_rates: Vec<f64>,
    n_steps: u64,
    best: Option<f64>,
    n_bad: u64,
    cooldown: u64,
}

impl Schedule for PlateauSchedule {
    fn unit(&self) -> Unit {
        Unit::Validation
    }

    fn learning_rates(&self) -> Vec<f64> {
        self.state.learning_rates.clone()
    }

    fn step(&mut self, metric: Option<f64>) -> Result<()> {
        let Self { config, best, state } = self;
        state.n_steps = state.n_steps.saturating_add(1);
        state.n_bad = if best.observe(metric) { 0 } else { state.n_bad.saturating_add(1) };
        state.best = best.best();
        if state.cooldown > 0 {
            state.cooldown -= 1;
            state.n_bad = 0;
        }
        if state.n_bad > config.patience {
            for lr in &mut state.learning_rates {
                let reduced = (*lr * config.factor).max(config.min_lr);
                if *lr - reduced > config.eps {
                    *lr = reduced;
                }
            }
            state.cooldown = config.cooldown;
            state.n_bad = 0;
        }
        Ok(())
    }

    fn state(&self) -> Value {
        let State { learning_rates, n_steps, best, n_bad, cooldown } = &self.state;
        json!({
            "name": NAME,
            "learning_rates": learning_rates,
            "n_steps": n_steps,
            "best": best,
            "n_bad": n_bad,
            "cooldown": cooldown,
        })
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        let mut saved: State = read_state(NAME, state)?;
        saved.learning_rates = check_saved(
            NAME,
            Unit::Validation,
            saved.n_steps,
            saved.learning_rates,
            &self.state.learning_rates,
        )?;
        self.best.restore(saved.best);
        self.state = saved;
        Ok(())
    }
}
