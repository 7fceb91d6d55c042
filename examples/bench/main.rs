//! The project's benchmark: the program beside Python programs that do the same, what a trainer costs over a bare loop, what an
//! optimizer costs beside libtorch's, and how fast texts are read, judged and measured.
//!
//! `cargo xtask bench [--json FILE] [--markdown FILE] [--quick]`, and `--scale` and `--micro`, which are benchmarks of their own. What
//! is compared alternates (A B A B); shown are medians, and the median of the pairs' ratios. Posts are those of the COVID set in the
//! directory `--shared`, else of the built-in corpus. `--quick` takes few samples, to see that it runs.

mod curves;
mod load;
mod optimizers;
mod program;
mod report;
mod roofline;
mod scale;
mod scale_posts;
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

/// What was measured: a name, a value, its unit.
type Row = (String, f64, &'static str);

/// How much is measured.
struct Size {
    n_posts: usize,
    n_rows: i64,
    n_weights: i64,
    n_times: usize,
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let after = |name: &str| args.iter().position(|arg| arg == name).map(|at| args.get(at + 1));
    if let Some(n_trees) = after(scale::ONE) {
        return scale::one(n_trees.context("expected a number of trees")?.parse()?);
    }
    if let Some(file) = after(scale_posts::ONE) {
        return scale_posts::one(file.context("expected a file of posts")?.as_ref());
    }
    let svg =
        after("--svg").map(|file| file.map(String::as_str).context("--svg needs a file")).transpose()?;
    let quick = args.iter().any(|arg| arg == "--quick");
    if args.iter().any(|arg| arg == "--scale") {
        return scale::run(quick, svg);
    }
    if args.iter().any(|arg| arg == "--scale-posts") {
        return scale_posts::run(quick, svg);
    }
    let_threads_sleep();
    let size = match quick {
        true => Size { n_posts: 200, n_rows: 1000, n_weights: 10_000, n_times: 1 },
        false => Size { n_posts: 3000, n_rows: 1_000_000, n_weights: 8_000_000, n_times: 5 },
    };
    let given = |name: &str| -> Result<Option<&Path>> {
        let at = args.iter().position(|arg| arg == name);
        at.map(|at| args.get(at + 1).map(Path::new).with_context(|| format!("{name} needs a path")))
            .transpose()
    };
    let shared = given("--shared")?;
    let covid = shared.map(|shared| shared.join("data/covid"));
    let posts = posts(covid.as_deref(), size.n_posts)?;
    let mut rows = Vec::new();
    let mut comparisons = Vec::new();
    if let (Some(faknow), Some(shared)) = (given("--program")?, shared) {
        let programs = Programs {
            faknow: faknow.to_owned(),
            shared: shared.to_owned(),
            python: given("--python")?.map(Path::to_owned),
            n_pairs: size.n_times.min(3),
        };
        comparisons = programs.beside_peers()?;
        programs.alone(&mut rows)?;
        programs.clean_up();
    }
    let (data, vocab) = read(&size, &posts, &mut rows)?;
    let config = match quick {
        true => TextCnnConfig { embedding_size: 20, n_filters: 10, ..TextCnnConfig::default() },
        false => TextCnnConfig::default(),
    };
    let data = data.with_extra_padding(config.extra_padding());
    training::compare(size.n_times, &config, &data, vocab.len(), &mut rows)?;
    roofline::measure(size.n_times, &config, &data, vocab.len(), &mut rows)?;
    optimizers::compare(size.n_times, size.n_weights, &mut rows)?;
    judge(&size, &config, &data, vocab.len(), &mut rows)?;
    measure(&size, &mut rows)?;
    let machine = format!(
        "{}, {} threads, {} posts of {} distinct words, medians",
        processor(),
        tch::get_num_threads(),
        posts.len(),
        vocab.len()
    );
    println!("\n{machine}\n");
    for (what, value, unit) in &rows {
        println!("{what:<64} {value:>14.3} {unit}");
    }
    let report = Report { machine, comparisons, rows };
    if let Some(path) = given("--json")? {
        report.write_json(path)?;
    }
    if let Some(path) = given("--markdown")? {
        report.write_markdown(path)?;
    }
    Ok(())
}

/// What the processor calls itself, where the system tells (Linux).
fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| "a processor without a name".to_owned(), |(_, name)| name.trim().to_owned())
}

/// The posts of a directory, or made up.
fn posts(dir: Option<&Path>, n: usize) -> Result<Vec<Record>> {
    let Some(dir) = dir else {
        let posts = generate(&SynthOptions { n_samples: n, ..SynthOptions::default() })?;
        return Ok(posts.into_iter().map(|post| Record::new(post.text).with_label(post.label)).collect());
    };
    let classes = Classes::new(["real", "fake"])?;
    let options = load::options("tweet");
    Ok(RecordReader::open(dir.join("train.csv"), &options, Some(&classes))?.collect::<Result<_, _>>()?)
}

/// Tokenizing, counting words, assembling batches.
fn read(size: &Size, posts: &[Record], rows: &mut Vec<Row>) -> Result<(FieldDataset, Vocab)> {
    let n = posts.len() as f64;
    let records = || posts.iter().map(|post| Ok(post.clone()));
    let tokenizer = Tokenizer::new(TokenizerConfig::default())?;
    let build = || FieldDataset::build(records(), &tokenizer, &VocabOptions::default());
    let seconds = median(size.n_times, || Ok(build()?))?;
    rows.push(("tokenize and count words".into(), n / seconds, "posts/s"));
    let (data, vocab) = build()?;
    let loader = training::loader(&data)?;
    let seconds = median(size.n_times, || Ok(loader.batches(0, 0).try_for_each(|batch| batch.map(drop))?))?;
    rows.push(("assemble batches of 50".into(), n / seconds, "posts/s"));
    Ok((data, vocab))
}

/// Predictions and evaluation.
fn judge(
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
    let seconds = median(size.n_times, || Ok(predict(&model, &all, Device::Cpu)?))?;
    rows.push(("predict in batches of 256".into(), n / seconds, "posts/s"));
    let one = DataLoader::builder(data.subset(&[0])?).batch_size(1).build()?;
    let seconds = median(10 * size.n_times, || Ok(predict(&model, &one, Device::Cpu)?))?;
    rows.push(("predict one post".into(), seconds * 1e3, "ms"));
    let metrics = Metrics::default();
    let seconds = median(size.n_times, || Ok(evaluate(&model, &all, &metrics, Device::Cpu)?))?;
    rows.push(("evaluate in batches of 256".into(), n / seconds, "posts/s"));
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
    rows.push(("all metrics".into(), n as f64 / seconds, "predictions/s"));
    Ok(())
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

/// Medians of what `one` and `other` take, in turn, and the median of their ratios.
fn in_turn(
    n_times: usize,
    mut one: impl FnMut() -> Result<f64>,
    mut other: impl FnMut() -> Result<f64>,
) -> Result<[f64; 3]> {
    let (mut ones, mut others, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..n_times {
        let pair = (one()?, other()?);
        ones.push(pair.0);
        others.push(pair.1);
        ratios.push(pair.0 / pair.1);
    }
    Ok([middle(&mut ones), middle(&mut others), middle(&mut ratios)])
}

/// The most memory that this process has held, where the system tells (Linux), else 0.
fn peak_memory_mib() -> f64 {
    peak_memory_mib_in(Path::new("/proc/self/status"))
}

/// The most memory that a process has held, by its status file; 0 if there is none.
fn peak_memory_mib_in(status: &Path) -> f64 {
    let status = std::fs::read_to_string(status).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    kib.map_or(0.0, |kib| kib / 1024.0)
}
