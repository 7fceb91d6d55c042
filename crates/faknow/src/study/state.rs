//! A study: several runs in one directory, with a file of its state.

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

use crate::config::dotted::by_dotted_name;
use crate::config::{Config, Given};
use crate::data::corpus::{Corpus, TestRecords};
use crate::detector::DetectorEvaluation;
use crate::detector::files::CONFIG;
use crate::files::{read_json, record_checksums, write_text_atomically};
use crate::models::Registry;
use crate::train::job::Job;
use crate::train::resume::resume_with;
use crate::train::{Outcome, ResumeOptions, RunContext};
use crate::{Error, Result};

/// Settings that do not affect the results of a study: resources, and paths of files, whose content its runs compare.
const NEUTRAL: [&str; 11] = [
    "device",
    "threads",
    "baseline",
    "loader.workers",
    "loader.eval_batch_size",
    "data.train",
    "data.valid",
    "data.test",
    "text.vectors",
    "text.memory",
    "text.cache",
];

/// Returns whether a setting, or a file of a label such as `data.train.real`, does not affect the results.
fn is_neutral(name: &str) -> bool {
    NEUTRAL
        .iter()
        .any(|it| name.strip_prefix(it).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// The directory of a study.
#[derive(Debug)]
pub(crate) struct Study {
    dir: RunDir,
}

/// The state of a study, in its file.
pub(crate) trait StudyState: Serialize + DeserializeOwned {
    /// Name of the file.
    const FILE: &'static str;

    /// Returns the common properties of all runs.
    fn common(&self) -> &Common;

    /// Returns the plan of the runs, which cannot change within a study.
    fn plan(&self) -> Value;
}

/// The common properties of all runs of a study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Common {
    /// Version of faknow that started the study.
    pub(crate) faknow: String,
    /// The base config.
    pub(crate) config: Table,
    /// Its given settings; the others depend on the settings of a trial. Older studies lack them.
    #[serde(default)]
    pub(crate) given: Option<Given>,
    /// Fingerprints of the datasets.
    pub(crate) data: Vec<String>,
}

impl Common {
    /// Returns the common properties of a config and its data.
    pub(crate) fn new(config: &Config, corpus: &Corpus) -> Result<Self> {
        let parts = [Some(&corpus.train), corpus.valid.as_ref(), corpus.test.as_ref()];
        let data =
            parts.into_iter().flatten().map(|data| format!("{:016x}", data.fingerprint().unwrap_or(0)));
        let faknow = env!("CARGO_PKG_VERSION").to_owned();
        Ok(Self { faknow, config: config.to_table()?, given: Some(config.given()?), data: data.collect() })
    }

    /// Returns the base config.
    pub(crate) fn config(&self, registry: &Registry) -> Result<Config> {
        Ok(self.with_given(registry.config_from_table(self.config.clone())?))
    }

    /// Returns a config with the given settings of the study.
    pub(crate) fn with_given(&self, config: Config) -> Config {
        let given = self.given.clone().unwrap_or_else(|| config.given.clone());
        Config { given, ..config }
    }
}

/// Recognizes the settings of `[data]` that are not given, once for all runs.
pub(crate) fn recognized(config: &Config) -> Result<Config> {
    config.validate()?;
    if config.baseline == Some(true) {
        tracing::warn!(
            "`baseline` is true: it has no effect here; `faknow train` compares with the baseline"
        );
    }
    Ok(config.recognize_and_log()?.0)
}

/// Reads the data of a study, to report errors before the first run.
pub(crate) fn corpus(config: &Config, test_records: TestRecords) -> Result<Corpus> {
    config.validate()?;
    Corpus::load(config, &config.configured_model()?.fields(), None, test_records)
}

impl Study {
    /// Opens the study in the directory `dir` with its saved state, or creates it with `state` if the directory does not exist
    /// or is empty.
    ///
    /// # Errors
    /// Plan, settings or records have changed since the start of the study, or another process is using it.
    pub(crate) fn open<S: StudyState>(dir: &Path, state: S) -> Result<(Self, S)> {
        let path = dir.join(S::FILE);
        if !path.exists() {
            let study = Self { dir: RunDir::create(dir)? };
            study.save(&state)?;
            return Ok((study, state));
        }
        let study = Self { dir: RunDir::open(dir)? };
        let saved = read::<S>(dir)?;
        study.check_unchanged(&saved.plan(), &state.plan())?;
        let (old, new) = (saved.common(), state.common());
        study.check_unchanged(&old.config, &new.config)?;
        if old.data != new.data {
            let message = format!("the records have changed since {} was started", dir.display());
            return Err(Error::config(
                "data",
                format!("{message}; restore them, or start over in a new directory"),
            ));
        }
        Ok((study, saved))
    }

    /// Returns the directory.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes the state atomically.
    pub(crate) fn save<S: StudyState>(&self, state: &S) -> Result<()> {
        let path = self.dir.path().join(S::FILE);
        let text = serde_json::to_string_pretty(state).map_err(|e| Error::io(&path, e.into()))?;
        record_checksums(self.dir.path(), &[S::FILE], || write_text_atomically(&path, &(text + "\n")))
    }

    /// Writes the report.
    pub(crate) fn save_report(&self, text: &str) -> Result<()> {
        write_text_atomically(&self.dir.path().join("report.md"), text)
    }

    /// Trains in the subdirectory `name` of the study, from scratch or from an interruption, without a baseline. All runs share the
    /// output of an encoder that is not trained.
    pub(crate) fn run(
        &self,
        name: &Path,
        config: &Config,
        test_records: TestRecords,
        mut context: RunContext,
    ) -> Result<Outcome> {
        context.features = Some(self.dir.path().to_path_buf());
        let run = self.dir.path().join(name);
        let config = &Config { baseline: Some(false), ..config.clone() };
        if run.join(CONFIG).exists() {
            return resume_with(RunDir::open(run)?, config, &ResumeOptions::default(), test_records, context);
        }
        // The run was interrupted before its config was written, so it was never started.
        match fs::remove_dir_all(&run) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::io(run, error)),
            _ => {}
        }
        Job::with_test_records(config, None, test_records)?.start(|| RunDir::create(run), context)
    }

    fn check_unchanged(&self, old: &impl Serialize, new: &impl Serialize) -> Result<()> {
        let (old, new) = (by_dotted_name(old), by_dotted_name(new));
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let changed_name =
            names.into_iter().find(|name| !is_neutral(name) && old.get(*name) != new.get(*name));
        let Some(name) = changed_name else { return Ok(()) };
        let show = |value: Option<&Value>| value.map_or_else(|| "not set".to_owned(), Value::to_string);
        let (old, new) = (show(old.get(name)), show(new.get(name)));
        let dir = self.dir.path().display();
        let message =
            format!("{dir} was started with {old}, got {new}; restore it, or start over in a new directory");
        Err(Error::config(name, message))
    }
}

/// Reads the state of the study in the directory `dir`.
///
/// # Errors
/// The file of the state cannot be read or is corrupted.
pub(crate) fn read<S: StudyState>(dir: &Path) -> Result<S> {
    let path = dir.join(S::FILE);
    let missing = || Error::io(&path, std::io::ErrorKind::NotFound.into());
    read_json(dir, S::FILE)?.ok_or_else(missing)
}

/// The test scores of a detector: the loss and all metrics. Undefined metrics have no substitute value, so that they do not
/// affect means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestScores {
    /// Number of test records.
    pub n_samples: usize,
    /// The loss and the metrics by name.
    pub scores: Scores,
}

impl TestScores {
    pub(crate) fn from_outcome(outcome: &Outcome) -> Option<Self> {
        let DetectorEvaluation { evaluation, report, .. } = outcome.test.as_ref()?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_of_a_resumed_search_have_the_defaults_of_their_variant() {
        let config = Config::for_model("encoder").unwrap();
        let config = config.set_all(&["text.encoder=dir", "trainer.epochs=4"]).unwrap();
        let table = config.to_table().unwrap();
        let common = Common {
            faknow: String::new(),
            config: table,
            given: Some(config.given().unwrap()),
            data: Vec::new(),
        };
        let saved = serde_json::from_str::<Common>(&serde_json::to_string(&common).unwrap()).unwrap();
        let resumed = saved.config(&Registry::builtin()).unwrap();
        assert_eq!(resumed, config);
        let trial = resumed.set("model.tuning=frozen").unwrap();
        assert_eq!(trial, config.set("model.tuning=frozen").unwrap());
        assert_eq!((trial.trainer.epochs, trial.optimizer.lr()), (4, 1e-3));
    }
}
