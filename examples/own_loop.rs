//! A training loop of one's own, from the parts that the trainer is made of: and it computes the same, to the bit.
//!
//! Optimizer, evaluation, callbacks and the run's state are public; whoever needs another order of things writes it.
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

/// What both ways to train share.
struct Setting {
    train: DataLoader<FieldDataset>,
    valid: DataLoader<FieldDataset>,
    config: TextCnnConfig,
    vocab_size: usize,
    optimizer: OptimizerConfig,
    clip: Clip,
}

impl Setting {
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

/// What both ways to train must agree on: why they ended, what they measured, and the best weights.
type Trained = (StopReason, History, nn::VarStore);

/// Trains by hand.
fn own_loop(setting: &Setting) -> anyhow::Result<Trained> {
    let (model, vars) = setting.model()?;
    let mut optimizer = Optimizer::new(&setting.optimizer, &vars, setting.clip)?;
    let metrics = Metrics::default();
    let monitor = Monitor::max("accuracy");
    let mut callbacks = Callbacks::default();
    callbacks.push(EarlyStopping::new(3));
    callbacks.push(Progress::plain(std::io::stderr()));

    // What callbacks want to know of a run before it begins.
    let mut run = RunOwner::new("own loop", vars);
    (run.progress_mut().max_epochs, run.progress_mut().n_batches) = (MAX_EPOCHS, setting.train.n_batches());
    run.setup_mut().monitors = Monitor::all(&metrics);
    run.setup_mut().monitor = Some(monitor.clone());
    run.learning_rates = optimizer.learning_rates().to_vec();
    let mut tracker = BestTracker::new(monitor.direction);
    let mut best_weights = weights::snapshot(&run.vars);
    let mut ended = StopReason::Completed;
    callbacks.on_fit_start(&mut run)?;

    'epochs: for epoch in 1..=MAX_EPOCHS {
        (run.progress_mut().epoch, run.progress_mut().batch) = (epoch, 0);
        callbacks.on_epoch_start(&mut run)?;
        let (mut losses, mut norms) = (LossSums::default(), GradNorms::default());
        let learning_rates = run.learning_rates.clone();
        for batch in setting.train.batches(epoch - 1, 0) {
            let batch = batch?;
            let n_samples = batch.n_samples();
            callbacks.on_batch_start(&mut run)?;
            optimizer.set_learning_rates(&run.learning_rates); // a callback may have changed them
            seed_step(SEED, run.step()); // the dropout of this step is a function of seed and step
            // Words that do not occur are left out of the gradient, as the stock step does it.
            let output = with_sparse_gradients(|| model.forward(&batch, Mode::Train))?;
            let loss = output.loss.context("the batch has no labels")?;
            optimizer.backward_step(&loss.total)?; // clips too
            losses.add(&loss, n_samples)?;
            let norm = optimizer.grad_norm().context("there are no gradients")?.shallow_clone();
            norms.add(&norm)?;
            let progress = run.progress_mut();
            (progress.batch, progress.step) = (progress.batch + 1, progress.step + 1);
            progress.samples += n_samples as u64;
            let end =
                BatchEnd { n_samples, loss: loss.total.detach(), parts: Vec::new(), grad_norm: Some(norm) };
            if let Flow::Stop(reason) = callbacks.on_batch_end(&mut run, &end)? {
                ended = reason;
                break 'epochs;
            }
        }
        callbacks.on_evaluation_start(&mut run, Phase::Valid)?;
        let mut evaluation = evaluate(&model, &setting.valid, &metrics, Device::Cpu)?;
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
        // Both are called, whichever callback stops the run.
        let after_validation = callbacks.on_evaluation_end(&mut run, Phase::Valid, &mut evaluation)?;
        let after_epoch = callbacks.on_epoch_end(&mut run)?;
        if let Some(Flow::Stop(reason)) =
            [after_validation, after_epoch].into_iter().find(|flow| *flow != Flow::Continue)
        {
            ended = reason;
            break;
        }
    }
    weights::restore(&run.vars, &best_weights, "best weights".as_ref())?;
    callbacks.on_fit_end(&mut run, Ok(&ended))?;
    Ok((ended, run.history().clone(), run.into_vars()))
}

/// Trains as most do.
fn with_trainer(setting: &Setting) -> anyhow::Result<Trained> {
    let (model, vars) = setting.model()?;
    let mut trainer = Trainer::builder(model, vars)
        .optimizer(setting.optimizer.clone())
        .clip(setting.clip)
        .seed(SEED)
        .max_epochs(MAX_EPOCHS)
        .callback(EarlyStopping::new(3))
        .train_metrics(false) // the loop by hand computes none
        .build()?;
    let report = trainer.fit(&setting.train, Some(&setting.valid))?;
    Ok((report.stop_reason, report.history, trainer.into_parts().1))
}

fn main() -> anyhow::Result<()> {
    let setting = Setting::new()?;
    let (own_ended, own, own_vars) = own_loop(&setting)?;
    let (stock_ended, stock, stock_vars) = with_trainer(&setting)?;

    ensure!(own_ended == stock_ended, "one ended as {own_ended}, the other as {stock_ended}");
    ensure!(own.epochs.len() == stock.epochs.len(), "one loop took more epochs than the other");
    for (own, stock) in own.epochs.iter().zip(&stock.epochs) {
        let numbers = |record: &EpochRecord| (record.train.clone(), record.valid.clone(), record.grad_norm);
        ensure!(numbers(own) == numbers(stock), "epoch {} differs:\n{own:?}\n{stock:?}", own.epoch);
    }
    let (own, stock) = (weights::snapshot(&own_vars), weights::snapshot(&stock_vars));
    ensure!(own == stock, "the weights differ");
    println!("both loops end with the same {} weights and the same history, to the bit", own.len());
    Ok(())
}
