//! Learning-rate schedules: the learning rate of each parameter group by step, epoch or validation.
//!
//! A schedule is described by a [`ScheduleConfig`] (data, for configuration files) or by a closure
//! ([`LambdaSchedule`], [`MultiplicativeSchedule`]), and is built when the base learning rates and the length of the run
//! are known ([`BuildSchedule`]). The formulas are those of PyTorch and, for warm-ups, of Hugging Face.
//!
//! ```
//! use faknow_trainer::schedule::{TrainingLength, ScheduleConfig, StepLr};
//!
//! let config = ScheduleConfig::Step(StepLr { gamma: 0.5, ..StepLr::new(2) });
//! let length = TrainingLength { steps_per_epoch: 100, max_epochs: 10, max_steps: None, monitor_direction: None };
//! let mut schedule = config.build(&[0.1], &length)?;
//! let mut learning_rates = Vec::new();
//! for _epoch in 0..5 {
//!     learning_rates.push(schedule.learning_rates()[0]);
//!     schedule.step(None)?;
//! }
//! assert_eq!(learning_rates, [0.1, 0.1, 0.05, 0.05, 0.025]);
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
mod unreached;
mod warmup;

use std::fmt;

use faknow_metrics::Direction;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::config::ScheduleConfig;
pub use self::cosine::{CosineAnnealing, CosineWarmRestarts};
pub use self::decay::{ConstantFactor, ExponentialLr, LinearLr, MultiStepLr, PolynomialLr, StepLr};
pub use self::error::ScheduleError;
pub use self::lambda::{LambdaSchedule, MultiplicativeSchedule};
pub use self::one_cycle::{Anneal, OneCycle};
pub use self::plateau::{Plateau, PlateauMode, ThresholdMode};
pub use self::sequential::Sequential;
pub use self::warmup::{WarmupCosine, WarmupLinear};

/// The result type of this module.
pub type Result<T, E = ScheduleError> = std::result::Result<T, E>;

/// The learning rates of a run over time.
///
/// The training loop sets [`learning_rates`](Self::learning_rates) on the optimizer before the first update, calls
/// [`step`](Self::step) after each [`unit`](Self::unit), and sets them again. Learning rates from another source, such as
/// a callback, are overwritten after the next `step`.
pub trait Schedule: Send {
    /// Returns the unit that the schedule counts: `step` is called after each of them.
    fn unit(&self) -> Unit;

    /// Returns the current learning rates, one per parameter group.
    fn learning_rates(&self) -> Vec<f64>;

    /// Advances by one unit; `metric` is the monitored value for [`Unit::Validation`], `None` if it is undefined.
    ///
    /// # Errors
    /// A learning rate would be negative or not finite; the learning rates are not changed.
    fn step(&mut self, metric: Option<f64>) -> Result<()>;

    /// Returns the state as JSON, without settings and base learning rates.
    fn state(&self) -> Value;

    /// Restores a [`state`](Self::state) of a schedule with the same settings and base learning rates: from then on both
    /// return the same learning rates, bit for bit.
    ///
    /// # Errors
    /// The state is corrupted or of another schedule; this schedule is not changed.
    fn restore(&mut self, state: &Value) -> Result<()>;
}

/// A description from which the schedule of a run is built: a [`ScheduleConfig`], a [`LambdaSchedule`], a
/// [`MultiplicativeSchedule`], or a closure that creates any [`Schedule`] from the base learning rates and the length of
/// the run.
pub trait BuildSchedule: Send {
    /// Builds the schedule for parameter groups with these base learning rates and a run of this length.
    ///
    /// # Errors
    /// A setting is out of range or does not fit the run.
    fn build(&self, base_lrs: &[f64], length: &TrainingLength) -> Result<Box<dyn Schedule>>;

    /// Returns whether the learning rates depend on the length of the run: if it changes, the schedule is built again and
    /// continues from its state. Default: true.
    fn depends_on_length(&self) -> bool {
        true
    }

    /// Returns the settings that a resumed run compares with those of its start: an object, or a text. Default: `custom`;
    /// changes of a custom schedule take effect without being noticed.
    fn settings(&self) -> Value {
        "custom".into()
    }
}

impl BuildSchedule for ScheduleConfig {
    fn build(&self, base_lrs: &[f64], length: &TrainingLength) -> Result<Box<dyn Schedule>> {
        ScheduleConfig::build(self, base_lrs, length)
    }

    fn depends_on_length(&self) -> bool {
        ScheduleConfig::depends_on_length(self)
    }

    fn settings(&self) -> Value {
        json!(self)
    }
}

impl BuildSchedule for Box<dyn BuildSchedule> {
    fn build(&self, base_lrs: &[f64], length: &TrainingLength) -> Result<Box<dyn Schedule>> {
        (**self).build(base_lrs, length)
    }

    fn depends_on_length(&self) -> bool {
        (**self).depends_on_length()
    }

    fn settings(&self) -> Value {
        (**self).settings()
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

/// The maximum length of a run and the direction of its monitored value: the defaults for settings that a configuration
/// omits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrainingLength {
    /// Number of optimizer steps per epoch (not micro-batches, if gradients are accumulated).
    pub steps_per_epoch: usize,
    /// Maximum number of epochs.
    pub max_epochs: usize,
    /// Maximum number of optimizer steps, by limits in steps, epochs or samples, or estimated from a time limit; `None` for
    /// no limit.
    pub max_steps: Option<u64>,
    /// Direction of the monitored validation value; `None` if the run does not validate.
    pub monitor_direction: Option<Direction>,
}

impl TrainingLength {
    /// Returns the length of the run in steps or epochs, whichever limit is reached first.
    pub fn total(&self, interval: ScheduleUnit) -> u64 {
        let (epochs, steps_per_epoch) = (self.max_epochs as u64, self.steps_per_epoch as u64);
        let max_steps = self.max_steps.unwrap_or(u64::MAX);
        match interval {
            ScheduleUnit::Step => epochs.saturating_mul(steps_per_epoch).min(max_steps),
            ScheduleUnit::Epoch => epochs.min(max_steps.div_ceil(steps_per_epoch.max(1))),
        }
    }
}

/// The unit that a schedule counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Optimizer steps.
    Step,
    /// Epochs: the schedule is stepped after training and validation of each.
    Epoch,
    /// Validations: the schedule is stepped after each, with the monitored value.
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

/// The unit of the numbers in a configuration: `step_size = 3` means three steps or three epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleUnit {
    /// Optimizer steps.
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
