//! Which checkpoints a run retains, as plain data: the newest, the best, and on which branch each of them lies.

use faknow_callbacks::{Best, BestTracker, Monitor};
use faknow_metrics::{Direction, EpochRecord, History};
use serde::{Deserialize, Serialize};

use super::CheckpointInfo;
use super::names;
use super::policy::CheckpointPolicy;

/// What identifies the weights of a checkpoint: within a branch, the number of steps only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CheckpointId {
    pub(crate) branch: u32,
    pub(crate) step: u64,
}

impl CheckpointInfo {
    pub(crate) fn id(&self) -> CheckpointId {
        CheckpointId { branch: self.branch, step: self.step }
    }
}

/// The branches that lead to where a run stands, oldest first, each with the step after which it starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Lineage(Vec<(u32, u64)>);

impl Lineage {
    /// Returns the id of the checkpoint of a step on the way to where the run stands.
    pub(crate) fn id(&self, step: u64) -> CheckpointId {
        let fork = self.0.iter().rfind(|(_, after)| *after < step);
        CheckpointId { branch: fork.map_or(0, |(branch, _)| *branch), step }
    }

    /// Returns the branch that the run is on.
    pub(crate) fn branch(&self) -> u32 {
        self.0.last().map_or(0, |(branch, _)| *branch)
    }

    /// Continues on another branch after a step.
    pub(crate) fn fork(&mut self, branch: u32, after: u64) {
        self.0.push((branch, after));
    }
}

/// A checkpoint under its own name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retained {
    pub(crate) name: String,
    pub(crate) step: u64,
}

/// Which checkpoints a run retains besides `last` and `previous`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retention {
    pub(crate) lineage: Lineage,
    /// The newest, oldest first.
    pub(crate) newest: Vec<Retained>,
    /// The best validations by the run's monitor, best first.
    pub(crate) top: Vec<(String, Best)>,
    /// The best by each further monitor.
    pub(crate) others: Vec<Best>,
}

/// What a validation is in the ranking of all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rank {
    /// The best so far by the run's monitor.
    pub(crate) is_best: bool,
    /// A checkpoint of it is to be retained.
    pub(crate) is_retained: bool,
}

impl Retention {
    /// Returns the name that a checkpoint of this record is retained under.
    pub(crate) fn name_of(&self, epoch: usize, step: u64, is_inside: bool) -> String {
        names::retained(epoch, step, is_inside, self.lineage.id(step).branch)
    }

    /// Retains a checkpoint as the newest, and drops the oldest beyond `keep`.
    pub(crate) fn retain_newest(&mut self, name: String, step: u64, keep: usize) {
        self.newest.retain(|other| other.name != name);
        self.newest.push(Retained { name, step });
        let surplus = self.newest.len().saturating_sub(keep);
        self.newest.drain(..surplus);
    }

    /// Ranks a validation by the run's monitor, given the best of the run so far.
    pub(crate) fn rank(
        &mut self,
        (monitor, best): (&Monitor, Option<f64>),
        name: String,
        validation: &Best,
        keep: usize,
    ) -> Rank {
        let value = validation.value;
        let index =
            self.top.iter().position(|(_, other)| is_better(monitor.direction, value, Some(other.value)));
        let index = index.unwrap_or(self.top.len());
        let is_retained = value.is_finite() && index < keep;
        if is_retained {
            self.top.insert(index, (name, validation.clone()));
            self.top.truncate(keep);
        }
        Rank { is_best: is_better(monitor.direction, value, best), is_retained }
    }

    /// Ranks a validation by a further monitor; returns whether it is the best by it.
    pub(crate) fn rank_other(&mut self, direction: Direction, validation: Best) -> bool {
        let index = self.others.iter().position(|best| best.monitor == validation.monitor);
        if !is_better(direction, validation.value, index.map(|index| self.others[index].value)) {
            return false;
        }
        index.map(|index| self.others.remove(index));
        self.others.push(validation);
        true
    }

    /// Ranks again the validations of a history whose checkpoints `exists` knows; returns the best of them.
    ///
    /// For a run whose monitor is another one than before, or whose best checkpoint is not on its way any more.
    pub(crate) fn rank_again(
        &mut self,
        monitor: &Monitor,
        history: &History,
        policy: &CheckpointPolicy,
        exists: impl Fn(CheckpointId) -> bool,
    ) -> Option<Best> {
        self.top.clear();
        let mid_epoch = history.mid_epoch.iter().map(|record| (record, true));
        let mut records: Vec<(&EpochRecord, bool)> =
            history.epochs.iter().map(|record| (record, false)).chain(mid_epoch).collect();
        records.sort_by_key(|(record, is_inside)| (record.step, !is_inside));
        let mut best = BestTracker::new(monitor.direction);
        let mut best_validation = None;
        for (record, is_inside) in records {
            let Some(value) = monitor.value(record).filter(|_| exists(self.lineage.id(record.step))) else {
                continue;
            };
            let (epoch, step) = (record.epoch, record.step);
            let validation = Best { epoch, step, monitor: monitor.name.clone(), value };
            let name = self.name_of(epoch, step, is_inside);
            self.rank((monitor, best.best()), name, &validation, policy.best);
            if best.observe(Some(value)) {
                best_validation = Some(validation);
            }
        }
        best_validation
    }

    /// Returns the names that the policy asks for, each with the checkpoint that it is to hold, in the order in which
    /// they are to be made: `best` after the names that may still need its former content.
    pub(crate) fn wanted(&self, policy: &CheckpointPolicy) -> Vec<(String, CheckpointId)> {
        let mut wanted = Vec::new();
        // A single best needs no second name.
        for (name, best) in self.top.iter().filter(|_| policy.best > 1) {
            wanted.push((name.clone(), self.lineage.id(best.step)));
        }
        for Retained { name, step } in &self.newest {
            wanted.push((name.clone(), self.lineage.id(*step)));
        }
        if let Some((_, best)) = self.top.first() {
            wanted.push((names::BEST.to_owned(), self.lineage.id(best.step)));
        }
        for best in &self.others {
            wanted.push((names::best_by(&best.monitor), self.lineage.id(best.step)));
        }
        wanted
    }
}

fn is_better(direction: Direction, value: f64, best: Option<f64>) -> bool {
    let mut tracker = BestTracker::new(direction);
    tracker.restore(best);
    tracker.is_better(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validation(step: u64, value: f64) -> Best {
        Best { epoch: step as usize, step, monitor: "f1".into(), value }
    }

    fn ranked(values: &[f64], keep: usize) -> (Retention, Option<f64>) {
        let (mut retention, mut best) = (Retention::default(), None);
        for (step, &value) in (1..).zip(values) {
            let name = retention.name_of(step as usize, step, false);
            let rank = retention.rank((&Monitor::max("f1"), best), name, &validation(step, value), keep);
            best = if rank.is_best { Some(value) } else { best };
        }
        (retention, best)
    }

    #[test]
    fn the_best_are_ranked_by_value_and_the_earlier_first() {
        let check = |values: &[f64], keep, expected: &[u64], best: Option<f64>| {
            let (retention, found) = ranked(values, keep);
            let steps: Vec<u64> = retention.top.iter().map(|(_, best)| best.step).collect();
            assert_eq!((steps.as_slice(), found), (expected, best), "{values:?}");
        };
        check(&[0.5, 0.7, 0.6], 1, &[2], Some(0.7));
        check(&[0.5, 0.7, 0.6], 2, &[2, 3], Some(0.7));
        check(&[0.5, 0.5, 0.5], 2, &[1, 2], Some(0.5));
        check(&[f64::NAN, -1.0, f64::INFINITY], 2, &[2], Some(-1.0));
    }

    #[test]
    fn checkpoints_of_one_step_on_two_branches_differ() {
        let mut lineage = Lineage::default();
        assert_eq!(lineage.id(9), CheckpointId { branch: 0, step: 9 });
        lineage.fork(1, 6);
        let ids = [3, 6, 7].map(|step| lineage.id(step).branch);
        assert_eq!((ids, lineage.branch()), ([0, 0, 1], 1));
        // Back again, to before the first fork.
        let mut lineage = Lineage::default();
        lineage.fork(2, 3);
        assert_eq!([3, 4].map(|step| lineage.id(step).branch), [0, 2]);
        let retention = Retention { lineage, ..Retention::default() };
        assert_eq!(retention.name_of(1, 3, false), "epoch-0001");
        assert_eq!(retention.name_of(2, 6, false), "epoch-0002-b2");
        assert_eq!(retention.name_of(2, 5, true), "step-00000005-b2");
    }

    #[test]
    fn another_monitor_ranks_the_checkpoints_that_are_left() {
        let record = |epoch: usize, accuracy: f64, loss: f64| EpochRecord {
            epoch,
            step: epoch as u64,
            samples: 0,
            train: Default::default(),
            valid: Some([("accuracy", accuracy), ("loss", loss)].into_iter().collect()),
            learning_rates: Vec::new(),
            grad_norm: None,
            train_seconds: 0.0,
            valid_seconds: 0.0,
        };
        let epochs = vec![record(1, 0.9, 0.5), record(2, 0.8, 0.1), record(3, 0.7, 0.3)];
        let history = History { epochs, mid_epoch: Vec::new() };
        let (mut retention, _) = ranked(&[0.9, 0.8, 0.7], 2);
        let policy = CheckpointPolicy { best: 2, ..CheckpointPolicy::default() };
        let best = retention.rank_again(&Monitor::min("loss"), &history, &policy, |id| id.step != 2);
        assert_eq!(best.map(|best| (best.step, best.value)), Some((3, 0.3)));
        let names: Vec<&str> = retention.top.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["epoch-0003", "epoch-0001"]);
        let best = retention.rank_again(&Monitor::max("auc"), &history, &policy, |_| true);
        assert!(best.is_none() && retention.top.is_empty());
    }
}
