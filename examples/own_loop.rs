//! A custom training loop made of the trainer's public parts, with bit-identical results.
//!
//! Use the optimizer, evaluation, callbacks and run state directly when `Trainer::fit` is not flexible enough.
//!
//! `cargo run -p faknow-examples --bin own_loop`

use anyhow::{Context as _, ensure};
use faknow::callbacks::{BatchEnd, Best, BestTracker, RunOwner};
use faknow::data::synth::{SynthOptions, records};
use faknow::metrics::History;
use faknow::model::layers::with_sparse_gradients;
use faknow::model::weights;
use faknow::prelude::*;
use faknow::trainer::{GradNorms, LossSums, evaluate, seed_step};

const SEED: u64 = 1;
const MAX_EPOCHS: usize = 12;

/// Data and hyperparameters of both loops.
struct Experiment {
    train: DataLoader<FieldDataset>,
    valid: DataLoader<FieldDataset>,
    config: TextCnnConfig,
    vocab_size: usize,
    optimizer: OptimizerConfig,
    clip: Clip,
}

impl Experiment {
    fn new() -> anyhow::Result<Self> {
        let posts = |n_samples, seed| records(&SynthOptions { n_samples, seed, ..SynthOptions::default() });
        let tokenizer = Tokenizer::new(TokenizerConfig::default())?;
        let (train, vocab) = FieldDataset::build(posts(300, 1)?, &tokenizer, &VocabOptions::default())?;
        let valid = FieldDataset::from_records(posts(200, 2)?, &tokenizer, &vocab, &[])?;
        let config = TextCnnConfig { embedding_size: 16, n_filters: 8, ..TextCnnConfig::default() };
        Ok(Self {
            train: DataLoader::builder(train.with_extra_padding(config.extra_padding()))
                .batch_size(20)
                .shuffle(SEED)
                .build()?,
            valid: DataLoader::builder(valid.with_extra_padding(config.extra_padding()))
                .batch_size(100)
                .build()?,
            config,
            vocab_size: vocab.len(),
            optimizer: OptimizerConfig::adam(5e-3).into(),
            clip: Clip::Norm(1.0),
        })
    }

    fn model(&self) -> anyhow::Result<(TextCnn, nn::VarStore)> {
        Ok(seeded_model(SEED, Device::Cpu, |path| TextCnn::new(path, &self.config, self.vocab_size, 2))?)
    }
}

/// The results that must be equal: stop reason, history and best weights.
type Results = (StopReason, History, nn::VarStore);

/// Trains with the custom loop.
fn custom_loop(experiment: &Experiment) -> anyhow::Result<Results> {
    let (model, vars) = experiment.model()?;
    let mut optimizer = Optimizer::new(&experiment.optimizer, &vars, experiment.clip)?;
    let metrics = Metrics::default();
    let monitor = Monitor::max("accuracy");
    let mut callbacks = Callbacks::default();
    callbacks.push(EarlyStopping::new(3));
    callbacks.push(Progress::plain(std::io::stderr()));

    // Callbacks read these when the run starts.
    let mut run = RunOwner::new("custom loop", vars);
    (run.progress_mut().max_epochs, run.progress_mut().n_batches) =
        (MAX_EPOCHS, experiment.train.n_batches());
    run.setup_mut().monitors = Monitor::all(&metrics);
    run.setup_mut().monitor = Some(monitor.clone());
    run.learning_rates = optimizer.learning_rates().to_vec();
    let mut tracker = BestTracker::new(monitor.direction);
    let mut best_weights = weights::snapshot(&run.vars);
    let mut stop_reason = StopReason::Completed;
    callbacks.on_fit_start(&mut run)?;

    'epochs: for epoch in 1..=MAX_EPOCHS {
        (run.progress_mut().epoch, run.progress_mut().batch) = (epoch, 0);
        callbacks.on_epoch_start(&mut run)?;
        let (mut losses, mut norms) = (LossSums::default(), GradNorms::default());
        let learning_rates = run.learning_rates.clone();
        for batch in experiment.train.batches(epoch - 1, 0) {
            let batch = batch?;
            let n_samples = batch.n_samples();
            callbacks.on_batch_start(&mut run)?;
            optimizer.set_learning_rates(&run.learning_rates); // a callback may change them
            seed_step(SEED, run.step()); // dropout depends only on the seed and the step
            // The gradient of the embedding has only the rows of the batch's words, as in `Supervised`.
            let output = with_sparse_gradients(|| model.forward(&batch, Mode::Train))?;
            let loss = output.loss.context("the batch has no labels")?;
            optimizer.backward_step(&loss.total)?; // also clips
            losses.add(&loss, n_samples)?;
            let norm = optimizer.grad_norm().context("the optimizer has no gradients")?.shallow_clone();
            norms.add(&norm)?;
            let progress = run.progress_mut();
            (progress.batch, progress.step) = (progress.batch + 1, progress.step + 1);
            progress.samples += n_samples as u64;
            let end =
                BatchEnd { n_samples, loss: loss.total.detach(), parts: Vec::new(), grad_norm: Some(norm) };
            if let Flow::Stop(reason) = callbacks.on_batch_end(&mut run, &end)? {
                stop_reason = reason;
                break 'epochs;
            }
        }
        callbacks.on_evaluation_start(&mut run, Phase::Valid)?;
        let mut evaluation = evaluate(&model, &experiment.valid, &metrics, Device::Cpu)?;
        let record = EpochRecord {
            epoch,
            step: run.step(),
            samples: run.samples(),
            train: losses.means()?,
            valid: Some(evaluation.scores.clone()),
            learning_rates,
            grad_norm: norms.mean()?,
            train_seconds: 0.0,
            valid_seconds: evaluation.seconds,
        };
        run.progress_mut().history.epochs.push(record.clone());
        let value = monitor.value(&record);
        if let (true, Some(value)) = (tracker.observe(value), value) {
            best_weights = weights::snapshot(&run.vars);
            let best = Best { epoch, step: run.step(), monitor: monitor.name.clone(), value };
            run.progress_mut().best = Some(best);
        }
        // Both hooks are called even if the first one stops the run.
        let after_validation = callbacks.on_evaluation_end(&mut run, Phase::Valid, &mut evaluation)?;
        let after_epoch = callbacks.on_epoch_end(&mut run)?;
        if let Some(Flow::Stop(reason)) =
            [after_validation, after_epoch].into_iter().find(|flow| *flow != Flow::Continue)
        {
            stop_reason = reason;
            break;
        }
    }
    weights::restore(&run.vars, &best_weights, "best weights".as_ref())?;
    callbacks.on_fit_end(&mut run, Ok(&stop_reason))?;
    Ok((stop_reason, run.history().clone(), run.into_vars()))
}

/// Trains with `Trainer`.
fn with_trainer(experiment: &Experiment) -> anyhow::Result<Results> {
    let (model, vars) = experiment.model()?;
    let mut trainer = Trainer::builder(model, vars)
        .optimizer(experiment.optimizer.clone())
        .clip(experiment.clip)
        .seed(SEED)
        .max_epochs(MAX_EPOCHS)
        .callback(EarlyStopping::new(3))
        .train_metrics(false) // the custom loop computes none
        .build()?;
    let report = trainer.fit(&experiment.train, Some(&experiment.valid))?;
    Ok((report.stop_reason, report.history, trainer.into_parts().1))
}

fn main() -> anyhow::Result<()> {
    let experiment = Experiment::new()?;
    let (custom_reason, custom, custom_vars) = custom_loop(&experiment)?;
    let (trainer_reason, trainer, trainer_vars) = with_trainer(&experiment)?;

    ensure!(
        custom_reason == trainer_reason,
        "stop reason: expected `{trainer_reason}`, got `{custom_reason}`"
    );
    ensure!(custom.epochs.len() == trainer.epochs.len(), "the numbers of epochs differ");
    for (custom, trainer) in custom.epochs.iter().zip(&trainer.epochs) {
        let values = |record: &EpochRecord| (record.train.clone(), record.valid.clone(), record.grad_norm);
        ensure!(
            values(custom) == values(trainer),
            "epoch {} differs:\n{custom:?}\n{trainer:?}",
            custom.epoch
        );
    }
    let (custom, trainer) = (weights::snapshot(&custom_vars), weights::snapshot(&trainer_vars));
    ensure!(custom == trainer, "the weights differ");
    println!("both loops end with bit-identical histories and weights ({} tensors)", custom.len());
    Ok(())
}
