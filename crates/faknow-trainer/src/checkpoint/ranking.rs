//! The ranking of checkpoints: which ones a run retains, and the branch of each of them.

use faknow_callbacks::{Best, BestTracker, Monitor};
use faknow_metrics::{Direction, History};
use serde::{Deserialize, Serialize};

use super::CheckpointInfo;
use super::names;
use super::policy::CheckpointPolicy;

/// Identifies the weights of a checkpoint: within a branch, the step number only increases.
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

/// The branches that lead to the current state of a run, oldest first, each with the step after which it starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Lineage(Vec<(u32, u64)>);

impl Lineage {
    /// Returns the id of the checkpoint of a step in this lineage.
    pub(crate) fn id(&self, step: u64) -> CheckpointId {
        let fork = self.0.iter().rfind(|(_, after)| *after < step);
        CheckpointId { branch: fork.map_or(0, |(branch, _)| *branch), step }
    }

    /// Returns the current branch.
    pub(crate) fn branch(&self) -> u32 {
        self.0.last().map_or(0, |(branch, _)| *branch)
    }

    /// Starts a branch after a step.
    pub(crate) fn fork(&mut self, branch: u32, after: u64) {
        self.0.push((branch, after));
    }
}

/// A checkpoint that is retained under its own name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retained {
    pub(crate) name: String,
    pub(crate) step: u64,
}

/// The checkpoints that a run retains besides `last` and `previous`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retention {
    pub(crate) lineage: Lineage,
    /// The newest checkpoints, oldest first.
    pub(crate) newest: Vec<Retained>,
    /// The best validations by the run's monitor, best first.
    pub(crate) top: Vec<(String, Best)>,
    /// The best validation by each additional monitor.
    pub(crate) others: Vec<Best>,
}

/// The rank of a validation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rank {
    /// Whether it is the best so far by the run's monitor.
    pub(crate) is_best: bool,
    /// Whether its checkpoint is to be retained.
    pub(crate) is_retained: bool,
}

impl Retention {
    /// Returns the name under which a checkpoint of this step is retained.
    pub(crate) fn name_of(&self, epoch: usize, step: u64, is_mid_epoch: bool) -> String {
        names::retained(epoch, step, is_mid_epoch, self.lineage.id(step).branch)
    }

    /// Retains a checkpoint as the newest, and drops the oldest ones beyond `keep`.
    pub(crate) fn retain_newest(&mut self, name: String, step: u64, keep: usize) {
        self.newest.retain(|other| other.name != name);
        self.newest.push(Retained { name, step });
        let surplus = self.newest.len().saturating_sub(keep);
        self.newest.drain(..surplus);
    }

    /// Ranks a validation by the run's monitor, given the best value of the run so far.
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

    /// Ranks a validation by an additional monitor; returns whether it is the best so far.
    pub(crate) fn rank_other(&mut self, direction: Direction, validation: Best) -> bool {
        let index = self.others.iter().position(|best| best.monitor == validation.monitor);
        if !is_better(direction, validation.value, index.map(|index| self.others[index].value)) {
            return false;
        }
        index.map(|index| self.others.remove(index));
        self.others.push(validation);
        true
    }

    /// Reranks the validations of a history whose checkpoints exist; returns the best of them.
    ///
    /// For a run whose monitor has changed, or whose best checkpoint is missing or on another branch.
    pub(crate) fn rerank(
        &mut self,
        monitor: &Monitor,
        history: &History,
        policy: &CheckpointPolicy,
        exists: impl Fn(CheckpointId) -> bool,
    ) -> Option<Best> {
        self.top.clear();
        let mut best = BestTracker::new(monitor.direction);
        let mut best_validation = None;
        for (record, is_mid_epoch) in history.in_order() {
            let Some(value) = monitor.value(record).filter(|_| exists(self.lineage.id(record.step))) else {
                continue;
            };
            let (epoch, step) = (record.epoch, record.step);
            let validation = Best { epoch, step, monitor: monitor.name.clone(), value };
            let name = self.name_of(epoch, step, is_mid_epoch);
            self.rank((monitor, best.best()), name, &validation, policy.best);
            if best.observe(Some(value)) {
                best_validation = Some(validation);
            }
        }
        best_validation
    }

    /// Returns the names that the policy requires, each with the id of its checkpoint, in the order in which they must be
    /// created: `best` after the names that may still need its former content.
    pub(crate) fn targets(&self, policy: &CheckpointPolicy) -> Vec<(String, CheckpointId)> {
        let mut targets = Vec::new();
        // If only one best checkpoint is retained, it needs no second name.
        for (name, best) in self.top.iter().filter(|_| policy.best > 1) {
            targets.push((name.clone(), self.lineage.id(best.step)));
        }
        for Retained { name, step } in &self.newest {
            targets.push((name.clone(), self.lineage.id(*step)));
        }
        if let Some((_, best)) = self.top.first() {
            targets.push((names::BEST.to_owned(), self.lineage.id(best.step)));
        }
        for best in &self.others {
            targets.push((names::best_by(&best.monitor), self.lineage.id(best.step)));
        }
        targets
    }
}

fn is_better(direction: Direction, value: f64, best: Option<f64>) -> bool {
    let mut tracker = BestTracker::new(direction);
    tracker.restore(best);
    tracker.is_better(Some(value))
}

#[cfg(test)]
mod tests {
    use faknow_metrics::EpochRecord;

    use super::*;

    fn validation(step: u64, value: f64) -> Best {
        Best { epoch: step as usize, step, monitor: "f1".into(), value }
    }

    fn rank_all(values: &[f64], keep: usize) -> (Retention, Option<f64>) {
        let (mut retention, mut best) = (Retention::default(), None);
        for (step, &value) in (1..).zip(values) {
            let name = retention.name_of(step as usize, step, false);
            let rank = retention.rank((&Monitor::max("f1"), best), name, &validation(step, value), keep);
            best = if rank.is_best { Some(value) } else { best };
        }
        (retention, best)
    }

    #[test]
    fn rank_prefers_better_then_earlier_validations() {
        let check = |values: &[f64], keep, expected: &[u64], best: Option<f64>| {
            let (retention, best_value) = rank_all(values, keep);
            let steps: Vec<u64> = retention.top.iter().map(|(_, best)| best.step).collect();
            assert_eq!((steps.as_slice(), best_value), (expected, best), "{values:?}");
        };
        check(&[0.5, 0.7, 0.6], 1, &[2], Some(0.7));
        check(&[0.5, 0.7, 0.6], 2, &[2, 3], Some(0.7));
        check(&[0.5, 0.5, 0.5], 2, &[1, 2], Some(0.5));
        check(&[f64::NAN, -1.0, f64::INFINITY], 2, &[2], Some(-1.0));
    }

    #[test]
    fn ids_of_one_step_on_two_branches_differ() {
        let mut lineage = Lineage::default();
        assert_eq!(lineage.id(9), CheckpointId { branch: 0, step: 9 });
        lineage.fork(1, 6);
        let ids = [3, 6, 7].map(|step| lineage.id(step).branch);
        assert_eq!((ids, lineage.branch()), ([0, 0, 1], 1));
        // A second fork, before the first one.
        let mut lineage = Lineage::default();
        lineage.fork(2, 3);
        assert_eq!([3, 4].map(|step| lineage.id(step).branch), [0, 2]);
        let retention = Retention { lineage, ..Retention::default() };
        assert_eq!(retention.name_of(1, 3, false), "epoch-0001");
        assert_eq!(retention.name_of(2, 6, false), "epoch-0002-b2");
        assert_eq!(retention.name_of(2, 5, true), "step-00000005-b2");
    }

    #[test]
    fn rerank_by_another_monitor_uses_existing_checkpoints() {
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
        let (mut retention, _) = rank_all(&[0.9, 0.8, 0.7], 2);
        let policy = CheckpointPolicy { best: 2, ..CheckpointPolicy::default() };
        let best = retention.rerank(&Monitor::min("loss"), &history, &policy, |id| id.step != 2);
        assert_eq!(best.map(|best| (best.step, best.value)), Some((3, 0.3)));
        let names: Vec<&str> = retention.top.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["epoch-0003", "epoch-0001"]);
        let best = retention.rerank(&Monitor::max("auc"), &history, &policy, |_| true);
        assert!(best.is_none() && retention.top.is_empty());
    }
}
