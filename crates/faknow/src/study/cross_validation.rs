//! k-fold cross-validation of a config.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use faknow_metrics::RepeatedScore;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::{Config, Fold};
use crate::data::corpus::TestRecords;
use crate::models::Registry;
use crate::study::state::{Common, Study, StudyState, TestScores, corpus, read, recognized};
use crate::train::{ContextFactory, Outcome};
use crate::{Error, Result};

/// The metrics in the table on the console.
const MAIN_METRICS: [&str; 9] =
    ["loss", "accuracy", "precision", "recall", "f1", "f1_macro", "roc_auc", "average_precision", "mcc"];

/// The result of a cross-validation.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossValidation {
    /// Directory, which contains a run directory for each fold.
    pub dir: PathBuf,
    /// Number of folds.
    pub n_folds: usize,
    /// Completed folds, in order; all folds unless it was interrupted.
    pub folds: Vec<FoldResult>,
    /// Whether it was interrupted before all folds were completed; [`resume_cross_validation`] continues it.
    pub is_interrupted: bool,
}

/// The result of a fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoldResult {
    /// Number of the fold, from 1.
    pub number: usize,
    /// Stop reason of the training: `completed`, `early_stopping`, …
    #[serde(rename = "ended")]
    pub stop_reason: String,
    /// Number of completed epochs.
    pub epochs: usize,
    /// The best epoch, from 1; `None` without validation.
    pub best_epoch: Option<usize>,
    /// Test scores of the detector on the fold.
    pub test: TestScores,
}

impl CrossValidation {
    /// Returns the loss and all metrics over the completed folds.
    pub fn metrics(&self) -> Vec<RepeatedScore> {
        RepeatedScore::per_metric(self.folds.iter().map(|fold| &fold.test.scores))
    }

    /// Returns the run directory of a fold.
    pub fn run(&self, fold: &FoldResult) -> PathBuf {
        self.dir.join(fold_dir(fold.number))
    }
}

/// Trains a detector for each of `n_folds` folds of `data.train` on the other folds, and tests it on the fold.
///
/// The folds are those of [`faknow_data::stratified_k_fold`] with the seed of the config. Validation data, for the best
/// epoch and early stopping, is `data.valid` or a part of the other folds, in the ratio of the fractions for validation and
/// training in `data.split`; a fraction of 0 means no validation. `data.test` is not used, to remain available for the final
/// detector.
///
/// The directory `dir` contains a run directory for each fold (`fold-1`, …), `cv.json` and `report.md`. If it already
/// contains the same cross-validation, completed folds are not repeated, and an interrupted fold is resumed.
///
/// # Errors
/// The config or a data file is invalid, a class has fewer samples than there are folds, `dir` has other content or was
/// started with other settings or records, or training fails.
pub fn cross_validate(
    config: &Config,
    n_folds: usize,
    dir: &Path,
    mut contexts: ContextFactory<'_>,
) -> Result<CrossValidation> {
    let _guard = contexts.interrupt.install();
    if n_folds < 2 {
        return Err(Error::config("folds", format!("expected at least 2, got {n_folds}")));
    }
    if config.data.fold.is_some() {
        return Err(Error::config("data.fold", "cross-validation uses every fold; remove this setting"));
    }
    let mut config = config.clone();
    if let Some(test) = config.data.test.take() {
        tracing::info!("ignoring {}: each detector is tested on its fold", test);
    }
    let config = recognized(&config)?;
    let fold_config = |number: usize| {
        let mut config = config.clone();
        config.data.fold = Some(Fold { number, n_folds });
        config
    };
    let common = Common::new(&config, &corpus(&fold_config(1), TestRecords::Include)?)?;
    let state = SavedFolds { n_folds, common, folds: Vec::new(), metrics: Vec::new() };
    let (study, mut state) = Study::open(dir, state)?;
    for number in state.folds.len() + 1..=n_folds {
        tracing::info!("fold {number} of {n_folds}");
        let outcome =
            study.run(&fold_dir(number), &fold_config(number), TestRecords::Include, contexts.next())?;
        state.folds.extend(FoldResult::from_outcome(number, &outcome));
        if state.folds.len() == number {
            study.save(&state)?;
        }
        if state.folds.len() < number || (number < n_folds && contexts.interrupt.is_requested()) {
            return Ok(state.outcome(dir, true));
        }
    }
    let outcome = state.outcome(dir, false);
    state.metrics = outcome.metrics().iter().map(|metric| json!(metric)).collect();
    study.save(&state)?;
    study.save_report(&markdown(&config, &outcome))?;
    Ok(outcome)
}

/// Resumes the cross-validation of a builtin model in the directory `dir`, with its saved settings.
///
/// # Errors
/// `dir` contains no cross-validation; else as [`cross_validate`].
pub fn resume_cross_validation(dir: &Path, contexts: ContextFactory<'_>) -> Result<CrossValidation> {
    Registry::builtin().resume_cross_validation(dir, contexts)
}

impl Registry {
    /// Resumes the cross-validation of one of these models in the directory `dir`, with its saved settings.
    ///
    /// # Errors
    /// `dir` contains no cross-validation; else as [`cross_validate`].
    pub fn resume_cross_validation(
        &self,
        dir: &Path,
        contexts: ContextFactory<'_>,
    ) -> Result<CrossValidation> {
        let state: SavedFolds = read(dir)?;
        cross_validate(&state.common.config(self)?, state.n_folds, dir, contexts)
    }
}

/// Returns the run directory of a fold, relative to that of the cross-validation.
fn fold_dir(number: usize) -> PathBuf {
    PathBuf::from(format!("fold-{number}"))
}

/// The content of `cv.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedFolds {
    n_folds: usize,
    common: Common,
    folds: Vec<FoldResult>,
    /// Metrics over all folds; empty before the last one is completed. Not read again.
    metrics: Vec<Value>,
}

impl SavedFolds {
    fn outcome(&self, dir: &Path, is_interrupted: bool) -> CrossValidation {
        CrossValidation {
            dir: dir.to_path_buf(),
            n_folds: self.n_folds,
            folds: self.folds.clone(),
            is_interrupted,
        }
    }
}

impl StudyState for SavedFolds {
    const FILE: &'static str = "cv.json";

    fn common(&self) -> &Common {
        &self.common
    }

    fn plan(&self) -> Value {
        json!({ "folds": self.n_folds })
    }
}

impl FoldResult {
    /// Returns the result of a run; `None` if it was interrupted.
    fn from_outcome(number: usize, outcome: &Outcome) -> Option<Self> {
        let fit = &outcome.fit;
        if outcome.is_interrupted {
            return None;
        }
        Some(Self {
            number,
            stop_reason: fit.stop_reason.code().to_owned(),
            epochs: fit.history.epochs.len(),
            best_epoch: fit.best.as_ref().map(|best| best.epoch),
            test: TestScores::from_outcome(outcome)?,
        })
    }
}

/// Formats the main metrics as mean ± standard deviation, with their values in each fold.
impl fmt::Display for CrossValidation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<18} {:>17} ", "", "mean ± std")?;
        for fold in &self.folds {
            write!(f, " {:>8}", format!("fold {}", fold.number))?;
        }
        for metric in self.metrics().iter().filter(|metric| MAIN_METRICS.contains(&metric.name.as_str())) {
            let summary =
                metric.summary.map_or_else(|| "undefined".to_owned(), |summary| summary.to_string());
            write!(f, "\n{:<18} {summary:>17} ", metric.name)?;
            for value in &metric.values {
                write!(f, " {:>8}", cell(*value))?;
            }
        }
        Ok(())
    }
}

fn cell(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"))
}

/// Formats the result as Markdown.
fn markdown(config: &Config, outcome: &CrossValidation) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = render(&mut text, config, outcome);
    text
}

fn render(text: &mut String, config: &Config, outcome: &CrossValidation) -> fmt::Result {
    let n_folds = outcome.n_folds;
    writeln!(text, "# {}\n", outcome.dir.file_name().unwrap_or_default().to_string_lossy())?;
    writeln!(text, "- {n_folds}-fold cross-validation of {}, stratified by class", config.model.name)?;
    writeln!(text, "- seed: {}", config.seed)?;
    writeln!(text, "- std: sample standard deviation (n - 1) over the folds in which the metric is defined")?;
    writeln!(
        text,
        "\n## Folds\n\n| fold | samples | stop reason | epochs | best epoch |\n|---|---|---|---|---|"
    )?;
    for fold in &outcome.folds {
        let best = fold.best_epoch.map_or_else(|| "-".to_owned(), |epoch| epoch.to_string());
        let FoldResult { number, stop_reason, epochs, test, .. } = fold;
        writeln!(text, "| {number} | {} | {stop_reason} | {epochs} | {best} |", test.n_samples)?;
    }
    write!(text, "\n## Metrics\n\n| metric | mean | std |")?;
    outcome.folds.iter().try_for_each(|fold| write!(text, " fold {} |", fold.number))?;
    writeln!(text, "\n|---|---|---|{}", "---|".repeat(outcome.folds.len()))?;
    for RepeatedScore { name, summary, values } in outcome.metrics() {
        let mean = cell(summary.map(|summary| summary.mean));
        let std = cell(summary.and_then(|summary| summary.std));
        write!(text, "| {name} | {mean} | {std} |")?;
        values.iter().try_for_each(|value| write!(text, " {} |", cell(*value)))?;
        writeln!(text)?;
    }
    writeln!(text, "\n## Config\n\n```toml\n{}```", toml::to_string(config).unwrap_or_default())
}
