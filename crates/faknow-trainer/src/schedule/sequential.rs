//! Several schedules in sequence.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::check::{Checked, InvalidSetting};
use super::curve::Curve;
use super::{ScheduleConfig, ScheduleUnit};

/// Several schedules in sequence, each from its own start and from the base learning rate (PyTorch's `SequentialLR`).
///
/// A part whose length defaults to that of the run defaults to the length of its section instead. All parts count the same
/// unit: `interval`, or that of the parts if they agree. A plateau cannot be a part.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Sequential {
    /// The unit of `milestones` and all parts. Default: that of the parts, if they agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<ScheduleUnit>,
    /// The parts in order, at least one.
    pub schedules: Vec<ScheduleConfig>,
    /// Numbers of steps or epochs after which the second, third, … part starts: ascending, at least 1, one fewer than
    /// parts.
    pub milestones: Vec<u64>,
}

impl Sequential {
    /// Creates a sequence of schedules; the second starts at the first milestone.
    pub fn new(schedules: impl Into<Vec<ScheduleConfig>>, milestones: impl Into<Vec<u64>>) -> Self {
        Self { interval: None, schedules: schedules.into(), milestones: milestones.into() }
    }

    /// Returns the unit of the sequence: the setting `interval`, else that of the parts, else their default; `None` if every
    /// part is constant.
    pub(super) fn interval(&self) -> Checked<Option<ScheduleUnit>> {
        if self.interval.is_some() {
            return Ok(self.interval);
        }
        let given = self.schedules.iter().map(ScheduleConfig::given_interval).collect::<Vec<_>>();
        if let Some(interval) = common(&given)? {
            return Ok(Some(interval));
        }
        let defaults = self.schedules.iter().map(ScheduleConfig::interval).collect::<Checked<Vec<_>>>()?;
        common(&defaults)
    }

    pub(super) fn curve(&self, interval: ScheduleUnit, span: u64) -> Checked<Curve> {
        self.check_milestones()?;
        let mut parts = Vec::with_capacity(self.schedules.len());
        for (i, part) in self.schedules.iter().enumerate() {
            let start = if i == 0 { 0 } else { self.milestones[i - 1] };
            let end = self.milestones.get(i).copied().unwrap_or(span);
            let curve = part.part_curve(interval, end.saturating_sub(start));
            parts.push((start, curve.map_err(|e| e.in_part(&part_key(i)))?));
        }
        Ok(Arc::new(move |t, base_lr| {
            let current = parts.partition_point(|(start, _)| *start <= t) - 1;
            let (start, curve) = &parts[current];
            curve(t - start, base_lr)
        }))
    }

    fn check_milestones(&self) -> Checked<()> {
        if self.schedules.is_empty() {
            return Err(InvalidSetting::new("schedules", "at least one schedule", "none"));
        }
        if self.milestones.len() + 1 != self.schedules.len() {
            let expected = format!("{}, one fewer than schedules", self.schedules.len() - 1);
            return Err(InvalidSetting::new("milestones", expected, self.milestones.len()));
        }
        if self.milestones.first() == Some(&0) || !self.milestones.is_sorted_by(|a, b| a < b) {
            return Err(InvalidSetting::new(
                "milestones",
                "ascending numbers of at least 1",
                list(&self.milestones),
            ));
        }
        Ok(())
    }
}

/// Returns the interval on which all parts that have one agree.
fn common(intervals: &[Option<ScheduleUnit>]) -> Checked<Option<ScheduleUnit>> {
    let mut known = intervals.iter().flatten();
    let Some(&first) = known.next() else { return Ok(None) };
    match known.find(|&&other| other != first) {
        None => Ok(Some(first)),
        Some(other) => {
            let expected = format!("\"step\" or \"epoch\", as one part counts {first}s and another {other}s");
            Err(InvalidSetting::new("interval", expected, "nothing"))
        }
    }
}

fn part_key(i: usize) -> String {
    format!("schedules[{i}]")
}

fn list(numbers: &[u64]) -> String {
    format!("{numbers:?}")
}
