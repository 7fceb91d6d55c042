//! Training of a detector from a config.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use faknow_callbacks::{Freeze, StopReason};
use faknow_data::text::load_vectors;
use faknow_data::{DataLoader, Dataset, FieldBatch, FieldDataset, Loader};
use faknow_metrics::{Direction, Metrics};
use faknow_model::weights;
use faknow_report::Baseline;
use faknow_trainer::checkpoint::read_weights_file;
use faknow_trainer::schedule::TrainingLength;
use faknow_trainer::{
    FitReport, Interrupt, NonFinitePolicy, Resume, RunDir, Trainer, let_threads_sleep, with_model_seed,
};
use tch::Tensor;
use tch::nn::VarStore;
use tracing::subscriber::{NoSubscriber, with_default};

use crate::config::Config;
use crate::config::dotted::by_dotted_name;
use crate::data::corpus::{Corpus, CorpusSummary, TestRecords, eval_loader, train_loader};
use crate::data::encoders::FieldEncoders;
use crate::detector::DetectorEvaluation;
use crate::detector::files::save_inputs;
use crate::models::{Auxiliary, BoxedModel, BoxedStep, LayerTraining};
use crate::train::RunContext;
use crate::train::early_stopping::early_stopping;
use crate::train::features::Features;
use crate::train::finish::Finish;
use crate::train::layers::{freeze_rules, with_layers};
use crate::train::no_effect::NoEffectWarnings;
use crate::train::pretraining::pretrain;
use crate::train::summaries::{Assumptions, DataSummary, ModelSummary, describe_vectors};
use crate::train::trainer_builder::builder;
use crate::train::training_step::training_step;
use crate::{Error, Result};

/// The result of training.
#[derive(Debug)]
pub struct Outcome {
    /// The run directory.
    pub run: PathBuf,
    /// Stop reason, best epoch, history.
    pub fit: FitReport,
    /// Results of the detector on the validation data, if there is any.
    pub valid: Option<DetectorEvaluation>,
    /// Results of the detector on the test data, if there is any.
    pub test: Option<DetectorEvaluation>,
    /// Comparison of the detector with the model `linear`, if one was trained (setting `baseline`).
    pub baseline: Option<Baseline>,
    /// Whether the training or the steps after it (calibration, test, report) were interrupted.
    pub is_interrupted: bool,
}

impl Outcome {
    /// Returns the result of a run that was interrupted before it was tested.
    fn interrupted(run: PathBuf, fit: FitReport) -> Self {
        Self { run, fit, valid: None, test: None, baseline: None, is_interrupted: true }
    }
}

/// Trains and tests the detector of `config`, and saves it in the directory that `run_dir` creates.
///
/// The directory is created after the config and all data have been checked. In addition to the files of the trainer, it
/// contains vocabulary, tokenizer, classes and a report. An interrupted run (see [`RunContext`]) has no report, and no test
/// if it was interrupted before; [`resume`](crate::train::resume) continues it.
///
/// # Errors
/// The config or a data file is invalid, or training fails; see [`Error::is_input`].
pub fn train(
    config: &Config,
    run_dir: impl FnOnce() -> faknow_trainer::Result<RunDir>,
    context: impl Into<RunContext>,
) -> Result<Outcome> {
    Job::prepare(config, None)?.start(run_dir, context.into())
}

/// A checked config with its data and model, ready to train.
pub(crate) struct Job {
    /// The config with all hyperparameters of the model.
    pub(crate) config: Config,
    pub(crate) corpus: Corpus,
    model: BoxedModel,
    vars: VarStore,
    /// How layers of the model are trained that differ from the others.
    layers: Vec<LayerTraining>,
    /// The optimizer of a part of the model with a separate loss.
    auxiliary: Option<Auxiliary>,
    metrics: Metrics,
    summary: CorpusSummary,
    assumptions: Vec<String>,
}

impl Job {
    /// Checks the config, reads the data, and builds the model; `encoders` are those of a resumed run, whose weights are
    /// restored later.
    pub(crate) fn prepare(config: &Config, encoders: Option<FieldEncoders>) -> Result<Self> {
        Self::with_test_records(config, encoders, TestRecords::Include)
    }

    /// Prepares a job as [`prepare`](Self::prepare) does, with or without test records.
    pub(crate) fn with_test_records(
        config: &Config,
        encoders: Option<FieldEncoders>,
        test_records: TestRecords,
    ) -> Result<Self> {
        config.validate()?;
        let is_resumed = encoders.is_some();
        // Reads the file first, to report errors before the data is read.
        let weights_file = config.model.weights.clone().filter(|_| !is_resumed);
        let initial_weights = weights_file.as_deref().map(read_weights).transpose()?;
        let (mut config, assumptions) = match is_resumed {
            true => (config.clone(), Vec::new()),
            false => config.recognize_and_log()?,
        };
        let mut configured = config.configured_model()?;
        config.validate()?;
        let metrics = config.metrics()?;
        let device = config.device()?;
        if config.threads > 0 {
            tch::set_num_threads(i32::try_from(config.threads).unwrap_or(i32::MAX));
        }
        let_threads_sleep();
        let mut corpus = Corpus::load(&config, &configured.fields(), encoders, test_records)?;
        let n_all = corpus.train.n_samples();
        if let Some(share) = configured.lsh_share() {
            corpus.select_training(share, config.seed)?;
        }
        let mut summary = corpus.summary()?;
        if corpus.train.n_samples() < n_all {
            summary
                .lines
                .push(format!("training samples: selected by hashing from {n_all} (`model.lsh_share`)"));
        }
        let vectors = match (&config.text.vectors, &corpus.encoders.words) {
            (Some(path), Some(words)) if !is_resumed => {
                let vectors = load_vectors(path, &words.vocab, None, config.seed)?;
                if !configured.use_word_vectors(vectors.dim as i64) {
                    let name = &config.model.name;
                    let message = format!(
                        "model `{name}` does not support pretrained word vectors; remove this setting"
                    );
                    return Err(Error::config("text.vectors", message));
                }
                summary.lines.push(describe_vectors(&vectors, words.vocab.len()));
                Some(vectors.to_tensor()?)
            }
            _ => None,
        };
        config.model.hyperparameters = configured.to_table();
        // Built before the directory is created, since building the model checks its settings.
        let vars = VarStore::new(device);
        let pretrained = corpus.encoders.pretrained()?;
        let shape = corpus.shape(vectors.as_ref(), &pretrained);
        let model = with_model_seed(config.seed, || configured.build(&vars.root(), &shape))?;
        let (layers, auxiliary) = (configured.layers(&shape), configured.auxiliary(&shape));
        Freeze::new(config.freeze.clone()).check(&vars).map_err(|e| Error::from_trainer(e.into()))?;
        if let Some((path, tensors)) = initial_weights {
            let report = weights::restore_partial(&vars, &tensors, path).map_err(weights_error)?;
            summary.lines.extend(
                format!("initial weights from {}: {report}", path.display()).lines().map(str::to_owned),
            );
        }
        let job = Self { config, corpus, model, vars, layers, auxiliary, metrics, summary, assumptions };
        job.check_schedule()?;
        job.step()?;
        Ok(job)
    }

    /// Trains from scratch, in the directory that `run_dir` creates.
    pub(crate) fn start(
        self,
        run_dir: impl FnOnce() -> faknow_trainer::Result<RunDir>,
        context: RunContext,
    ) -> Result<Outcome> {
        // From here on, there is a run to resume.
        let _guard = context.interrupt.install();
        let run_dir = run_dir()?;
        let corpus = &self.corpus;
        let fields = self.config.configured_model()?.fields();
        save_inputs(run_dir.path(), &self.config, &fields, &corpus.encoders, &corpus.classes)?;
        self.run(run_dir, context, None)
    }

    /// Trains from scratch or from a checkpoint, tests, and writes the report.
    pub(crate) fn run(self, run_dir: RunDir, context: RunContext, from: Option<&Resume>) -> Result<Outcome> {
        let run = run_dir.path().to_path_buf();
        if !Resume::has_checkpoint(&run) {
            let Self { config, corpus, vars, .. } = &self;
            if let Some(fit) = pretrain(config, corpus, vars, &run, &context.interrupt, from)? {
                return Ok(Outcome::interrupted(run, fit));
            }
        }
        let interrupt = &context.interrupt;
        let dir = context.features.as_deref().unwrap_or(&run);
        let features = match self.features(dir, interrupt) {
            Ok(features) => features,
            Err(Error::Trainer(faknow_trainer::Error::Interrupted)) => {
                return Ok(Outcome::interrupted(run.clone(), FitReport::not_started(run)));
            }
            Err(error) => return Err(error.of_run(&run)),
        };
        let (train, valid, test) = self.loaders(&features)?;
        let step = self.step()?;
        let steps_per_epoch = self.steps_per_epoch(&train);
        let size = (train.n_samples(), steps_per_epoch);
        let has_evaluation = (valid.is_some(), test.is_some());
        let no_effect = NoEffectWarnings::new(&self.config, size, has_evaluation)?;
        let Self { config, corpus, model, vars, layers, metrics, summary, assumptions, .. } = self;
        // Also in the report.
        let lines = [assumptions.clone(), summary.all_lines()].concat();
        let (monitor, stopping_monitor) = config.monitors()?;
        let mut builder = builder(&with_layers(&config, &layers), model, vars, metrics, step)?
            .callback(Assumptions(assumptions))
            .callback(DataSummary(summary))
            .callback(no_effect)
            .run_dir(run_dir)
            .interrupt(context.interrupt.clone())
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
        let freeze = freeze_rules(&config.freeze, &layers);
        if !freeze.is_empty() {
            builder = builder.callback(Freeze::new(freeze));
        }
        if valid.is_some() {
            builder = builder.monitor(monitor);
            if config.early_stopping.enabled {
                builder = builder.callback(early_stopping(&config.early_stopping, stopping_monitor));
            }
        }
        // Added after the callback that freezes weights, to show which weights are trainable.
        let model_summary = ModelSummary { n_optimizer_tensors: config.optimizer.n_slots() };
        let mut trainer = builder
            .callback(model_summary)
            .callbacks(context.callbacks)
            .build()
            .map_err(Error::from_trainer)?;
        let valid_loader = valid.as_ref().map(|loader| loader as &dyn Loader<FieldBatch>);
        let fit = match from {
            None => trainer.fit(&train, valid_loader),
            Some(from) => trainer.resume_from(from, &train, valid_loader),
        };
        // A log that could not be written at the end does not affect the results.
        let (fit, failure) = match (fit.map_err(Error::from_trainer), trainer.take_unreported_fit()) {
            (Ok(fit), _) => (fit, None),
            (Err(error), Some(fit)) => (fit, Some(error)),
            (Err(error), None) => return Err(error.of_run(&run)),
        };
        if fit.stop_reason == StopReason::Interrupted {
            return failure
                .map_or_else(|| Ok(Outcome::interrupted(run.clone(), fit)), |e| Err(e.of_run(&run)));
        }
        let interrupt = &context.interrupt;
        let finish = Finish { config: &config, corpus: &corpus, data: lines, run: &run, interrupt };
        match finish.run(&mut trainer, fit.clone(), valid, test, failure) {
            Err(Error::Trainer(faknow_trainer::Error::Interrupted)) => Ok(Outcome::interrupted(run, fit)),
            outcome => outcome,
        }
    }

    /// Returns the output of an encoder that is not trained for all texts, in `text.cache` or else in `dir`.
    fn features(&self, dir: &Path, interrupt: &Interrupt) -> Result<Features> {
        let Corpus { train, valid, test, encoders, .. } = &self.corpus;
        let parts: Vec<&FieldDataset> =
            [Some(train), valid.as_ref(), test.as_ref()].into_iter().flatten().collect();
        Features::compute(&self.config, encoders, &parts, dir, self.vars.device(), interrupt)
    }

    /// Returns a trainer that writes no files, except to `text.cache`, and the training batches, for tools before a run.
    pub(crate) fn into_trial(self) -> Result<(Trainer<BoxedModel>, InputLoader)> {
        let Corpus { train, encoders, .. } = &self.corpus;
        // Its files are mapped into memory, and thus readable after it is removed.
        let dir = tempfile::tempdir().map_err(|error| Error::io(std::env::temp_dir(), error))?;
        let (device, interrupt) = (self.vars.device(), Interrupt::default());
        let features = Features::compute(&self.config, encoders, &[train], dir.path(), device, &interrupt)?;
        let train = train_loader(features.of(train.clone())?, &self.config)?;
        // Without a run directory there are no checkpoints to roll back to.
        let step = self.step()?;
        let config = with_layers(&self.config, &self.layers);
        let builder =
            builder(&config, self.model, self.vars, self.metrics, step)?.on_non_finite(NonFinitePolicy::Stop);
        Ok((builder.build().map_err(Error::from_trainer)?, train))
    }

    /// Returns the parameters of the model, with the memory of the config's optimizer.
    pub(crate) fn model_summary(&self) -> faknow_model::Summary {
        faknow_model::summary(&self.vars).with_optimizer(self.config.optimizer.n_slots())
    }

    /// Returns the loaders of training, validation and test data, with the features of their texts.
    fn loaders(
        &self,
        features: &Features,
    ) -> Result<(InputLoader, Option<InputLoader>, Option<InputLoader>)> {
        let Self { config, corpus, .. } = self;
        let eval = |data: &Option<FieldDataset>| {
            data.clone().map(|data| eval_loader(features.of(data)?, &config.loader)).transpose()
        };
        let train = train_loader(features.of(corpus.train.clone())?, config)?;
        Ok((train, eval(&corpus.valid)?, eval(&corpus.test)?))
    }

    /// Returns the training step.
    fn step(&self) -> Result<BoxedStep> {
        training_step(&self.config, &self.vars, self.auxiliary.as_ref(), &self.corpus.train)
    }

    /// Returns the number of updates per epoch.
    fn steps_per_epoch(&self, train: &InputLoader) -> usize {
        let trainer = &self.config.trainer;
        let limits = [trainer.limit_batches, trainer.overfit_batches];
        let n_batches = limits.into_iter().flatten().fold(train.n_batches(), usize::min);
        n_batches.div_ceil(trainer.accumulate)
    }

    /// Checks the batches and the schedule, which depend on the number of samples.
    fn check_schedule(&self) -> Result<()> {
        let config = &self.config;
        let (train, valid, _) = self.loaders(&Features::none())?;
        let Some(schedule) = &config.schedule else { return Ok(()) };
        let (monitor, _) = config.monitors()?;
        let direction = self.metrics.directions().into_iter().find(|(name, _)| *name == monitor);
        let direction = direction.map_or(Direction::Minimize, |(_, direction)| direction);
        let length = TrainingLength {
            steps_per_epoch: self.steps_per_epoch(&train),
            max_epochs: config.trainer.epochs,
            max_steps: config.trainer.max_steps,
            monitor_direction: valid.map(|_| direction),
        };
        // Without logging, since the trainer builds the schedule again and logs its warnings.
        let schedule =
            with_default(NoSubscriber::new(), || schedule.build(&[config.optimizer.lr()], &length));
        schedule.map(drop).map_err(|e| Error::config("schedule", e.to_string()))
    }
}

/// Reads a file of weights.
fn read_weights(path: &Path) -> Result<(&Path, BTreeMap<String, Tensor>)> {
    // Those of a checkpoint have a checksum.
    let verified = read_weights_file(path).map_err(|e| Error::config("model.weights", e.to_string()))?;
    let tensors = verified.map_or_else(|| weights::read(path).map_err(weights_error), Ok)?;
    Ok((path, tensors))
}

fn weights_error(error: faknow_model::Error) -> Error {
    Error::config("model.weights", error.to_string())
}

/// A loader of batches of samples.
pub(crate) type InputLoader = DataLoader<FieldDataset>;
