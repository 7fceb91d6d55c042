//! Going on with a run that was cut off, or has ended.

use std::path::Path;

use faknow_callbacks::{Callback, FitStart, HookResult, Run};
use faknow_trainer::{ChangeKind, Resume, RunDir};

use crate::config::Config;
use crate::data::corpus::TestRecords;
use crate::data::inputs::Inputs;
use crate::detector::{CONFIG, save_config, save_inputs};
use crate::models::registry::AnyModelConfig;
use crate::train::job::Job;
use crate::train::{Outcome, RunContext};
use crate::{Error, Result};

/// Settings that change nothing of what is computed: where the files are now, and what computing takes.
pub(crate) const MOVABLE: [&str; 10] = [
    "device",
    "threads",
    "loader.workers",
    "loader.eval_batch_size",
    "data.train",
    "data.valid",
    "data.test",
    "text.vectors",
    "text.memory",
    "text.cache",
];

/// What may change besides when a run goes on: how long it takes, and a file that it has read already.
const FREE: [&str; 2] = ["early_stopping.", "model.weights"];

/// How a run is resumed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResumeOptions {
    /// The checkpoint to go on from. Default: `last`.
    pub from: Option<String>,
    /// What may be other than when the run began. Default: nothing.
    pub allow: Vec<ChangeKind>,
    /// Settings to change, as `key=value`: more epochs, for example. Default: none.
    pub set: Vec<String>,
}

/// Goes on with the run in the folder `run` as if it had not been cut off, tests the detector, and saves it.
///
/// A run that has ended goes on if `trainer.epochs` is now more than it was, else it is tested again.
///
/// # Errors
/// The folder is none of a run, a file of records or a setting changed, a checkpoint is damaged, or training fails.
pub fn resume(run: &Path, options: &ResumeOptions, context: impl Into<RunContext>) -> Result<Outcome> {
    let missing = |message: &str| Error::NotARun { path: run.to_path_buf(), message: message.into() };
    if !run.is_dir() {
        return Err(missing("no such folder"));
    }
    if !run.join(CONFIG).exists() {
        return Err(missing("`config.toml` is not there, so the run never began: train it anew"));
    }
    let run_dir = RunDir::open(run)?;
    let before = Config::from_file(&run.join(CONFIG))?;
    let config = before.set_all(&options.set)?;
    go_on(run_dir, &config, options, TestRecords::Used, context.into())
}

/// Goes on with a run by this config, which takes the place of what `options` sets.
pub(crate) fn go_on(
    run_dir: RunDir,
    config: &Config,
    options: &ResumeOptions,
    test_records: TestRecords,
    mut context: RunContext,
) -> Result<Outcome> {
    let run = run_dir.path();
    let has_begun = Resume::finds_checkpoint(run);
    let reads = AnyModelConfig::new(&config.model)?.reads();
    let inputs = if has_begun { Some(Inputs::load(run, reads)?) } else { None };
    let job = Job::with_test_records(config, inputs, test_records)?;
    if !has_begun {
        let corpus = &job.corpus;
        save_inputs(run, &job.config, &corpus.inputs, &corpus.classes)?;
    }
    context.callbacks.push(KeepConfig(job.config.clone()));
    let from = Resume {
        allow: options.allow.clone(),
        ignored_settings: MOVABLE.iter().chain(&FREE).map(|name| (*name).to_owned()).collect(),
        ..options.from.clone().map_or_else(Resume::default, |from| Resume { from, ..Resume::default() })
    };
    job.run(run_dir, context, Some(&from))
}

/// Keeps the settings that a run goes on with, once they are accepted.
struct KeepConfig(Config);

impl Callback for KeepConfig {
    fn on_fit_start(&mut self, run: &mut Run) -> HookResult {
        if let (FitStart::Resumed, Some(dir)) = (run.start(), run.dir()) {
            save_config(dir, &self.0)?;
        }
        Ok(())
    }
}
