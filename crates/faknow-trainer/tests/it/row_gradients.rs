//! Sparse gradients of embeddings, which have only the rows of the batch: updates equal those with dense gradients.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use faknow_data::FieldBatch;
use faknow_model::layers::{Embedding, with_sparse_gradients};
use faknow_model::{Mode, Model as _, TextCnn, TextCnnConfig};
use faknow_trainer::{AccumulationWindow, Adagrad, Adam, Clip, Optimizer, OptimizerConfig, RmsProp, Sgd};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

const N_TOKENS: i64 = 700;
const SIZE: i64 = 30;

fn table(kind: Kind) -> (VarStore, Tensor) {
    tch::manual_seed(3);
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(kind);
    let _ = Embedding::random(&vars.root(), N_TOKENS, SIZE).unwrap();
    let _ = vars.root().randn("other", &[5, SIZE], 0.0, 1.0);
    let weight = vars.variables().remove("weight").unwrap();
    (vars, weight)
}

/// Returns a loss of `tokens`, with a sparse or dense gradient.
fn loss(vars: &VarStore, tokens: &[i64], is_sparse: bool) -> Tensor {
    let variables = vars.variables();
    let tokens = Tensor::from_slice(tokens);
    let embedded = Tensor::embedding(&variables["weight"], &tokens, -1, false, is_sparse);
    (embedded.square() * (&tokens + 1.0).unsqueeze(1)).sum(embedded.kind())
        + variables["other"].square().sum(embedded.kind())
}

fn configs() -> Vec<OptimizerConfig> {
    vec![
        OptimizerConfig::Sgd(Sgd { lr: 0.01, momentum: 0.9, weight_decay: 0.01, ..Sgd::default() }),
        OptimizerConfig::Adam(Adam { lr: 0.01, ..Adam::default() }),
        OptimizerConfig::Adam(Adam { lr: 0.01, weight_decay: 0.1, amsgrad: true, ..Adam::default() }),
        OptimizerConfig::RmsProp(RmsProp { lr: 0.01, momentum: 0.5, centered: true, ..RmsProp::default() }),
        OptimizerConfig::Adagrad(Adagrad { lr: 0.01, ..Adagrad::default() }),
    ]
}

/// Returns the weights after five updates; each accumulation window has two batches, which share tokens.
fn train(config: &OptimizerConfig, kind: Kind, clip: Clip, is_sparse: bool) -> Tensor {
    let (vars, weight) = table(kind);
    let mut optimizer = Optimizer::new(config, &vars, clip).unwrap();
    for step in 0..5 {
        let batches = [vec![0, 1, 2, 650 + step], vec![699, 1, 350, 350]];
        for (number, tokens) in batches.iter().enumerate() {
            optimizer.set_window(AccumulationWindow {
                weight: 0.5,
                is_first: number == 0,
                is_last: number == 1,
            });
            optimizer.backward_step(&loss(&vars, tokens, is_sparse)).unwrap();
        }
    }
    weight.detach().copy()
}

#[test]
fn updates_with_sparse_and_dense_gradients_are_equal() {
    for config in configs() {
        for kind in [Kind::Float, Kind::Double] {
            for clip in [Clip::None, Clip::Value(0.05)] {
                let [sparse, dense] = [true, false].map(|is_sparse| train(&config, kind, clip, is_sparse));
                assert_eq!(sparse, dense, "{config:?} {kind:?} {clip:?}");
                assert_ne!(sparse, table(kind).1);
            }
            // The norm is summed in another order.
            let [sparse, dense] =
                [true, false].map(|is_sparse| train(&config, kind, Clip::Norm(0.5), is_sparse));
            let difference = (sparse - dense).abs().max().double_value(&[]);
            assert!(difference <= 1e-7, "{config:?} {kind:?} {difference}");
        }
    }
}

#[test]
fn updates_half_precision_with_sparse_and_dense_gradients() {
    for is_sparse in [true, false] {
        let (vars, weight) = table(Kind::Half);
        let mut optimizer = Optimizer::new(OptimizerConfig::sgd(0.5), &vars, Clip::None).unwrap();
        let before = weight.detach().copy();
        optimizer.backward_step(&loss(&vars, &[0, 0, 9], is_sparse)).unwrap();
        let changed = (weight.detach() - before).abs().sum_dim_intlist(1, false, Kind::Float).gt(0.0);
        let changed = Vec::<i64>::try_from(changed.nonzero().view(-1)).unwrap();
        assert_eq!(changed, [0, 9]);
    }
}

#[test]
fn rejects_non_finite_sparse_gradient() {
    let (vars, weight) = table(Kind::Float);
    let mut optimizer = Optimizer::new(OptimizerConfig::adam(0.1), &vars, Clip::None).unwrap();
    let before = weight.detach().copy();
    let error = optimizer.backward_step(&(loss(&vars, &[4], true) * f64::NAN)).unwrap_err();
    assert!(error.to_string().contains("`other`"), "{error}");
    assert_eq!(weight.detach(), before);
}

#[test]
fn gradients_are_sparse_only_on_request() {
    let config = TextCnnConfig { embedding_size: 8, n_filters: 4, ..Default::default() };
    let tokens = Tensor::from_slice2(&[[2i64, 3, 4, 5, 0, 0], [2, 2, 9, 0, 0, 0]]);
    let batch = FieldBatch::from_words(tokens, Some(Tensor::from_slice(&[1i64, 0]))).unwrap();
    let gradient = |is_sparse: bool| {
        tch::manual_seed(1);
        let vars = VarStore::new(Device::Cpu);
        let model = TextCnn::new(&vars.root(), &config, 20, 2).unwrap();
        let forward = || model.forward(&batch, Mode::Eval).unwrap().loss.unwrap().total;
        let loss = if is_sparse { with_sparse_gradients(forward) } else { forward() };
        loss.backward();
        vars.variables()["word_embedding.weight"].grad()
    };
    let (sparse, dense) = (gradient(true), gradient(false));
    assert!(sparse.is_sparse() && !dense.is_sparse());
    assert_eq!(sparse.to_dense(None, false), dense);
    let result = std::panic::catch_unwind(|| with_sparse_gradients(|| panic!("in a model")));
    assert!(result.is_err());
    assert!(!gradient(false).is_sparse());
}
