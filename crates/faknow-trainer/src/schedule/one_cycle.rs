//! The one-cycle policy (Smith and Topin, Super-Convergence, 2018).

use std::f64::consts::PI;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ScheduleUnit;
use super::check::{Checked, Invalid, at_least_one, fraction, positive};
use super::curve::{Curve, planned};

/// Up to the highest rate, then down to almost nothing, over the whole run (PyTorch's `OneCycleLR`).
///
/// The base rate is the peak unless `max_lr` is given. The momentum does not cycle. After `total_steps` the last,
/// lowest rate stays.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct OneCycle {
    /// What `total_steps` counts. Default: steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<ScheduleUnit>,
    /// The highest rate, of all parameter groups, above 0. Default: the base rate of each group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_lr: Option<f64>,
    /// Length of the cycle, at least that of the run. Default: that of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_steps: Option<u64>,
    /// Part of the cycle in which the rate rises, from 0 to 1, to 0.5 with `three_phase`. Default: 0.3.
    pub pct_start: f64,
    /// Form of the rise and the fall. Default: `cos`.
    pub anneal_strategy: Anneal,
    /// Highest rate / first rate, above 0. Default: 25.
    pub div_factor: f64,
    /// First rate / last rate, above 0. Default: 10000.
    pub final_div_factor: f64,
    /// Whether to fall back to the first rate as long as it rose, and only then to the last. Default: no.
    pub three_phase: bool,
}

/// Form of the way from one rate to another.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Anneal {
    /// Half a cosine.
    Cos,
    /// A line.
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
        let total = at_least_one("total_steps", planned("one_cycle", self.total_steps, span))?;
        if total < span {
            let expected = format!("at least the length of the run, {span}");
            return Err(Invalid::new("total_steps", expected, total));
        }
        let pct_start = fraction("pct_start", self.pct_start)?;
        if self.three_phase && pct_start > 0.5 {
            return Err(Invalid::new("pct_start", "at most 0.5 with three_phase", pct_start));
        }
        let div_factor = positive("div_factor", self.div_factor)?;
        let final_div_factor = positive("final_div_factor", self.final_div_factor)?;
        let (anneal, three_phase) = (self.anneal_strategy, self.three_phase);

        Ok(Arc::new(move |t, base_lr| {
            let highest = max_lr.unwrap_or(base_lr);
            let first = highest / div_factor;
            let last = first / final_div_factor;
            // Each phase: the step on which it ends, which may lie between two, and the rate there.
            let top = (pct_start * total as f64 - 1.0, highest);
            let back = (2.0 * pct_start * total as f64 - 2.0, first);
            let bottom = ((total - 1) as f64, last);
            let phases = if three_phase { vec![top, back, bottom] } else { vec![top, bottom] };

            let t = t as f64;
            let (mut begin, mut rate) = (0.0, first);
            for (end, target) in phases {
                if t <= end {
                    return anneal.between(
                        rate,
                        target,
                        if end > begin { (t - begin) / (end - begin) } else { 1.0 },
                    );
                }
                (begin, rate) = (end, target);
            }
            last
        }))
    }
}

impl Anneal {
    fn between(self, from: f64, to: f64, progress: f64) -> f64 {
        match self {
            Self::Cos => to + (from - to) / 2.0 * (1.0 + (PI * progress).cos()),
            Self::Linear => from + (to - from) * progress,
        }
    }
}
