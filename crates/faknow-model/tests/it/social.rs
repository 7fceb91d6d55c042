//! Models of propagation trees: golden cases and invariants.

use faknow_data::graph::{NodeFeatures, SparseRows, Tree};
use faknow_data::{Dataset as _, FieldBatch, FieldDataset, Rng};
use faknow_model::{
    BiGcn, BiGcnConfig, ConvKind, Ebgcn, EbgcnConfig, Gcnfn, GcnfnConfig, GraphClassifier,
    GraphClassifierConfig, Mode, Model, Output, TrustRd, TrustRdConfig, Upfd, UpfdConfig, UpfdKind,
    node_contributions,
};
use serde_json::Value;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use crate::golden::{Tensors, load_parameters, mode};

/// The input that requests sparse features.
pub(crate) const SPARSE: &str = "in.sparse";

type TreeModel = Box<dyn Model<Batch = FieldBatch>>;

/// The modules of the golden files, named as in FaKnow.
const MODULES: [&str; 11] = [
    "GCN",
    "SAGE",
    "GAT",
    "GCNFN",
    "UPFDGCN",
    "UPFDSAGE",
    "UPFDGAT",
    "UPFDGCNFN",
    "BiGCN",
    "EBGCN",
    "TrustRD",
];

/// Returns whether a module is one of [`MODULES`].
pub(crate) fn has(module: &str) -> bool {
    MODULES.contains(&module)
}

fn model(
    vars: &VarStore,
    module: &str,
    n_features: usize,
    sizes: [i64; 2],
    n_classes: usize,
    faithful: bool,
) -> TreeModel {
    let [hidden_size, out_size] = sizes;
    let path = vars.root();
    let classifier = |kind| {
        let config = GraphClassifierConfig { hidden_size, ..GraphClassifierConfig::default() };
        Box::new(GraphClassifier::new(&path, kind, &config, n_features, n_classes).unwrap())
    };
    let upfd = |kind| {
        let config = UpfdConfig { hidden_size, ..UpfdConfig::default() };
        Box::new(Upfd::new(&path, kind, &config, n_features, n_classes).unwrap())
    };
    match module {
        "GCN" => classifier(ConvKind::Gcn),
        "SAGE" => classifier(ConvKind::Sage),
        "GAT" => classifier(ConvKind::Gat),
        "UPFDGCN" => upfd(UpfdKind::Conv(ConvKind::Gcn)),
        "UPFDSAGE" => upfd(UpfdKind::Conv(ConvKind::Sage)),
        "UPFDGAT" => upfd(UpfdKind::Conv(ConvKind::Gat)),
        "UPFDGCNFN" => upfd(UpfdKind::Gcnfn),
        "GCNFN" => {
            let config = GcnfnConfig { hidden_size, ..GcnfnConfig::default() };
            Box::new(Gcnfn::new(&path, &config, n_features, n_classes).unwrap())
        }
        "BiGCN" => {
            let config =
                BiGcnConfig { hidden_size, out_size, detach_root: faithful, ..BiGcnConfig::default() };
            Box::new(BiGcn::new(&path, &config, n_features, n_classes).unwrap())
        }
        "EBGCN" => {
            let config = EbgcnConfig { hidden_size, out_size, faithful, ..EbgcnConfig::default() };
            Box::new(Ebgcn::new(&path, &config, n_features, n_classes).unwrap())
        }
        "TrustRD" => {
            let config = TrustRdConfig { hidden_size, ..TrustRdConfig::default() };
            Box::new(TrustRd::new(&path, &config, n_features, n_classes).unwrap())
        }
        other => panic!("no module {other}"),
    }
}

/// Builds the module of a golden case and runs it on its inputs.
pub(crate) fn run(vars: &VarStore, case: &Value, inputs: &Tensors) -> Output {
    // EBGCN has other names of the sizes.
    let int = |names: [&str; 2]| names.iter().find_map(|name| case["config"][*name].as_i64()).unwrap_or(1);
    let sizes = [int(["hidden_size", ""]), int(["out_size", "output_size"])];
    let n_features = int(["feature_size", "input_size"]) as usize;
    let n_classes = int(["num_classes", "num_class"]) as usize;
    let model: TreeModel = match case["module"].as_str().unwrap() {
        "EBGCN" => {
            let config = EbgcnConfig {
                hidden_size: sizes[0],
                out_size: sizes[1],
                n_relations: int(["edge_num", ""]),
                edge_loss_weight: case["config"]["edge_loss_weight"].as_f64().unwrap(),
                faithful: true,
                ..EbgcnConfig::default()
            };
            Box::new(Ebgcn::new(&vars.root(), &config, n_features, n_classes).unwrap())
        }
        module => model(vars, module, n_features, sizes, n_classes, true),
    };
    load_parameters(vars, inputs);
    let input = |name: &str| inputs[name].shallow_clone();
    let mut features = NodeFeatures::Dense(input("in.x"));
    if inputs.contains_key(SPARSE) {
        features = NodeFeatures::Sparse(features.to_sparse().unwrap());
    }
    // The edges of the trees, followed in undirected graphs by the reversed edges.
    let edges = input("in.edge_index");
    let directed = inputs.contains_key("in.bu_edge_index");
    let edges = if directed { edges } else { edges.narrow(1, 0, edges.size()[1] / 2) };
    let trees = input("in.batch");
    // In UPFD's cases the news item is the first node of a tree.
    let roots = match inputs.get("in.root_index") {
        Some(roots) => roots.shallow_clone(),
        None => {
            let sizes: Tensor = trees.bincount::<Tensor>(None, 0);
            sizes.cumsum(0, Kind::Int64) - sizes
        }
    };
    let batch = FieldBatch::from_trees(features, edges, trees, roots, Some(input("in.y"))).unwrap();
    model.forward(&batch, mode(case)).unwrap()
}

/// Creates random trees of 1 to 30 nodes; the root is not always first.
fn trees(n_features: usize, n_classes: usize) -> FieldDataset {
    let mut rng = Rng::from_parts(&[7]);
    let trees = [1usize, 5, 2, 9, 1, 30].iter().enumerate().map(|(index, &n)| {
        let root = if index % 2 == 0 { 0 } else { n - 1 };
        let parent = |node: usize| match (node, root) {
            (node, root) if node == root => None,
            (node, 0) => Some((node / 2) as u32),
            (node, _) => Some((node + 1) as u32),
        };
        let mut rows = SparseRows::new(n_features);
        for _ in 0..n {
            let entry = |rng: &mut Rng| (rng.below(n_features) as u32, 1.0 + rng.below(3) as f32);
            let row: Vec<_> = (0..rng.below(4)).map(|_| entry(&mut rng)).collect();
            rows.push(row).unwrap();
        }
        let parents = (0..n).map(parent).collect();
        Tree::new(index.to_string(), parents, rows).unwrap().with_label(index % n_classes)
    });
    FieldDataset::from_trees(trees.collect()).unwrap()
}

fn scores(model: &TreeModel, batch: &FieldBatch) -> Tensor {
    model.forward(batch, Mode::Eval).unwrap().logits.detach()
}

fn assert_close(what: &str, a: &Tensor, b: &Tensor) {
    assert_eq!(a.size(), b.size(), "{what}");
    let difference = (a - b).abs().max().double_value(&[]);
    assert!(difference < 1e-12, "{what}: {difference:e}");
}

/// Creates a model for 40 features and 4 classes, in f64.
fn example(module: &str) -> (VarStore, TreeModel) {
    tch::manual_seed(3);
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(Kind::Double);
    let model = model(&vars, module, 40, [16, 8], 4, false);
    (vars, model)
}

#[test]
fn scores_do_not_depend_on_other_trees_of_the_batch() {
    let _generator = crate::generator();
    let data = trees(40, 4);
    for module in MODULES {
        let (_vars, model) = example(module);
        let together = scores(&model, &data.batch(&[0, 1, 2, 3, 4, 5]).unwrap());
        for index in 0..6 {
            let alone = scores(&model, &data.batch(&[index]).unwrap());
            assert_close(module, &alone.get(0), &together.get(index as i64));
        }
    }
}

#[test]
fn scores_do_not_depend_on_the_order_of_nodes() {
    let _generator = crate::generator();
    for module in MODULES {
        let (_vars, model) = example(module);
        let rows = |order: [usize; 4]| {
            let mut rows = SparseRows::new(40);
            order.iter().for_each(|&node| rows.push([(node as u32, 1.0), (9 + node as u32, 2.0)]).unwrap());
            rows
        };
        let batch = |parents: Vec<Option<u32>>, order| {
            let tree = Tree::new("t", parents, rows(order)).unwrap().with_label(0);
            FieldDataset::from_trees(vec![tree]).unwrap().batch(&[0]).unwrap()
        };
        // 0 -> 1, 0 -> 2, 2 -> 3; and the same tree with reversed nodes.
        let forward = scores(&model, &batch(vec![None, Some(0), Some(0), Some(2)], [0, 1, 2, 3]));
        let backward = scores(&model, &batch(vec![Some(1), Some(3), Some(3), None], [3, 2, 1, 0]));
        assert_close(module, &forward, &backward);
    }
}

#[test]
fn gradients_are_equal_for_sparse_and_dense_features() {
    let _generator = crate::generator();
    let data = trees(40, 4);
    for module in MODULES {
        let mut gradients = Vec::new();
        for sparse in [true, false] {
            let (vars, model) = example(module);
            let mut batch = data.batch(&[5, 0, 3, 1, 2, 4]).unwrap();
            if !sparse {
                make_dense(&mut batch);
            }
            // The parameters that sample EBGCN's edges and TrustRD's weights have gradients only in training.
            tch::manual_seed(9);
            let mode = if ["EBGCN", "TrustRD"].contains(&module) { Mode::Train } else { Mode::Eval };
            let output = model.forward(&batch, mode).unwrap();
            assert_eq!(output.logits.size(), [6, 4]);
            output.loss.unwrap().total.backward();
            let variables = vars.variables();
            let is_trainable = |name: &&String| variables[*name].requires_grad();
            let mut names: Vec<_> = variables.keys().filter(is_trainable).cloned().collect();
            names.sort();
            gradients.push(names.into_iter().map(|name| (variables[&name].grad(), name)).collect::<Vec<_>>());
        }
        let [sparse, dense] = &gradients[..] else { panic!() };
        for ((a, name), (b, _)) in sparse.iter().zip(dense) {
            assert!(a.abs().max().double_value(&[]) > 0.0, "{module}: {name} has no gradient");
            assert_close(&format!("{module}: {name}"), a, b);
        }
    }
}

#[test]
fn training_is_finite_and_differs_from_evaluation() {
    let _generator = crate::generator();
    let data = trees(40, 4);
    for module in ["GCNFN", "BiGCN", "EBGCN", "TrustRD"] {
        for sparse in [true, false] {
            let (_vars, model) = example(module);
            let mut batch = data.batch(&[0, 1, 2, 3, 4, 5]).unwrap();
            if !sparse {
                make_dense(&mut batch);
            }
            let logits = model.forward(&batch, Mode::Train).unwrap().logits;
            assert!(logits.isfinite().all().int64_value(&[]) == 1);
            assert!((logits - scores(&model, &batch)).abs().max().double_value(&[]) > 1e-3, "{module}");
        }
    }
}

#[test]
fn new_rejects_settings_out_of_range() {
    let _generator = crate::generator();
    let vars = VarStore::new(Device::Cpu);
    let path = vars.root();
    let check = |error: faknow_model::Error, expected: &str| assert_eq!(error.to_string(), expected);
    let config = BiGcnConfig { drop_edge: 1.5, ..BiGcnConfig::default() };
    check(BiGcn::new(&path, &config, 9, 2).unwrap_err(), "BiGCN: `drop_edge`: expected from 0 to 1, got 1.5");
    let config = BiGcnConfig { out_size: 0, ..BiGcnConfig::default() };
    check(BiGcn::new(&path, &config, 9, 2).unwrap_err(), "BiGCN: `out_size`: expected at least 1, got 0");
    let config = GcnfnConfig { dropout: 1.0, ..GcnfnConfig::default() };
    check(
        Gcnfn::new(&path, &config, 9, 2).unwrap_err(),
        "GCNFN: `dropout`: expected from 0 to below 1, got 1",
    );
    let config = GraphClassifierConfig::default();
    let error = GraphClassifier::new(&path, ConvKind::Gat, &config, 9, 1).unwrap_err();
    check(error, "GAT: `n_classes`: expected at least 2, got 1");
}

#[test]
fn node_contributions_equal_numerical_derivatives() {
    let _generator = crate::generator();
    let data = trees(40, 4);
    for module in MODULES {
        let (_vars, model) = example(module);
        for sparse in [true, false] {
            let mut batch = data.batch(&[5, 0, 3]).unwrap();
            if !sparse {
                make_dense(&mut batch);
            }
            let contributions = node_contributions(&model, &batch).unwrap();
            assert_eq!(contributions.len() as i64, batch.trees().unwrap().n_nodes(), "{module}");
            // Finite differences: all features of one node are scaled.
            let before = scores(&model, &batch).amax([1], false);
            let dense = batch.trees().unwrap().features.to_dense().unwrap().to_kind(Kind::Double);
            for node in [0i64, 3, 30] {
                let step = 1e-5;
                let changed = dense.copy();
                let _ = changed.get(node).g_mul_scalar_(1.0 + step);
                batch.trees.as_mut().unwrap().features = NodeFeatures::Dense(changed);
                let after = scores(&model, &batch).amax([1], false);
                let derivative = (after - &before).sum(Kind::Double).double_value(&[]) / step;
                let contribution = contributions[node as usize];
                assert!(
                    (derivative - contribution).abs() < 1e-3 * contribution.abs().max(1e-2),
                    "{module} {derivative} {contribution}"
                );
            }
        }
    }
}

#[test]
fn rejects_batches_without_trees() {
    let _generator = crate::generator();
    let batch = FieldBatch::from_words(Tensor::from_slice2(&[[2_i64, 3]]), None).unwrap();
    for module in MODULES {
        let (_vars, model) = example(module);
        assert!(model.node_features(&batch).is_none() && model.as_embedding_model().is_none());
        let error = model.forward(&batch, Mode::Eval).unwrap_err().to_string();
        assert!(error.starts_with("batch: expected the field `trees`, which"), "{module}: {error}");
        assert!(error.ends_with("provides, got `words`"), "{module}: {error}");
    }
}

fn make_dense(batch: &mut FieldBatch) {
    let features = &mut batch.trees.as_mut().unwrap().features;
    *features = NodeFeatures::Dense(features.to_dense().unwrap());
}
