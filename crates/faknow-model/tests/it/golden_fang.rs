//! FANG: equality of its parts with FaKnow, and invariants of the model.

use std::sync::Arc;

use faknow_data::graph::NewsGraph;
use faknow_data::synth::{NewsGraphOptions, write_news_graph};
use faknow_data::{Dataset as _, FieldDataset};
use faknow_model::social::{
    FangEngagements, FangGraphSage, FangNewsClassifier, FangNewsSize, FangStanceClassifier,
};
use faknow_model::{Fang, FangConfig, Loss, Mode, Model, Output};
use serde_json::Value;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

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

fn graph() -> FieldDataset {
    let dir = tempfile::tempdir().unwrap();
    let options =
        NewsGraphOptions { n_articles: 30, n_users: 20, n_sources: 4, ..NewsGraphOptions::default() };
    write_news_graph(dir.path(), &options).unwrap();
    FieldDataset::from_news(Arc::new(NewsGraph::read(dir.path()).unwrap()))
}

fn fang(vars: &VarStore, config: &FangConfig) -> Fang {
    tch::manual_seed(4);
    Fang::new(&vars.root(), config, 16, 2).unwrap()
}

fn double() -> VarStore {
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(Kind::Double);
    vars
}

#[test]
fn fang_classifies_an_article_the_same_in_any_batch() {
    let _generator = crate::generator();
    let (data, vars) = (graph(), double());
    let model = fang(&vars, &FangConfig::default());
    let indices: Vec<usize> = (0..30).collect();
    let together = model.forward(&data.batch(&indices).unwrap(), Mode::Eval).unwrap().logits;
    for index in [0, 7, 29] {
        let alone = model.forward(&data.batch(&[index]).unwrap(), Mode::Eval).unwrap().logits;
        assert_close("alone", &alone.get(0).detach(), &together.get(index as i64).detach(), 1e-9, 1.0);
    }
}

#[test]
fn fang_samples_neighbors_in_training_by_the_seed_and_trains_all_parameters() {
    let _generator = crate::generator();
    let (data, vars) = (graph(), double());
    let model = fang(&vars, &FangConfig { max_neighbors: [2, 1], ..FangConfig::default() });
    let batch = data.batch(&[1, 2, 3, 4]).unwrap();
    let loss = |seed: i64| {
        tch::manual_seed(seed);
        model.forward(&batch, Mode::Train).unwrap().loss.unwrap()
    };
    let value = |loss: Loss| loss.total.double_value(&[]);
    assert_eq!(value(loss(1)), value(loss(1)));
    assert_ne!(value(loss(1)), value(loss(2)));
    let loss = loss(1);
    assert_eq!(
        loss.parts.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        ["classification", "stance", "proximity"]
    );
    loss.total.backward();
    for (name, variable) in vars.variables() {
        assert!(variable.grad().defined() && variable.grad().abs().max().double_value(&[]) > 0.0, "{name}");
    }
}

#[test]
fn fang_learns_a_synthetic_graph() {
    let _generator = crate::generator();
    let (data, vars) = (graph(), double());
    let model = fang(&vars, &FangConfig::default());
    let batch = data.batch(&(0..30).collect::<Vec<_>>()).unwrap();
    let mut optimizer = tch::nn::OptimizerConfig::build(tch::nn::Adam::default(), &vars, 0.02).unwrap();
    for _ in 0..60 {
        optimizer.backward_step(&model.forward(&batch, Mode::Train).unwrap().loss.unwrap().total);
    }
    let logits = model.forward(&batch, Mode::Eval).unwrap().logits;
    let correct = logits.argmax(1, false).eq_tensor(batch.labels.as_ref().unwrap()).sum(Kind::Int64);
    assert!(correct.int64_value(&[]) >= 24, "{correct:?} of 30");
}

#[test]
fn fang_rejects_settings_out_of_range() {
    let _generator = crate::generator();
    let vars = double();
    let error = |config: FangConfig| Fang::new(&vars.root(), &config, 16, 2).unwrap_err().to_string();
    let base = FangConfig::default;
    assert_eq!(
        error(FangConfig { embedding_size: 7, ..base() }),
        "FANG: `embedding_size`: expected an even number, got 7"
    );
    assert_eq!(
        error(FangConfig { max_neighbors: [0, 4], ..base() }),
        "FANG: `max_neighbors`: expected at least 1, got 0"
    );
    assert_eq!(
        error(FangConfig { stance_weight: -1.0, ..base() }),
        "FANG: `stance_weight`: expected a number of at least 0, got -1"
    );
}
