//! Learning-rate schedules: what the rate of each parameter group is at each step, epoch or validation.
//!
//! A schedule is described by a [`ScheduleConfig`] (data, for configuration files) or by a closure
//! ([`LambdaSchedule`], [`MultiplicativeSchedule`]), and is built once the base rates and the length of the run are
//! known ([`BuildSchedule`]). The numbers are PyTorch's and, for the warm-ups, Hugging Face's.
//!
//! ```
//! use faknow_trainer::schedule::{TrainingLength, ScheduleConfig, StepLr};
//!
//! let config = ScheduleConfig::Step(StepLr { gamma: 0.5, ..StepLr::new(2) });
//! let length = TrainingLength { steps_per_epoch: 100, max_epochs: 10, max_steps: None, monitor_direction: None };
//! let mut schedule = config.build(&[0.1], &length)?;
//! let mut rates = Vec::new();
//! for _epoch in 0..5 {
//!     rates.push(schedule.learning_rates()[0]);
//!     schedule.step(None)?;
//! }
//! assert_eq!(rates, [0.1, 0.1, 0.05, 0.05, 0.025]);
//! # Ok::<(), faknow_trainer::schedule::ScheduleError>(())
//! ```

mod check;
mod config;
mod cosine;
mod curve;
mod decay;
mod error;
mod from_fn;
mod lambda;
mod one_cycle;
mod parse;
mod plateau;
mod sequential;
mod warmup;

use std::fmt;

use faknow_metrics::Direction;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::config::ScheduleConfig;
pub use self::cosine::{CosineAnnealing, CosineWarmRestarts};
pub use self::decay::{ConstantFactor, ExponentialLr, LinearLr, MultiStepLr, PolynomialLr, StepLr};
pub use self::error::ScheduleError;
pub use self::lambda::{LambdaSchedule, MultiplicativeSchedule};
pub use self::one_cycle::{Anneal, OneCycle};
pub use self::plateau::{Plateau, PlateauMode, ThresholdMode};
pub use self::sequential::Sequential;
pub use self::warmup::{WarmupCosine, WarmupLinear};

/// Results of this module.
pub type Result<T, E = ScheduleError> = std::result::Result<T, E>;

/// The learning rates of a run as it goes.
///
/// Whoever runs the loop gives the optimizer [`learning_rates`](Self::learning_rates) before the first update, calls
/// [`step`](Self::step) whenever a [`unit`](Self::unit) is done, and takes the rates over again. A schedule is the
/// only judge of the rates: what someone else sets on the optimizer lasts until the next `step`.
pub trait Schedule: Send {
    /// What the schedule counts, and so when it is to be stepped.
    fn unit(&self) -> Unit;

    /// The rates in force now, one for each parameter group.
    fn learning_rates(&self) -> Vec<f64>;

    /// Moves on by one unit; `metric` is the monitored value for [`Unit::Validation`], `None` if it is undefined.
    ///
    /// # Errors
    /// A rate would be negative or not finite; the rates before stay in force.
    fn step(&mut self, metric: Option<f64>) -> Result<()>;

    /// All that changes as the schedule goes on, as JSON; settings and base rates are not part of it.
    fn state(&self) -> Value;

    /// Takes over what [`state`](Self::state) gave, in a schedule built from the same settings and base rates: from
    /// then on both give the same rates, bit for bit.
    ///
    /// # Errors
    /// The state is another schedule's, or is damaged; the schedule is as before.
    fn restore(&mut self, state: &Value) -> Result<()>;
}

/// A description from which the schedule of a run is built: a [`ScheduleConfig`], a [`LambdaSchedule`], a
/// [`MultiplicativeSchedule`], or a closure that makes any [`Schedule`] from the base rates and the plan.
pub trait BuildSchedule: Send {
    /// Builds the schedule for groups with these base rates and a run of this length.
    ///
    /// # Errors
    /// A setting is out of its range or does not fit the run.
    fn build(&self, base_lrs: &[f64], length: &TrainingLength) -> Result<Box<dyn Schedule>>;
}

impl BuildSchedule for ScheduleConfig {
    fn build(&self, base_lrs: &[f64], length: &TrainingLength) -> Result<Box<dyn Schedule>> {
        ScheduleConfig::build(self, base_lrs, length)
    }
}

impl BuildSchedule for Box<dyn BuildSchedule> {
    fn build(&self, base_lrs: &[f64], length: &TrainingLength) -> Result<Box<dyn Schedule>> {
        (**self).build(base_lrs, length)
    }
}

impl<F> BuildSchedule for F
where
    F: Fn(&[f64], &TrainingLength) -> Result<Box<dyn Schedule>> + Send,
{
    fn build(&self, base_lrs: &[f64], length: &TrainingLength) -> Result<Box<dyn Schedule>> {
        self(base_lrs, length)
    }
}

/// How long a run may be, and what it is judged by: fills in what a configuration leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrainingLength {
    /// Updates of the weights in an epoch (not micro-batches, if gradients are accumulated).
    pub steps_per_epoch: usize,
    /// Epochs, if nothing ends the run earlier.
    pub max_epochs: usize,
    /// Updates after which the run ends at the latest; `None` if only its epochs end it.
    pub max_steps: Option<u64>,
    /// Which way the monitored validation value is better; `None` if the run does not validate.
    pub monitor_direction: Option<Direction>,
}

impl TrainingLength {
    /// Returns the length of the run in steps or epochs: the smaller of both limits.
    pub fn total(&self, interval: ScheduleUnit) -> u64 {
        let (epochs, steps_per_epoch) = (self.max_epochs as u64, self.steps_per_epoch as u64);
        let max_steps = self.max_steps.unwrap_or(u64::MAX);
        match interval {
            ScheduleUnit::Step => epochs.saturating_mul(steps_per_epoch).min(max_steps),
            ScheduleUnit::Epoch => epochs.min(max_steps.div_ceil(steps_per_epoch.max(1))),
        }
    }
}

/// What a schedule counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Stepped after each update of the weights.
    Step,
    /// Stepped after each epoch, its training and its validation.
    Epoch,
    /// Stepped after each validation, with the monitored value.
    Validation,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Step => "step",
            Self::Epoch => "epoch",
            Self::Validation => "validation",
        })
    }
}

/// What the numbers of a configuration count: `step_size = 3` means three steps or three epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleUnit {
    /// Updates of the weights.
    Step,
    /// Epochs.
    Epoch,
}

impl From<ScheduleUnit> for Unit {
    fn from(interval: ScheduleUnit) -> Self {
        match interval {
            ScheduleUnit::Step => Self::Step,
            ScheduleUnit::Epoch => Self::Epoch,
        }
    }
}

impl fmt::Display for ScheduleUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Unit::from(*self).fmt(f)
    }
}
