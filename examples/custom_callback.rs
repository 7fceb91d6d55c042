//! A custom callback: lowers the learning rate on a plateau, stops the run, and collects a table of epochs.
//!
//! A callback can read the complete state of the run and change the weights and the learning rates.
//!
//! `cargo run -p faknow-examples --bin custom_callback`

use anyhow::{Context, ensure};
use faknow::callbacks::{HookResult, MonitorChoice};
use faknow::data::synth::{SynthOptions, records};
use faknow::prelude::*;

/// Divides the learning rate by ten after each epoch that does not improve the validation loss, and stops the run when the
/// learning rate would fall below `min_lr`.
struct Anneal {
    min_lr: f64,
    best_loss: f64,
    /// One row per epoch.
    rows: Vec<Row>,
}

/// An epoch in the table.
struct Row {
    epoch: usize,
    learning_rate: f64,
    valid_loss: f64,
    /// Mean norm of the word vectors.
    vector_norm: f64,
}

impl Callback for Anneal {
    fn on_fit_start(&mut self, run: &mut Run) -> HookResult {
        self.best_loss = f64::INFINITY;
        // Fails early if the run has no validation loss.
        MonitorChoice::from("loss").resolve(run)?;
        Ok(())
    }

    fn on_epoch_end(&mut self, run: &mut Run, record: &EpochRecord) -> HookResult<Flow> {
        let Some(valid_loss) = record.valid.as_ref().and_then(|valid| valid.value("loss")) else {
            return Ok(Flow::Continue);
        };
        let vectors = &run.vars.variables()["word_embedding.weight"];
        let vector_norm = vectors.norm_scalaropt_dim(2, [1], false).mean(Kind::Double).double_value(&[]);
        let learning_rate = record.learning_rates[0];
        // Appears in the history, `metrics.csv` and TensorBoard.
        run.log("vector_norm", vector_norm);
        self.rows.push(Row { epoch: record.epoch, learning_rate, valid_loss, vector_norm });

        if valid_loss < self.best_loss {
            self.best_loss = valid_loss;
            return Ok(Flow::Continue);
        }
        // The optimizer reads them before its next step.
        run.learning_rates.iter_mut().for_each(|lr| *lr /= 10.0);
        if run.learning_rates[0] >= self.min_lr {
            return Ok(Flow::Continue);
        }
        Ok(Flow::stop(format!("the learning rate would fall below {}", self.min_lr)))
    }
}

fn main() -> anyhow::Result<()> {
    let posts = |n_samples, seed| records(&SynthOptions { n_samples, seed, ..SynthOptions::default() });
    let tokenizer = Tokenizer::new(TokenizerConfig::default())?;
    let (train, vocab) = FieldDataset::build(posts(400, 1)?, &tokenizer, &VocabOptions::default())?;
    let valid = FieldDataset::from_records(posts(300, 2)?, &tokenizer, &vocab, &[])?;
    let config = TextCnnConfig { embedding_size: 32, n_filters: 16, ..TextCnnConfig::default() };
    let train = DataLoader::builder(train.with_extra_padding(config.extra_padding()))
        .batch_size(20)
        .shuffle(1)
        .build()?;
    let valid =
        DataLoader::builder(valid.with_extra_padding(config.extra_padding())).batch_size(100).build()?;

    let (model, vars) = seeded_model(1, Device::Cpu, |path| TextCnn::new(path, &config, vocab.len(), 2))?;
    let mut trainer = Trainer::builder(model, vars)
        .optimizer(OptimizerConfig::adam(1e-2))
        .max_epochs(30)
        .monitor("loss")
        .callback(Anneal { min_lr: 5e-4, best_loss: f64::INFINITY, rows: Vec::new() })
        .build()?;
    let report = trainer.fit(&train, Some(&valid))?;

    let table = &trainer.callback::<Anneal>().context("the trainer does not have the callback")?.rows;
    println!("epoch  learning rate  validation loss  mean norm of word vectors");
    for Row { epoch, learning_rate, valid_loss, vector_norm } in table {
        println!("{epoch:>5}  {learning_rate:>13}  {valid_loss:>15.4}  {vector_norm:>25.4}");
    }
    println!("stopped: {}", report.stop_reason);

    ensure!(table.len() == report.history.epochs.len(), "an epoch is missing from the table");
    let mut best_loss = f64::INFINITY;
    for (row, next) in table.iter().zip(&table[1..]) {
        let expected = if row.valid_loss < best_loss { row.learning_rate } else { row.learning_rate / 10.0 };
        ensure!(
            next.learning_rate == expected,
            "epoch {}: expected learning rate {expected}, got {}",
            next.epoch,
            next.learning_rate
        );
        best_loss = best_loss.min(row.valid_loss);
    }
    let is_stopped_by_anneal =
        matches!(&report.stop_reason, StopReason::Callback { callback, .. } if callback == "Anneal");
    ensure!(is_stopped_by_anneal && table.len() < 30, "the callback did not stop the run");
    Ok(())
}
