//! PyTorch's decay schedules: step, multi-step, exponential, constant factor, linear, polynomial.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ScheduleUnit;
use super::check::{Checked, InvalidSetting, at_least_one, fraction, not_negative, positive};
use super::curve::Curve;

/// Multiplication of the learning rate by `gamma` every `step_size` epochs (PyTorch's `StepLR`).
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct StepLr {
    /// The unit of `step_size`. Default: epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<ScheduleUnit>,
    /// Number of steps or epochs between two changes, at least 1.
    pub step_size: u64,
    /// Factor of each change, above 0. Default: 0.1.
    #[serde(default = "default_gamma")]
    pub gamma: f64,
}

impl StepLr {
    /// Creates a schedule that multiplies the learning rate by 0.1 every `step_size` epochs.
    pub fn new(step_size: u64) -> Self {
        Self { interval: None, step_size, gamma: default_gamma() }
    }

    pub(super) fn curve(&self) -> Checked<Curve> {
        let step_size = at_least_one("step_size", self.step_size)?;
        let gamma = positive("gamma", self.gamma)?;
        Ok(Arc::new(move |t, base_lr| base_lr * gamma.powf((t / step_size) as f64)))
    }
}

/// Multiplication of the learning rate by `gamma` at each milestone (PyTorch's `MultiStepLR`).
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct MultiStepLr {
    /// The unit of `milestones`. Default: epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<ScheduleUnit>,
    /// Numbers of steps or epochs after which the learning rate changes; must not be empty. A repeated milestone multiplies
    /// again.
    pub milestones: Vec<u64>,
    /// Factor of each change, above 0. Default: 0.1.
    #[serde(default = "default_gamma")]
    pub gamma: f64,
}

impl MultiStepLr {
    /// Creates a schedule that multiplies the learning rate by 0.1 at each of these epochs.
    pub fn new(milestones: impl Into<Vec<u64>>) -> Self {
        Self { interval: None, milestones: milestones.into(), gamma: default_gamma() }
    }

    pub(super) fn curve(&self) -> Checked<Curve> {
        let gamma = positive("gamma", self.gamma)?;
        let milestones = self.milestones.clone();
        if milestones.is_empty() {
            return Err(InvalidSetting::new("milestones", "at least one", "none"));
        }
        Ok(Arc::new(move |t, base_lr| {
            let n_reached = milestones.iter().filter(|&&milestone| milestone <= t).count();
            base_lr * gamma.powf(n_reached as f64)
        }))
    }
}

/// Multiplication of the learning rate by `gamma` after every epoch (PyTorch's `ExponentialLR`).
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ExponentialLr {
    /// The unit after which the learning rate changes. Default: epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<ScheduleUnit>,
    /// Factor of each change, above 0.
    pub gamma: f64,
}

impl ExponentialLr {
    /// Creates a schedule that multiplies the learning rate by `gamma` after every epoch.
    pub fn new(gamma: f64) -> Self {
        Self { interval: None, gamma }
    }

    pub(super) fn curve(&self) -> Checked<Curve> {
        let gamma = positive("gamma", self.gamma)?;
        Ok(Arc::new(move |t, base_lr| base_lr * gamma.powf(t as f64)))
    }
}

/// A fraction of the base learning rate for the first `total_iters` epochs, then the base learning rate (PyTorch's
/// `ConstantLR`).
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct ConstantFactor {
    /// The unit of `total_iters`. Default: epochs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<ScheduleUnit>,
    /// Initial factor of the base learning rate, from 0 to 1. Default: 1/3.
    pub factor: f64,
    /// Number of steps or epochs with the factor. Default: 5.
    pub total_iters: u64,
}

impl Default for ConstantFactor {
    fn default() -> Self {
        Self { interval: None, factor: 1.0 / 3.0, total_iters: 5 }
    }
}

impl ConstantFactor {
    pub(super) fn curve(&self) -> Checked<Curve> {
        let (factor, total) = (fraction("factor", self.factor)?, self.total_iters);
        Ok(Arc::new(move |t, base_lr| if t < total { base_lr * factor } else { base_lr }))
    }
}

/// Linear change from a first to a last factor of the base learning rate, then constant (PyTorch's `LinearLR`).
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct LinearLr {
    /// The unit of `total_iters`. Default: epochs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<ScheduleUnit>,
    /// Factor of the base learning rate at the start, above 0 and at most 1. Default: 1/3.
    pub start_factor: f64,
    /// Factor of the base learning rate at the end, from 0 to 1. Default: 1.
    pub end_factor: f64,
    /// Number of steps or epochs from the first to the last factor, at least 1. Default: 5.
    pub total_iters: u64,
}

impl Default for LinearLr {
    fn default() -> Self {
        Self { interval: None, start_factor: 1.0 / 3.0, end_factor: 1.0, total_iters: 5 }
    }
}

impl LinearLr {
    pub(super) fn curve(&self) -> Checked<Curve> {
        let start =
            positive("start_factor", self.start_factor).and_then(|start| fraction("start_factor", start))?;
        let end = fraction("end_factor", self.end_factor)?;
        let total = at_least_one("total_iters", self.total_iters)?;
        Ok(Arc::new(move |t, base_lr| base_lr * (start + (end - start) * t.min(total) as f64 / total as f64)))
    }
}

/// Polynomial decay from the base learning rate to 0 (PyTorch's `PolynomialLR`).
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct PolynomialLr {
    /// The unit of `total_iters`. Default: epochs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<ScheduleUnit>,
    /// Number of steps or epochs until the learning rate is 0, at least 1. Default: the length of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_iters: Option<u64>,
    /// The power, at least 0; 1 is linear. Default: 1.
    pub power: f64,
}

impl Default for PolynomialLr {
    fn default() -> Self {
        Self { interval: None, total_iters: None, power: 1.0 }
    }
}

impl PolynomialLr {
    pub(super) fn curve(&self, span: u64) -> Checked<Curve> {
        let total = at_least_one("total_iters", self.total_iters.unwrap_or(span))?;
        let power = not_negative("power", self.power)?;
        Ok(Arc::new(move |t, base_lr| {
            let remaining = 1.0 - t.min(total) as f64 / total as f64;
            base_lr * remaining.powf(power)
        }))
    }
}

fn default_gamma() -> f64 {
    0.1
}
