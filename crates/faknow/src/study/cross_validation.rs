//! k-fold cross-validation: as many detectors as folds, each tested on what it has not seen.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use faknow_callbacks::StopReason;
use faknow_metrics::RepeatedScore;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::{Config, Fold};
use crate::data::corpus::TestRecords;
use crate::models::Registry;
use crate::study::state::{Common, Study, StudyState, TestScores, corpus, read};
use crate::train::{ContextFactory, Outcome};
use crate::{Error, Result};

/// The metrics that a table shows.
const MAIN_METRICS: [&str; 9] =
    ["loss", "accuracy", "precision", "recall", "f1", "f1_macro", "roc_auc", "average_precision", "mcc"];

/// What cross-validation yields.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossValidation {
    /// The directory; it has a run directory for each fold.
    pub dir: PathBuf,
    /// How many folds there are.
    pub n_folds: usize,
    /// The folds that are done, in order; all of them, unless it was interrupted.
    pub folds: Vec<FoldResult>,
    /// Whether someone asked for the end before all folds were done; [`resume_cross_validation`] continues it.
    pub is_interrupted: bool,
}

/// The result of one fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoldResult {
    /// Number of the fold, from 1.
    pub number: usize,
    /// Why its training ended: `completed`, `early_stopping`, …
    #[serde(rename = "ended")]
    pub stop_reason: String,
    /// Epochs done.
    pub epochs: usize,
    /// The best epoch, from 1; `None` without validation.
    pub best_epoch: Option<usize>,
    /// What the detector scores on the fold.
    pub test: TestScores,
}

impl CrossValidation {
    /// Every metric over the folds that are done, the loss first.
    pub fn metrics(&self) -> Vec<RepeatedScore> {
        RepeatedScore::per_metric(self.folds.iter().map(|fold| &fold.test.scores))
    }

    /// The run directory of a fold.
    pub fn run(&self, fold: &FoldResult) -> PathBuf {
        self.dir.join(fold_dir(fold.number))
    }
}

/// Trains a detector for each of `n_folds` folds of `data.train` and tests it on that fold, which it has not seen.
///
/// The folds are those of [`faknow_data::stratified_k_fold`], by the seed. Validation, for the best epoch and early stopping, is `data.valid` or taken from
/// the other folds, in the ratio of its share of `data.split` to that of training; with a share of 0 there is none.
/// `data.test` is left alone: it is for the detector that is chosen in the end.
///
/// The directory `dir` gets a run directory for each fold (`fold-1`, …), `cv.json` and `report.md`. If it holds this very
/// cross-validation already, folds that are done are not repeated, and an interrupted one is resumed.
///
/// # Errors
/// The config or a file of records is wrong, some class has fewer samples than there are folds, `dir` holds something
/// else or was started with other settings or records, or training fails.
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
        return Err(Error::config("data.fold", "cross-validation takes every fold in turn: leave it out"));
    }
    let mut config = config.clone();
    if let Some(test) = config.data.test.take() {
        tracing::info!("{} is left alone: each detector is tested on its fold", test.display());
    }
    let of_fold = |number: usize| {
        let mut config = config.clone();
        config.data.fold = Some(Fold { number, n_folds });
        config
    };
    let common = Common::new(&config, &corpus(&of_fold(1), TestRecords::Used)?)?;
    let state = SavedFolds { n_folds, common, folds: Vec::new(), metrics: Vec::new() };
    let (study, mut state) = Study::open(dir, state)?;
    for number in state.folds.len() + 1..=n_folds {
        tracing::info!("fold {number} of {n_folds}");
        let outcome = study.run(&fold_dir(number), &of_fold(number), TestRecords::Used, contexts.next())?;
        state.folds.extend(FoldResult::of(number, &outcome));
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
/// `dir` holds no cross-validation; else as [`cross_validate`].
pub fn resume_cross_validation(dir: &Path, contexts: ContextFactory<'_>) -> Result<CrossValidation> {
    Registry::builtin().resume_cross_validation(dir, contexts)
}

impl Registry {
    /// Resumes the cross-validation of one of these models in the directory `dir`, with its saved settings.
    ///
    /// # Errors
    /// `dir` holds no cross-validation; else as [`cross_validate`].
    pub fn resume_cross_validation(
        &self,
        dir: &Path,
        contexts: ContextFactory<'_>,
    ) -> Result<CrossValidation> {
        let state: SavedFolds = read(dir)?;
        cross_validate(&state.common.config(self)?, state.n_folds, dir, contexts)
    }
}

/// The run directory of a fold, below that of the cross-validation.
fn fold_dir(number: usize) -> PathBuf {
    PathBuf::from(format!("fold-{number}"))
}

/// What stands in `cv.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedFolds {
    n_folds: usize,
    common: Common,
    folds: Vec<FoldResult>,
    /// Of all folds, for readers; empty before the last one.
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
    /// Of a run that has ended; `None` if it was interrupted.
    fn of(number: usize, outcome: &Outcome) -> Option<Self> {
        let fit = &outcome.fit;
        if fit.stop_reason == StopReason::Interrupted {
            return None;
        }
        Some(Self {
            number,
            stop_reason: fit.stop_reason.code().to_owned(),
            epochs: fit.history.epochs.len(),
            best_epoch: fit.best.as_ref().map(|best| best.epoch),
            test: TestScores::of(outcome)?,
        })
    }
}

/// The main metrics as mean ± deviation, and their value in each fold.
impl fmt::Display for CrossValidation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<18} {:>17} ", "", "mean ± deviation")?;
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

/// The result as a page.
fn markdown(config: &Config, outcome: &CrossValidation) -> String {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = render(&mut page, config, outcome);
    page
}

fn render(page: &mut String, config: &Config, outcome: &CrossValidation) -> fmt::Result {
    let n_folds = outcome.n_folds;
    writeln!(page, "# {}\n", outcome.dir.file_name().unwrap_or_default().to_string_lossy())?;
    writeln!(page, "- {n_folds}-fold cross-validation of {}, stratified by class", config.model.name)?;
    writeln!(page, "- seed: {}", config.seed)?;
    writeln!(
        page,
        "- the deviation is that of a sample (n - 1), over the folds where the metric is defined"
    )?;
    writeln!(page, "\n## Folds\n\n| fold | samples | ended | epochs | best epoch |\n|---|---|---|---|---|")?;
    for fold in &outcome.folds {
        let best = fold.best_epoch.map_or_else(|| "-".to_owned(), |epoch| epoch.to_string());
        let FoldResult { number, stop_reason, epochs, test, .. } = fold;
        writeln!(page, "| {number} | {} | {stop_reason} | {epochs} | {best} |", test.n_samples)?;
    }
    write!(page, "\n## Metrics\n\n| metric | mean | deviation |")?;
    outcome.folds.iter().try_for_each(|fold| write!(page, " fold {} |", fold.number))?;
    writeln!(page, "\n|---|---|---|{}", "---|".repeat(outcome.folds.len()))?;
    for RepeatedScore { name, summary, values } in outcome.metrics() {
        let mean = cell(summary.map(|summary| summary.mean));
        let deviation = cell(summary.and_then(|summary| summary.std));
        write!(page, "| {name} | {mean} | {deviation} |")?;
        values.iter().try_for_each(|value| write!(page, " {} |", cell(*value)))?;
        writeln!(page)?;
    }
    writeln!(page, "\n## Config\n\n```toml\n{}```", toml::to_string(config).unwrap_or_default())
}
