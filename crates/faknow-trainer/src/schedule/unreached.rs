//! Settings of a schedule that cannot have an effect in a run of a given length.

use super::{ScheduleConfig, ScheduleUnit};

impl ScheduleConfig {
    /// Returns a warning for each setting that has no effect, or not the expected one, in a run of `span` units, since the run
    /// ends before or continues after it.
    pub(super) fn unreached_settings(&self, unit: ScheduleUnit, span: u64) -> Vec<String> {
        let mut warnings = Vec::new();
        self.collect_unreached("schedule", unit, span, &mut warnings);
        warnings
    }

    fn collect_unreached(&self, table: &str, unit: ScheduleUnit, span: u64, warnings: &mut Vec<String>) {
        let mut warn = |is_unreached: bool, key: &str, value: u64, reason: &str, remedy: &str| {
            if is_unreached {
                let length = if span == 1 { format!("1 {unit}") } else { format!("{span} {unit}s") };
                let reason = reason.replace("{length}", &length);
                warnings.push(format!("`{table}.{key}` is {value}: {reason}; {remedy}"));
            }
        };
        let smaller = match unit {
            ScheduleUnit::Step => "set a lower value, or train longer",
            ScheduleUnit::Epoch => {
                "set a lower value, train longer, or count updates with `interval = \"step\"`"
            }
        };
        let total_steps = |total: &Option<u64>| total.unwrap_or(span);
        const DIFFERENT: &str = "the run has {length}";
        const OMIT: &str = "omit it for the length of the run";
        match self {
            Self::Step(c) => warn(
                c.step_size >= span,
                "step_size",
                c.step_size,
                "it has no effect, since the learning rate does not change within a run of {length}",
                smaller,
            ),
            Self::MultiStep(c) => {
                for &milestone in c.milestones.iter().filter(|milestone| **milestone >= span) {
                    let reason = "this milestone has no effect in a run of {length}";
                    warn(true, "milestones", milestone, reason, smaller);
                }
            }
            Self::ConstantFactor(c) => warn(
                c.total_iters >= span,
                "total_iters",
                c.total_iters,
                "the base learning rate is never used in a run of {length}",
                smaller,
            ),
            Self::Linear(c) => warn(
                c.total_iters > span,
                "total_iters",
                c.total_iters,
                "`end_factor` is not reached in a run of {length}",
                smaller,
            ),
            Self::Polynomial(c) => {
                let total = total_steps(&c.total_iters);
                let reason =
                    "after it the learning rate is 0, so the rest of the run of {length} trains nothing";
                warn(total < span && c.power > 0.0, "total_iters", total, reason, OMIT);
            }
            Self::CosineWarmRestarts(c) => warn(
                c.t_0 > span,
                "t_0",
                c.t_0,
                "there is no restart in a run of {length}, and `eta_min` is not reached",
                smaller,
            ),
            Self::OneCycle(c) => {
                let total = total_steps(&c.total_steps);
                warn(total != span, "total_steps", total, DIFFERENT, OMIT);
            }
            Self::WarmupLinear(c) => {
                let total = total_steps(&c.total_steps);
                warn(total != span, "total_steps", total, DIFFERENT, OMIT);
                check_warmup(c.warmup_steps, span, &mut warn);
            }
            Self::WarmupCosine(c) => {
                let total = total_steps(&c.total_steps);
                warn(total != span, "total_steps", total, DIFFERENT, OMIT);
                check_warmup(c.warmup_steps, span, &mut warn);
            }
            Self::Sequential(c) => {
                for &milestone in c.milestones.iter().filter(|milestone| **milestone >= span) {
                    let reason = "the schedule after it is never used in a run of {length}";
                    warn(true, "milestones", milestone, reason, smaller);
                }
                for (i, part) in c.schedules.iter().enumerate() {
                    let start = if i == 0 { 0 } else { c.milestones.get(i - 1).copied().unwrap_or(span) };
                    let end = c.milestones.get(i).copied().unwrap_or(span).min(span);
                    if start < end {
                        part.collect_unreached(
                            &format!("{table}.schedules[{i}]"),
                            unit,
                            end - start,
                            warnings,
                        );
                    }
                }
            }
            Self::Constant | Self::Exponential(_) | Self::Cosine(_) | Self::Plateau(_) => {}
        }
    }
}

fn check_warmup(warmup_steps: Option<u64>, span: u64, warn: &mut impl FnMut(bool, &str, u64, &str, &str)) {
    let warmup = warmup_steps.unwrap_or(0);
    let reason = "the warm-up takes the entire run of {length}";
    warn(warmup > 0 && warmup >= span, "warmup_steps", warmup, reason, "set a lower value, or train longer");
}
