//! FANG: equality of its parts with FaKnow.

use faknow_model::social::{
    FangEngagements, FangGraphSage, FangNewsClassifier, FangNewsSize, FangStanceClassifier,
};
use faknow_model::{Loss, Output};
use serde_json::Value;
use tch::nn::VarStore;
use tch::{Kind, Tensor};

use crate::golden::{Tensors, assert_close, load_parameters, mode};

fn config<'a>(case: &'a Value) -> impl Fn(&str) -> i64 + 'a {
    |name| case["config"][name].as_i64().unwrap_or_else(|| panic!("config `{name}`"))
}

fn squares(logits: Tensor) -> Output {
    let total = logits.square().sum(logits.kind());
    Output { logits, loss: Some(Loss::single(total)) }
}

/// Returns the floating inputs in the kind of the parameters.
fn input(vars: &VarStore, inputs: &Tensors) -> impl Fn(&str) -> Tensor {
    let kind = vars.variables().values().next().unwrap().kind();
    move |name| inputs[name].to_kind(kind)
}

pub(crate) fn run_stance(vars: &VarStore, case: &Value, inputs: &Tensors) -> Output {
    let int = config(case);
    let sizes = (int("embedding_size"), int("num_stance"), int("num_hidden"));
    let model = FangStanceClassifier::new(&vars.root(), sizes.0, sizes.1, sizes.2).unwrap();
    load_parameters(vars, inputs);
    let input = input(vars, inputs);
    squares(model.forward(&input("in.user"), &input("in.news")).unwrap())
}

pub(crate) fn run_news(vars: &VarStore, case: &Value, inputs: &Tensors) -> Output {
    let int = config(case);
    let size = FangNewsSize {
        embedding_size: int("embedding_size"),
        hidden_size: int("hidden_size"),
        n_stances: int("num_stance"),
        n_times: int("timestamp_size"),
        n_classes: int("num_classes"),
    };
    let dropout = case["config"]["dropout"].as_f64().unwrap();
    let model = FangNewsClassifier::new(&vars.root(), size, dropout).unwrap();
    load_parameters(vars, inputs);
    let input = input(vars, inputs);
    let engagements = FangEngagements {
        users: input("in.user"),
        stances: input("in.stances"),
        times: input("in.timestamps"),
        mask: input("in.mask"),
        lengths: None,
    };
    let output = model.forward(&input("in.news"), &input("in.source"), &engagements, mode(case)).unwrap();
    let kind = if output.logits.kind() == Kind::Float { "f32" } else { "out" };
    let tolerance = case["tolerance"][kind].as_f64().unwrap();
    assert_close("fang_news out.1", &output.attention, &inputs["out.1"], tolerance, 1.0);
    assert_close("fang_news out.2", &output.news, &inputs["out.2"], tolerance, 1.0);
    squares(output.logits)
}

pub(crate) fn run_graphsage(vars: &VarStore, case: &Value, inputs: &Tensors) -> Output {
    let int = config(case);
    let model = FangGraphSage::new(&vars.root(), int("input_size"), int("output_size")).unwrap();
    load_parameters(vars, inputs);
    let n_nodes: [i64; 3] = serde_json::from_value(case["config"]["nodes"].clone()).unwrap();
    let edges = [&inputs["in.edge_hop0"], &inputs["in.edge_hop1"]];
    squares(model.forward(&input(vars, inputs)("in.x"), edges, n_nodes).unwrap())
}
