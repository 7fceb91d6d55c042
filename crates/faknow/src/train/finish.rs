//! The steps after training: calibration, test, and the report in the run directory.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use faknow_data::common::write_atomically;
use faknow_data::{Dataset as _, FieldDataset};
use faknow_metrics::{Decision, Evaluation, Metrics, Predictions};
use faknow_report::{
    BASELINE, Baseline, BaselinePart, BestEpoch, CALIBRATION, Calibrated, HISTORY, MISTAKES, PredictionTable,
    Run, RunSummary, SUMMARY, TEST_PREDICTIONS, VALID_PREDICTIONS,
};
use faknow_trainer::{FitReport, Interrupt, Trainer, evaluate_until};
use tch::Device;

use crate::config::{Config, decision as decision_config};
use crate::data::corpus::Corpus;
use crate::detector::DetectorEvaluation;
use crate::detector::domains::{domains_of, inputs_of};
use crate::detector::evaluation::{EvaluatedSamples, decide, in_order};
use crate::detector::files::LIBTORCH;
use crate::files::{record_checksums, remove_if_present, report_error, write_json, write_text_atomically};
use crate::models::BoxedModel;
use crate::train::Outcome;
use crate::train::baseline;
use crate::train::job::InputLoader;
use crate::train::mistakes::most_confident_mistakes;
use crate::{Error, Result};

/// File of the HTML report.
pub(crate) const REPORT: &str = "report.html";

/// Files whose checksums are recorded at the end of a run: its results, and the history, which has grown until then.
const RESULTS: [&str; 7] =
    [CALIBRATION, VALID_PREDICTIONS, TEST_PREDICTIONS, MISTAKES, SUMMARY, BASELINE, HISTORY];

/// A run after training.
pub(crate) struct Finish<'a> {
    pub(crate) config: &'a Config,
    pub(crate) corpus: &'a Corpus,
    /// Summary of the data, one entry per line.
    pub(crate) data: Vec<String>,
    pub(crate) run: &'a Path,
    pub(crate) interrupt: &'a Interrupt,
}

/// The evaluation of a part of the data: of the model, and of the detector, which calibrates and decides.
struct Part<'a> {
    of_model: Evaluation,
    decided: DetectorEvaluation,
    /// Indices of the evaluated samples.
    rows: Vec<usize>,
    data: &'a FieldDataset,
    /// Which of text and image each has, of models that read images.
    inputs: Vec<Option<String>>,
}

impl Finish<'_> {
    /// Calibrates scores, tests the detector, and then writes the results into the run directory. If it is interrupted before
    /// the test is done, it returns that error, else the results. `failure` is an error after which the fit has ended
    /// nevertheless.
    ///
    /// # Errors
    /// The model fails. If only files cannot be written, the error contains the outcome.
    pub(crate) fn run(
        self,
        trainer: &mut Trainer<BoxedModel>,
        fit: FitReport,
        valid: Option<InputLoader>,
        test: Option<InputLoader>,
        mut failure: Option<Error>,
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
        interrupt.check()?;
        let test = test
            .map(|loader| {
                let evaluation = match (trainer.test(&loader), trainer.take_unreported_test()) {
                    (Ok(evaluation), _) => evaluation,
                    (Err(error), Some(evaluation)) => {
                        failure.get_or_insert(error.into());
                        evaluation
                    }
                    (Err(error), None) => return Err(error.into()),
                };
                in_order(evaluation, &loader)
            })
            .transpose()?;
        let decision = &calibrated.decision;
        let valid = decide_part(valid, corpus.valid.as_ref(), decision, corpus)?;
        let test = decide_part(test, corpus.test.as_ref(), decision, corpus)?;
        let mut baseline = None;
        let result = match failure {
            Some(error) => Err(error),
            None if interrupt.is_requested() => Ok(()),
            None => {
                let parts = [valid.as_ref(), test.as_ref()];
                let written = self.write(trainer, &fit, &calibrated, parts);
                written.and_then(|()| {
                    baseline = self.compare_with_baseline(parts);
                    self.write_report(baseline.as_ref())
                })
            }
        };
        let decided = |part: Option<Part<'_>>| part.map(|part| part.decided);
        let (valid, test) = (decided(valid), decided(test));
        let is_interrupted = interrupt.is_requested();
        let outcome = Outcome { run: run.to_path_buf(), fit, valid, test, baseline, is_interrupted };
        match result {
            Ok(()) => Ok(outcome),
            Err(error) => {
                let (run, source, outcome) = (run.to_path_buf(), Box::new(error), Some(Box::new(outcome)));
                Err(Error::NotFinished { run, source, outcome })
            }
        }
    }

    /// Compares the detector with the baseline on the test samples, or else on the validation samples.
    fn compare_with_baseline(&self, [valid, test]: [Option<&Part<'_>>; 2]) -> Option<Baseline> {
        let (part, evaluated) = match (test, valid) {
            (Some(test), _) => (BaselinePart::Test, test),
            (None, Some(valid)) => (BaselinePart::Valid, valid),
            (None, None) => return None,
        };
        let predictions = &evaluated.decided.evaluation.predictions;
        baseline::compare(self.config, (part, predictions), self.interrupt)
    }

    /// Writes the baseline, if there is one, and the report.
    fn write_report(&self, baseline: Option<&Baseline>) -> Result<()> {
        if let Some(baseline) = baseline {
            let path = self.run.join(BASELINE);
            record_checksums(self.run, &[BASELINE], || write_json(&path, baseline))?;
        }
        let report = Run::read(self.run).map_err(report_error)?;
        let report = faknow_report::render(&[report]).map_err(report_error)?;
        write_text_atomically(&self.run.join(REPORT), &report)
    }

    /// Writes the results with their checksums; the baseline of an earlier test is removed.
    fn write(
        &self,
        trainer: &Trainer<BoxedModel>,
        fit: &FitReport,
        calibrated: &Calibrated,
        [valid, test]: [Option<&Part<'_>>; 2],
    ) -> Result<()> {
        let Self { corpus, run, .. } = self;
        let device = trainer.run().vars.device();
        record_checksums(run, &RESULTS, || {
            let baseline = run.join(BASELINE);
            remove_if_present(&baseline).map_err(|error| Error::io(&baseline, error))?;
            decision_config::save(run, calibrated)?;
            for (part, name) in [(valid, VALID_PREDICTIONS), (test, TEST_PREDICTIONS)] {
                part.map_or(Ok(()), |part| part.write(&run.join(name), corpus))?;
            }
            if let Some(Part { decided: DetectorEvaluation { evaluation, .. }, rows, data, .. }) = test {
                let predictions = &evaluation.predictions;
                let mistakes =
                    most_confident_mistakes(trainer.model(), data, rows, corpus, predictions, device)?;
                write_json(&run.join(MISTAKES), &mistakes)?;
            }
            write_json(&run.join(SUMMARY), &self.summary(trainer, fit))
        })
    }

    fn summary(&self, trainer: &Trainer<BoxedModel>, fit: &FitReport) -> RunSummary {
        let Self { config, corpus, .. } = self;
        let parameters =
            faknow_model::summary(&trainer.run().vars).with_optimizer(config.optimizer.n_slots());
        RunSummary {
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
            environment: environment(trainer.run().vars.device()),
            data: self.data.clone(),
            profile: fit
                .profile
                .phases()
                .iter()
                .map(|(name, seconds)| ((*name).to_owned(), *seconds))
                .collect(),
        }
    }
}

impl Part<'_> {
    /// Writes the uncalibrated scores and the final predictions.
    fn write(&self, path: &Path, corpus: &Corpus) -> Result<()> {
        let predicted = self.decided.evaluation.predictions.predicted().to_vec();
        let predictions = self.of_model.predictions.clone().with_predicted(predicted)?;
        let io = |error| Error::io(path, error);
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(|error| Error::io(dir, error))?;
        }
        let table = prediction_table(predictions, (&self.rows, &self.inputs), self.data, corpus)
            .to_csv()
            .map_err(io)?;
        write_atomically(path, |file| file.write_all(&table)).map_err(io)
    }
}

/// Returns the evaluation of the detector on a part of the data from that of its model.
fn decide_part<'a>(
    part: Option<(Evaluation, Vec<usize>)>,
    data: Option<&'a FieldDataset>,
    decision: &Decision,
    corpus: &Corpus,
) -> Result<Option<Part<'a>>> {
    let Some(((of_model, rows), data)) = part.zip(data) else { return Ok(None) };
    let counts = corpus.encoders.token_counts(data)?;
    let (domains, inputs) = (domains_of(data, &rows), inputs_of(data, &counts, &rows));
    let samples = EvaluatedSamples { rows: &rows, domains: &domains, inputs: &inputs };
    let decided = decide(of_model.clone(), &samples, &counts, decision, corpus.classes.names())?;
    Ok(Some(Part { of_model, decided, rows, inputs, data }))
}

/// Returns the predictions of the samples `rows` with their lengths, domains and inputs.
fn prediction_table(
    predictions: Predictions,
    (rows, inputs): (&[usize], &[Option<String>]),
    data: &FieldDataset,
    corpus: &Corpus,
) -> PredictionTable {
    let name = |row| data.domain(row).and_then(|domain| data.domains().get(domain)).cloned();
    let domains = match data.domains() {
        [] => Vec::new(),
        _ => rows.iter().map(|&row| name(row).unwrap_or_default()).collect(),
    };
    let lengths = rows.iter().map(|&row| data.length(row)).collect();
    let inputs = inputs.iter().map(|inputs| inputs.clone().unwrap_or_default()).collect();
    PredictionTable {
        predictions,
        classes: corpus.classes.names().to_vec(),
        rows: rows.to_vec(),
        lengths,
        domains,
        inputs,
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
