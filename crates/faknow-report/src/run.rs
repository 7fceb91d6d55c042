//! The content of a run directory.

use std::fs;
use std::path::{Path, PathBuf};

use faknow_metrics::{Calibration, Decision, EpochRecord};
use serde::Deserialize;

use crate::checksums::{CHECKSUMS, Checksums, read_verified, remedy};
use crate::summary::read_json;
use crate::{
    BASELINE, Baseline, CALIBRATION, Calibrated, Error, MISTAKES, Mistake, PredictionTable, Result,
    RunSummary, SUMMARY, TEST_PREDICTIONS, VALID_PREDICTIONS,
};

const CONFIG: &str = "config.toml";
/// File name of the records of epochs and steps in a run directory.
pub const HISTORY: &str = "history.jsonl";

/// The content of a run directory; `None` or empty for missing files.
#[derive(Debug, Clone)]
pub struct Run {
    /// Name of the directory.
    pub name: String,
    /// Path of the directory.
    pub path: PathBuf,
    /// All settings, as TOML.
    pub config: String,
    /// Summary; `None` while the run is training and if it was interrupted.
    pub summary: Option<RunSummary>,
    /// Record of each epoch.
    pub epochs: Vec<EpochRecord>,
    /// Records of single steps, if they were logged.
    pub steps: Vec<Step>,
    /// Calibration on the validation samples.
    pub calibration: Option<Calibration>,
    /// Temperature and threshold that turn scores into a predicted class.
    pub decision: Decision,
    /// Predictions for the validation samples.
    pub valid: Option<PredictionTable>,
    /// Predictions for the test samples.
    pub test: Option<PredictionTable>,
    /// Most confident errors on the test samples.
    pub mistakes: Vec<Mistake>,
    /// Comparison with a simple model, if one was trained.
    pub baseline: Option<Baseline>,
    /// Reasons why the content may be incomplete.
    pub warnings: Vec<String>,
}

/// Record of one step.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Step {
    /// Number of the step, from 1.
    pub step: u64,
    /// Loss of the batch; `None` if it is not finite.
    pub loss: Option<f64>,
    /// Learning rates, one per parameter group.
    pub lr: Vec<f64>,
}

impl Run {
    /// Reads a run directory.
    ///
    /// # Errors
    /// `path` is not a run directory, or one of its files cannot be read or is corrupted.
    pub fn read(path: &Path) -> Result<Self> {
        check_run_dir(path)?;
        let config = read_text(path, CONFIG)?.unwrap_or_default();
        let (epochs, steps, warnings) = history(path)?;
        let calibrated: Calibrated = read_json(path, CALIBRATION)?.unwrap_or_default();
        let summary: Option<RunSummary> = read_json(path, SUMMARY)?;
        if let Some(summary) = summary.as_ref().filter(|summary| summary.n_epochs != epochs.len())
            && Checksums::read(path)?.names().next().is_none()
        {
            // Other runs have a checksum of the history, unless they were resumed and have not ended yet.
            let (expected, got) = (summary.n_epochs, epochs.len());
            let what = format!("expected {expected} epochs, as in `{SUMMARY}`, got {got}");
            return Err(Error::corrupted(&path.join(HISTORY), format!("{what}; {}", remedy(path, HISTORY))));
        }
        let full = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        Ok(Self {
            name: full.file_name().unwrap_or(full.as_os_str()).to_string_lossy().into_owned(),
            path: path.to_path_buf(),
            config,
            summary,
            epochs,
            steps,
            decision: calibrated.decision,
            calibration: calibrated.calibration,
            valid: PredictionTable::read(path, VALID_PREDICTIONS)?,
            test: PredictionTable::read(path, TEST_PREDICTIONS)?,
            mistakes: read_json(path, MISTAKES)?.unwrap_or_default(),
            baseline: read_json(path, BASELINE)?,
            warnings,
        })
    }

    /// Returns the settings as dotted keys with their TOML values.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        fn add(prefix: &str, table: &toml::Table, all: &mut Vec<(String, String)>) {
            for (key, value) in table {
                let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                match value {
                    toml::Value::Table(table) => add(&name, table, all),
                    value => all.push((name, value.to_string())),
                }
            }
        }
        let mut all = Vec::new();
        add("", &self.config.parse().unwrap_or_default(), &mut all);
        all
    }

    /// Returns the name of the monitored metric.
    pub(crate) fn monitor(&self) -> Option<&str> {
        Some(self.summary.as_ref()?.best.as_ref()?.monitor.as_str())
    }

    /// Returns the number of the best epoch, from 1.
    pub(crate) fn best_epoch(&self) -> Option<usize> {
        Some(self.summary.as_ref()?.best.as_ref()?.epoch)
    }
}

/// Checks that `path` is a directory with the config of a run.
///
/// # Errors
/// The directory is missing, is a file, or contains no `config.toml`; if its subdirectories do, the message names some.
pub fn check_run_dir(path: &Path) -> Result<()> {
    let not_a_run = |message: String| Err(Error::NotARun { path: path.to_path_buf(), message });
    if path.is_file() {
        return not_a_run("expected a directory, got a file".to_owned());
    }
    if !path.is_dir() {
        return not_a_run("no such directory".to_owned());
    }
    if path.join(CONFIG).exists() {
        return Ok(());
    }
    let entries = fs::read_dir(path).map_err(|error| Error::io(path, error))?;
    let mut runs: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|it| it.join(CONFIG).exists()).collect();
    runs.sort();
    let names: Vec<String> = runs.iter().take(3).map(|run| format!("`{}`", run.display())).collect();
    let hint = if path.join(CHECKSUMS).exists() {
        "; copy the run directory again".to_owned()
    } else if names.is_empty() {
        String::new()
    } else {
        format!("; did you mean {}?", names.join(" or "))
    };
    not_a_run(format!("missing `{CONFIG}`{hint}"))
}

/// Reads a text file of a run and compares it with its checksum; `None` if there is no such file.
fn read_text(run: &Path, name: &str) -> Result<Option<String>> {
    let Some(content) = read_verified(run, name)? else { return Ok(None) };
    String::from_utf8(content).map(Some).map_err(|error| {
        Error::corrupted(&run.join(name), format!("{}; {}", error.utf8_error(), remedy(run, name)))
    })
}

/// Reads the epochs and steps of the history of a run, without a truncated last line, and warnings about it.
fn history(run: &Path) -> Result<(Vec<EpochRecord>, Vec<Step>, Vec<String>)> {
    let Some(text) = read_text(run, HISTORY)? else { return Ok(Default::default()) };
    let path = run.join(HISTORY);
    #[derive(Deserialize)]
    struct Kind {
        r#type: String,
    }
    let (mut epochs, mut steps, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
    let n_lines = text.lines().count();
    for (number, line) in text.lines().enumerate() {
        let corrupted = |error: serde_json::Error| {
            Error::corrupted(&path, format!("line {}: {error}; {}", number + 1, remedy(run, HISTORY)))
        };
        if number + 1 == n_lines && !text.ends_with('\n') {
            let what = format!("{}: line {n_lines}, the last, is truncated and not shown", path.display());
            warnings.push(format!(
                "{what}: the run was killed, or the file was copied during the run or incompletely"
            ));
            break;
        }
        let kind: Kind = serde_json::from_str(line).map_err(corrupted)?;
        match kind.r#type.as_str() {
            "epoch" => epochs.push(serde_json::from_str(line).map_err(corrupted)?),
            "step" => steps.push(serde_json::from_str(line).map_err(corrupted)?),
            _ => {}
        }
    }
    Ok((epochs, steps, warnings))
}
