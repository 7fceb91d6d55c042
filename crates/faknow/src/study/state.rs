//! Several runs in one directory, with a file that says what they are for and how far they are.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use faknow_metrics::{Score, Scores};
use faknow_trainer::RunDir;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use toml::Table;

use faknow_data::Dataset as _;
use faknow_data::common::temporary_path;

use crate::config::Config;
use crate::config::dotted::by_dotted_name;
use crate::data::corpus::{Corpus, TestRecords};
use crate::detector::files::CONFIG;
use crate::files::{write, write_whole};
use crate::models::Registry;
use crate::train::job::Job;
use crate::train::resume::{MOVABLE, resume_with};
use crate::train::{Outcome, ResumeOptions, RunContext};
use crate::{Error, Result};

/// A directory of several runs.
#[derive(Debug)]
pub(crate) struct Study {
    dir: RunDir,
}

/// What stands in a study's file.
pub(crate) trait StudyState: Serialize + DeserializeOwned {
    /// The file's name.
    const FILE: &'static str;

    /// What all runs have in common.
    fn common(&self) -> &Common;

    /// What makes the runs differ: with another plan it is another study.
    fn plan(&self) -> Value;
}

/// What all runs of a study have in common; it stands at the beginning of the study's file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Common {
    /// Version of the program that began the study.
    pub(crate) faknow: String,
    /// The settings.
    pub(crate) config: Table,
    /// Fingerprints of the records.
    pub(crate) data: Vec<String>,
}

impl Common {
    /// Of these settings and the records that they name.
    pub(crate) fn new(config: &Config, corpus: &Corpus) -> Result<Self> {
        let parts = [Some(&corpus.train), corpus.valid.as_ref(), corpus.test.as_ref()];
        let data =
            parts.into_iter().flatten().map(|data| format!("{:016x}", data.fingerprint().unwrap_or(0)));
        let faknow = env!("CARGO_PKG_VERSION").to_owned();
        Ok(Self { faknow, config: config.to_table()?, data: data.collect() })
    }

    /// The settings.
    pub(crate) fn config(&self, registry: &Registry) -> Result<Config> {
        registry.config_from_table(self.config.clone())
    }
}

/// The records of a study's config; what is wrong with them would be wrong in every run.
pub(crate) fn corpus(config: &Config, test_records: TestRecords) -> Result<Corpus> {
    config.validate()?;
    Corpus::load(config, &config.configured_model()?.fields(), None, test_records)
}

impl Study {
    /// The study in the directory `dir`, as far as it is; starts with `state` if there is none, in a directory that must not
    /// exist or be empty.
    ///
    /// # Errors
    /// Plan, settings or records are not those that the study was started with, or another process is at work on it.
    pub(crate) fn open<S: StudyState>(dir: &Path, state: S) -> Result<(Self, S)> {
        let path = dir.join(S::FILE);
        if !path.exists() {
            // Left by a process that was killed in its first moment.
            let _ = fs::remove_file(temporary_path(&path));
            let study = Self { dir: RunDir::create(dir)? };
            study.save(&state)?;
            return Ok((study, state));
        }
        let study = Self { dir: RunDir::open(dir)? };
        let before = read::<S>(dir)?;
        study.check_unchanged(&before.plan(), &state.plan())?;
        let (old, new) = (before.common(), state.common());
        study.check_unchanged(&old.config, &new.config)?;
        if old.data != new.data {
            let message = format!("the records are not those that {} was started with", dir.display());
            return Err(Error::config(
                "data",
                format!("{message}; restore them, or start over in a new directory"),
            ));
        }
        Ok((study, before))
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes the state, whole or not at all.
    pub(crate) fn save<S: StudyState>(&self, state: &S) -> Result<()> {
        let path = self.dir.path().join(S::FILE);
        let text = serde_json::to_string_pretty(state).map_err(|e| Error::io(&path, e.into()))?;
        write_whole(&path, &(text + "\n"))
    }

    /// Writes the result as a page.
    pub(crate) fn save_report(&self, page: &str) -> Result<()> {
        write(&self.dir.path().join("report.md"), page)
    }

    /// Trains in the directory `name` below the study's, from the beginning or from where it was cut off.
    pub(crate) fn run(
        &self,
        name: &Path,
        config: &Config,
        test_records: TestRecords,
        context: RunContext,
    ) -> Result<Outcome> {
        let run = self.dir.path().join(name);
        if run.join(CONFIG).exists() {
            return resume_with(RunDir::open(run)?, config, &ResumeOptions::default(), test_records, context);
        }
        // Cut off before its config was written: it never began.
        match fs::remove_dir_all(&run) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::io(run, error)),
            _ => {}
        }
        Job::with_test_records(config, None, test_records)?.begin(|| RunDir::create(run), context)
    }

    fn check_unchanged(&self, old: &impl Serialize, new: &impl Serialize) -> Result<()> {
        let (old, new) = (by_dotted_name(old), by_dotted_name(new));
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let changed = names
            .into_iter()
            .find(|name| !MOVABLE.contains(&name.as_str()) && old.get(*name) != new.get(*name));
        let Some(name) = changed else { return Ok(()) };
        let show = |value: Option<&Value>| value.map_or_else(|| "not set".to_owned(), Value::to_string);
        let (old, new) = (show(old.get(name)), show(new.get(name)));
        let dir = self.dir.path().display();
        let message =
            format!("{dir} was started with {old}, got {new}; restore it, or start over in a new directory");
        Err(Error::config(name, message))
    }
}

/// The state of the study in the directory `dir`.
///
/// # Errors
/// There is none, or its file is corrupted.
pub(crate) fn read<S: StudyState>(dir: &Path) -> Result<S> {
    let path = dir.join(S::FILE);
    let text = fs::read_to_string(&path).map_err(|e| Error::io(&path, e))?;
    serde_json::from_str(&text).map_err(|e| {
        let message =
            format!("{}: the file is corrupted: {e}; start over in a new directory", path.display());
        Error::config("", message)
    })
}

/// What a detector scores on test records: the loss, then every metric; what is undefined has no value, not even a
/// customary one, so that no mean is made with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestScores {
    /// How many records there are.
    pub n_samples: usize,
    /// The loss and the metrics by name.
    pub scores: Scores,
}

impl TestScores {
    pub(crate) fn of(outcome: &Outcome) -> Option<Self> {
        let (evaluation, report) = outcome.test.as_ref()?;
        let loss = evaluation.scores.get("loss").map(|loss| ("loss", loss));
        let defined = |score: &Score| match score {
            Score::Defined(value) => Score::from(*value),
            Score::Undefined { reason, .. } => Score::undefined(reason.as_str()),
        };
        let scores = loss.into_iter().chain(report.scores().iter());
        let scores = scores.map(|(name, score)| (name, defined(score))).collect();
        Some(Self { n_samples: evaluation.predictions.n_samples(), scores })
    }
}
