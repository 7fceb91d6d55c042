//! Resuming an interrupted run, or extending a finished one.

use std::path::Path;

use faknow_callbacks::{Callback, FitStart, HookResult, Run};
use faknow_data::Classes;
use faknow_data::text::TokenizerConfig;
use faknow_report::{HISTORY, SUMMARY};
use faknow_trainer::{ChangeKind, Resume, RunDir, check_settings};

use crate::config::Config;
use crate::config::dotted::by_dotted_name;
use crate::data::corpus::TestRecords;
use crate::data::encoders::{FieldEncoders, TOKENIZER};
use crate::detector::files::{CLASSES, CONFIG, save_classes, save_config, save_inputs};
use crate::files::{check_run_dir, forget_checksums, read_json, verify_files};
use crate::models::Registry;
use crate::settings::{policies, reference};
use crate::train::job::Job;
use crate::train::{Outcome, RunContext};
use crate::{Error, Result};

/// Options for resuming a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResumeOptions {
    /// The checkpoint to resume from. Default: `last`.
    pub from: Option<String>,
    /// Accepted changes since the start of the run. Default: none.
    pub allow: Vec<ChangeKind>,
    /// Settings to change, as `key=value`, for example more epochs. Default: none.
    pub set: Vec<String>,
}

/// Resumes the run of a builtin model in the directory `run`, tests the detector, and saves it.
///
/// The result is that of an uninterrupted run. A finished run is extended if `trainer.epochs` has increased, else it is
/// tested again.
///
/// # Errors
/// The directory contains no run, a data file or a setting has changed, a checkpoint is corrupted, or training fails.
pub fn resume(run: &Path, options: &ResumeOptions, context: impl Into<RunContext>) -> Result<Outcome> {
    Registry::builtin().resume(run, options, context)
}

impl Registry {
    /// Resumes the run of one of these models; see [`resume`].
    ///
    /// # Errors
    /// The directory contains no run, a data file or a setting has changed, a checkpoint is corrupted, or training fails.
    pub fn resume(
        &self,
        run: &Path,
        options: &ResumeOptions,
        context: impl Into<RunContext>,
    ) -> Result<Outcome> {
        let context = context.into();
        // Also while the records are read: there is a run to resume.
        let _guard = context.interrupt.install();
        check_run_dir(run)?;
        let run_dir = RunDir::open(run)?;
        verify_files(run, &[CONFIG])?;
        let mut saved = self.config_from_file(&run.join(CONFIG))?;
        // Older configs lack the setting; their texts are not normalized.
        if let Ok(Some(tokenizer)) = read_json::<TokenizerConfig>(run, TOKENIZER) {
            saved.text.normalize_unicode = tokenizer.normalize_unicode;
        }
        self.check_model_of(run, &saved)?;
        let config = saved.set_all(&options.set)?;
        if Resume::has_checkpoint(run) {
            // Before the data is read, which may not fit other classes or encodings.
            let (old, new) = (by_dotted_name(&saved), by_dotted_name(&config));
            check_settings(&old, &new, &policies(&reference(self)), &options.allow)
                .map_err(Error::from_trainer)?;
        }
        resume_with(run_dir, &config, options, TestRecords::Include, context)
    }
}

/// Resumes a run with `config`, which already includes the changes of `options`.
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
    let encoders = if has_started { Some(FieldEncoders::load(run, &fields, config)?) } else { None };
    if !has_started {
        check_not_started(run)?;
    }
    let job = Job::with_test_records(config, encoders, test_records)?;
    let corpus = &job.corpus;
    if has_started {
        restore_classes(run, &corpus.classes)?;
    } else {
        save_inputs(run, &job.config, &fields, &corpus.encoders, &corpus.classes)?;
    }
    if let Err(error) = verify_files(run, &[HISTORY]) {
        tracing::warn!("{error}; the records of its epochs are restored from the checkpoint");
    }
    context.callbacks.push(SaveConfig(job.config.clone()));
    let from = Resume {
        allow: options.allow.clone(),
        policies: policies(&reference(&config.registry)),
        ..options.from.clone().map_or_else(Resume::default, |from| Resume { from, ..Resume::default() })
    };
    job.run(run_dir, context, Some(&from))
}

/// Rejects a run that has been trained but lost its checkpoints: it would be trained from scratch.
fn check_not_started(run: &Path) -> Result<()> {
    if !run.join(SUMMARY).exists() {
        return Ok(());
    }
    let message = format!(
        "{}: the checkpoints of the run are missing; copy the run directory again, or train the detector again: \
         `faknow train {}`",
        run.join("checkpoints").display(),
        run.join(CONFIG).display()
    );
    Err(Error::config("", message))
}

/// Compares the saved classes with those of the config; corrupted or missing ones are written again.
fn restore_classes(run: &Path, classes: &Classes) -> Result<()> {
    match read_json::<Classes>(run, CLASSES) {
        Ok(Some(saved)) if saved == *classes => return Ok(()),
        Ok(Some(saved)) => {
            let (path, expected, got) = (run.join(CLASSES), classes.names(), saved.names());
            let path = path.display();
            tracing::warn!("{path}: expected {expected:?}, as in `{CONFIG}`, got {got:?}; writing it again");
        }
        Ok(None) => tracing::warn!("{}: the file is missing; writing it again", run.join(CLASSES).display()),
        Err(error) => tracing::warn!("{error}; writing it again"),
    }
    save_classes(run, classes)
}

/// Saves the config of a resumed run after its changes have been accepted; until then, no file changes.
struct SaveConfig(Config);

impl Callback for SaveConfig {
    fn on_fit_start(&mut self, run: &mut Run) -> HookResult {
        if let (FitStart::Resumed, Some(dir)) = (run.start(), run.dir()) {
            save_config(dir, &self.0, run.changes())?;
            // It grows from here on; its checksum is recorded again at the end.
            forget_checksums(dir, &[HISTORY])?;
        }
        Ok(())
    }
}
