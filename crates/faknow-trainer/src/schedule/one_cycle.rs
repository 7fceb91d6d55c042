//! The one-cycle policy (Smith and Topin, Super-Convergence, 2018).

use std::f64::consts::PI;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ScheduleUnit;
use super::check::{Checked, InvalidSetting, at_least_one, fraction, positive};
use super::curve::Curve;

/// Increase to a maximum learning rate, then decay to almost 0, over the entire run (PyTorch's `OneCycleLR`).
///
/// The base learning rate is the maximum unless `max_lr` is given. The momentum does not cycle. After `total_steps` the
/// learning rate stays at its final, lowest value.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct OneCycle {
    /// The unit of `total_steps`. Default: steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<ScheduleUnit>,
    /// Maximum learning rate of all parameter groups, above 0. Default: the base learning rate of each group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_lr: Option<f64>,
    /// Length of the cycle, at least the length of the run. Default: the length of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_steps: Option<u64>,
    /// Fraction of the cycle in which the learning rate increases, from 0 to 1, to 0.5 with `three_phase`. Default: 0.3.
    pub pct_start: f64,
    /// Annealing function of the increase and the decay. Default: `cos`.
    pub anneal_strategy: Anneal,
    /// Ratio of the maximum to the initial learning rate, above 0. Default: 25.
    pub div_factor: f64,
    /// Ratio of the initial to the final learning rate, above 0. Default: 10000.
    pub final_div_factor: f64,
    /// Whether the decay has two phases: to the initial learning rate, as long as the increase, then to the final one.
    /// Default: false.
    pub three_phase: bool,
}

/// The annealing function of a [`OneCycle`].
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Anneal {
    /// Cosine annealing.
    Cos,
    /// Linear annealing.
    Linear,
}

impl Default for OneCycle {
    fn default() -> Self {
        Self {
            interval: None,
            max_lr: None,
            total_steps: None,
            pct_start: 0.3,
            anneal_strategy: Anneal::Cos,
            div_factor: 25.0,
            final_div_factor: 10_000.0,
            three_phase: false,
        }
    }
}

impl OneCycle {
    pub(super) fn curve(&self, span: u64) -> Checked<Curve> {
        let max_lr = self.max_lr.map(|max_lr| positive("max_lr", max_lr)).transpose()?;
        let total = at_least_one("total_steps", self.total_steps.unwrap_or(span))?;
        if total < span {
            let expected = format!("at least the length of the run, {span}");
            return Err(InvalidSetting::new("total_steps", expected, total));
        }
        let pct_start = fraction("pct_start", self.pct_start)?;
        if self.three_phase && pct_start > 0.5 {
            return Err(InvalidSetting::new("pct_start", "at most 0.5 with three_phase", pct_start));
        }
        let div_factor = positive("div_factor", self.div_factor)?;
        let final_div_factor = positive("final_div_factor", self.final_div_factor)?;
        let (anneal, three_phase) = (self.anneal_strategy, self.three_phase);

        Ok(Arc::new(move |t, base_lr| {
            let max_lr = max_lr.unwrap_or(base_lr);
            let initial_lr = max_lr / div_factor;
            let final_lr = initial_lr / final_div_factor;
            // The end of each phase, which may lie between two steps, and the learning rate there.
            let increase = (pct_start * total as f64 - 1.0, max_lr);
            let return_to_initial = (2.0 * pct_start * total as f64 - 2.0, initial_lr);
            let decay = ((total - 1) as f64, final_lr);
            let phases =
                if three_phase { vec![increase, return_to_initial, decay] } else { vec![increase, decay] };

            let t = t as f64;
            let (mut start, mut lr) = (0.0, initial_lr);
            for (end, target) in phases {
                if t <= end {
                    let progress = if end > start { (t - start) / (end - start) } else { 1.0 };
                    return anneal.interpolate(lr, target, progress);
                }
                (start, lr) = (end, target);
            }
            final_lr
        }))
    }
}

impl Anneal {
    fn interpolate(self, from: f64, to: f64, progress: f64) -> f64 {
        match self {
            Self::Cos => to + (from - to) / 2.0 * (1.0 + (PI * progress).cos()),
            Self::Linear => from + (to - from) * progress,
        }
    }
}
