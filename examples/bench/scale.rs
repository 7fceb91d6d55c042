//! Time and memory by number of propagation trees, for reading and training, up to three million nodes.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use faknow::data::graph::{label_trees, read_td_rvnn, read_tree_labels};
use faknow::data::synth::{CascadeOptions, write_td_rvnn};
use faknow::data::{FieldBatch, FieldDataset};
use faknow::model::{BiGcn, BiGcnConfig, ConvKind, GraphClassifier, GraphClassifierConfig};
use faknow::prelude::*;

use crate::curves::{Series, draw};

/// Option to measure one number of trees. The benchmark runs itself with it, so that each size has a separate peak memory.
pub(crate) const SINGLE_SIZE: &str = "--scale-size";
const N_WORDS: usize = 5000;
const MEAN_SIZE: f64 = 30.0;

/// The measurements of one number of trees; times in seconds.
struct Point {
    n_nodes: f64,
    read: f64,
    graphsage: f64,
    bigcn: f64,
    peak_mib: f64,
}

/// Measures each size, and writes the figure to the SVG file if one is given.
pub(crate) fn run(quick: bool, svg: Option<&str>) -> Result<()> {
    let sizes: &[usize] = if quick { &[50, 100] } else { &[1_000, 3_000, 10_000, 30_000, 100_000] };
    println!("cascades   nodes        reading  GraphSAGE, epoch  BiGCN, epoch   peak memory");
    let mut points = Vec::new();
    for &n_trees in sizes {
        let output =
            Command::new(std::env::current_exe()?).args([SINGLE_SIZE, &n_trees.to_string()]).output()?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{n_trees} trees: {}", String::from_utf8_lossy(&output.stderr));
        let numbers: Vec<f64> = stdout.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [n_nodes, read, graphsage, bigcn, peak_mib] = numbers[..] else {
            anyhow::bail!("{n_trees} trees: expected five numbers, got `{stdout}`")
        };
        println!(
            "{n_trees:<10} {n_nodes:<10} {read:>7.2} s {graphsage:>15.2} s {bigcn:>11.2} s {peak_mib:>9.0} MiB"
        );
        points.push(Point { n_nodes, read, graphsage, bigcn, peak_mib });
    }
    let seconds: &[Series<Point>] =
        &[("BiGCN, epoch", |p| p.bigcn), ("GraphSAGE, epoch", |p| p.graphsage), ("reading", |p| p.read)];
    let mib: &[Series<Point>] = &[("peak memory", |p| p.peak_mib)];
    if let Some(path) = svg {
        let figure = draw(&points, ("nodes", |p| p.n_nodes), [("seconds", seconds), ("MiB", mib)])?;
        std::fs::write(path, figure).with_context(|| path.to_owned())?;
    }
    Ok(())
}

/// Measures one number of trees and prints the values of a [`Point`].
pub(crate) fn measure(n_trees: usize) -> Result<()> {
    let dir = std::env::temp_dir().join(format!("faknow-scale-{}", std::process::id()));
    let options =
        CascadeOptions { n_trees, mean_size: MEAN_SIZE, n_words: N_WORDS, ..CascadeOptions::default() };
    let files = write_td_rvnn(&dir, &options)?;
    let start = Instant::now();
    let classes = Classes::new(["true", "false"])?;
    let labels = read_tree_labels(&files.labels)?;
    let trees = label_trees(read_td_rvnn(&files.trees, Some(N_WORDS))?, &labels, &classes, &files.labels)?;
    let data = FieldDataset::from_trees(trees)?;
    let read = start.elapsed().as_secs_f64();
    std::fs::remove_dir_all(&dir)?;
    let n_nodes = data.n_nodes();
    let graphsage = epoch(&data, |path| {
        GraphClassifier::new(path, ConvKind::Sage, &GraphClassifierConfig::default(), N_WORDS, 2)
    })?;
    let bigcn = epoch(&data, |path| BiGcn::new(path, &BiGcnConfig::default(), N_WORDS, 2))?;
    println!("{n_nodes} {read} {graphsage} {bigcn} {}", crate::peak_memory_mib());
    Ok(())
}

/// Returns the seconds of the second of two epochs in batches of 128.
fn epoch<M: Model<Batch = FieldBatch> + 'static>(
    data: &FieldDataset,
    build: impl FnOnce(&nn::Path<'_>) -> faknow::model::Result<M>,
) -> Result<f64> {
    let (model, vars) = seeded_model(0, Device::Cpu, build)?;
    let loader = DataLoader::builder(data.clone()).batch_size(128).shuffle(0).prefetch(1, 2).build()?;
    let mut trainer =
        Trainer::builder(model, vars).optimizer(OptimizerConfig::adam(5e-4)).max_epochs(2).build()?;
    let fit = trainer.fit(&loader, None)?;
    Ok(fit.history.epochs.last().map_or(f64::NAN, |epoch| epoch.train_seconds))
}
