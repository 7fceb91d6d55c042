//! A callback of one's own: lowers the learning rate by a rule, stops the run by a rule, and keeps a table.
//!
//! A callback sees the whole state of the run, weights included, and may change the weights and the learning rates.
//!
//! `cargo run -p faknow-examples --bin custom_callback`

use anyhow::{Context, ensure};
use faknow::callbacks::{HookResult, MonitorChoice};
use faknow::data::synth::{SynthOptions, records};
use faknow::prelude::*;

/// Divides the learning rate by ten after each epoch whose validation loss is no new low, and ends the run when the
/// rate falls below `floor`.
struct Anneal {
    floor: f64,
    lowest: f64,
    /// A row of each epoch.
    rows: Vec<Row>,
}

/// What the table holds of an epoch.
struct Row {
    epoch: usize,
    learning_rate: f64,
    valid_loss: f64,
    /// Mean length of the word vectors, which no log has.
    vector_length: f64,
}

impl Callback for Anneal {
    fn on_fit_start(&mut self, run: &mut Run) -> HookResult {
        self.lowest = f64::INFINITY;
        // Checked before anything is computed: without validation there is no loss to go by.
        MonitorChoice::from("loss").resolve(run)?;
        Ok(())
    }

    fn on_epoch_end(&mut self, run: &mut Run, record: &EpochRecord) -> HookResult<Flow> {
        let Some(valid_loss) = record.valid.as_ref().and_then(|valid| valid.value("loss")) else {
            return Ok(Flow::Continue);
        };
        let vectors = &run.vars.variables()["word_embedding.weight"];
        let vector_length = vectors.norm_scalaropt_dim(2, [1], false).mean(Kind::Double).double_value(&[]);
        let learning_rate = record.learning_rates[0];
        // In the history, `metrics.csv` and TensorBoard.
        run.log("vector_length", vector_length);
        self.rows.push(Row { epoch: record.epoch, learning_rate, valid_loss, vector_length });

        if valid_loss < self.lowest {
            self.lowest = valid_loss;
            return Ok(Flow::Continue);
        }
        // The optimizer takes the rates over before its next step.
        run.learning_rates.iter_mut().for_each(|rate| *rate /= 10.0);
        if run.learning_rates[0] >= self.floor {
            return Ok(Flow::Continue);
        }
        Ok(Flow::stop(format!("the learning rate would fall below {}", self.floor)))
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
        .callback(Anneal { floor: 5e-4, lowest: f64::INFINITY, rows: Vec::new() })
        .build()?;
    let report = trainer.fit(&train, Some(&valid))?;

    let table = &trainer.callback::<Anneal>().context("the trainer has the callback")?.rows;
    println!("epoch  learning rate  validation loss  mean length of word vectors");
    for Row { epoch, learning_rate, valid_loss, vector_length } in table {
        println!("{epoch:>5}  {learning_rate:>13}  {valid_loss:>15.4}  {vector_length:>27.4}");
    }
    println!("ended: {}", report.stop_reason);

    ensure!(table.len() == report.history.epochs.len(), "an epoch is missing in the table");
    let mut lowest = f64::INFINITY;
    for (row, next) in table.iter().zip(&table[1..]) {
        let expected = if row.valid_loss < lowest { row.learning_rate } else { row.learning_rate / 10.0 };
        ensure!(
            next.learning_rate == expected,
            "epoch {} has another learning rate than the rule",
            next.epoch
        );
        lowest = lowest.min(row.valid_loss);
    }
    let ended_by_anneal =
        matches!(&report.stop_reason, StopReason::Callback { callback, .. } if callback == "Anneal");
    ensure!(ended_by_anneal && table.len() < 30, "the callback did not end the run");
    Ok(())
}
