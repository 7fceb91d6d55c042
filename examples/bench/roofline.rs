//! How near an epoch of training comes to what the machine can multiply.

use std::collections::BTreeSet;

use anyhow::Result;
use faknow::prelude::*;
use faknow::tch::{self, Tensor};

use crate::{Row, median, training};

/// One big product of matrices, and what part of its speed the products of an epoch reach over the whole epoch.
pub(crate) fn measure(
    n_times: usize,
    config: &TextCnnConfig,
    data: &FieldDataset,
    n_words: usize,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let n = if n_times > 1 { 2048 } else { 256 };
    let [a, b] = [0, 1].map(|_| Tensor::randn([n, n], tch::kind::FLOAT_CPU));
    // The first one wakes the threads.
    drop(a.matmul(&b));
    let seconds = median(n_times, || Ok(a.f_matmul(&b)?))?;
    let peak = 2.0 * (n as f64).powi(3) / seconds / 1e9;
    rows.push((format!("one product of {n} x {n} matrices"), peak, "GFLOP/s"));

    let columns = config.n_filters * config.kernel_sizes.iter().sum::<i64>();
    let a_word = 2.0 * (config.embedding_size * columns) as f64;
    let (mut distinct, mut positions) = (0, 0);
    let loader = training::loader(data)?;
    for batch in loader.batches(0, 0) {
        let tokens = Vec::<i64>::try_from(&batch?.words()?.ids.view(-1))?;
        positions += tokens.len();
        distinct += tokens.into_iter().collect::<BTreeSet<i64>>().len();
    }
    // Forward, and backward once for the words and once for the kernels.
    let flops = 3.0 * a_word * distinct as f64;
    let epoch = training::bare_epoch(config, n_words, &loader)?;
    rows.push(("multiplications and additions of its products, an epoch".into(), flops / 1e9, "GFLOP"));
    rows.push((
        "those of a convolution over all places".into(),
        3.0 * a_word * positions as f64 / 1e9,
        "GFLOP",
    ));
    rows.push(("an epoch's part of that speed".into(), 100.0 * flops / epoch / 1e9 / peak, "%"));
    Ok(())
}
