//! Time and memory by number of posts, for reading, tokenizing and training, up to five million posts, with a limit on the memory
//! for tokens.

use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use faknow::data::RecordReader;
use faknow::data::synth::{CLASS_NAMES, SynthOptions, generate};
use faknow::data::text::TokenStorage;
use faknow::prelude::*;

use crate::curves::{Series, draw};

/// Option to measure one file. The benchmark runs itself with it, so that each size has a separate peak memory.
pub(crate) const SINGLE_FILE: &str = "--scale-posts-file";

/// Memory for the tokens of a dataset; the rest is stored in a file.
const MAX_MIB: u64 = 64;

/// The measurements of one number of posts; times in seconds.
struct Point {
    n_posts: f64,
    file_mib: f64,
    read: f64,
    epoch: f64,
    peak_mib: f64,
}

/// Measures each size, and writes the figure to the SVG file if one is given.
pub(crate) fn run(quick: bool, svg: Option<&str>) -> Result<()> {
    let sizes: &[usize] = if quick { &[100, 300] } else { &[10_000, 100_000, 1_000_000, 5_000_000] };
    let dir = std::env::temp_dir().join(format!("faknow-posts-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    println!(
        "memory for tokens: {MAX_MIB} MiB\nposts      file       reading and tokenizing  training epoch  peak memory"
    );
    let mut points = Vec::new();
    for &n_posts in sizes {
        let file = dir.join("posts.jsonl");
        write(&file, n_posts)?;
        let file_mib = std::fs::metadata(&file)?.len() as f64 / f64::from(1 << 20);
        let output = Command::new(std::env::current_exe()?).arg(SINGLE_FILE).arg(&file).output()?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{n_posts} posts: {}", String::from_utf8_lossy(&output.stderr));
        let numbers: Vec<f64> = stdout.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [read, epoch, peak_mib] = numbers[..] else {
            anyhow::bail!("{n_posts} posts: expected three numbers, got `{stdout}`")
        };
        println!("{n_posts:<10} {file_mib:>4.0} MiB {read:>22.2} s {epoch:>13.2} s {peak_mib:>8.0} MiB");
        points.push(Point { n_posts: n_posts as f64, file_mib, read, epoch, peak_mib });
    }
    std::fs::remove_dir_all(&dir)?;
    let seconds: &[Series<Point>] = &[("training epoch", |p| p.epoch), ("reading", |p| p.read)];
    let mib: &[Series<Point>] = &[("file", |p| p.file_mib), ("peak memory", |p| p.peak_mib)];
    if let Some(path) = svg {
        let figure = draw(&points, ("posts", |p| p.n_posts), [("seconds", seconds), ("MiB", mib)])?;
        std::fs::write(path, figure).with_context(|| path.to_owned())?;
    }
    Ok(())
}

/// Writes synthetic posts as JSON lines, generated in chunks.
fn write(file: &Path, n_posts: usize) -> Result<()> {
    const CHUNK: usize = 10_000;
    let mut out = BufWriter::new(std::fs::File::create(file)?);
    for (seed, start) in (0..n_posts).step_by(CHUNK).enumerate() {
        let n_samples = CHUNK.min(n_posts - start);
        for post in generate(&SynthOptions { n_samples, seed: seed as u64, ..SynthOptions::default() })? {
            let record = serde_json::json!({ "text": post.text, "label": CLASS_NAMES[post.label] });
            serde_json::to_writer(&mut out, &record)?;
            out.write_all(b"\n")?;
        }
    }
    Ok(out.flush()?)
}

/// Reads a file, trains a small TextCNN for an epoch, and prints the seconds of both and the peak memory.
pub(crate) fn measure(file: &Path) -> Result<()> {
    let start = Instant::now();
    let classes = Classes::new(CLASS_NAMES)?;
    let records = RecordReader::open(file, &crate::load::options("text"), Some(&classes))?;
    let tokenizer = Tokenizer::new(TokenizerConfig::default())?;
    let storage = TokenStorage { max_bytes: Some(MAX_MIB << 20), ..TokenStorage::default() };
    let (data, vocab) = FieldDataset::build_in(records, &tokenizer, &VocabOptions::default(), &storage)?;
    let read = start.elapsed().as_secs_f64();
    let config = TextCnnConfig { embedding_size: 32, n_filters: 16, ..TextCnnConfig::default() };
    let (model, vars) = seeded_model(0, Device::Cpu, |path| TextCnn::new(path, &config, vocab.len(), 2))?;
    let data = data.with_extra_padding(config.extra_padding());
    let loader = DataLoader::builder(data).batch_size(256).shuffle(0).prefetch(1, 4).build()?;
    let mut trainer = Trainer::builder(model, vars).max_epochs(1).build()?;
    let fit = trainer.fit(&loader, None)?;
    let epoch = fit.history.epochs.last().map_or(f64::NAN, |epoch| epoch.train_seconds);
    println!("{read} {epoch} {}", crate::peak_memory_mib());
    Ok(())
}
