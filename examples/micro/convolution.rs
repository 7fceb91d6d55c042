//! Implementations of TextCNN's convolutions with the same features and gradients, forward and backward.

use divan::Bencher;
use faknow::model::layers::{Activation, Embedding, TextCnnLayer, with_sparse_gradients};
use faknow::tch::nn::VarStore;
use faknow::tch::{Device, Kind, Tensor};

use crate::tokens;

const KERNELS: [i64; 3] = [3, 4, 5];
const SIZE: i64 = 300;
const N_FILTERS: i64 = 100;

struct Network {
    vars: VarStore,
    embedding: Embedding,
    layer: TextCnnLayer,
    tokens: Tensor,
}

impl Network {
    fn new() -> Self {
        let vars = VarStore::new(Device::Cpu);
        let embedding = Embedding::random(&(vars.root() / "words"), 15_000, SIZE).unwrap();
        let layer = TextCnnLayer::new(&vars.root(), SIZE, N_FILTERS, &KERNELS, Activation::Relu).unwrap();
        Self { vars, embedding, layer, tokens: Tensor::from_slice(&tokens()).view([50, 36]) }
    }

    /// Returns the kernel size, weight `[filters, 1, kernel, size]` and bias of each convolution.
    fn convolutions(&self) -> impl Iterator<Item = (i64, Tensor, Tensor)> + '_ {
        let mut variables = self.vars.variables();
        KERNELS.iter().enumerate().map(move |(i, &kernel)| {
            let mut variable = |name: &str| variables.remove(&format!("convs.{i}.{name}")).unwrap();
            (kernel, variable("weight"), variable("bias"))
        })
    }

    fn conv2d(&self) -> Tensor {
        let words = self.embedding.forward(&self.tokens).unwrap().unsqueeze(1);
        let features: Vec<Tensor> = self
            .convolutions()
            .map(|(_, weight, bias)| {
                words
                    .conv2d(&weight, Some(&bias), [1, 1], [0, 0], [1, 1], 1)
                    .squeeze_dim(3)
                    .amax([2], false)
                    .relu()
            })
            .collect();
        Tensor::cat(&features, 1)
    }

    fn conv1d(&self) -> Tensor {
        self.layer.forward(&self.embedding.forward(&self.tokens).unwrap()).unwrap()
    }

    /// Unfolds the windows, then computes one matrix product per kernel size.
    fn unfold(&self) -> Tensor {
        let words = self.embedding.forward(&self.tokens).unwrap();
        let features: Vec<Tensor> = self
            .convolutions()
            .map(|(kernel, weight, bias)| {
                // [n, windows, size, kernel]
                let windows = words.unfold(1, kernel, 1);
                let weight = weight.squeeze_dim(1).transpose(1, 2).reshape([N_FILTERS, SIZE * kernel]);
                let sums = windows.reshape([50, -1, SIZE * kernel]).matmul(&weight.tr());
                (sums.amax([1], false) + bias).relu()
            })
            .collect();
        Tensor::cat(&features, 1)
    }

    fn distinct_words(&self) -> Tensor {
        self.layer.forward_words(&self.embedding, &self.tokens).unwrap()
    }

    fn sparse_gradients(&self) -> Tensor {
        with_sparse_gradients(|| self.distinct_words())
    }
}

type Implementation = fn(&Network) -> Tensor;

const IMPLEMENTATIONS: [(&str, Implementation); 5] = [
    ("conv2d", Network::conv2d),
    ("conv1d", Network::conv1d),
    ("unfold and matmul", Network::unfold),
    ("distinct words", Network::distinct_words),
    ("distinct words, sparse gradients", Network::sparse_gradients),
];

#[divan::bench(args = IMPLEMENTATIONS.map(|(name, _)| name))]
fn forward(bencher: Bencher, name: &str) {
    let network = Network::new();
    let implementation = implementation(name);
    bencher.bench_local(|| implementation(&network));
}

#[divan::bench(args = IMPLEMENTATIONS.map(|(name, _)| name))]
fn forward_and_backward(bencher: Bencher, name: &str) {
    let network = Network::new();
    let implementation = implementation(name);
    let mut grad_clearer = faknow::tch::COptimizer::sgd(0.0, 0.0, 0.0, 0.0, false).unwrap();
    for tensor in network.vars.trainable_variables() {
        grad_clearer.add_parameters(&tensor, 0).unwrap();
    }
    bencher.bench_local(|| {
        grad_clearer.zero_grad().unwrap();
        implementation(&network).sum(Kind::Float).backward();
    });
}

fn implementation(name: &str) -> Implementation {
    IMPLEMENTATIONS.iter().find(|(other, _)| *other == name).unwrap().1
}
