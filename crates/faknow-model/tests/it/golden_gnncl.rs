//! GNNCL: equality with FaKnow on dense graphs, and padding of trees.

use faknow_data::graph::{SparseRows, Tree};
use faknow_data::{Dataset as _, FieldBatch, FieldDataset};
use faknow_model::{Gnncl, GnnclConfig, Loss, Mode, Model, Output, loss};
use serde_json::Value;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use crate::golden::{Tensors, assert_close, load_parameters, mode};

/// Builds the model of a golden case and runs it on the dense graphs of the case.
pub(crate) fn run(vars: &VarStore, case: &Value, inputs: &Tensors) -> Output {
    let int = |name: &str| case["config"][name].as_i64().unwrap();
    let config = GnnclConfig { max_nodes: int("max_nodes"), ..GnnclConfig::default() };
    let (n_features, n_classes) = (int("feature_size") as usize, int("num_classes") as usize);
    let model = Gnncl::new(&vars.root(), &config, n_features, n_classes).unwrap();
    load_parameters(vars, inputs);
    let kind = vars.variables()["fc1.weight"].kind();
    let (x, adjacency) = (inputs["in.x"].to_kind(kind), inputs["in.adj"].to_kind(kind));
    let output = model.forward_dense(&x, &adjacency, &inputs["in.mask"], mode(case)).unwrap();
    let tolerance = case["tolerance"][if kind == Kind::Float { "f32" } else { "out" }].as_f64().unwrap();
    assert_close("link loss", &output.link_loss, &inputs["out.1"], tolerance, 1.0);
    assert_close("entropy", &output.entropy, &inputs["out.2"], tolerance, 1.0);
    let variables = vars.variables();
    for (name, expected) in inputs.iter().filter_map(|(n, t)| Some((n.strip_prefix("out.after.")?, t))) {
        assert_close(name, &variables[name], expected, tolerance, 1.0);
    }
    let total = loss::cross_entropy(&output.logits, &inputs["in.y"].flatten(0, -1)).unwrap();
    Output { logits: output.logits, loss: Some(Loss::single(total)) }
}

fn trees() -> FieldDataset {
    let tree = |n: usize| {
        let mut rows = SparseRows::new(6);
        (0..n).for_each(|node| rows.push([(node as u32 % 6, 1.0), ((node + n) as u32 % 6, 0.5)]).unwrap());
        let parents = (0..n).map(|node| (node > 0).then(|| (node as u32 - 1) / 2)).collect();
        Tree::new(n.to_string(), parents, rows).unwrap().with_label(n % 2)
    };
    FieldDataset::from_trees([1, 3, 12, 7].map(tree).into()).unwrap()
}

fn model(vars: &VarStore, config: &GnnclConfig) -> Gnncl {
    tch::manual_seed(4);
    Gnncl::new(&vars.root(), config, 6, 3).unwrap()
}

fn double() -> VarStore {
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(Kind::Double);
    vars
}

fn logits(model: &Gnncl, batch: &FieldBatch, mode: Mode) -> Tensor {
    model.forward(batch, mode).unwrap().logits.detach()
}

#[test]
fn results_do_not_depend_on_padding() {
    let _generator = crate::generator();
    let data = trees();
    let config = GnnclConfig { max_nodes: 20, ..GnnclConfig::default() };
    let vars = double();
    let small = model(&vars, &config);
    let together = logits(&small, &data.batch(&[0, 1, 2, 3]).unwrap(), Mode::Eval);
    for index in 0..4 {
        let alone = logits(&small, &data.batch(&[index]).unwrap(), Mode::Eval);
        assert_close("alone", &alone.get(0), &together.get(index as i64), 1e-12, 1.0);
    }
    // Padding to 20 nodes changes training only if batch normalization includes the padding.
    let padded = double();
    let faithful = model(&padded, &GnnclConfig { pad_to_max: true, ..config });
    let batch = data.batch(&[1, 2, 3]).unwrap();
    assert_close(
        "eval",
        &logits(&faithful, &batch, Mode::Eval),
        &logits(&small, &batch, Mode::Eval),
        1e-12,
        1.0,
    );
    let (own, theirs) = (logits(&small, &batch, Mode::Train), logits(&faithful, &batch, Mode::Train));
    assert!((own - theirs).abs().max().double_value(&[]) > 1e-6, "padding has no effect with `pad_to_max`");
}

#[test]
fn auxiliary_losses_are_parts_of_the_weighted_total() {
    let _generator = crate::generator();
    let data = trees();
    let batch = data.batch(&[1, 2, 3]).unwrap();
    let losses = |aux_weight| {
        let vars = double();
        let config = GnnclConfig { max_nodes: 20, aux_weight, ..GnnclConfig::default() };
        let loss = model(&vars, &config).forward(&batch, Mode::Eval).unwrap().loss.unwrap();
        let parts: Vec<f64> = loss.parts.iter().map(|(_, part)| part.double_value(&[])).collect();
        assert_eq!(
            loss.parts.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            ["classification", "link", "entropy"]
        );
        (loss.total.double_value(&[]), parts)
    };
    let ((plain, parts), (weighted, _)) = (losses(0.0), losses(0.5));
    assert_eq!(plain, parts[0]);
    assert!((weighted - (parts[0] + 0.5 * (parts[1] + parts[2]))).abs() < 1e-12);
}

#[test]
fn rejects_trees_above_max_nodes() {
    let _generator = crate::generator();
    let vars = double();
    let model = model(&vars, &GnnclConfig { max_nodes: 8, ..GnnclConfig::default() });
    let error = model.forward(&trees().batch(&[0, 2]).unwrap(), Mode::Eval).unwrap_err().to_string();
    assert_eq!(
        error,
        "GNNCL: batch: expected trees of at most 8 nodes (`max_nodes`), got a tree of 12 nodes"
    );
}
