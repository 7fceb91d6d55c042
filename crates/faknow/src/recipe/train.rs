//! A config becomes a trained, tested and saved detector.

use std::path::PathBuf;

use faknow_callbacks::{Callback, Callbacks, EarlyStopping, Run};
use faknow_data::Loader;
use faknow_data::text::load_vectors;
use faknow_metrics::{ClassificationReport, Direction, Evaluation, Metrics};
use faknow_trainer::schedule::Plan;
use faknow_trainer::{FitReport, RunDir, Trainer, evaluate, seed_model};
use serde_json::{Map, Value};
use tch::nn::VarStore;
use tracing::subscriber::{NoSubscriber, with_default};

use super::corpus::{Corpus, eval_loader, train_loader};
use super::detector::{save_inputs, write};
use super::models::{TextModelConfig, TextSizes};
use super::{Config, EarlyStoppingConfig, report};
use crate::{Error, Result};

/// What training yields.
#[derive(Debug)]
pub struct Outcome {
    /// The run folder.
    pub run: PathBuf,
    /// Why training ended, the best epoch, all epochs.
    pub fit: FitReport,
    /// What the detector scores on the validation records, if there are any.
    pub valid: Option<(Evaluation, ClassificationReport)>,
    /// What it scores on the test records, if there are any.
    pub test: Option<(Evaluation, ClassificationReport)>,
}

/// Trains the detector that `config` describes, tests it, and saves it in the folder that `run_dir` makes.
///
/// The folder is made once the config and all data are known to be right. Besides what the trainer writes it gets
/// the vocabulary, the tokenizer, the classes and a report.
///
/// # Errors
/// The config or a file of records is wrong, or training fails; see [`Error::is_input`].
pub fn train(
    config: &Config,
    run_dir: impl FnOnce() -> faknow_trainer::Result<RunDir>,
    callbacks: Callbacks,
) -> Result<Outcome> {
    let mut config = config.clone();
    config.validate()?;
    let mut model_config = TextModelConfig::new(&config.model)?;
    let metrics = config.metrics()?;
    let (monitor, stopping_monitor) = config.monitors()?;
    let device = config.device()?;
    if config.threads > 0 {
        tch::set_num_threads(i32::try_from(config.threads).unwrap_or(i32::MAX));
    }

    let corpus = Corpus::load(&config, model_config.margin())?;
    let vectors = match &config.text.vectors {
        Some(path) => {
            let vectors = load_vectors(path, &corpus.vocab, None, config.seed)?;
            model_config.set_embedding_size(vectors.tensor.size()[1]);
            Some(vectors)
        }
        None => None,
    };
    config.model.hyperparameters = model_config.to_table();
    // The model is built before the folder, since its settings may yet be wrong.
    seed_model(config.seed);
    let vars = VarStore::new(device);
    let sizes = TextSizes {
        vocab_size: corpus.vocab.len(),
        n_classes: corpus.classes.len(),
        vectors: vectors.as_ref().map(|v| &v.tensor),
    };
    let model = model_config.build(&vars.root(), &sizes)?;
    let train = train_loader(corpus.train.clone(), &config)?;
    let valid = corpus.valid.clone().map(|data| eval_loader(data, &config.loader)).transpose()?;
    let test = corpus.test.clone().map(|data| eval_loader(data, &config.loader)).transpose()?;

    let direction = metrics.directions().into_iter().find(|(name, _)| *name == monitor);
    let direction = direction.map_or(Direction::Minimize, |(_, direction)| direction);
    check_schedule(&config, train.n_batches(), valid.as_ref().map(|_| direction))?;

    let run_dir = run_dir()?;
    let run = run_dir.path().to_path_buf();
    save_inputs(&run, &config, &corpus.tokenizer, &corpus.vocab, &corpus.classes)?;
    let mut summary = corpus.summary();
    if let Some(vectors) = &vectors {
        summary.push(format!("word vectors: {} of {} words found", vectors.found, corpus.vocab.len()));
    }

    let mut builder = Trainer::builder(model, vars)
        .callback(DataSummary(summary))
        .optimizer(config.optimizer.clone())
        .metrics(metrics)
        .max_epochs(config.trainer.epochs)
        .clip(config.clip()?)
        .restore_best(config.trainer.restore_best)
        .seed(config.seed)
        .device(device)
        .run_dir(run_dir)
        .hyperparameters(flat(&config));
    if let Some(schedule) = config.schedule.clone() {
        builder = builder.schedule(schedule);
    }
    if valid.is_some() {
        builder = builder.monitor(monitor);
        if config.early_stopping.enabled {
            builder = builder.callback(early_stopping(&config.early_stopping, stopping_monitor));
        }
    }
    let mut trainer = builder.callback(callbacks).build()?;
    let fit = trainer.fit(&train, valid.as_ref().map(|v| v as _))?;
    let report = |evaluation: Evaluation| -> Result<_> {
        let report = ClassificationReport::new(&evaluation.predictions, corpus.classes.names())?;
        Ok((evaluation, report))
    };
    // Validation saw the weights of many epochs: this is what those that the detector ends with score.
    let valid = valid
        .map(|loader| report(evaluate(trainer.model(), &loader, &Metrics::empty(), device)?))
        .transpose()?;
    let test = test.map(|loader| report(trainer.test(&loader)?)).transpose()?;
    let outcome = Outcome { run, fit, valid, test };
    write(&outcome.run.join("report.md"), &report::markdown(&config, &outcome))?;
    Ok(outcome)
}

/// Logs what was read when the run begins, so that it stands in the run's own log too.
struct DataSummary(Vec<String>);

impl Callback for DataSummary {
    fn on_fit_start(&mut self, _: &mut Run) -> faknow_callbacks::Result<()> {
        self.0.iter().for_each(|line| tracing::info!("{line}"));
        Ok(())
    }
}

fn early_stopping(settings: &EarlyStoppingConfig, monitor: Option<String>) -> EarlyStopping {
    let stopping = EarlyStopping::new(settings.patience).min_delta(settings.min_delta);
    match monitor {
        Some(name) => stopping.monitor(name),
        None => stopping,
    }
}

/// Checks the schedule's settings against the length of the run, which is only known with the data.
fn check_schedule(config: &Config, steps_per_epoch: usize, monitor: Option<Direction>) -> Result<()> {
    let Some(schedule) = &config.schedule else { return Ok(()) };
    let plan = Plan { steps_per_epoch, max_epochs: config.trainer.epochs, monitor_direction: monitor };
    // What it warns of is said when the trainer builds it.
    let built = with_default(NoSubscriber::new(), || schedule.build(&[config.optimizer.lr()], &plan));
    built.map(drop).map_err(|e| Error::config("schedule", e.to_string()))
}

/// The config by dotted names.
fn flat(config: &Config) -> Map<String, Value> {
    fn add(prefix: &str, value: Value, all: &mut Map<String, Value>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
                    add(&name, value, all);
                }
            }
            value => drop(all.insert(prefix.to_owned(), value)),
        }
    }
    let mut all = Map::new();
    add("", serde_json::to_value(config).unwrap_or_default(), &mut all);
    all
}
