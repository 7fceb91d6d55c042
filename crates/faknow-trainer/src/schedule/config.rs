//! The configuration of a schedule, chosen by name.

use std::sync::Arc;

use serde::Serialize;

use super::check::{Checked, InvalidSetting};
use super::curve::{Curve, CurveSchedule};
use super::{
    ConstantFactor, CosineAnnealing, CosineWarmRestarts, ExponentialLr, LinearLr, MultiStepLr, OneCycle,
    Plateau, PolynomialLr, Result, Schedule, ScheduleUnit, Sequential, StepLr, TrainingLength, WarmupCosine,
    WarmupLinear,
};

/// The configuration of a learning-rate schedule: `name = "one_cycle"` and its settings.
///
/// ```
/// use faknow_trainer::schedule::{TrainingLength, ScheduleConfig};
///
/// let config: ScheduleConfig = toml::from_str("name = 'warmup_linear'\nwarmup_ratio = 0.2")?;
/// let length = TrainingLength { steps_per_epoch: 5, max_epochs: 2, max_steps: None, monitor_direction: None };
/// let mut schedule = config.build(&[0.1], &length)?;
/// schedule.step(None)?; // after each optimizer step
/// assert_eq!(schedule.learning_rates(), [0.05]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Serialize, Clone, Debug, Default, PartialEq)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum ScheduleConfig {
    /// The base learning rate throughout.
    #[default]
    Constant,
    /// Decay by a factor every `step_size` epochs.
    Step(StepLr),
    /// Decay by a factor at each milestone.
    MultiStep(MultiStepLr),
    /// Decay by a factor after every epoch.
    Exponential(ExponentialLr),
    /// A fraction of the base learning rate at first, then the base learning rate.
    ConstantFactor(ConstantFactor),
    /// Linear change from one factor to another.
    Linear(LinearLr),
    /// Polynomial decay to 0.
    Polynomial(PolynomialLr),
    /// Cosine annealing.
    Cosine(CosineAnnealing),
    /// Cosine annealing with warm restarts.
    CosineWarmRestarts(CosineWarmRestarts),
    /// The one-cycle policy over the entire run.
    OneCycle(OneCycle),
    /// Warm-up, then linear decay to 0.
    WarmupLinear(WarmupLinear),
    /// Warm-up, then cosine decay to 0.
    WarmupCosine(WarmupCosine),
    /// Several schedules in sequence.
    Sequential(Sequential),
    /// Decay by a factor whenever validation no longer improves.
    Plateau(Plateau),
}

impl ScheduleConfig {
    /// Returns the name of the schedule in configuration files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Step(_) => "step",
            Self::MultiStep(_) => "multi_step",
            Self::Exponential(_) => "exponential",
            Self::ConstantFactor(_) => "constant_factor",
            Self::Linear(_) => "linear",
            Self::Polynomial(_) => "polynomial",
            Self::Cosine(_) => "cosine",
            Self::CosineWarmRestarts(_) => "cosine_warm_restarts",
            Self::OneCycle(_) => "one_cycle",
            Self::WarmupLinear(_) => "warmup_linear",
            Self::WarmupCosine(_) => "warmup_cosine",
            Self::Sequential(_) => "sequential",
            Self::Plateau(_) => "plateau",
        }
    }

    /// Builds the schedule for parameter groups with these base learning rates and a run of this length.
    ///
    /// # Errors
    /// A setting is out of range or does not fit the run: the error names the schedule, the setting, and the expected and
    /// the actual value.
    pub fn build(&self, base_lrs: &[f64], length: &TrainingLength) -> Result<Box<dyn Schedule>> {
        if let Self::Plateau(plateau) = self {
            return Ok(Box::new(plateau.build(base_lrs, length)?));
        }
        let invalid = |e: InvalidSetting| e.in_schedule(self.name());
        let interval = self.interval().map_err(invalid)?.unwrap_or(ScheduleUnit::Epoch);
        let span = length.total(interval);
        let curve = self.curve(interval, span).map_err(invalid)?;
        self.unreached_settings(interval, span).iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(Box::new(CurveSchedule::new(self.name(), interval.into(), base_lrs, curve)?))
    }

    /// Returns whether a length of the schedule is not set and defaults to that of the run.
    pub fn depends_on_length(&self) -> bool {
        match self {
            Self::Polynomial(c) => c.total_iters.is_none(),
            Self::Cosine(c) => c.t_max.is_none(),
            Self::OneCycle(c) => c.total_steps.is_none(),
            Self::WarmupLinear(c) => c.total_steps.is_none(),
            Self::WarmupCosine(c) => c.total_steps.is_none(),
            // The sections of the other parts end at milestones.
            Self::Sequential(c) => c.schedules.last().is_some_and(Self::depends_on_length),
            Self::Constant
            | Self::Step(_)
            | Self::MultiStep(_)
            | Self::Exponential(_)
            | Self::ConstantFactor(_)
            | Self::Linear(_)
            | Self::CosineWarmRestarts(_)
            | Self::Plateau(_) => false,
        }
    }

    /// Returns the curve as a part of a [`Sequential`] that counts `interval`s.
    pub(super) fn part_curve(&self, interval: ScheduleUnit, span: u64) -> Checked<Curve> {
        match self.given_interval() {
            Some(own) if own != interval => Err(InvalidSetting::new(
                "interval",
                format!("\"{interval}\", the unit of the sequence"),
                format!("\"{own}\""),
            )),
            _ => self.curve(interval, span),
        }
    }

    /// Returns the unit that the schedule counts; `None` if it makes no difference.
    pub(super) fn interval(&self) -> Checked<Option<ScheduleUnit>> {
        match self {
            Self::Constant | Self::Plateau(_) => Ok(None),
            Self::Sequential(sequential) => sequential.interval(),
            Self::OneCycle(_) | Self::WarmupLinear(_) | Self::WarmupCosine(_) => {
                Ok(self.given_interval().or(Some(ScheduleUnit::Step)))
            }
            _ => Ok(self.given_interval().or(Some(ScheduleUnit::Epoch))),
        }
    }

    /// Returns the setting `interval`.
    pub(super) fn given_interval(&self) -> Option<ScheduleUnit> {
        match self {
            Self::Constant | Self::Plateau(_) => None,
            Self::Step(c) => c.interval,
            Self::MultiStep(c) => c.interval,
            Self::Exponential(c) => c.interval,
            Self::ConstantFactor(c) => c.interval,
            Self::Linear(c) => c.interval,
            Self::Polynomial(c) => c.interval,
            Self::Cosine(c) => c.interval,
            Self::CosineWarmRestarts(c) => c.interval,
            Self::OneCycle(c) => c.interval,
            Self::WarmupLinear(c) => c.interval,
            Self::WarmupCosine(c) => c.interval,
            Self::Sequential(c) => c.interval,
        }
    }

    /// Returns the curve of a section of `span` intervals.
    fn curve(&self, interval: ScheduleUnit, span: u64) -> Checked<Curve> {
        // An empty section is never used, but its settings are still checked.
        let span = span.max(1);
        match self {
            Self::Constant => Ok(Arc::new(|_, base_lr| base_lr)),
            Self::Step(c) => c.curve(),
            Self::MultiStep(c) => c.curve(),
            Self::Exponential(c) => c.curve(),
            Self::ConstantFactor(c) => c.curve(),
            Self::Linear(c) => c.curve(),
            Self::Polynomial(c) => c.curve(span),
            Self::Cosine(c) => c.curve(span),
            Self::CosineWarmRestarts(c) => c.curve(),
            Self::OneCycle(c) => c.curve(span),
            Self::WarmupLinear(c) => c.curve(span),
            Self::WarmupCosine(c) => c.curve(span),
            Self::Sequential(c) => c.curve(interval, span),
            Self::Plateau(_) => Err(InvalidSetting::new("name", "a schedule of steps or epochs", "plateau")),
        }
    }
}
