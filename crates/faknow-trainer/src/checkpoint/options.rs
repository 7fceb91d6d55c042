//! The options of the builder: the settings that record each of them, and what happens if it is changed on resume.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::checkpoint::changes::{ChangeKind, ResumePolicies, ResumePolicy};
use crate::{Clip, OptimizerConfig};

/// An option of [`TrainerBuilder`](crate::TrainerBuilder), or a part of it, and what happens if it is changed on resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BuilderOption {
    /// The methods that set it.
    pub methods: &'static [&'static str],
    /// The settings that record it, or tables of them; none if it has no influence on the results.
    pub settings: &'static [&'static str],
    /// What happens if it is changed when a run is resumed.
    pub policy: ResumePolicy,
}

const fn option(
    methods: &'static [&'static str],
    settings: &'static [&'static str],
    policy: ResumePolicy,
) -> BuilderOption {
    BuilderOption { methods, settings, policy }
}

const FREE: ResumePolicy = ResumePolicy::Free;
const DATA: ResumePolicy = ResumePolicy::Allow(ChangeKind::Data);
const CONFIG: ResumePolicy = ResumePolicy::Allow(ChangeKind::Config);
/// State that an optimizer has only at its start.
const INITIAL_STATE: ResumePolicy =
    ResumePolicy::Refused("it has an effect only at the start of a run: start a new run, or restore it");
const SMOKE_TEST: ResumePolicy =
    ResumePolicy::Refused("a smoke test is a separate run: use another run directory");

/// Every option of the builder. The settings have the names of a config.
pub const BUILDER_OPTIONS: &[BuilderOption] = &[
    option(&["optimizer"], &["optimizer"], CONFIG),
    option(&["optimizer"], &["optimizer.initial_accumulator_value"], INITIAL_STATE),
    option(&["schedule", "schedule_fn"], &["schedule"], CONFIG),
    option(&["step", "step_fn"], &["step"], CONFIG),
    option(&["metrics"], &["trainer.metrics"], CONFIG),
    option(&["train_metrics"], &["trainer.train_metrics"], CONFIG),
    option(&["callback", "callbacks"], &["early_stopping"], FREE),
    option(&["callback", "callbacks"], &["freeze"], CONFIG),
    option(&["max_epochs"], &["trainer.epochs"], FREE),
    option(&["stop_after"], &["trainer.stop_after"], FREE),
    option(&["accumulate_grad_batches"], &["trainer.accumulate"], CONFIG),
    option(&["clip"], &["trainer.clip_norm", "trainer.clip_value"], CONFIG),
    option(&["validate_every"], &["trainer.validate_every"], CONFIG),
    option(&["num_sanity_val_batches"], &["trainer.sanity_batches"], FREE),
    option(&["monitor"], &["trainer.monitor"], CONFIG),
    option(&["restore_best"], &["trainer.restore_best"], CONFIG),
    option(&["average"], &["average"], CONFIG),
    option(&["on_non_finite"], &["trainer.on_non_finite"], CONFIG),
    option(&["checkpoints"], &["checkpoint"], FREE),
    option(&["limit_batches"], &["trainer.limit_batches"], DATA),
    option(&["overfit_batches"], &["trainer.overfit_batches"], DATA),
    option(&["fast_dev_run"], &["trainer.fast_dev_run"], SMOKE_TEST),
    option(&["seed"], &["seed"], CONFIG),
    option(&["histograms_every"], &["trainer.histograms_every"], FREE),
    option(&["deferred_checks", "device", "interrupt", "run_dir", "auto_resume"], &[], FREE),
    option(&["hyperparameters"], &[], CONFIG),
];

/// Returns the policies of all recorded options.
pub(crate) fn policies() -> ResumePolicies {
    let settings = |option: &'static BuilderOption| {
        option.settings.iter().map(|name| ((*name).to_owned(), option.policy))
    };
    BUILDER_OPTIONS.iter().flat_map(settings).collect()
}

/// Settings by dotted name.
#[derive(Debug, Default)]
pub(crate) struct Recorded(pub(crate) Map<String, Value>);

impl Recorded {
    /// Records everything that determines the updates of the weights.
    pub(crate) fn of_updates(
        optimizer: &OptimizerConfig,
        schedule: Option<Value>,
        step: Value,
        clip: Clip,
        average: Option<impl Serialize>,
    ) -> Self {
        let mut recorded = Self::default();
        recorded.add("optimizer", optimizer);
        recorded.add("schedule", schedule);
        recorded.add("step", step);
        match clip {
            Clip::None => {}
            Clip::Norm(max) => recorded.add("trainer.clip_norm", max),
            Clip::Value(max) => recorded.add("trainer.clip_value", max),
        }
        recorded.add("average", average);
        recorded
    }

    /// Adds a setting, and the fields of a table under their dotted names.
    pub(crate) fn add(&mut self, name: &str, value: impl Serialize) {
        match json!(value) {
            Value::Object(fields) => {
                fields.into_iter().for_each(|(field, value)| self.add(&format!("{name}.{field}"), value))
            }
            Value::Null => {}
            value => drop(self.0.insert(name.to_owned(), value)),
        }
    }

    /// Adds a setting that is not the default.
    pub(crate) fn add_changed<T: Serialize + PartialEq>(&mut self, name: &str, value: T, default: T) {
        if value != default {
            self.add(name, value);
        }
    }
}
