//! An epoch with `Trainer` compared with a bare loop: same model, data, optimizer and clipping.

use std::time::Instant;

use anyhow::{Context as _, Result};
use faknow::model::layers::with_sparse_gradients;
use faknow::prelude::*;
use faknow::tch;

use crate::{Row, alternate};

const CLIP: Clip = Clip::Norm(5.0);

/// Measures both alternately, and a bare loop with libtorch's optimizer.
pub(crate) fn compare(
    n_times: usize,
    config: &TextCnnConfig,
    data: &FieldDataset,
    n_words: usize,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let loader = loader(data)?;
    // The first epoch of a process warms up caches and threads.
    bare_epoch(config, n_words, &loader)?;
    let mut checkpoint_seconds = Vec::new();
    let with_trainer = || {
        let (training, checkpoint) = with_trainer(config, n_words, &loader)?;
        checkpoint_seconds.push(checkpoint);
        Ok(training)
    };
    let [trainer, bare, ratio] = alternate(n_times, with_trainer, || bare_epoch(config, n_words, &loader))?;
    rows.push(("epoch, `Trainer` with a run directory and its callbacks".into(), trainer, "s"));
    rows.push(("epoch, bare loop with the same optimizer".into(), bare, "s"));
    rows.push(("`Trainer` / bare loop".into(), ratio, "ratio"));
    rows.push(("writing the checkpoint after the epoch".into(), crate::median(&mut checkpoint_seconds), "s"));
    let [_, libtorch, _] = alternate(
        n_times,
        || bare_epoch(config, n_words, &loader),
        || with_libtorch(config, n_words, &loader),
    )?;
    rows.push(("epoch, bare loop with libtorch's optimizer".into(), libtorch, "s"));
    Ok(())
}

/// Returns the loader of training batches.
pub(crate) fn loader(data: &FieldDataset) -> Result<DataLoader<FieldDataset>> {
    Ok(DataLoader::builder(data.clone()).batch_size(50).shuffle(1).buckets(20).build()?)
}

fn model(config: &TextCnnConfig, n_words: usize) -> Result<(TextCnn, nn::VarStore)> {
    let (model, vars) = seeded_model(1, Device::Cpu, |path| TextCnn::new(path, config, n_words, 2))?;
    Ok((model, vars))
}

/// Returns the seconds of a fit of one epoch with all default callbacks: without checkpoints, and of checkpoints.
fn with_trainer(
    config: &TextCnnConfig,
    n_words: usize,
    loader: &DataLoader<FieldDataset>,
) -> Result<(f64, f64)> {
    let (model, vars) = model(config, n_words)?;
    let dir = std::env::temp_dir().join(format!("faknow-bench-{}", std::process::id()));
    let run_dir = RunDir::create(&dir)?;
    let mut trainer = Trainer::builder(model, vars).max_epochs(1).clip(CLIP).run_dir(run_dir).build()?;
    let report = trainer.fit(loader, None);
    std::fs::remove_dir_all(&dir)?;
    let report = report?;
    Ok((report.seconds - report.profile.checkpoints, report.profile.checkpoints))
}

/// Returns the seconds of an epoch in a bare loop, with the trainer's optimizer and clipping.
pub(crate) fn bare_epoch(
    config: &TextCnnConfig,
    n_words: usize,
    loader: &DataLoader<FieldDataset>,
) -> Result<f64> {
    let (model, vars) = model(config, n_words)?;
    let mut optimizer = Optimizer::new(OptimizerConfig::default(), &vars, CLIP)?;
    let start = Instant::now();
    for batch in loader.batches(0, 0) {
        let batch = batch?;
        let output = with_sparse_gradients(|| model.forward(&batch, Mode::Train))?;
        optimizer.backward_step(&output.loss.context("the batch has no labels")?.total)?;
    }
    Ok(start.elapsed().as_secs_f64())
}

/// Returns the seconds of an epoch in a bare loop with libtorch's optimizer.
fn with_libtorch(config: &TextCnnConfig, n_words: usize, loader: &DataLoader<FieldDataset>) -> Result<f64> {
    use tch::nn::OptimizerConfig as _;
    let (model, vars) = model(config, n_words)?;
    let mut optimizer = nn::Adam::default().build(&vars, 1e-3)?;
    let start = Instant::now();
    for batch in loader.batches(0, 0) {
        let loss = model.forward(&batch?, Mode::Train)?.loss.context("the batch has no labels")?;
        optimizer.zero_grad();
        loss.total.backward();
        optimizer.clip_grad_norm(5.0);
        optimizer.step();
    }
    Ok(start.elapsed().as_secs_f64())
}
