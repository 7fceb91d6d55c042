//! Linear warm-up, then decay to 0: Hugging Face's schedules for fine-tuning.

use std::f64::consts::PI;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ScheduleUnit;
use super::check::{Checked, InvalidSetting, at_least_one, fraction, positive};
use super::curve::Curve;

/// Linear warm-up from 0 to the base learning rate, then linear decay to 0 (Hugging Face's
/// `get_linear_schedule_with_warmup`).
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct WarmupLinear {
    /// The unit of the lengths. Default: steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<ScheduleUnit>,
    /// Length of the warm-up, at most `total_steps`; if it is above 0, the first learning rate is 0. Default: given by
    /// `warmup_ratio`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup_steps: Option<u64>,
    /// Length of the warm-up as a fraction of `total_steps`, from 0 to 1, rounded up; instead of `warmup_steps`.
    /// Default: 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup_ratio: Option<f64>,
    /// Length of the warm-up and the decay together, at least 1. Default: the length of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_steps: Option<u64>,
}

impl WarmupLinear {
    pub(super) fn curve(&self, span: u64) -> Checked<Curve> {
        let total = at_least_one("total_steps", self.total_steps.unwrap_or(span))?;
        let warmup = warmup_length(self.warmup_steps, self.warmup_ratio, total)?;
        Ok(Arc::new(move |t, base_lr| {
            let decay = || total.saturating_sub(t) as f64 / decay_length(warmup, total);
            base_lr * warmup_factor(t, warmup).unwrap_or_else(decay)
        }))
    }
}

/// Linear warm-up from 0 to the base learning rate, then cosine decay to 0 (Hugging Face's
/// `get_cosine_schedule_with_warmup`).
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct WarmupCosine {
    /// The unit of the lengths. Default: steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<ScheduleUnit>,
    /// Length of the warm-up, at most `total_steps`; if it is above 0, the first learning rate is 0. Default: given by
    /// `warmup_ratio`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup_steps: Option<u64>,
    /// Length of the warm-up as a fraction of `total_steps`, from 0 to 1, rounded up; instead of `warmup_steps`.
    /// Default: 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup_ratio: Option<f64>,
    /// Length of the warm-up and the decay together, at least 1; after it the cosine continues. Default: the length of the
    /// run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_steps: Option<u64>,
    /// Number of periods of the cosine after the warm-up, above 0; 0.5 is one decay to 0. Default: 0.5.
    pub num_cycles: f64,
}

impl Default for WarmupCosine {
    fn default() -> Self {
        Self { interval: None, warmup_steps: None, warmup_ratio: None, total_steps: None, num_cycles: 0.5 }
    }
}

impl WarmupCosine {
    pub(super) fn curve(&self, span: u64) -> Checked<Curve> {
        let total = at_least_one("total_steps", self.total_steps.unwrap_or(span))?;
        let warmup = warmup_length(self.warmup_steps, self.warmup_ratio, total)?;
        let cycles = positive("num_cycles", self.num_cycles)?;
        Ok(Arc::new(move |t, base_lr| {
            let decay = || {
                let progress = (t - warmup) as f64 / decay_length(warmup, total);
                (0.5 * (1.0 + (2.0 * PI * cycles * progress).cos())).max(0.0)
            };
            base_lr * warmup_factor(t, warmup).unwrap_or_else(decay)
        }))
    }
}

/// Returns the length of the warm-up from one of the two settings.
fn warmup_length(steps: Option<u64>, ratio: Option<f64>, total: u64) -> Checked<u64> {
    match (steps, ratio) {
        (Some(steps), Some(ratio)) => {
            let got = format!("both, {steps} and {ratio}");
            Err(InvalidSetting::new("warmup_steps", "either warmup_steps or warmup_ratio", got))
        }
        (Some(steps), None) if steps > total => {
            Err(InvalidSetting::new("warmup_steps", format!("at most total_steps, {total}"), steps))
        }
        (Some(steps), None) => Ok(steps),
        (None, ratio) => {
            let ratio = fraction("warmup_ratio", ratio.unwrap_or(DEFAULT_WARMUP_RATIO))?;
            Ok((total as f64 * ratio).ceil() as u64)
        }
    }
}

const DEFAULT_WARMUP_RATIO: f64 = 0.1;

/// Returns the factor during the warm-up; `None` after it.
fn warmup_factor(t: u64, warmup: u64) -> Option<f64> {
    (t < warmup).then(|| t as f64 / warmup as f64)
}

fn decay_length(warmup: u64, total: u64) -> f64 {
    (total - warmup).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warmup_lengths() {
        let check = |steps, ratio, total, expected| {
            assert_eq!(
                warmup_length(steps, ratio, total).unwrap(),
                expected,
                "{steps:?} {ratio:?} of {total}"
            );
        };
        check(None, None, 100, 10);
        check(None, None, 101, 11);
        check(None, Some(0.0), 100, 0);
        check(None, Some(1.0), 100, 100);
        check(None, Some(0.25), 3, 1);
        check(Some(0), None, 3, 0);
        check(Some(3), None, 3, 3);
    }
}
