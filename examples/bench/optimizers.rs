//! Optimizer steps compared with those of libtorch's optimizers (through `tch`), on the same weights and gradients.

use std::time::Instant;

use anyhow::Result;
use faknow::prelude::*;
use faknow::tch::nn::{self, OptimizerConfig as _};
use faknow::trainer::{RmsProp, Sgd};

use crate::alternate;

/// Number of steps per timing.
const N_STEPS: usize = 20;

/// The time of a step of our optimizer and of libtorch's.
pub(crate) struct StepTime {
    pub(crate) optimizer: &'static str,
    /// Number and layout of the weights.
    pub(crate) weights: String,
    pub(crate) is_clipped: bool,
    pub(crate) ms: f64,
    pub(crate) libtorch_ms: f64,
    /// Median of the pairwise ratios, ours to libtorch's.
    pub(crate) ratio: f64,
}

/// Measures the steps of all optimizers on one large tensor and on 200 small ones, without and with clipping by the global norm.
pub(crate) fn compare(n_times: usize, n_weights: i64) -> Result<Vec<StepTime>> {
    let small = (n_weights / 8000).max(1);
    let layouts = [
        (format!("{n_weights} weights, dense"), 1, n_weights),
        (format!("{} weights in 200 tensors", 200 * small), 200, small),
    ];
    let mut times = Vec::new();
    for (layout, n_tensors, size) in layouts {
        for clip in [Clip::None, Clip::Norm(1.0)] {
            for (name, config, libtorch) in algorithms() {
                let vars = [weights(n_tensors, size), weights(n_tensors, size)];
                let mut optimizer = Optimizer::new(&config, &vars[0], clip)?;
                let mut libtorch_optimizer = libtorch(&vars[1])?;
                let our_steps = || {
                    let start = Instant::now();
                    (0..N_STEPS).try_for_each(|_| optimizer.step())?;
                    Ok(start.elapsed().as_secs_f64() / N_STEPS as f64)
                };
                let libtorch_steps = || {
                    let start = Instant::now();
                    for _ in 0..N_STEPS {
                        if let Clip::Norm(max) = clip {
                            libtorch_optimizer.clip_grad_norm(max);
                        }
                        libtorch_optimizer.step();
                    }
                    Ok(start.elapsed().as_secs_f64() / N_STEPS as f64)
                };
                let [seconds, libtorch_seconds, ratio] = alternate(n_times, our_steps, libtorch_steps)?;
                times.push(StepTime {
                    optimizer: name,
                    weights: layout.clone(),
                    is_clipped: clip != Clip::None,
                    ms: 1e3 * seconds,
                    libtorch_ms: 1e3 * libtorch_seconds,
                    ratio,
                });
            }
        }
    }
    Ok(times)
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

/// Returns weights with gradients.
fn weights(n_tensors: i64, size: i64) -> nn::VarStore {
    let vars = nn::VarStore::new(Device::Cpu);
    for index in 0..n_tensors {
        let weight = vars.root().randn(&format!("weight{index}"), &[size], 0.0, 1.0);
        (&weight * weight.detach()).sum(Kind::Float).backward();
    }
    vars
}
