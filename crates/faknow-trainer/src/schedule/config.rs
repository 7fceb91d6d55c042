//! Schedules as data: one of them, chosen by its name.

use std::sync::Arc;

use serde::Serialize;

use super::check::{Checked, Invalid};
use super::curve::{Curve, CurveSchedule};
use super::{
    ConstantFactor, CosineAnnealing, CosineWarmRestarts, ExponentialLr, LinearLr, MultiStepLr, OneCycle,
    Plateau, PolynomialLr, Result, Schedule, ScheduleUnit, Sequential, StepLr, TrainingLength, WarmupCosine,
    WarmupLinear,
};

/// A learning-rate schedule, as configuration files name it: `name = "one_cycle"` and its settings.
///
/// ```
/// use faknow_trainer::schedule::{TrainingLength, ScheduleConfig};
///
/// let config: ScheduleConfig = toml::from_str("name = 'warmup_linear'\nwarmup_ratio = 0.2")?;
/// let length = TrainingLength { steps_per_epoch: 5, max_epochs: 2, max_steps: None, monitor_direction: None };
/// let mut schedule = config.build(&[0.1], &length)?;
/// schedule.step(None)?; // after each update of the weights
/// assert_eq!(schedule.learning_rates(), [0.05]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Serialize, Clone, Debug, Default, PartialEq)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum ScheduleConfig {
    /// The base rate all along.
    #[default]
    Constant,
    /// A factor every so many epochs.
    Step(StepLr),
    /// A factor at each milestone.
    MultiStep(MultiStepLr),
    /// A factor after every epoch.
    Exponential(ExponentialLr),
    /// A part of the rate at first, then all of it.
    ConstantFactor(ConstantFactor),
    /// From one factor to another along a line.
    Linear(LinearLr),
    /// Down to 0 as a power of what is left.
    Polynomial(PolynomialLr),
    /// Down along half a cosine.
    Cosine(CosineAnnealing),
    /// Half a cosine again and again.
    CosineWarmRestarts(CosineWarmRestarts),
    /// Up and down once over the whole run.
    OneCycle(OneCycle),
    /// Warm-up, then down to 0 along a line.
    WarmupLinear(WarmupLinear),
    /// Warm-up, then down to 0 along a cosine.
    WarmupCosine(WarmupCosine),
    /// One schedule after another.
    Sequential(Sequential),
    /// A factor whenever validation no longer improves.
    Plateau(Plateau),
}

impl ScheduleConfig {
    /// The name by which configuration files choose it.
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

    /// Builds the schedule for parameter groups with these base rates, in a run as planned.
    ///
    /// # Errors
    /// A setting is out of its range or does not fit the run: the error names the schedule, the setting, what would
    /// be right and what was given.
    pub fn build(&self, base_lrs: &[f64], length: &TrainingLength) -> Result<Box<dyn Schedule>> {
        if let Self::Plateau(plateau) = self {
            return Ok(Box::new(plateau.build(base_lrs, length)?));
        }
        let invalid = |e: Invalid| e.of(self.name());
        let interval = self.interval().map_err(invalid)?.unwrap_or(ScheduleUnit::Epoch);
        let curve = self.curve(interval, length.total(interval)).map_err(invalid)?;
        Ok(Box::new(CurveSchedule::new(self.name(), interval.into(), base_lrs, curve)?))
    }

    /// The curve as a part of a [`Sequential`] that counts `interval`s.
    pub(super) fn part_curve(&self, interval: ScheduleUnit, span: u64) -> Checked<Curve> {
        match self.given_interval() {
            Some(own) if own != interval => Err(Invalid::new(
                "interval",
                format!("\"{interval}\", as the whole counts"),
                format!("\"{own}\""),
            )),
            _ => self.curve(interval, span),
        }
    }

    /// What it counts; `None` if that makes no difference.
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

    /// What its settings say that it counts, if they say so.
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

    /// The rates of a section of `span` intervals.
    fn curve(&self, interval: ScheduleUnit, span: u64) -> Checked<Curve> {
        // A section without any length is never in force, but its settings are still checked.
        let span = span.max(1);
        match self {
            Self::Constant => Ok(Arc::new(|_, base_lr| base_lr)),
            Self::Step(c) => c.curve(span),
            Self::MultiStep(c) => c.curve(span),
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
            Self::Plateau(_) => Err(Invalid::new("name", "a schedule of steps or epochs", "plateau")),
        }
    }
}
