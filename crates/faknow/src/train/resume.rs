//! Resuming an interrupted run, or extending a finished one.

use std::path::Path;

use faknow_callbacks::{Callback, FitStart, HookResult, Run};
use faknow_trainer::{ChangeKind, Resume, RunDir};

use crate::config::Config;
use crate::data::corpus::TestRecords;
use crate::data::encoders::FieldEncoders;
use crate::detector::files::{CONFIG, save_config, save_inputs};
use crate::models::Registry;
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

/// What may also change when a run is resumed: how long it takes, and a file that it has read already.
const FREE: [&str; 2] = ["early_stopping.", "model.weights"];

/// How a run is resumed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResumeOptions {
    /// The checkpoint to resume from. Default: `last`.
    pub from: Option<String>,
    /// What may have changed since the run was started. Default: nothing.
    pub allow: Vec<ChangeKind>,
    /// Settings to change, as `key=value`: more epochs, for example. Default: none.
    pub set: Vec<String>,
}

/// Resumes the run of a builtin model in the directory `run`, tests the detector, and saves it.
///
/// The result is that of a run that was never interrupted. A finished run is continued if `trainer.epochs` is now more than it
/// was, else it is tested again.
///
/// # Errors
/// The directory holds no run, a file of records or a setting changed, a checkpoint is corrupted, or training fails.
pub fn resume(run: &Path, options: &ResumeOptions, context: impl Into<RunContext>) -> Result<Outcome> {
    Registry::builtin().resume(run, options, context)
}

impl Registry {
    /// Resumes the run of one of these models; see [`resume`].
    ///
    /// # Errors
    /// The directory holds no run, a file of records or a setting changed, a checkpoint is corrupted, or training fails.
    pub fn resume(
        &self,
        run: &Path,
        options: &ResumeOptions,
        context: impl Into<RunContext>,
    ) -> Result<Outcome> {
        let missing = |message: &str| Error::NotARun { path: run.to_path_buf(), message: message.into() };
        if !run.is_dir() {
            return Err(missing("no such directory"));
        }
        if !run.join(CONFIG).exists() {
            return Err(missing("`config.toml` is not there, so the run was never started; start a new one"));
        }
        let run_dir = RunDir::open(run)?;
        let before = self.config_from_file(&run.join(CONFIG))?;
        let config = before.set_all(&options.set)?;
        resume_with(run_dir, &config, options, TestRecords::Used, context.into())
    }
}

/// Resumes a run with this config, which takes the place of what `options` sets.
pub(crate) fn resume_with(
    run_dir: RunDir,
    config: &Config,
    options: &ResumeOptions,
    test_records: TestRecords,
    mut context: RunContext,
) -> Result<Outcome> {
    let run = run_dir.path();
    let has_started = Resume::has_checkpoint(run);
    let fields = config.configured_model()?.fields();
    let encoders = if has_started { Some(FieldEncoders::load(run, &fields)?) } else { None };
    let job = Job::with_test_records(config, encoders, test_records)?;
    if !has_started {
        let corpus = &job.corpus;
        save_inputs(run, &job.config, &corpus.encoders, &corpus.classes)?;
    }
    context.callbacks.push(KeepConfig(job.config.clone()));
    let from = Resume {
        allow: options.allow.clone(),
        ignored_settings: MOVABLE.iter().chain(&FREE).map(|name| (*name).to_owned()).collect(),
        ..options.from.clone().map_or_else(Resume::default, |from| Resume { from, ..Resume::default() })
    };
    job.run(run_dir, context, Some(&from))
}

/// Saves the settings of a resumed run, once they are accepted.
struct KeepConfig(Config);

impl Callback for KeepConfig {
    fn on_fit_start(&mut self, run: &mut Run) -> HookResult {
        if let (FitStart::Resumed, Some(dir)) = (run.start(), run.dir()) {
            save_config(dir, &self.0)?;
        }
        Ok(())
    }
}
