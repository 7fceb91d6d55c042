//! The project's benchmark: what a trainer costs over a bare loop, and how fast texts are read, judged and measured.
//!
//! `cargo xtask bench [--json FILE] [--quick]`. What is compared alternates (A B A B); shown are medians, and the
//! median of the pairs' ratios. `--quick` takes few samples, to see that it runs.

use std::time::Instant;

use anyhow::{Context as _, Result};
use faknow::data::Record;
use faknow::data::synth::{SynthOptions, generate};
use faknow::metrics::PredictionsBuilder;
use faknow::prelude::*;
use faknow::tch;
use faknow::trainer::{evaluate, predict};

/// What was measured: a name, a value, its unit.
type Row = (&'static str, f64, &'static str);

/// How much is measured.
struct Size {
    n_posts: usize,
    n_rows: i64,
    n_times: usize,
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let size = match args.iter().any(|arg| arg == "--quick") {
        true => Size { n_posts: 200, n_rows: 1000, n_times: 1 },
        false => Size { n_posts: 3000, n_rows: 1_000_000, n_times: 5 },
    };
    let mut rows = Vec::new();
    let (data, vocab) = read(&size, &mut rows)?;
    let config = TextCnnConfig { embedding_size: 100, n_filters: 50, ..TextCnnConfig::default() };
    let data = data.with_margin(config.margin());
    train(&size, &config, &data, vocab.len(), &mut rows)?;
    judge(&size, &config, &data, vocab.len(), &mut rows)?;
    measure(&size, &mut rows)?;
    rows.push(("peak memory", peak_memory_mib(), "MiB"));

    println!("{} threads, {} posts of the built-in corpus\n", tch::get_num_threads(), size.n_posts);
    for (what, value, unit) in &rows {
        println!("{what:<32} {value:>14.3} {unit}");
    }
    if let Some(at) = args.iter().position(|arg| arg == "--json") {
        let path = args.get(at + 1).context("--json needs a file")?;
        let lines: Vec<String> = rows.iter().map(|(w, v, u)| format!("  \"{w} [{u}]\": {v}")).collect();
        std::fs::write(path, format!("{{\n{}\n}}\n", lines.join(",\n"))).with_context(|| path.clone())?;
    }
    Ok(())
}

/// Tokenizing, counting words, assembling batches.
fn read(size: &Size, rows: &mut Vec<Row>) -> Result<(TextDataset, Vocab)> {
    let posts = generate(&SynthOptions { n_samples: size.n_posts, ..SynthOptions::default() })?;
    let records = || posts.iter().map(|post| Ok(Record::new(post.text.clone()).with_label(post.label)));
    let tokenizer = Tokenizer::new(TokenizerConfig::default())?;
    let build = || TextDataset::build(records(), &tokenizer, &VocabOptions::default());
    let seconds = median(size.n_times, || Ok(build()?))?;
    rows.push(("tokenize and count words", size.n_posts as f64 / seconds, "posts/s"));
    let (data, vocab) = build()?;
    let loader = training_loader(&data)?;
    let seconds = median(size.n_times, || Ok(loader.batches(0, 0).try_for_each(|batch| batch.map(drop))?))?;
    rows.push(("assemble batches of 50", size.n_posts as f64 / seconds, "posts/s"));
    Ok((data, vocab))
}

/// An epoch through the trainer against the same epoch by hand, in turn.
fn train(
    size: &Size,
    config: &TextCnnConfig,
    data: &TextDataset,
    n_words: usize,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let loader = training_loader(data)?;
    let (mut ours, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..size.n_times {
        let pair = (with_trainer(config, n_words, &loader)?, bare_loop(config, n_words, &loader)?);
        ours.push(pair.0);
        bare.push(pair.1);
        ratios.push(pair.0 / pair.1);
    }
    rows.push(("training epoch, Trainer", middle(&mut ours), "s"));
    rows.push(("training epoch, bare tch loop", middle(&mut bare), "s"));
    rows.push(("Trainer / bare loop", middle(&mut ratios), "ratio"));
    Ok(())
}

/// Predictions and evaluation.
fn judge(
    size: &Size,
    config: &TextCnnConfig,
    data: &TextDataset,
    n_words: usize,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let vars = nn::VarStore::new(Device::Cpu);
    let model = TextCnn::new(&vars.root(), config, n_words, 2)?;
    let all = DataLoader::builder(data.clone()).batch_size(256).buckets(1000).build()?;
    let seconds = median(size.n_times, || Ok(predict(&model, &all, Device::Cpu)?))?;
    rows.push(("predict in batches of 256", size.n_posts as f64 / seconds, "posts/s"));
    let one = DataLoader::builder(data.subset(&[0])?).batch_size(1).build()?;
    let seconds = median(10 * size.n_times, || Ok(predict(&model, &one, Device::Cpu)?))?;
    rows.push(("predict one post", seconds * 1e3, "ms"));
    let metrics = Metrics::default();
    let seconds = median(size.n_times, || Ok(evaluate(&model, &all, &metrics, Device::Cpu)?))?;
    rows.push(("evaluate in batches of 256", size.n_posts as f64 / seconds, "posts/s"));
    Ok(())
}

/// Every metric of many predictions.
fn measure(size: &Size, rows: &mut Vec<Row>) -> Result<()> {
    let n = size.n_rows;
    let labels: Vec<i64> = (0..n).map(|i| i64::from(i % 3 == 0)).collect();
    let positive = |i: i64| (i * 7919 % n) as f64 / n as f64;
    let scores: Vec<f64> = (0..n).flat_map(|i| [1.0 - positive(i), positive(i)]).collect();
    let seconds = median(size.n_times, || {
        let mut builder = PredictionsBuilder::new(2);
        builder.extend(&labels, &scores)?;
        Ok(Metrics::all().compute(&builder.finish()?)?)
    })?;
    rows.push(("all metrics", n as f64 / seconds, "predictions/s"));
    Ok(())
}

fn training_loader(data: &TextDataset) -> Result<DataLoader<TextDataset>> {
    Ok(DataLoader::builder(data.clone()).batch_size(50).shuffle(1).buckets(20).build()?)
}

/// Seconds of one epoch through the trainer, with the gradient norm measured as ever.
fn with_trainer(config: &TextCnnConfig, n_words: usize, loader: &DataLoader<TextDataset>) -> Result<f64> {
    seed_model(1);
    let vars = nn::VarStore::new(Device::Cpu);
    let model = TextCnn::new(&vars.root(), config, n_words, 2)?;
    let mut trainer = Trainer::builder(model, vars).max_epochs(1).build()?;
    Ok(trainer.fit(loader, None)?.history.epochs[0].train_seconds)
}

/// Seconds of the same epoch by hand, with tch's own optimizer: the floor.
fn bare_loop(config: &TextCnnConfig, n_words: usize, loader: &DataLoader<TextDataset>) -> Result<f64> {
    use tch::nn::OptimizerConfig as _;
    seed_model(1);
    let vars = nn::VarStore::new(Device::Cpu);
    let model = TextCnn::new(&vars.root(), config, n_words, 2)?;
    let mut optimizer = nn::Adam::default().build(&vars, 1e-3)?;
    let start = Instant::now();
    for batch in loader.batches(0, 0) {
        let loss = model.forward(&batch?, Mode::Train)?.loss.context("the batch has no labels")?;
        optimizer.backward_step(&loss.total);
    }
    Ok(start.elapsed().as_secs_f64())
}

/// Median seconds of `n` runs.
fn median<T>(n: usize, mut work: impl FnMut() -> Result<T>) -> Result<f64> {
    let mut seconds = Vec::with_capacity(n);
    for _ in 0..n {
        let start = Instant::now();
        std::hint::black_box(work()?);
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
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    kib.map_or(0.0, |kib| kib / 1024.0)
}
