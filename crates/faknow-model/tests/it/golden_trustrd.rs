//! TrustRD: golden cases of its encoder, classifier and pretraining loss, and invariants of both stages.

use faknow_data::graph::{NodeFeatures, SparseRows, Tree};
use faknow_data::{Dataset as _, FieldBatch, FieldDataset};
use faknow_model::social::{TrustRdEncoder, TrustRdHead, information_bottleneck_loss};
use faknow_model::{Loss, Mode, Model, Output, TrustRd, TrustRdConfig, TrustRdPretraining};
use serde_json::Value;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use crate::golden::{Tensors, assert_close, load_parameters};
use crate::social::SPARSE;

fn batch(inputs: &Tensors, edges: Tensor, labels: Option<Tensor>) -> FieldBatch {
    let input = |name: &str| inputs[name].shallow_clone();
    let mut features = NodeFeatures::Dense(input("in.x"));
    if inputs.contains_key(SPARSE) {
        features = NodeFeatures::Sparse(features.to_sparse().unwrap());
    }
    let trees = input("in.batch");
    let sizes: Tensor = trees.bincount::<Tensor>(None, 0);
    let firsts = sizes.cumsum(0, Kind::Int64) - sizes;
    let roots = inputs.get("in.rootindex").map_or(firsts, Tensor::shallow_clone);
    FieldBatch::from_trees(features, edges, trees, roots, labels).unwrap()
}

/// Runs the encoder: `out.0` are the means per tree, whose sum of squares is the loss, `out.1` the embeddings of the nodes.
pub(crate) fn run_encoder(vars: &VarStore, case: &Value, inputs: &Tensors) -> Output {
    let int = |name: &str| case["config"][name].as_i64().unwrap();
    let sizes = (int("num_features"), int("embedding_num"), int("num_gcn_layers"));
    let encoder = TrustRdEncoder::new(&vars.root(), sizes.0, sizes.1, sizes.2).unwrap();
    load_parameters(vars, inputs);
    let batch = batch(inputs, inputs["in.edge_index"].shallow_clone(), None);
    let nodes = encoder.encode(batch.trees().unwrap()).unwrap();
    let tolerance = if nodes.kind() == Kind::Double { "out" } else { "f32" };
    let tolerance = case["tolerance"][tolerance].as_f64().unwrap();
    assert_close("trustrd_encoder out.1", &nodes, &inputs["out.1"], tolerance, 1.0);
    let trees = faknow_model::layers::mean_pool(&nodes, batch.trees().unwrap()).unwrap();
    let total = trees.square().sum(nodes.kind());
    Output { logits: trees, loss: Some(Loss::single(total)) }
}

/// Runs the classifier on given embeddings; `out.0` are log probabilities.
pub(crate) fn run_head(vars: &VarStore, case: &Value, inputs: &Tensors) -> Output {
    let int = |name: &str| case["config"][name].as_i64().unwrap();
    let config = TrustRdConfig { hidden_size: int("hid_feature"), ..TrustRdConfig::default() };
    let (n_features, n_classes) = (int("input_size") as usize / 2, int("num_classes") as usize);
    let head = TrustRdHead::new(&vars.root(), &config, int("in_feature"), n_features, n_classes).unwrap();
    load_parameters(vars, inputs);
    let no_edges = Tensor::zeros([2, 0], tch::kind::INT64_CPU);
    let batch = batch(inputs, no_edges, Some(inputs["in.y"].shallow_clone()));
    let embeddings = inputs["in.embed"].to_kind(vars.variables()["prelu.weight"].kind());
    let Output { logits, loss } = head.forward(&embeddings, &batch, Mode::Eval).unwrap();
    Output { logits: logits.log_softmax(1, None::<Kind>), loss }
}

/// Compares the loss of two views.
pub(crate) fn check_loss(case: &Value, tensors: &Tensors) {
    assert_eq!(
        (case["config"]["margin"].as_f64(), case["config"]["kl_weight"].as_f64()),
        (Some(2.0), Some(0.2))
    );
    for (kind, tolerance) in [(Kind::Double, "loss"), (Kind::Float, "f32")] {
        let view = |name: &str| tensors[name].to_kind(kind);
        let ours = information_bottleneck_loss(&view("pos"), &view("neg")).unwrap();
        let tolerance = case["tolerance"][tolerance].as_f64().unwrap();
        assert_close("trustrd_ib_loss", &ours, &tensors["loss"], tolerance, 1.0);
    }
}

fn trees() -> FieldDataset {
    let tree = |n: usize| {
        let mut rows = SparseRows::new(20);
        (0..n).for_each(|node| {
            rows.push([(node as u32 % 20, 1.0), ((2 * node + n) as u32 % 20, 2.0)]).unwrap()
        });
        let parents = (0..n).map(|node| (node > 0).then(|| (node as u32 - 1) / 2)).collect();
        Tree::new(n.to_string(), parents, rows).unwrap().with_label(n % 2)
    };
    FieldDataset::from_trees([1, 3, 12, 7, 2].map(tree).into()).unwrap()
}

fn double() -> VarStore {
    tch::manual_seed(4);
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(Kind::Double);
    vars
}

fn value(tensor: &Tensor) -> f64 {
    tensor.double_value(&[])
}

#[test]
fn pretraining_trains_all_parameters_without_labels() {
    let _generator = crate::generator();
    let vars = double();
    let stage = TrustRdPretraining::new(&vars.root(), &TrustRdConfig::default(), 20).unwrap();
    let mut batch = trees().batch(&[0, 1, 2, 3, 4]).unwrap();
    batch.labels = None;
    let loss = stage.forward(&batch, Mode::Train).unwrap().loss.unwrap().total;
    loss.backward();
    for (name, variable) in vars.variables().iter().filter(|(_, variable)| variable.requires_grad()) {
        assert!(value(&variable.grad().abs().max()) > 0.0, "{name} has no gradient");
    }
    // The views are random and follow the seed.
    let run = |seed| {
        tch::manual_seed(seed);
        value(&stage.forward(&batch, Mode::Train).unwrap().loss.unwrap().total)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    // A batch of one tree has no variance, and a tree of one node no edges.
    let one = trees().batch(&[0]).unwrap();
    assert!(value(&stage.forward(&one, Mode::Train).unwrap().loss.unwrap().total).is_finite());
}

// If a view keeps no features, all nodes have those of one random node, so all trees of one node are equal. (FaKnow's
// x_r - (x - x_r) m differs: it keeps the features to be replaced, with the opposite sign.)
#[test]
fn views_without_original_features_are_equal_for_all_trees() {
    let _generator = crate::generator();
    let vars = double();
    let spread = |feature_keep_rate: f64| {
        let vars = &vars;
        let config = TrustRdConfig { feature_keep_rate, ..TrustRdConfig::default() };
        let stage = TrustRdPretraining::new(&(vars.root() / feature_keep_rate), &config, 20).unwrap();
        let rows = |n: usize| {
            let mut rows = SparseRows::new(20);
            rows.push([(n as u32, 1.0)]).unwrap();
            rows
        };
        let tree = |n: usize| Tree::new(n.to_string(), vec![None], rows(n)).unwrap();
        let batch =
            FieldDataset::from_trees((0..6).map(tree).collect()).unwrap().batch(&[0, 1, 2, 3, 4, 5]).unwrap();
        let trees = stage.forward(&batch, Mode::Train).unwrap().logits;
        value(&trees.std_dim([0].as_slice(), true, false).max())
    };
    assert!(spread(0.0) < 1e-12);
    assert!(spread(1.0) > 1e-3);
}

#[test]
fn consistency_losses_are_0_without_noise() {
    let _generator = crate::generator();
    let parts = |embedding_noise: f64, parameter_noise: f64| {
        let vars = double();
        let config = TrustRdConfig { embedding_noise, parameter_noise, ..TrustRdConfig::default() };
        let model = TrustRd::new(&vars.root(), &config, 20, 3).unwrap();
        let batch = trees().batch(&[0, 1, 2, 3, 4]).unwrap();
        let loss = model.forward(&batch, Mode::Train).unwrap().loss.unwrap();
        let part = |name| value(&loss.parts.iter().find(|(part, _)| *part == name).unwrap().1);
        let sum = part(Loss::CLASSIFICATION) + 0.2 * (part("data") + part("parameter"));
        assert!((sum - value(&loss.total)).abs() < 1e-12);
        let again = || model.forward(&batch, Mode::Eval).unwrap();
        assert_eq!(again().logits, again().logits, "evaluation is not deterministic");
        (part("data"), part("parameter"))
    };
    assert_eq!(parts(0.0, 0.0), (0.0, 0.0));
    let (data, parameter) = parts(0.5, 0.0);
    assert!(data > 0.0 && parameter == 0.0, "{data} {parameter}");
    let (data, parameter) = parts(0.0, 0.5);
    assert!(data == 0.0 && parameter > 0.0, "{data} {parameter}");
}

#[test]
fn new_rejects_settings_out_of_range() {
    let _generator = crate::generator();
    let vars = double();
    let check = |config: TrustRdConfig, expected: &str| {
        let error = TrustRd::new(&vars.root(), &config, 20, 3).unwrap_err().to_string();
        assert_eq!(error, expected);
    };
    let base = TrustRdConfig::default;
    check(TrustRdConfig { n_layers: 0, ..base() }, "TrustRD: `n_layers`: expected at least 1, got 0");
    check(
        TrustRdConfig { feature_keep_rate: 1.5, ..base() },
        "TrustRD: `feature_keep_rate`: expected from 0 to 1, got 1.5",
    );
    check(
        TrustRdConfig { uncertainty_weight: -1.0, ..base() },
        "TrustRD: `uncertainty_weight`: expected a number of at least 0, got -1",
    );
}
