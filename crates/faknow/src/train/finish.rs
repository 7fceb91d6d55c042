//! The steps after training: calibration, test, and the report in the run directory.

use std::path::Path;

use faknow_data::{Dataset as _, FieldDataset};
use faknow_metrics::{ClassificationReport, Evaluation, Metrics, Predictions};
use faknow_report::{
    BestEpoch, MISTAKES, PredictionTable, Run, RunSummary, SUMMARY, TEST_PREDICTIONS, VALID_PREDICTIONS,
};
use faknow_trainer::{FitReport, Interrupt, Trainer, evaluate_until};
use tch::Device;

use crate::config::{Config, decision as decision_config};
use crate::data::corpus::Corpus;
use crate::detector::evaluation::{decide, in_order};
use crate::detector::files::LIBTORCH;
use crate::files::{report_error, write_json, write_text_atomically};
use crate::models::BoxedModel;
use crate::train::Outcome;
use crate::train::job::InputLoader;
use crate::train::mistakes::most_confident_mistakes;
use crate::{Error, Result};

/// File of the HTML report.
pub(crate) const REPORT: &str = "report.html";

/// An evaluation with the final decisions, and the rows of its samples.
type Decided = (Evaluation, ClassificationReport, Vec<usize>);

/// A run after training.
pub(crate) struct Finish<'a> {
    pub(crate) config: &'a Config,
    pub(crate) corpus: &'a Corpus,
    /// Summary of the data, one entry per line.
    pub(crate) data: Vec<String>,
    pub(crate) run: &'a Path,
    pub(crate) interrupt: &'a Interrupt,
}

impl Finish<'_> {
    /// Calibrates scores, tests the detector, and writes the results into the run directory. If it is interrupted before the
    /// test is done, it returns that error, else the results so far.
    pub(crate) fn run(
        self,
        trainer: &mut Trainer<BoxedModel>,
        fit: FitReport,
        valid: Option<InputLoader>,
        test: Option<InputLoader>,
    ) -> Result<Outcome> {
        let Self { config, corpus, run, interrupt, .. } = self;
        let device = trainer.run().vars.device();
        // Validates the final weights, since validation during training was with those of each epoch.
        let valid = valid
            .map(|loader| {
                let evaluation =
                    evaluate_until(trainer.model(), &loader, &Metrics::empty(), device, interrupt)?;
                in_order(evaluation, &loader)
            })
            .transpose()?;
        let calibrated = decision_config::calibrate(
            &config.decision,
            valid.as_ref().map(|(valid, _)| &valid.predictions),
        )?;
        decision_config::save(run, &calibrated)?;
        interrupt.check()?;
        let test = test.map(|loader| in_order(trainer.test(&loader)?, &loader)).transpose()?;
        let save = |part: Option<(Evaluation, Vec<usize>)>, data: Option<&FieldDataset>, file: &str| {
            let Some(((evaluation, rows), data)) = part.zip(data) else { return Ok(None) };
            let (decided, report) = decide(evaluation.clone(), &calibrated.decision, corpus.classes.names())?;
            // The file has the uncalibrated scores and the final predictions.
            let predictions =
                evaluation.predictions.with_predicted(decided.predictions.predicted().to_vec())?;
            prediction_table(predictions, &rows, data, corpus)
                .write(&run.join(file))
                .map_err(report_error)?;
            Ok::<_, Error>(Some((decided, report, rows)))
        };
        let valid = save(valid, corpus.valid.as_ref(), VALID_PREDICTIONS)?;
        let test = save(test, corpus.test.as_ref(), TEST_PREDICTIONS)?;
        let outcome = |fit, valid: Option<Decided>, test: Option<Decided>| {
            let without_rows = |(evaluation, report, _)| (evaluation, report);
            let (valid, test) = (valid.map(without_rows), test.map(without_rows));
            Ok(Outcome { run: run.to_path_buf(), fit, valid, test, is_interrupted: interrupt.is_requested() })
        };
        if interrupt.is_requested() {
            return outcome(fit, valid, test);
        }
        if let (Some((evaluation, _, rows)), Some(data)) = (&test, &corpus.test) {
            let predictions = &evaluation.predictions;
            let mistakes = most_confident_mistakes(trainer.model(), data, rows, corpus, predictions, device)?;
            write_json(&run.join(MISTAKES), &mistakes)?;
        }
        let parameters =
            faknow_model::summary(&trainer.run().vars).with_optimizer(config.optimizer.n_slots());
        let summary = RunSummary {
            model: config.model.name.clone(),
            classes: corpus.classes.names().to_vec(),
            seed: config.seed,
            ended: fit.stop_reason.to_string(),
            n_epochs: fit.history.epochs.len(),
            best: fit.best.as_ref().map(|best| BestEpoch {
                epoch: best.epoch,
                monitor: best.monitor.clone(),
                value: best.value,
            }),
            seconds: fit.history.epochs.iter().map(|epoch| epoch.train_seconds + epoch.valid_seconds).sum(),
            n_weights: parameters.n_weights(),
            n_trainable: parameters.n_trainable(),
            parameters: parameters.to_string(),
            environment: environment(device),
            data: self.data,
            profile: fit
                .profile
                .phases()
                .iter()
                .map(|(name, seconds)| ((*name).to_owned(), *seconds))
                .collect(),
        };
        write_json(&run.join(SUMMARY), &summary)?;
        write_report(run)?;
        outcome(fit, valid, test)
    }
}

/// Writes the HTML report of a run into its directory.
fn write_report(run: &Path) -> Result<()> {
    let report = Run::read(run).map_err(report_error)?;
    write_text_atomically(&run.join(REPORT), &faknow_report::render(&[report]).map_err(report_error)?)
}

/// Returns the predictions of the samples `rows` with their lengths and domains.
fn prediction_table(
    predictions: Predictions,
    rows: &[usize],
    data: &FieldDataset,
    corpus: &Corpus,
) -> PredictionTable {
    let name = |row| data.domain(row).and_then(|domain| data.domains().get(domain)).cloned();
    let domains = match data.domains() {
        [] => Vec::new(),
        _ => rows.iter().map(|&row| name(row).unwrap_or_default()).collect(),
    };
    let lengths = rows.iter().map(|&row| data.length(row)).collect();
    PredictionTable {
        predictions,
        classes: corpus.classes.names().to_vec(),
        rows: rows.to_vec(),
        lengths,
        domains,
    }
}

/// Returns versions and properties of the machine.
fn environment(device: Device) -> Vec<(String, String)> {
    let cpu = || {
        let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let facts = [
        ("faknow", env!("CARGO_PKG_VERSION").to_owned()),
        ("libtorch", LIBTORCH.to_owned()),
        ("system", format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
        ("CPU", format!("{}, {cores} cores", cpu().unwrap_or_else(|| "unknown".into()))),
        ("device", format!("{device:?}")),
        ("libtorch threads", tch::get_num_threads().to_string()),
    ];
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
