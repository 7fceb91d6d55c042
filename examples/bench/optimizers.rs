//! Our optimizers against libtorch's own through tch: the same weights, the same gradients.

use std::time::Instant;

use anyhow::Result;
use faknow::prelude::*;
use faknow::tch::nn::{self, OptimizerConfig as _};
use faknow::trainer::{RmsProp, Sgd};

use crate::{Row, in_turn};

/// Updates that are timed together.
const N_UPDATES: usize = 20;

/// Many weights in one tensor, and in 200 small ones; with and without clipping by the global norm.
pub(crate) fn compare(n_times: usize, n_weights: i64, rows: &mut Vec<Row>) -> Result<()> {
    let shapes = [("dense", 1, n_weights), ("200 tensors", 200, (n_weights / 8000).max(1))];
    for (shape, n_tensors, size) in shapes {
        for clip in [Clip::None, Clip::Norm(1.0)] {
            for (name, ours, theirs) in algorithms() {
                let vars = [weights(n_tensors, size), weights(n_tensors, size)];
                let mut optimizer = Optimizer::new(&ours, &vars[0], clip)?;
                let mut libtorchs = theirs(&vars[1])?;
                let our_updates = || {
                    let start = Instant::now();
                    (0..N_UPDATES).try_for_each(|_| optimizer.step())?;
                    Ok(start.elapsed().as_secs_f64() / N_UPDATES as f64)
                };
                let their_updates = || {
                    let start = Instant::now();
                    for _ in 0..N_UPDATES {
                        if let Clip::Norm(max) = clip {
                            libtorchs.clip_grad_norm(max);
                        }
                        libtorchs.step();
                    }
                    Ok(start.elapsed().as_secs_f64() / N_UPDATES as f64)
                };
                let [our_time, their_time, ratio] = in_turn(n_times, our_updates, their_updates)?;
                let clipped = if clip == Clip::None { "" } else { ", clipped" };
                let what = format!("{name}, {} weights {shape}{clipped}", n_tensors * size);
                rows.push((what.clone(), 1e3 * our_time, "ms"));
                rows.push((format!("{what}, libtorch's"), 1e3 * their_time, "ms"));
                rows.push((format!("{what}, ours / libtorch's"), ratio, "ratio"));
            }
        }
    }
    Ok(())
}

type Build = fn(&nn::VarStore) -> Result<nn::Optimizer>;

fn algorithms() -> [(&'static str, OptimizerConfig, Build); 4] {
    let sgd = Sgd { lr: 1e-3, momentum: 0.9, ..Sgd::default() };
    let rms_prop = RmsProp { lr: 1e-3, ..RmsProp::default() };
    [
        ("SGD with momentum", OptimizerConfig::Sgd(sgd), |vars| {
            Ok(nn::sgd(0.9, 0., 0., false).build(vars, 1e-3)?)
        }),
        ("Adam", OptimizerConfig::adam(1e-3).into(), |vars| Ok(nn::Adam::default().build(vars, 1e-3)?)),
        ("AdamW", OptimizerConfig::adamw(1e-3).into(), |vars| Ok(nn::AdamW::default().build(vars, 1e-3)?)),
        ("RMSprop", OptimizerConfig::RmsProp(rms_prop), |vars| Ok(nn::RmsProp::default().build(vars, 1e-3)?)),
    ]
}

/// Weights with a gradient each, which stays.
fn weights(n_tensors: i64, size: i64) -> nn::VarStore {
    let vars = nn::VarStore::new(Device::Cpu);
    for number in 0..n_tensors {
        let weight = vars.root().randn(&format!("weight{number}"), &[size], 0.0, 1.0);
        (&weight * weight.detach()).sum(Kind::Float).backward();
    }
    vars
}
