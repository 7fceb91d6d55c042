//! Custom schedules: closures that return a factor.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::curve::{Curve, CurveSchedule, read_state};
use super::{BuildSchedule, Result, Schedule, ScheduleError, TrainingLength, Unit, check};

/// The base learning rate times a function of the number of units (PyTorch's `LambdaLR`): `lr(t) = base_lr · factor(t)`.
///
/// ```
/// use faknow_trainer::schedule::{BuildSchedule, LambdaSchedule, TrainingLength, Unit};
///
/// // Inverse square root decay after 4 steps of warm-up.
/// let noam = LambdaSchedule::new(Unit::Step, |t, _base_lr| {
///     let n = (t + 1) as f64;
///     (n / 4.0).min((4.0 / n).sqrt())
/// });
/// let length = TrainingLength { steps_per_epoch: 10, max_epochs: 2, max_steps: None, monitor_direction: None };
/// let schedule = noam.build(&[0.1, 0.02], &length)?;
/// assert_eq!(schedule.learning_rates(), [0.025, 0.005]);
/// # Ok::<(), faknow_trainer::schedule::ScheduleError>(())
/// ```
#[derive(Clone)]
pub struct LambdaSchedule {
    unit: Unit,
    curve: Curve,
}

impl LambdaSchedule {
    /// Creates a schedule that multiplies the base learning rate of each group by `factor(t, base_lr)` after `t` units.
    pub fn new(unit: Unit, factor: impl Fn(u64, f64) -> f64 + Send + Sync + 'static) -> Self {
        Self { unit, curve: Arc::new(move |t, base_lr| base_lr * factor(t, base_lr)) }
    }
}

impl BuildSchedule for LambdaSchedule {
    fn build(&self, base_lrs: &[f64], _length: &TrainingLength) -> Result<Box<dyn Schedule>> {
        Ok(Box::new(CurveSchedule::new("lambda", self.unit, base_lrs, Arc::clone(&self.curve))?))
    }

    fn depends_on_length(&self) -> bool {
        false
    }
}

/// The previous learning rate times a factor (PyTorch's `MultiplicativeLR`): `lr(t) = lr(t - 1) · factor(t)`, where `lr(0)`
/// is the base learning rate.
#[derive(Clone)]
pub struct MultiplicativeSchedule {
    unit: Unit,
    factor: Curve,
}

impl MultiplicativeSchedule {
    /// Creates a schedule that multiplies the learning rate of each group by `factor(t, learning_rate)` after unit `t`, from
    /// 1.
    pub fn new(unit: Unit, factor: impl Fn(u64, f64) -> f64 + Send + Sync + 'static) -> Self {
        Self { unit, factor: Arc::new(factor) }
    }
}

impl BuildSchedule for MultiplicativeSchedule {
    fn build(&self, base_lrs: &[f64], _length: &TrainingLength) -> Result<Box<dyn Schedule>> {
        check::base_lrs(MULTIPLICATIVE, base_lrs)?;
        let state = Product { t: 0, learning_rates: base_lrs.to_vec() };
        Ok(Box::new(Multiplicative { unit: self.unit, factor: Arc::clone(&self.factor), state }))
    }

    fn depends_on_length(&self) -> bool {
        false
    }
}

const MULTIPLICATIVE: &str = "multiplicative";

struct Multiplicative {
    unit: Unit,
    factor: Curve,
    state: Product,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Product {
    t: u64,
    learning_rates: Vec<f64>,
}

impl Schedule for Multiplicative {
    fn unit(&self) -> Unit {
        self.unit
    }

    fn learning_rates(&self) -> Vec<f64> {
        self.state.learning_rates.clone()
    }

    fn step(&mut self, _metric: Option<f64>) -> Result<()> {
        let t = self.state.t.saturating_add(1);
        let learning_rates = self.state.learning_rates.iter().map(|&lr| lr * (self.factor)(t, lr)).collect();
        let learning_rates = check::learning_rates(MULTIPLICATIVE, self.unit, t, learning_rates)?;
        self.state = Product { t, learning_rates };
        Ok(())
    }

    fn state(&self) -> Value {
        json!({ "name": MULTIPLICATIVE, "t": self.state.t, "learning_rates": self.state.learning_rates })
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        let saved: Product = read_state(MULTIPLICATIVE, state)?;
        let learning_rates = check_saved(
            MULTIPLICATIVE,
            self.unit,
            saved.t,
            saved.learning_rates,
            &self.state.learning_rates,
        )?;
        self.state = Product { t: saved.t, learning_rates };
        Ok(())
    }
}

/// Checks the number and the range of saved learning rates.
pub(super) fn check_saved(name: &str, unit: Unit, t: u64, saved: Vec<f64>, own: &[f64]) -> Result<Vec<f64>> {
    if saved.len() == own.len() {
        return check::learning_rates(name, unit, t, saved);
    }
    let message =
        format!("learning_rates: expected {}, one per parameter group, got {}", own.len(), saved.len());
    Err(ScheduleError::State { schedule: name.to_owned(), message })
}
