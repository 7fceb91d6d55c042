//! Lower the rate when validation no longer improves.

use faknow_callbacks::{BestTracker, Margin};
use faknow_metrics::Direction;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::check::{Checked, Invalid, not_negative, positive};
use super::curve::read_state;
use super::lambda::saved_rates;
use super::{Result, Schedule, TrainingLength, Unit, check};

/// Multiplies the rate with `factor` when the monitored value has not improved for more than `patience` validations
/// (PyTorch's `ReduceLROnPlateau`).
///
/// The first value is the first best. A value that is undefined or not finite improves nothing.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Plateau {
    /// Whether less or more is better. Default: as the run's monitored value has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<PlateauMode>,
    /// Factor of each change, above 0 and below 1. Default: 0.1.
    pub factor: f64,
    /// Validations without improvement that are borne; the next one lowers the rate. Default: 10.
    pub patience: u64,
    /// What counts as an improvement, at least 0; see `threshold_mode`. Default: 0.0001.
    pub threshold: f64,
    /// Whether `threshold` is a part of the best value or a difference from it. Default: `rel`.
    pub threshold_mode: ThresholdMode,
    /// Validations after a change during which none counts as bad. Default: 0.
    pub cooldown: u64,
    /// The lowest rate, at least 0. Default: 0.
    pub min_lr: f64,
    /// A change of the rate by no more than this is not made, at least 0. Default: 1e-8.
    pub eps: f64,
}

/// Which way the monitored value is better.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum PlateauMode {
    /// Less is better.
    Min,
    /// More is better.
    Max,
}

/// What the threshold of a [`Plateau`] is compared with.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdMode {
    /// Better than `best · (1 ∓ threshold)`.
    Rel,
    /// Better than `best ∓ threshold`.
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
        let direction = self.check(length).map_err(|e| e.of(NAME))?;
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
            return Err(Invalid::new("factor", "a number below 1", self.factor));
        }
        not_negative("threshold", self.threshold)?;
        not_negative("min_lr", self.min_lr)?;
        not_negative("eps", self.eps)?;
        let Some(monitored) = length.monitor_direction else {
            return Err(Invalid::new("monitored value", "one of the validation", "a run without validation"));
        };
        let direction = match self.mode {
            None => monitored,
            Some(PlateauMode::Min) => Direction::Minimize,
            Some(PlateauMode::Max) => Direction::Maximize,
        };
        if direction != monitored {
            tracing::warn!(mode = ?self.mode, ?monitored, "schedule `plateau`: mode contradicts the monitored value");
        }
        Ok(direction)
    }
}

const NAME: &str = "plateau";

/// A [`Plateau`] at work.
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
            for rate in &mut state.learning_rates {
                let lower = (*rate * config.factor).max(config.min_lr);
                if *rate - lower > config.eps {
                    *rate = lower;
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
        saved.learning_rates = saved_rates(
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
