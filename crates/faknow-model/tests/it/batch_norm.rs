//! Batch normalization: a batch of one row, and statistics over a pass.

use faknow_data::graph::{SparseRows, Tree};
use faknow_data::{Dataset as _, FieldBatch, FieldDataset};
use faknow_model::layers::{BatchNorm, with_cumulative_statistics};
use faknow_model::{Ebgcn, EbgcnConfig, Gnncl, GnnclConfig, Mode, Model};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor, no_grad};

type TreeModel = Box<dyn Model<Batch = FieldBatch>>;

fn layer() -> (BatchNorm, VarStore) {
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(Kind::Double);
    (BatchNorm::new(&vars.root(), 3).unwrap(), vars)
}

fn statistics(vars: &VarStore) -> Vec<(String, Vec<f64>)> {
    let variables = vars.variables().into_iter().filter(|(name, _)| name.contains("running_"));
    let mut all: Vec<_> =
        variables.map(|(name, t)| (name, Vec::<f64>::try_from(t.to_kind(Kind::Double)).unwrap())).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn rows(n: i64) -> Tensor {
    (Tensor::arange(3 * n, (Kind::Double, Device::Cpu)) + 1.0).square().view([n, 3])
}

#[test]
fn single_row_is_normalized_by_the_running_statistics_and_leaves_them() {
    let _generator = crate::generator();
    let (norm, vars) = layer();
    let _ = norm.forward(&rows(4), Mode::Train).unwrap();
    let before = statistics(&vars);
    let one = Tensor::ones([1], (Kind::Int64, Device::Cpu));
    let expected = norm.forward(&rows(1), Mode::Eval).unwrap();
    let outputs = [
        norm.forward(&rows(1), Mode::Train).unwrap(),
        norm.forward(&rows(1).view([1, 3, 1]), Mode::Train).unwrap().view([1, 3]),
        norm.forward_columns(&rows(1), 0, None, Mode::Train).unwrap(),
        norm.forward_columns(&rows(1), 0, Some(&one), Mode::Train).unwrap(),
    ];
    for output in outputs {
        assert!((output - &expected).abs().max().double_value(&[]) < 1e-12);
    }
    assert_eq!(statistics(&vars), before);
    // A row of multiplicity 2 and two rows have a variance.
    let _ = norm.forward_columns(&rows(1), 0, Some(&(one * 2)), Mode::Train).unwrap();
    let after = statistics(&vars);
    assert_ne!(after, before);
    let _ = norm.forward(&rows(2), Mode::Train).unwrap();
    assert_ne!(statistics(&vars), after);
}

#[test]
fn cumulative_statistics_are_the_means_over_the_batches_of_a_pass() {
    let _generator = crate::generator();
    let (norm, vars) = layer();
    let batches = [rows(2), rows(4) * 3.0, rows(1), rows(3) - 7.0];
    for _ in 0..2 {
        // Of a previous pass, nothing remains.
        with_cumulative_statistics(|| {
            no_grad(|| {
                for x in &batches {
                    let _ = norm.forward_columns(&x.narrow(1, 0, 1), 0, None, Mode::Train).unwrap();
                    let _ = norm.forward_columns(&x.narrow(1, 1, 2), 1, None, Mode::Train).unwrap();
                }
            });
        });
    }
    let of_rows = batches.iter().filter(|x| x.size()[0] > 1);
    let (mut mean, mut variance) =
        (Tensor::zeros([3], (Kind::Double, Device::Cpu)), Tensor::zeros([3], (Kind::Double, Device::Cpu)));
    for x in of_rows {
        mean += x.mean_dim([0].as_slice(), false, Kind::Double) / 3.0;
        variance += x.var_dim([0].as_slice(), true, false) / 3.0;
    }
    for (name, expected) in [("running_mean", mean), ("running_var", variance)] {
        let difference = (&vars.variables()[name] - expected).abs().max().double_value(&[]);
        assert!(difference < 1e-9, "{name}: {difference}");
    }
    // Afterwards, the momentum is 0.1 again.
    let before = statistics(&vars);
    let _ = norm.forward(&rows(4), Mode::Train).unwrap();
    let expected =
        0.9 * before[0].1[0] + 0.1 * rows(4).mean_dim([0].as_slice(), false, Kind::Double).double_value(&[0]);
    assert!((statistics(&vars)[0].1[0] - expected).abs() < 1e-9);
}

/// Returns a batch of one tree with a single node.
fn single_node() -> FieldBatch {
    let mut features = SparseRows::new(4);
    features.push(vec![(0, 1.0), (3, 0.5)]).unwrap();
    let tree = Tree::new("post", vec![None], features).unwrap().with_label(1);
    FieldDataset::from_trees(vec![tree]).unwrap().batch(&[0]).unwrap()
}

#[test]
fn models_train_on_a_batch_of_one_node() {
    let _generator = crate::generator();
    type Build = fn(&VarStore) -> TreeModel;
    let models: [(&str, Build); 2] = [
        ("ebgcn", |vars| Box::new(Ebgcn::new(&vars.root(), &EbgcnConfig::default(), 4, 2).unwrap())),
        ("gnncl", |vars| Box::new(Gnncl::new(&vars.root(), &GnnclConfig::default(), 4, 2).unwrap())),
    ];
    for (name, model) in models {
        let vars = VarStore::new(Device::Cpu);
        let model = model(&vars);
        let loss = model.forward(&single_node(), Mode::Train).unwrap().loss.unwrap().total;
        loss.backward();
        assert!(loss.double_value(&[]).is_finite(), "{name}");
        for (variable, tensor) in vars.variables() {
            assert_eq!(tensor.isfinite().all().int64_value(&[]), 1, "{name}: {variable}");
            let gradient = tensor.grad();
            if gradient.defined() {
                assert_eq!(gradient.isfinite().all().int64_value(&[]), 1, "{name}: gradient of {variable}");
            }
        }
    }
}
