//! One schedule after another.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::check::{Checked, Invalid};
use super::curve::Curve;
use super::{ScheduleConfig, ScheduleUnit};

/// One schedule after another, each from its own beginning and from the base rate (PyTorch's `SequentialLR`).
///
/// A part that takes its length from the run takes it from its own section here. All parts count the same: what
/// `interval` says, or what the parts say if they agree. A plateau cannot be a part.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Sequential {
    /// What `milestones` and all parts count. Default: as the parts do, if they agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<ScheduleUnit>,
    /// The parts in order, at least one.
    pub schedules: Vec<ScheduleConfig>,
    /// When the second, third, … part begins: ascending, at least 1, one fewer than parts.
    pub milestones: Vec<u64>,
}

impl Sequential {
    /// These schedules in order, the second from the first milestone on.
    pub fn new(schedules: impl Into<Vec<ScheduleConfig>>, milestones: impl Into<Vec<u64>>) -> Self {
        Self { interval: None, schedules: schedules.into(), milestones: milestones.into() }
    }

    /// What the whole counts: as said here, else as said by the parts, else as is usual for all of them; `None` if
    /// every part is constant.
    pub(super) fn interval(&self) -> Checked<Option<ScheduleUnit>> {
        if self.interval.is_some() {
            return Ok(self.interval);
        }
        let given = self.schedules.iter().map(ScheduleConfig::given_interval).collect::<Vec<_>>();
        if let Some(interval) = common(&given)? {
            return Ok(Some(interval));
        }
        let usual = self.schedules.iter().map(ScheduleConfig::interval).collect::<Checked<Vec<_>>>()?;
        common(&usual)
    }

    pub(super) fn curve(&self, interval: ScheduleUnit, span: u64) -> Checked<Curve> {
        self.check_milestones()?;
        let mut parts = Vec::with_capacity(self.schedules.len());
        for (i, part) in self.schedules.iter().enumerate() {
            let begin = if i == 0 { 0 } else { self.milestones[i - 1] };
            let end = self.milestones.get(i).copied().unwrap_or(span);
            let curve = part.part_curve(interval, end.saturating_sub(begin));
            parts.push((begin, curve.map_err(|e| e.inside(&part_key(i)))?));
        }
        Ok(Arc::new(move |t, base_lr| {
            let current = parts.partition_point(|(begin, _)| *begin <= t) - 1;
            let (begin, curve) = &parts[current];
            curve(t - begin, base_lr)
        }))
    }

    fn check_milestones(&self) -> Checked<()> {
        if self.schedules.is_empty() {
            return Err(Invalid::new("schedules", "at least one schedule", "none"));
        }
        if self.milestones.len() + 1 != self.schedules.len() {
            let expected = format!("as many as schedules but one, {}", self.schedules.len() - 1);
            return Err(Invalid::new("milestones", expected, self.milestones.len()));
        }
        if self.milestones.first() == Some(&0) || !self.milestones.is_sorted_by(|a, b| a < b) {
            return Err(Invalid::new(
                "milestones",
                "ascending numbers of at least 1",
                list(&self.milestones),
            ));
        }
        Ok(())
    }
}

/// The one interval of all parts that have one.
fn common(intervals: &[Option<ScheduleUnit>]) -> Checked<Option<ScheduleUnit>> {
    let mut known = intervals.iter().flatten();
    let Some(&first) = known.next() else { return Ok(None) };
    match known.find(|&&other| other != first) {
        None => Ok(Some(first)),
        Some(other) => {
            let got = format!("nothing, while one part counts {first}s and another {other}s");
            Err(Invalid::new("interval", "\"step\" or \"epoch\"", got))
        }
    }
}

fn part_key(i: usize) -> String {
    format!("schedules[{i}]")
}

fn list(numbers: &[u64]) -> String {
    format!("{numbers:?}")
}
