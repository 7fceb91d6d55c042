//! Cosine annealing, once or with warm restarts (Loshchilov and Hutter, SGDR, 2017).

use std::f64::consts::PI;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ScheduleUnit;
use super::check::{Checked, at_least_one, not_negative};
use super::curve::Curve;

/// Cosine annealing from the base learning rate to `eta_min` (PyTorch's `CosineAnnealingLR`).
///
/// After `t_max` the learning rate increases again, as in PyTorch; with the default of `t_max` it only decreases.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct CosineAnnealing {
    /// The unit of `t_max`. Default: epochs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<ScheduleUnit>,
    /// Number of steps or epochs from the highest to the lowest learning rate, at least 1. Default: the length of the run.
    #[serde(alias = "T_max", skip_serializing_if = "Option::is_none")]
    pub t_max: Option<u64>,
    /// Minimum learning rate, at least 0. Default: 0.
    pub eta_min: f64,
}

impl CosineAnnealing {
    pub(super) fn curve(&self, span: u64) -> Checked<Curve> {
        let t_max = at_least_one("t_max", self.t_max.unwrap_or(span))?;
        let eta_min = not_negative("eta_min", self.eta_min)?;
        // Within one period, so that cos is exact however long the run is.
        Ok(Arc::new(move |t, base_lr| {
            anneal(base_lr, eta_min, (t % t_max.saturating_mul(2)) as f64 / t_max as f64)
        }))
    }
}

/// Cosine annealing with warm restarts from the base learning rate (PyTorch's `CosineAnnealingWarmRestarts`).
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct CosineWarmRestarts {
    /// The unit of `t_0`. Default: epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<ScheduleUnit>,
    /// Length of the first cycle, at least 1.
    #[serde(alias = "T_0")]
    pub t_0: u64,
    /// Factor by which the length grows from cycle to cycle, at least 1. Default: 1.
    #[serde(alias = "T_mult", default = "default_t_mult")]
    pub t_mult: u64,
    /// Minimum learning rate, at least 0. Default: 0.
    #[serde(default)]
    pub eta_min: f64,
}

impl CosineWarmRestarts {
    /// Creates a schedule with cycles of `t_0` epochs and PyTorch's other defaults.
    pub fn new(t_0: u64) -> Self {
        Self { interval: None, t_0, t_mult: default_t_mult(), eta_min: 0.0 }
    }

    pub(super) fn curve(&self) -> Checked<Curve> {
        let t_0 = at_least_one("t_0", self.t_0)?;
        let t_mult = at_least_one("t_mult", self.t_mult)?;
        let eta_min = not_negative("eta_min", self.eta_min)?;
        Ok(Arc::new(move |t, base_lr| {
            let (offset, length) = position_in_cycle(t, t_0, t_mult);
            anneal(base_lr, eta_min, offset as f64 / length as f64)
        }))
    }
}

/// Returns the offset of `t` in its cycle, and the length of the cycle.
fn position_in_cycle(t: u64, t_0: u64, t_mult: u64) -> (u64, u64) {
    if t_mult == 1 {
        return (t % t_0, t_0);
    }
    let (mut offset, mut length) = (t, t_0);
    while offset >= length {
        offset -= length;
        length = length.saturating_mul(t_mult);
    }
    (offset, length)
}

/// Interpolates from `base_lr` at progress 0 to `eta_min` at progress 1.
fn anneal(base_lr: f64, eta_min: f64, progress: f64) -> f64 {
    eta_min + (base_lr - eta_min) * (1.0 + (PI * progress).cos()) / 2.0
}

fn default_t_mult() -> u64 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_in_cycles() {
        let check = |(t_0, t_mult): (u64, u64), expected: &[(u64, u64)]| {
            for (t, &expected) in expected.iter().enumerate() {
                assert_eq!(
                    position_in_cycle(t as u64, t_0, t_mult),
                    expected,
                    "t = {t}, t_0 = {t_0}, t_mult = {t_mult}"
                );
            }
        };
        check((2, 1), &[(0, 2), (1, 2), (0, 2), (1, 2), (0, 2)]);
        check((1, 2), &[(0, 1), (0, 2), (1, 2), (0, 4), (1, 4), (2, 4), (3, 4), (0, 8)]);
        check((2, 3), &[(0, 2), (1, 2), (0, 6), (1, 6), (2, 6), (3, 6), (4, 6), (5, 6), (0, 18)]);
        assert_eq!(position_in_cycle(u64::MAX, 1, u64::MAX), (u64::MAX - 1, u64::MAX));
    }
}
