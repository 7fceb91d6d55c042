//! The project's benchmark: `cargo xtask bench [--json FILE]`. What a trainer costs over a bare loop, and how fast texts are read,
//! judged and measured. Commands alternate (A B A B), medians and the ratios of pairs are shown.

use std::time::Instant;

use anyhow::Result;
use faknow::data::synth::{SynthOptions, generate};
use faknow::data::{Loader, Record};
use faknow::metrics::PredictionsBuilder;
use faknow::prelude::*;
use faknow::tch;
use faknow::trainer::{evaluate, predict};

const N_POSTS: usize = 3000;
const N_PAIRS: usize = 5;

fn main() -> Result<()> {
    let posts = generate(&SynthOptions { n_samples: N_POSTS, ..SynthOptions::default() })?;
    let records = || {
        posts
            .iter()
            .map(|post| Ok(Record { text: post.text.clone(), label: Some(post.label), ..Record::default() }))
    };
    let tokenizer = Tokenizer::new(TokenizerConfig::default())?;
    let mut rows: Vec<(String, f64, &str)> = Vec::new();

    let seconds = median(5, || {
        TextDataset::build(records(), &tokenizer, &VocabOptions::default()).map(drop).map_err(Into::into)
    })?;
    rows.push(("tokenize and count words".into(), N_POSTS as f64 / seconds, "posts/s"));

    let (data, vocab) = TextDataset::build(records(), &tokenizer, &VocabOptions::default())?;
    let config = TextCnnConfig { embedding_size: 100, n_filters: 50, ..TextCnnConfig::default() };
    let data = data.with_margin(config.margin());
    let loader = DataLoader::builder(data.clone()).batch_size(50).shuffle(1).buckets(20).build()?;
    let seconds =
        median(5, || loader.batches(0, 0).try_for_each(|batch| batch.map(drop)).map_err(Into::into))?;
    rows.push(("assemble batches of 50".into(), N_POSTS as f64 / seconds, "posts/s"));

    let (mut ours, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..N_PAIRS {
        let a = with_trainer(&config, vocab.len(), &loader)?;
        let b = bare_loop(&config, vocab.len(), &loader)?;
        ours.push(a);
        bare.push(b);
        ratios.push(a / b);
    }
    rows.push(("training epoch, Trainer".into(), middle(&mut ours), "s"));
    rows.push(("training epoch, bare tch loop".into(), middle(&mut bare), "s"));
    rows.push(("Trainer / bare loop".into(), middle(&mut ratios), "ratio"));

    let vars = nn::VarStore::new(Device::Cpu);
    let model = TextCnn::new(&vars.root(), &config, vocab.len(), 2)?;
    let many = DataLoader::builder(data.clone()).batch_size(256).buckets(1000).build()?;
    let seconds = median(5, || predict(&model, &many, Device::Cpu).map(drop).map_err(Into::into))?;
    rows.push(("predict in batches of 256".into(), N_POSTS as f64 / seconds, "posts/s"));
    let one = DataLoader::builder(data.subset(&[0])?).batch_size(1).build()?;
    let seconds = median(50, || predict(&model, &one, Device::Cpu).map(drop).map_err(Into::into))?;
    rows.push(("predict one post".into(), seconds * 1e3, "ms"));
    let seconds = median(5, || {
        let none = Metrics::empty();
        evaluate(&model, &many, &none, Device::Cpu).map(drop).map_err(Into::into)
    })?;
    rows.push(("evaluate in batches of 256".into(), N_POSTS as f64 / seconds, "posts/s"));

    let n = 1_000_000;
    let labels: Vec<i64> = (0..n).map(|i| i64::from(i % 3 == 0)).collect();
    let scores: Vec<f64> =
        (0..n).map(|i| (i * 7919 % n) as f64 / n as f64).flat_map(|p| [1.0 - p, p]).collect();
    let seconds = median(3, || {
        let mut builder = PredictionsBuilder::new(2);
        builder.extend(&labels, &scores)?;
        Metrics::all().compute(&builder.finish()?).map(drop).map_err(Into::into)
    })?;
    rows.push(("all metrics of 1,000,000 rows".into(), seconds, "s"));
    rows.push(("peak memory".into(), peak_memory_mib(), "MiB"));

    println!("{} threads, {N_POSTS} posts of the built-in corpus\n", tch::get_num_threads());
    for (what, value, unit) in &rows {
        println!("{what:<32} {value:>14.3} {unit}");
    }
    let args: Vec<String> = std::env::args().collect();
    if let Some(i) = args.iter().position(|arg| arg == "--json") {
        let path = args.get(i + 1).ok_or_else(|| anyhow::anyhow!("--json needs a file"))?;
        let lines: Vec<String> = rows.iter().map(|(w, v, u)| format!("  \"{w} [{u}]\": {v}")).collect();
        std::fs::write(path, format!("{{\n{}\n}}\n", lines.join(",\n")))?;
    }
    Ok(())
}

/// Seconds of one epoch through the trainer, with the gradient norm measured as ever.
fn with_trainer(config: &TextCnnConfig, n_words: usize, loader: &DataLoader<TextDataset>) -> Result<f64> {
    seed_model(1);
    let vars = nn::VarStore::new(Device::Cpu);
    let model = TextCnn::new(&vars.root(), config, n_words, 2)?;
    let mut trainer = Trainer::builder(model, vars).max_epochs(1).build()?;
    let report = trainer.fit(loader, None)?;
    Ok(report.history.epochs[0].train_seconds)
}

/// Seconds of the same epoch by hand: the floor.
fn bare_loop(config: &TextCnnConfig, n_words: usize, loader: &DataLoader<TextDataset>) -> Result<f64> {
    use tch::nn::OptimizerConfig as _;
    seed_model(1);
    let vars = nn::VarStore::new(Device::Cpu);
    let model = TextCnn::new(&vars.root(), config, n_words, 2)?;
    let mut optimizer = nn::Adam::default().build(&vars, 1e-3)?;
    let start = Instant::now();
    for batch in loader.batches(0, 0) {
        let loss = model.forward(&batch?, Mode::Train)?.loss.ok_or_else(|| anyhow::anyhow!("no labels"))?;
        optimizer.backward_step(&loss.total);
    }
    Ok(start.elapsed().as_secs_f64())
}

fn median(n: usize, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut seconds = Vec::new();
    for _ in 0..n {
        let start = Instant::now();
        work()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok(middle(&mut seconds))
}

fn middle(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The most memory that this process has held, where the system tells (Linux), else 0.
fn peak_memory_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|kib| kib.trim().trim_end_matches("kB").trim().parse::<f64>().ok())
        .map_or(0.0, |kib| kib / 1024.0)
}
