//! The matrix products of a training epoch, compared with the peak speed of the machine.

use std::collections::BTreeSet;

use anyhow::Result;
use faknow::prelude::*;
use faknow::tch::{self, Tensor};

use crate::{Row, median_seconds, training};

/// Measures one large matrix product, and the share of its speed that the matrix products of an epoch reach on average.
pub(crate) fn measure(
    n_times: usize,
    config: &TextCnnConfig,
    data: &FieldDataset,
    n_words: usize,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let n = if n_times > 1 { 2048 } else { 256 };
    let [a, b] = [0, 1].map(|_| Tensor::randn([n, n], tch::kind::FLOAT_CPU));
    // The first product starts the threads.
    drop(a.matmul(&b));
    let seconds = median_seconds(n_times, || Ok(a.f_matmul(&b)?))?;
    let peak = 2.0 * (n as f64).powi(3) / seconds / 1e9;
    rows.push((format!("matrix product, {n} x {n}"), peak, "GFLOP/s"));

    let columns = config.n_filters * config.kernel_sizes.iter().sum::<i64>();
    let flops_per_word = 2.0 * (config.embedding_size * columns) as f64;
    let (mut distinct, mut positions) = (0, 0);
    let loader = training::loader(data)?;
    for batch in loader.batches(0, 0) {
        let tokens = Vec::<i64>::try_from(&batch?.words()?.ids.view(-1))?;
        positions += tokens.len();
        distinct += tokens.into_iter().collect::<BTreeSet<i64>>().len();
    }
    // Once forward, and twice backward: for the words and for the kernels.
    let flops = 3.0 * flops_per_word * distinct as f64;
    let epoch = training::bare_epoch(config, n_words, &loader)?;
    rows.push(("matrix products of an epoch".into(), flops / 1e9, "GFLOP"));
    rows.push((
        "convolutions of an epoch over all positions".into(),
        3.0 * flops_per_word * positions as f64 / 1e9,
        "GFLOP",
    ));
    rows.push(("share of the peak speed in an epoch".into(), 100.0 * flops / epoch / 1e9 / peak, "%"));
    Ok(())
}
