//! A config becomes a trained, tested and saved detector.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use faknow_callbacks::{Callback, EarlyStopping, FitStart, Freeze, HookResult, Interval, Run, StopReason};
use faknow_data::text::load_vectors;
use faknow_data::{DataLoader, Dataset, FieldBatch, FieldDataset, Loader};
use faknow_metrics::{ClassificationReport, Direction, Evaluation, Metrics};
use faknow_model::{Model, weights};
use faknow_trainer::schedule::TrainingLength;
use faknow_trainer::{
    Adversarial, FitReport, NonFinitePolicy, Resume, RunDir, Supervised, Trainer, TrainerBuilder,
    let_threads_sleep, with_model_seed,
};
use tch::Tensor;
use tch::nn::VarStore;
use tracing::subscriber::{NoSubscriber, with_default};

use crate::config::dotted::by_dotted_name;
use crate::config::{Config, EarlyStoppingConfig, TrainerConfig};
use crate::data::corpus::{Corpus, TestRecords, eval_loader, train_loader};
use crate::data::encoders::FieldEncoders;
use crate::detector::files::save_inputs;
use crate::models::{BoxedModel, BoxedStep};
use crate::train::RunContext;
use crate::train::finish::Finish;
use crate::train::pretraining::pretrain;
use crate::{Error, Result};

/// What training yields.
#[derive(Debug)]
pub struct Outcome {
    /// The run directory.
    pub run: PathBuf,
    /// Why training ended, the best epoch, all epochs.
    pub fit: FitReport,
    /// What the detector scores on the validation records, if there are any.
    pub valid: Option<(Evaluation, ClassificationReport)>,
    /// What it scores on the test records, if there are any.
    pub test: Option<(Evaluation, ClassificationReport)>,
}

/// Trains the detector that `config` describes, tests it, and saves it in the directory that `run_dir` makes.
///
/// The directory is made once the config and all data are known to be right. Besides what the trainer writes it gets
/// the vocabulary, the tokenizer, the classes and a report. A run that is interrupted (see [`RunContext`]) is neither
/// tested nor reported; [`resume`](crate::train::resume) continues it.
///
/// # Errors
/// The config or a file of records is wrong, or training fails; see [`Error::is_input`].
pub fn train(
    config: &Config,
    run_dir: impl FnOnce() -> faknow_trainer::Result<RunDir>,
    context: impl Into<RunContext>,
) -> Result<Outcome> {
    Job::prepare(config, None)?.begin(run_dir, context.into())
}

/// Everything that a run needs, checked and ready.
pub(crate) struct Job {
    /// With every hyperparameter of the model.
    pub(crate) config: Config,
    pub(crate) corpus: Corpus,
    model: BoxedModel,
    vars: VarStore,
    metrics: Metrics,
    summary: Vec<String>,
}

impl Job {
    /// Checks the config, reads all records, and builds the model; `encoders` are those of a run that is resumed, whose
    /// weights are yet to come.
    pub(crate) fn prepare(config: &Config, encoders: Option<FieldEncoders>) -> Result<Self> {
        Self::with_test_records(config, encoders, TestRecords::Used)
    }

    /// As [`prepare`](Self::prepare); test records that are held back are neither read nor tested on.
    pub(crate) fn with_test_records(
        config: &Config,
        encoders: Option<FieldEncoders>,
        test_records: TestRecords,
    ) -> Result<Self> {
        let mut config = config.clone();
        config.validate()?;
        let mut configured = config.configured_model()?;
        let metrics = config.metrics()?;
        let device = config.device()?;
        if config.threads > 0 {
            tch::set_num_threads(i32::try_from(config.threads).unwrap_or(i32::MAX));
        }
        let_threads_sleep();
        let is_resumed = encoders.is_some();
        // A wrong file should be known before the records are read.
        let first_weights =
            config.model.weights.as_deref().filter(|_| !is_resumed).map(read_weights).transpose()?;
        let corpus = Corpus::load(&config, &configured.fields(), encoders, test_records)?;
        let mut summary = corpus.summary()?;
        let vectors = match (&config.text.vectors, &corpus.encoders.words) {
            (Some(path), Some(words)) if !is_resumed => {
                let vectors = load_vectors(path, &words.vocab, None, config.seed)?;
                if !configured.use_word_vectors(vectors.tensor.size()[1]) {
                    let name = &config.model.name;
                    let message = format!("model `{name}` takes no pretrained word vectors: leave it out");
                    return Err(Error::config("text.vectors", message));
                }
                summary.push(format!(
                    "word vectors: {} of {} words found",
                    vectors.n_found,
                    words.vocab.len()
                ));
                Some(vectors)
            }
            _ => None,
        };
        config.model.hyperparameters = configured.to_table();
        // The model is built before the directory, since its settings may yet be wrong.
        let vars = VarStore::new(device);
        let shape = corpus.shape(vectors.as_ref().map(|vectors| &vectors.tensor));
        let model = with_model_seed(config.seed, || configured.build(&vars.root(), &shape))?;
        Freeze::new(config.freeze.clone()).check(&vars).map_err(|e| Error::named(e.into()))?;
        if let Some((path, tensors)) = first_weights {
            let report = weights::restore_partial(&vars, &tensors, path).map_err(wrong_weights)?;
            summary.extend(format!("weights of {}: {report}", path.display()).lines().map(str::to_owned));
        }
        let job = Self { config, corpus, model, vars, metrics, summary };
        job.check_plan()?;
        job.step()?;
        Ok(job)
    }

    /// Trains from the beginning, in the directory that `run_dir` makes.
    pub(crate) fn begin(
        self,
        run_dir: impl FnOnce() -> faknow_trainer::Result<RunDir>,
        context: RunContext,
    ) -> Result<Outcome> {
        let run_dir = run_dir()?;
        let corpus = &self.corpus;
        save_inputs(run_dir.path(), &self.config, &corpus.encoders, &corpus.classes)?;
        self.run(run_dir, context, None)
    }

    /// Trains, from the beginning or from a checkpoint, tests and reports.
    pub(crate) fn run(self, run_dir: RunDir, context: RunContext, from: Option<&Resume>) -> Result<Outcome> {
        let run = run_dir.path().to_path_buf();
        if !Resume::has_checkpoint(&run) {
            let Self { config, corpus, vars, .. } = &self;
            if let Some(fit) = pretrain(config, corpus, vars, &run, &context.interrupt, from)? {
                return Ok(Outcome { run, fit, valid: None, test: None });
            }
        }
        let (train, valid, test) = self.loaders()?;
        let step = self.step()?;
        let Self { config, corpus, model, vars, metrics, summary: lines } = self;
        let (monitor, stopping_monitor) = config.monitors()?;
        let mut builder = builder(&config, model, vars, metrics, step)?
            .callback(DataSummary(lines.clone()))
            .run_dir(run_dir)
            .interrupt(context.interrupt)
            .checkpoints(config.checkpoint.clone())
            .hyperparameters(by_dotted_name(&config));
        if let Some(epochs) = config.trainer.histograms_every {
            builder = builder.histograms_every(epochs);
        }
        if let Some(average) = config.average.clone() {
            builder = builder.average(average);
        }
        if let Some(schedule) = config.schedule.clone() {
            builder = builder.schedule(schedule);
        }
        if !config.freeze.is_empty() {
            builder = builder.callback(Freeze::new(config.freeze.clone()));
        }
        if valid.is_some() {
            builder = builder.monitor(monitor);
            if config.early_stopping.enabled {
                builder = builder.callback(early_stopping(&config.early_stopping, stopping_monitor));
            }
        }
        // Behind all that may freeze something, so that it shows what is trained.
        let model_summary = ModelSummary { n_optimizer_tensors: config.optimizer.n_slots() };
        let mut trainer =
            builder.callback(model_summary).callbacks(context.callbacks).build().map_err(Error::named)?;
        let to_validate = valid.as_ref().map(|loader| loader as &dyn Loader<FieldBatch>);
        let fit = match from {
            None => trainer.fit(&train, to_validate)?,
            Some(from) => trainer.resume_from(from, &train, to_validate)?,
        };
        if fit.stop_reason == StopReason::Interrupted {
            return Ok(Outcome { run, fit, valid: None, test: None });
        }
        Finish { config: &config, corpus: &corpus, data: lines, run: &run }.of(&mut trainer, fit, valid, test)
    }

    /// A trainer that writes nothing, and the training batches, for tools that try something before a run.
    pub(crate) fn into_trial(self) -> Result<(Trainer<BoxedModel>, InputLoader)> {
        let train = train_loader(self.corpus.train.clone(), &self.config)?;
        // Without a directory there is no checkpoint to roll back to.
        let step = self.step()?;
        let builder = builder(&self.config, self.model, self.vars, self.metrics, step)?
            .on_non_finite(NonFinitePolicy::Stop);
        Ok((builder.build().map_err(Error::named)?, train))
    }

    /// The parameters of the model, with the memory of the config's optimizer.
    pub(crate) fn model_summary(&self) -> faknow_model::Summary {
        faknow_model::summary(&self.vars).with_optimizer(self.config.optimizer.n_slots())
    }

    /// The loaders of training, validation and test.
    fn loaders(&self) -> Result<(InputLoader, Option<InputLoader>, Option<InputLoader>)> {
        let Self { config, corpus, .. } = self;
        let eval = |data: &Option<FieldDataset>| {
            data.clone().map(|data| eval_loader(data, &config.loader)).transpose()
        };
        Ok((train_loader(corpus.train.clone(), config)?, eval(&corpus.valid)?, eval(&corpus.test)?))
    }

    /// What is done with a training batch.
    fn step(&self) -> Result<BoxedStep> {
        let Some(step) = self.config.configured_model()?.step() else {
            let supervised = self.supervised()?;
            return Ok(match self.adversarial()? {
                Some(adversarial) => Box::new(adversarial.supervised(supervised)),
                None => Box::new(supervised),
            });
        };
        let settings =
            [("loss", self.config.loss.is_some()), ("adversarial", self.config.adversarial.is_some())];
        match settings.into_iter().find(|(_, is_set)| *is_set) {
            Some((key, _)) => {
                let message =
                    format!("model `{}` has its own training step: leave it out", self.config.model.name);
                Err(Error::config(key, message))
            }
            None => Ok(step),
        }
    }

    /// The training step with the config's loss; balanced class weights come from the training labels.
    fn supervised(&self) -> Result<Supervised> {
        let Some(loss) = self.config.loss.clone() else { return Ok(Supervised::default()) };
        let loss = loss.with_class_counts(&self.corpus.train.class_counts());
        loss.and_then(Supervised::new).map_err(|error| Error::in_table("loss", error))
    }

    /// The adversarial step, if there is to be one.
    fn adversarial(&self) -> Result<Option<Adversarial>> {
        let attack = self.config.adversarial.clone();
        attack.map(|attack| Adversarial::new(attack, &self.vars)).transpose().map_err(Error::named)
    }

    /// Checks the batches, and the schedule against the length of the run, which are only known with the data.
    fn check_plan(&self) -> Result<()> {
        let config = &self.config;
        let (train, valid, _) = self.loaders()?;
        let Some(schedule) = &config.schedule else { return Ok(()) };
        let limits = [config.trainer.limit_batches, config.trainer.overfit_batches];
        let n_batches = limits.into_iter().flatten().fold(train.n_batches(), usize::min);
        let (monitor, _) = config.monitors()?;
        let direction = self.metrics.directions().into_iter().find(|(name, _)| *name == monitor);
        let direction = direction.map_or(Direction::Minimize, |(_, direction)| direction);
        let plan = TrainingLength {
            steps_per_epoch: n_batches.div_ceil(config.trainer.accumulate),
            max_epochs: config.trainer.epochs,
            max_steps: config.trainer.max_steps,
            monitor_direction: valid.map(|_| direction),
        };
        // What it warns of is said when the trainer builds it.
        let built = with_default(NoSubscriber::new(), || schedule.build(&[config.optimizer.lr()], &plan));
        built.map(drop).map_err(|e| Error::config("schedule", e.to_string()))
    }
}

/// The tensors of a file of weights.
fn read_weights(path: &Path) -> Result<(&Path, BTreeMap<String, Tensor>)> {
    Ok((path, weights::read(path).map_err(wrong_weights)?))
}

fn wrong_weights(error: faknow_model::Error) -> Error {
    Error::config("model.weights", error.to_string())
}

pub(crate) type InputLoader = DataLoader<FieldDataset>;

/// What a trainer needs of the config to update the weights as a run does.
pub(crate) fn builder(
    config: &Config,
    model: BoxedModel,
    vars: VarStore,
    metrics: Metrics,
    step: BoxedStep,
) -> Result<TrainerBuilder<BoxedModel>> {
    let builder = Trainer::builder(model, vars)
        .optimizer(config.optimizer.clone())
        .metrics(metrics)
        .clip(config.clip()?)
        .seed(config.seed)
        .step(step);
    Ok(with_trainer_config(builder, &config.trainer))
}

/// The trainer's own settings.
fn with_trainer_config<M: Model>(
    mut builder: TrainerBuilder<M>,
    config: &TrainerConfig,
) -> TrainerBuilder<M> {
    builder = builder
        .max_epochs(config.epochs)
        .accumulate_grad_batches(config.accumulate)
        .on_non_finite(config.on_non_finite)
        .num_sanity_val_batches(config.sanity_batches)
        .train_metrics(config.train_metrics.clone())
        .restore_best(config.restore_best);
    let limits = [config.max_steps.map(Interval::steps), config.max_time];
    for limit in limits.into_iter().flatten() {
        builder = builder.stop_after(limit);
    }
    if let Some(every) = config.validate_every {
        builder = builder.validate_every(every);
    }
    if let Some(n) = config.limit_batches {
        builder = builder.limit_batches(n);
    }
    if let Some(n) = config.overfit_batches {
        builder = builder.overfit_batches(n);
    }
    if config.fast_dev_run { builder.fast_dev_run() } else { builder }
}

/// Logs what was read when the run begins, so that it stands in the run's own log too.
struct DataSummary(Vec<String>);

impl Callback for DataSummary {
    fn on_fit_start(&mut self, run: &mut Run) -> HookResult {
        if run.start() == FitStart::RolledBack {
            return Ok(());
        }
        self.0.iter().for_each(|line| tracing::info!("{line}"));
        Ok(())
    }
}

/// Writes the parameters of the model into the run's log; on a terminal the table would be too long.
struct ModelSummary {
    n_optimizer_tensors: usize,
}

impl Callback for ModelSummary {
    fn on_fit_start(&mut self, run: &mut Run) -> HookResult {
        if run.start() == FitStart::RolledBack {
            return Ok(());
        }
        let summary = faknow_model::summary(&run.vars).with_optimizer(self.n_optimizer_tensors);
        tracing::info!(target: faknow_callbacks::RUN_TARGET, "model:\n{summary}");
        Ok(())
    }
}

fn early_stopping(settings: &EarlyStoppingConfig, monitor: Option<String>) -> EarlyStopping {
    let mut stopping = EarlyStopping::new(settings.patience)
        .min_delta(settings.min_delta)
        .start_from_epoch(settings.start_from_epoch);
    if let Some(threshold) = settings.stopping_threshold {
        stopping = stopping.stopping_threshold(threshold);
    }
    if let Some(threshold) = settings.divergence_threshold {
        stopping = stopping.divergence_threshold(threshold);
    }
    match monitor {
        Some(name) => stopping.monitor(name),
        None => stopping,
    }
}
