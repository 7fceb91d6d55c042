//! Going on from a checkpoint: what has to be the same, and what may have changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use faknow_callbacks::{FitStart, State, StopReason};
use faknow_data::Loader;
use faknow_metrics::History;
use faknow_model::{Model, weights};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tch::nn::VarStore;

use crate::checkpoint::best_weights::BestWeights;
use crate::checkpoint::snapshot::{
    BEST, CALLBACKS, FAILED, LAST, MODEL, OPTIMIZER, STEP, SavedRun, TRAINING,
};
use crate::checkpoint::{Checkpoint, CheckpointStore};
use crate::fit::non_finite::MAX_ROLL_BACKS;
use crate::{Error, GradNorms, LossSums, NonFinite, Result, Trainer};

/// Hyper-parameters that may change between the parts of a run: how long it takes, and what it writes.
const FREE: [&str; 4] = ["trainer.epochs", "trainer.max_steps", "trainer.max_time", "checkpoint."];

/// How a run is resumed.
#[derive(Debug, Clone, PartialEq)]
pub struct Resume {
    /// The checkpoint to go on from. Default `last`.
    pub from: String,
    /// What may be other than when the run began. Default: nothing.
    pub allow: Vec<ChangeKind>,
    /// Hyper-parameters that change nothing of what was computed so far, by name, or by a prefix that ends in a dot.
    /// Default: none beside the length of the run and its checkpoints.
    pub ignored_settings: Vec<String>,
}

impl Resume {
    /// Whether the run in the folder `run` has any checkpoint to go on from; else to resume it begins it.
    pub fn finds_checkpoint(run: &Path) -> bool {
        has_checkpoint(&CheckpointStore::new(run))
    }
}

impl Default for Resume {
    fn default() -> Self {
        Self { from: LAST.to_owned(), allow: Vec::new(), ignored_settings: Vec::new() }
    }
}

/// What may have changed since a run began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// The samples, their order, or how they become batches.
    Data,
    /// The model's hyper-parameters; its weights must still fit.
    Model,
    /// Any other setting.
    Config,
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Data => "data",
            Self::Model => "model",
            Self::Config => "config",
        })
    }
}

impl FromStr for ChangeKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "data" => Ok(Self::Data),
            "model" => Ok(Self::Model),
            "config" => Ok(Self::Config),
            other => Err(format!("expected data, model or config, got `{other}`")),
        }
    }
}

/// By what a run recognises its data and its model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fingerprints {
    train: Option<u64>,
    valid: Option<u64>,
    n_batches: usize,
    n_valid_batches: usize,
    /// Name, kind and shape of every variable.
    variables: BTreeMap<String, String>,
}

impl Fingerprints {
    pub(crate) fn of<B>(train: &dyn Loader<B>, valid: Option<&dyn Loader<B>>, vars: &VarStore) -> Self {
        let variables = vars.variables().into_iter();
        Self {
            train: train.fingerprint(),
            valid: valid.and_then(Loader::fingerprint),
            n_batches: train.n_batches(),
            n_valid_batches: valid.map_or(0, Loader::n_batches),
            variables: variables.map(|(name, t)| (name, format!("{:?} {:?}", t.kind(), t.size()))).collect(),
        }
    }

    fn data(&self) -> [(&'static str, String); 2] {
        let show = |fingerprint: Option<u64>, n| match fingerprint {
            Some(fingerprint) => format!("{n} batches, fingerprint {fingerprint:016x}"),
            None => format!("{n} batches"),
        };
        [
            ("training data", show(self.train, self.n_batches)),
            ("validation data", show(self.valid, self.n_valid_batches)),
        ]
    }
}

impl<M: Model> Trainer<M> {
    /// Puts the run where its checkpoint left it; answers why it has ended already, if it has.
    pub(crate) fn begin_again(
        &mut self,
        resume: &Resume,
        train: &dyn Loader<M::Batch>,
        valid: Option<&dyn Loader<M::Batch>>,
    ) -> Result<Option<StopReason>> {
        let Some(store) = &self.store else {
            return Err(crate::error::setting("run_dir", "the folder of the run to resume", "none"));
        };
        store.clean()?;
        let checkpoint = if has_checkpoint(store) { Some(store.read(&resume.from)?) } else { None };
        let saved =
            checkpoint.as_ref().map(|c| saved_run(c, self.store.as_ref(), &resume.from)).transpose()?;
        // A run of several fits has more epochs than its setting says.
        let unchanged = |saved: &&SavedRun| {
            saved.hyperparameters.get("trainer.epochs") == self.run.hyperparameters().get("trainer.epochs")
        };
        let max_epochs = saved.as_ref().filter(unchanged).map_or(self.settings.max_epochs, |s| s.max_epochs);
        self.prepare(train, valid, max_epochs)?;
        let (Some(checkpoint), Some(saved)) = (checkpoint, saved) else {
            // Cut off before there was anything to save: the run begins, and the logs forget what they have seen.
            tracing::info!("there is no checkpoint yet: the run begins");
            self.start_callbacks(FitStart::Resumed)?;
            self.check_validation(valid)?;
            self.save_beginning()?;
            return Ok(None);
        };
        self.check_changes(&saved, resume)?;
        let goes_on = self.goes_on(&saved);
        let ended = saved.ended.clone();
        self.restore(&checkpoint, saved)?;
        self.start_callbacks(FitStart::Resumed)?;
        self.callbacks.restore(&callbacks_state(&checkpoint))?;
        self.check_best()?;
        Ok(ended.filter(|_| !goes_on))
    }

    /// Goes back to the last checkpoint, to go on from there at a lower rate.
    pub(crate) fn roll_back(&mut self, error: Error) -> Result<()> {
        if self.n_roll_backs >= MAX_ROLL_BACKS {
            return Err(error);
        }
        let Some(store) = &self.store else { return Err(error) };
        let checkpoint = store.read(LAST)?;
        let saved = saved_run(&checkpoint, Some(store), LAST)?;
        let n_roll_backs = self.n_roll_backs + 1;
        let rate_factor = saved.rate_factor * NonFinite::ROLL_BACK_FACTOR;
        self.restore(&checkpoint, saved)?;
        self.n_roll_backs = n_roll_backs;
        self.rate_factor = rate_factor;
        self.run.learning_rates.iter_mut().for_each(|rate| *rate *= NonFinite::ROLL_BACK_FACTOR);
        self.start_callbacks(FitStart::RolledBack)?;
        self.callbacks.restore(&callbacks_state(&checkpoint))?;
        self.exact = true;
        tracing::warn!(
            "{error}; rolled back to step {} (epoch {}), and on with {rate_factor} of the learning rate",
            self.run.step(),
            self.run.epoch()
        );
        // A run that is cut off now must not go on at the old rate.
        self.save_last(false, None)
    }

    /// Puts back everything but the callbacks.
    fn restore(&mut self, checkpoint: &Checkpoint, saved: SavedRun) -> Result<()> {
        let nothing = BTreeMap::new();
        let group = |name: &str| checkpoint.tensors.get(name).unwrap_or(&nothing);
        let origin = self.store.as_ref().map(|store| store.path(LAST)).unwrap_or_default();
        let trained = if checkpoint.tensors.contains_key(TRAINING) { group(TRAINING) } else { group(MODEL) };
        weights::restore(&self.run.vars, trained, &origin)?;
        if let Some(average) = &mut self.average {
            average.restore(saved.n_averaged, group(MODEL))?;
        }
        let state = |values: &Value, group: &BTreeMap<String, tch::Tensor>| State {
            values: values.clone(),
            tensors: group.iter().map(|(name, t)| (name.clone(), t.shallow_clone())).collect(),
        };
        self.optimizer.restore(&state(&saved.optimizer, group(OPTIMIZER)))?;
        self.step.restore(&state(&saved.step_state, group(STEP)))?;
        if let (Some(schedule), Some(state)) = (&mut self.schedule, &saved.schedule) {
            schedule.restore(state)?;
        }
        let run = &mut self.run;
        run.learning_rates = saved.learning_rates;
        let progress = run.progress_mut();
        (progress.epoch, progress.batch, progress.step) = (saved.epoch, saved.batch, saved.step);
        (progress.samples, progress.seconds, progress.skipped) =
            (saved.samples, saved.seconds, saved.skipped);
        progress.history = History::from_state(&saved.history)?;
        progress.best = saved.best;
        progress.logged = saved.logged;
        let clock = self.at.clock;
        self.at = crate::fit::epoch_state::EpochState {
            open: saved.open,
            sums: LossSums::from_state(&saved.sums, self.device),
            norms: GradNorms::from_state(&saved.norms, self.device),
            learning_rates: saved.epoch_learning_rates,
            seconds: saved.epoch_seconds,
            stopping: saved.stopping,
            n_skips: saved.n_skips,
            saved_at: saved.saved_at,
            validated_at: saved.validated_at,
            clock,
        };
        self.rate_factor = saved.rate_factor;
        self.n_roll_backs = saved.n_roll_backs;
        self.profile = saved.profile;
        self.best_tracker = saved.best_tracker;
        self.kept = saved.kept;
        self.best = if self.run.best().is_some() { BestWeights::Stored } else { BestWeights::None };
        self.begun = true;
        Ok(())
    }

    /// Refuses data, model and settings that are not those of the run.
    fn check_changes(&self, saved: &SavedRun, resume: &Resume) -> Result<()> {
        let refuse = |what: ChangeKind, difference: String| {
            if resume.allow.contains(&what) { Ok(()) } else { Err(Error::Changed { what, difference }) }
        };
        let (old, new) = (&saved.fingerprints, &self.fingerprints);
        if let Some(difference) = first_difference(&old.variables, &new.variables) {
            return Err(Error::OtherModel { difference });
        }
        let (changes, allowed) =
            changed_settings(&saved.hyperparameters, self.run.hyperparameters(), &resume.ignored_settings);
        for (what, difference) in changes {
            refuse(what, difference)?;
        }
        for difference in allowed {
            tracing::info!("{difference}");
        }
        for ((what, old), (_, new)) in old.data().into_iter().zip(new.data()) {
            if old != new {
                refuse(ChangeKind::Data, format!("the {what} had {old}, now {new}"))?;
            }
        }
        Ok(())
    }

    /// Whether a run that has ended may now be longer than it was.
    fn goes_on(&self, saved: &SavedRun) -> bool {
        let Some(ended) = &saved.ended else { return true };
        let limits = |limits: &Map<String, Value>| {
            ["trainer.max_steps", "trainer.max_time"].map(|key| limits.get(key).cloned())
        };
        match ended {
            StopReason::Interrupted => true,
            StopReason::Completed => self.run.max_epochs() > saved.epoch,
            StopReason::Limit { .. } => {
                limits(&saved.hyperparameters) != limits(self.run.hyperparameters())
                    || self.run.max_epochs() > saved.max_epochs
            }
            _ => self.run.max_epochs() > saved.max_epochs,
        }
    }

    /// Sees that `best` is what the run thinks it is: not after going back behind it.
    fn check_best(&mut self) -> Result<()> {
        self.settle()?;
        let (Some(best), Some(store)) = (self.run.best(), &self.store) else { return Ok(()) };
        match store.read_info(BEST) {
            Ok(info) if info.step == best.step => Ok(()),
            Ok(info) => {
                tracing::warn!(
                    "the checkpoint `best` is of step {}, that of step {} is gone: the best is chosen anew from \
                     here on",
                    info.step,
                    best.step
                );
                self.run.progress_mut().best = None;
                self.best = BestWeights::None;
                self.kept = Default::default();
                self.best_tracker =
                    self.run.monitor().map(|m| faknow_callbacks::BestTracker::new(m.direction));
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether there is a checkpoint that a run can go on from: that of an update that failed half-way is none.
fn has_checkpoint(store: &CheckpointStore) -> bool {
    store.list().iter().any(|found| found.name != FAILED)
}

fn saved_run(checkpoint: &Checkpoint, store: Option<&CheckpointStore>, name: &str) -> Result<SavedRun> {
    serde_json::from_value(checkpoint.state.clone()).map_err(|error| Error::State {
        part: "run",
        message: format!("{}: {error}", store.map(|store| store.path(name)).unwrap_or_default().display()),
    })
}

fn callbacks_state(checkpoint: &Checkpoint) -> State {
    let tensors = checkpoint.tensors.get(CALLBACKS).into_iter().flatten();
    State {
        values: checkpoint.state["callbacks"].clone(),
        tensors: tensors.map(|(name, t)| (name.clone(), t.shallow_clone())).collect(),
    }
}

/// The first variable that differs, in words.
fn first_difference(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Option<String> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names.into_iter().find_map(|name| match (old.get(name), new.get(name)) {
        (Some(old), Some(new)) if old == new => None,
        (Some(old), Some(new)) => Some(format!("`{name}` was {old}, now {new}")),
        (Some(old), None) => Some(format!("`{name}` {old} is gone")),
        (None, new) => Some(format!("`{name}` {} is new", new.map_or("", |new| new.as_str()))),
    })
}

/// The settings that differ: those that must not, and those that may, in words.
fn changed_settings(
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    free_names: &[String],
) -> (Vec<(ChangeKind, String)>, Vec<String>) {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let (mut changes, mut free) = (Vec::new(), Vec::new());
    for name in names {
        let (old, new) = (old.get(name), new.get(name));
        if old == new {
            continue;
        }
        let show = |value: Option<&Value>| value.map_or_else(|| "not set".to_owned(), Value::to_string);
        let difference = format!("`{name}` was {}, now {}", show(old), show(new));
        let mut free_names = FREE.into_iter().chain(free_names.iter().map(String::as_str));
        if free_names.any(|free| name == free || (free.ends_with('.') && name.starts_with(free))) {
            free.push(difference);
            continue;
        }
        let what = match name.split('.').next() {
            Some("model") => ChangeKind::Model,
            Some("data" | "text" | "loader") => ChangeKind::Data,
            _ => ChangeKind::Config,
        };
        changes.push((what, difference));
    }
    (changes, free)
}
