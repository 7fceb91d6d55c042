//! Custom metrics: one from a closure and one from a type, and early stopping that monitors one of them.
//!
//! Each metric has a direction, so monitoring it needs no `max` or `min`.
//!
//! `cargo run -p faknow-examples --bin custom_metric`

use anyhow::{Context as _, ensure};
use faknow::data::synth::{SynthOptions, records};
use faknow::metrics::Result;
use faknow::prelude::*;

/// The share of fakes among the `k` posts with the highest scores: useful to fact checkers with time for `k` posts.
struct PrecisionAt {
    k: usize,
    name: String,
}

impl PrecisionAt {
    fn new(k: usize) -> Self {
        Self { k, name: format!("precision_at_{k}") }
    }
}

impl Metric for PrecisionAt {
    fn name(&self) -> &str {
        &self.name
    }

    fn direction(&self) -> Direction {
        Direction::Maximize
    }

    fn compute(&self, predictions: &Predictions) -> Result<Score> {
        let n_samples = predictions.n_samples();
        if n_samples < self.k {
            return Ok(Score::undefined(format!("expected at least {} posts, got {n_samples}", self.k)));
        }
        let mut posts: Vec<usize> = (0..n_samples).collect();
        // A stable sort: ties are in the order of the posts, so the result is deterministic.
        posts.sort_by(|a, b| predictions.row(*b)[1].total_cmp(&predictions.row(*a)[1]));
        let n_fake = posts[..self.k].iter().filter(|post| predictions.labels()[**post] == 1).count();
        Ok(Score::from(n_fake as f64 / self.k as f64))
    }
}

fn main() -> anyhow::Result<()> {
    let posts = |n_samples, seed| records(&SynthOptions { n_samples, seed, ..SynthOptions::default() });
    let tokenizer = Tokenizer::new(TokenizerConfig::default())?;
    let (train, vocab) = FieldDataset::build(posts(800, 1)?, &tokenizer, &VocabOptions::default())?;
    let valid = FieldDataset::from_records(posts(300, 2)?, &tokenizer, &vocab, &[])?;
    let config = TextCnnConfig { embedding_size: 32, n_filters: 16, ..TextCnnConfig::default() };
    let train = DataLoader::builder(train.with_extra_padding(config.extra_padding()))
        .batch_size(20)
        .shuffle(1)
        .build()?;
    let valid =
        DataLoader::builder(valid.with_extra_padding(config.extra_padding())).batch_size(100).build()?;

    // A missed fake costs twice as much as a false alarm.
    let cost = metric_fn("cost", Direction::Minimize, |predictions: &Predictions| {
        let confusion = predictions.confusion();
        let (missed, false_alarms) = (confusion.get(1, 0), confusion.get(0, 1));
        (2 * missed + false_alarms) as f64 / predictions.n_samples() as f64
    });
    let metrics = Metrics::default().with(cost)?.with(PrecisionAt::new(50))?;

    let mut trainer = Trainer::seeded(1, Device::Cpu, |path| TextCnn::new(path, &config, vocab.len(), 2))?
        .optimizer(OptimizerConfig::adam(3e-3))
        .metrics(metrics)
        .monitor("cost") // selects the best epoch
        .callback(EarlyStopping::new(2)) // same monitor; `.monitor("precision_at_50")` selects another
        .max_epochs(20)
        .build()?;
    let report = trainer.fit(&train, Some(&valid))?;

    println!("epoch  cost    precision_at_50");
    let cost = report.history.series("cost")?;
    for ((epoch, cost), (_, precision)) in cost.iter().zip(report.history.series("precision_at_50")?) {
        println!("{epoch:>5}  {:.4}  {:.4}", cost.unwrap_or(f64::NAN), precision.unwrap_or(f64::NAN));
    }
    println!("{}", report.stop_reason);

    let best = report.best.context("there is no best epoch")?;
    let lowest_cost = cost.iter().filter_map(|(_, cost)| *cost).fold(f64::INFINITY, f64::min);
    ensure!(
        best.monitor == "cost" && best.value == lowest_cost,
        "the best epoch is not the one with the lowest cost"
    );
    let expected = StopReason::EarlyStopping { monitor: "cost".into(), patience: 2 };
    ensure!(
        report.stop_reason == expected && cost.len() == best.epoch + 2,
        "the run did not stop 2 epochs after the best one"
    );
    // The trainer has restored the weights of the best epoch.
    ensure!(
        trainer.test(&valid)?.scores.value("cost") == Some(lowest_cost),
        "the best weights were not restored"
    );
    Ok(())
}
