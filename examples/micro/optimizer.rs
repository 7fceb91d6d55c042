//! A step of Adam on word vectors with dense and with sparse gradients, and that of libtorch's Adam.

use divan::Bencher;
use faknow::prelude::*;
use faknow::tch::Tensor;
use faknow::tch::nn::OptimizerConfig as _;

const N_WORDS: i64 = 15_000;

/// Returns word vectors with a gradient, dense or of 700 rows.
fn vectors(sparse: bool) -> nn::VarStore {
    let vars = nn::VarStore::new(Device::Cpu);
    let vectors = vars.root().randn("weight", &[N_WORDS, 300], 0.0, 0.1);
    let words = Tensor::arange(700, (Kind::Int64, Device::Cpu)) * 21;
    Tensor::embedding(&vectors, &words, -1, false, sparse).square().sum(Kind::Float).backward();
    vars
}

#[divan::bench(args = ["dense", "sparse", "dense, clipped", "sparse, clipped"])]
fn adam(bencher: Bencher, gradient: &str) {
    let clip = if gradient.ends_with("clipped") { Clip::Norm(0.01) } else { Clip::None };
    let vars = vectors(gradient.starts_with("sparse"));
    let mut optimizer = Optimizer::new(OptimizerConfig::adam(1e-3), &vars, clip).unwrap();
    bencher.bench_local(|| optimizer.step().unwrap());
}

#[divan::bench]
fn libtorch_adam(bencher: Bencher) {
    let vars = vectors(false);
    let mut optimizer = nn::Adam::default().build(&vars, 1e-3).unwrap();
    bencher.bench_local(|| optimizer.step());
}
