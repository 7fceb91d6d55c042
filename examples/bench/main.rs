//! The project's benchmark: the `faknow` program compared with equivalent Python programs, the overhead of the trainer, the
//! optimizers compared with libtorch's, and the throughput of tokenization, prediction and metrics.
//!
//! `cargo xtask bench [--json FILE] [--markdown FILE] [--quick]`; `--scale`, `--scale-posts` and `--micro` run separate benchmarks.
//! Both sides of a comparison alternate (A B A B); the results are medians, and the median of the pairwise ratios. The posts are
//! those of the covid dataset in the directory `--shared`, otherwise synthetic. `--quick` uses few samples, to check that it runs.

mod curves;
mod load;
mod optimizers;
mod program;
mod report;
mod roofline;
mod scale;
mod scale_posts;
mod text_models;
mod training;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use faknow::data::synth::{SynthOptions, generate};
use faknow::data::{Record, RecordReader};
use faknow::metrics::PredictionsBuilder;
use faknow::prelude::*;
use faknow::tch;
use faknow::trainer::{evaluate, let_threads_sleep, predict};

use crate::program::Programs;
use crate::report::Report;

/// A measurement: name, value and unit.
type Row = (String, f64, &'static str);

/// Amounts of data and of repetitions.
struct Size {
    n_posts: usize,
    n_predictions: i64,
    n_weights: i64,
    n_times: usize,
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| args.iter().position(|arg| arg == name).map(|index| args.get(index + 1));
    if let Some(n_trees) = option(scale::SINGLE_SIZE) {
        return scale::measure(n_trees.context("expected a number of trees")?.parse()?);
    }
    if let Some(file) = option(scale_posts::SINGLE_FILE) {
        return scale_posts::measure(file.context("expected a file of posts")?.as_ref());
    }
    let svg =
        option("--svg").map(|file| file.map(String::as_str).context("--svg: expected a file")).transpose()?;
    let quick = args.iter().any(|arg| arg == "--quick");
    if args.iter().any(|arg| arg == "--scale") {
        return scale::run(quick, svg);
    }
    if args.iter().any(|arg| arg == "--scale-posts") {
        return scale_posts::run(quick, svg);
    }
    let_threads_sleep();
    let size = match quick {
        true => Size { n_posts: 200, n_predictions: 1000, n_weights: 10_000, n_times: 1 },
        false => Size { n_posts: 3000, n_predictions: 1_000_000, n_weights: 8_000_000, n_times: 5 },
    };
    let path_option = |name: &str| -> Result<Option<&Path>> {
        option(name)
            .map(|path| path.map(Path::new).with_context(|| format!("{name}: expected a path")))
            .transpose()
    };
    let shared = path_option("--shared")?;
    let covid = shared.map(|shared| shared.join("data/covid"));
    let posts = posts(covid.as_deref(), size.n_posts)?;
    let mut rows = Vec::new();
    let mut comparisons = Vec::new();
    if let (Some(faknow), Some(shared)) = (path_option("--program")?, shared) {
        let programs = Programs {
            faknow: faknow.to_owned(),
            shared: shared.to_owned(),
            python: path_option("--python")?.map(Path::to_owned),
            n_pairs: size.n_times.min(3),
        };
        let encoder = path_option("--encoder")?;
        if args.iter().any(|arg| arg == "--text-models") {
            let comparisons = programs.compare_text_models(encoder)?;
            programs.clean_up();
            return report::print_comparisons(&comparisons);
        }
        comparisons = programs.compare()?;
        comparisons.extend(programs.compare_text_models(encoder)?);
        programs.measure(&mut rows)?;
        programs.clean_up();
    }
    let (data, vocab) = measure_data(&size, &posts, &mut rows)?;
    let config = match quick {
        true => TextCnnConfig { embedding_size: 20, n_filters: 10, ..TextCnnConfig::default() },
        false => TextCnnConfig::default(),
    };
    let data = data.with_extra_padding(config.extra_padding());
    training::compare(size.n_times, &config, &data, vocab.len(), &mut rows)?;
    roofline::measure(size.n_times, &config, &data, vocab.len(), &mut rows)?;
    let optimizer_steps = optimizers::compare(size.n_times, size.n_weights)?;
    measure_predictions(&size, &config, &data, vocab.len(), &mut rows)?;
    measure_metrics(&size, &mut rows)?;
    let machine = format!(
        "{}, {} threads, {} posts with {} distinct words, medians",
        processor(),
        tch::get_num_threads(),
        posts.len(),
        vocab.len()
    );
    let report = Report { machine, comparisons, rows, optimizer_steps };
    report.print();
    if let Some(path) = path_option("--json")? {
        report.write_json(path)?;
    }
    if let Some(path) = path_option("--markdown")? {
        report.write_markdown(path)?;
    }
    Ok(())
}

/// Returns the name of the processor, which is known on Linux only.
fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| "unknown processor".to_owned(), |(_, name)| name.trim().to_owned())
}

/// Returns the training posts of a directory, or `n` synthetic ones without it.
fn posts(dir: Option<&Path>, n: usize) -> Result<Vec<Record>> {
    let Some(dir) = dir else {
        let posts = generate(&SynthOptions { n_samples: n, ..SynthOptions::default() })?;
        return Ok(posts.into_iter().map(|post| Record::new(post.text).with_label(post.label)).collect());
    };
    let classes = Classes::new(["real", "fake"])?;
    let options = load::options("tweet");
    Ok(RecordReader::open(dir.join("train.csv"), &options, Some(&classes))?.collect::<Result<_, _>>()?)
}

/// Measures tokenization and the assembly of batches; returns the dataset.
fn measure_data(size: &Size, posts: &[Record], rows: &mut Vec<Row>) -> Result<(FieldDataset, Vocab)> {
    let n = posts.len() as f64;
    let records = || posts.iter().map(|post| Ok(post.clone()));
    let tokenizer = Tokenizer::new(TokenizerConfig::default())?;
    let build = || FieldDataset::build(records(), &tokenizer, &VocabOptions::default());
    let seconds = median_seconds(size.n_times, || Ok(build()?))?;
    rows.push(("tokenizing and counting words".into(), n / seconds, "posts/s"));
    let (data, vocab) = build()?;
    let loader = training::loader(&data)?;
    let seconds =
        median_seconds(size.n_times, || Ok(loader.batches(0, 0).try_for_each(|batch| batch.map(drop))?))?;
    rows.push(("assembling batches of 50".into(), n / seconds, "posts/s"));
    Ok((data, vocab))
}

/// Measures prediction and evaluation.
fn measure_predictions(
    size: &Size,
    config: &TextCnnConfig,
    data: &FieldDataset,
    n_words: usize,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let n = data.n_samples() as f64;
    let vars = nn::VarStore::new(Device::Cpu);
    let model = TextCnn::new(&vars.root(), config, n_words, 2)?;
    let all = DataLoader::builder(data.clone()).batch_size(256).buckets(1000).build()?;
    let seconds = median_seconds(size.n_times, || Ok(predict(&model, &all, Device::Cpu)?))?;
    rows.push(("predicting in batches of 256".into(), n / seconds, "posts/s"));
    let one = DataLoader::builder(data.subset(&[0])?).batch_size(1).build()?;
    let seconds = median_seconds(10 * size.n_times, || Ok(predict(&model, &one, Device::Cpu)?))?;
    rows.push(("predicting one post".into(), seconds * 1e3, "ms"));
    let metrics = Metrics::default();
    let seconds = median_seconds(size.n_times, || Ok(evaluate(&model, &all, &metrics, Device::Cpu)?))?;
    rows.push(("evaluating in batches of 256".into(), n / seconds, "posts/s"));
    Ok(())
}

/// Measures the computation of all metrics.
fn measure_metrics(size: &Size, rows: &mut Vec<Row>) -> Result<()> {
    let n = size.n_predictions;
    let labels: Vec<i64> = (0..n).map(|i| i64::from(i % 3 == 0)).collect();
    let positive = |i: i64| (i * 7919 % n) as f64 / n as f64;
    let scores: Vec<f64> = (0..n).flat_map(|i| [1.0 - positive(i), positive(i)]).collect();
    let seconds = median_seconds(size.n_times, || {
        let mut builder = PredictionsBuilder::new(2);
        builder.extend(&labels, &scores)?;
        Ok(Metrics::all().compute(&builder.finish()?)?)
    })?;
    rows.push(("all metrics".into(), n as f64 / seconds, "predictions/s"));
    Ok(())
}

/// Returns the median duration of `n` runs in seconds.
fn median_seconds<T>(n: usize, mut work: impl FnMut() -> Result<T>) -> Result<f64> {
    let mut seconds = Vec::with_capacity(n);
    for _ in 0..n {
        let start = Instant::now();
        std::hint::black_box(work()?);
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok(median(&mut seconds))
}

/// Returns the median of the values, the upper one of an even number.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs `first` and `second` alternately; returns the medians of both and of their pairwise ratios.
fn alternate(
    n_times: usize,
    mut first: impl FnMut() -> Result<f64>,
    mut second: impl FnMut() -> Result<f64>,
) -> Result<[f64; 3]> {
    let (mut firsts, mut seconds, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..n_times {
        let pair = (first()?, second()?);
        firsts.push(pair.0);
        seconds.push(pair.1);
        ratios.push(pair.0 / pair.1);
    }
    Ok([median(&mut firsts), median(&mut seconds), median(&mut ratios)])
}

/// Returns the peak memory of this process in MiB, or 0 where it is unknown (not Linux).
fn peak_memory_mib() -> f64 {
    peak_memory_mib_in(Path::new("/proc/self/status"))
}

/// Returns the peak memory in MiB from a process's status file, or 0 without one.
fn peak_memory_mib_in(status: &Path) -> f64 {
    let status = std::fs::read_to_string(status).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    kib.map_or(0.0, |kib| kib / 1024.0)
}
