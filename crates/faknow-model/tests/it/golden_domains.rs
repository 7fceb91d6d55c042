//! MDFEND, ENDEF and M3FEND: golden cases, on the output of the BERT in each case.

use faknow_model::content::{
    EntityBranch, EntityConfig, M3fendConfig, M3fendHead, M3fendSizes, MdfendConfig, MdfendHead,
    TokenVectors, Views,
};
use faknow_model::{Loss, Output, loss};
use serde_json::Value;
use tch::nn::VarStore;
use tch::{Kind, Tensor};

use crate::golden::{Tensors, assert_close, load_parameters, mode};
use crate::golden_bert::last_hidden_state;

/// Returns a positive integer of a config.
pub(crate) fn int(config: &Value, name: &str) -> i64 {
    config[name].as_i64().unwrap_or_else(|| panic!("config `{name}`"))
}

pub(crate) fn ints(config: &Value, name: &str) -> Vec<i64> {
    serde_json::from_value(config[name].clone()).unwrap_or_else(|e| panic!("config `{name}`: {e}"))
}

fn kind(vars: &VarStore) -> Kind {
    vars.root().kind()
}

/// Returns the tokens of a text: the output of the frozen BERT, whose weights are not those of the model.
fn encode(case: &Value, inputs: &Tensors, prefix: &str, text: [&str; 2], kind: Kind) -> TokenVectors {
    let (ids, mask) = (&inputs[text[0]], &inputs[text[1]]);
    let vectors = last_hidden_state(inputs, prefix, &case["config"]["bert"], ids, mask, kind);
    TokenVectors::new(vectors, mask.to_kind(Kind::Bool))
}

/// Returns whether a parameter belongs to a frozen BERT.
pub(crate) fn is_frozen_bert(parameter: &str) -> bool {
    ["bert.", "base_model.bert.", "model.text_encoder.bert."].iter().any(|bert| parameter.starts_with(bert))
}

/// Loads the parameters except those of the frozen BERTs.
pub(crate) fn load_without_bert(vars: &VarStore, inputs: &Tensors) {
    let is_bert = |name: &str| name.strip_prefix("param.").is_some_and(is_frozen_bert);
    let rest = inputs.iter().filter(|(name, _)| !is_bert(name));
    load_parameters(vars, &rest.map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect());
}

/// Returns the output of a case: the probability of the second class, and the total loss.
pub(crate) fn probability(logits: &Tensor, total: Tensor) -> Output {
    let probability = logits.softmax(1, None::<Kind>).select(1, 1);
    Output { logits: probability, loss: Some(Loss::single(total)) }
}

fn mdfend_config(config: &Value) -> MdfendConfig {
    MdfendConfig {
        n_experts: int(config, "expert_num"),
        n_filters: int(config, "filter_num"),
        kernel_sizes: ints(config, "filter_sizes"),
        hidden_sizes: ints(config, "mlp_dims"),
        dropout: config["dropout_rate"].as_f64().unwrap_or(0.2),
        faithful: true,
        ..MdfendConfig::default()
    }
}

pub(crate) fn mdfend(vars: &VarStore, case: &Value, inputs: &Tensors) -> Output {
    let config = &case["config"];
    let (size, n_domains) = (int(&config["bert"], "hidden_size"), int(config, "domain_num") as usize);
    let model = MdfendHead::new(&vars.root(), &mdfend_config(config), size, n_domains, 2).unwrap();
    load_without_bert(vars, inputs);
    let tokens = encode(case, inputs, "param.bert.", ["in.token_id", "in.mask"], kind(vars));
    let logits = model.logits(&tokens, &inputs["in.domain"], mode(case)).unwrap();
    let total = loss::cross_entropy(&logits, &inputs["in.label"]).unwrap();
    probability(&logits, total)
}

pub(crate) fn endef(vars: &VarStore, case: &Value, inputs: &Tensors) -> Output {
    let (config, base) = (&case["config"], &case["config"]["base"]);
    assert_eq!(base["model"], "MDFEND");
    let size = int(&config["bert"], "hidden_size");
    let n_domains = int(base, "domain_num") as usize;
    let base =
        MdfendHead::new(&(vars.root() / "base_model"), &mdfend_config(base), size, n_domains, 2).unwrap();
    // FaKnow has no arguments for these two.
    let weights: Vec<&Tensor> =
        (0..).map_while(|i| inputs.get(&format!("param.entity_convs.convs.{i}.weight"))).collect();
    let entity_config = EntityConfig {
        n_filters: weights[0].size()[0],
        kernel_sizes: weights.iter().map(|weight| weight.size()[2]).collect(),
        hidden_sizes: ints(config, "mlp_dims"),
        dropout: config["dropout_rate"].as_f64().unwrap(),
        entity_weight: config["entity_weight"].as_f64().unwrap(),
        loss_weight: config["loss_weight"].as_f64().unwrap(),
        faithful: true,
        ..EntityConfig::default()
    };
    let entities = EntityBranch::new(&vars.root(), &entity_config, size, 2).unwrap();
    load_without_bert(vars, inputs);
    let kind = kind(vars);
    let tokens = encode(case, inputs, "param.base_model.bert.", ["in.token_id", "in.mask"], kind);
    let base = base.logits(&tokens, &inputs["in.domain"], mode(case)).unwrap();
    let tokens = encode(case, inputs, "param.bert.", ["in.entity", "in.entity_mask"], kind);
    let entity_logits = entities.logits(&tokens, mode(case)).unwrap();
    let combined = entities.combine(&base, &entity_logits).unwrap();
    let total = entities.loss(&combined, &entity_logits, &inputs["in.label"]).unwrap().total;
    let tolerance = case["tolerance"][if kind == Kind::Float { "f32" } else { "out" }].as_f64().unwrap();
    let probability_of_entities = entity_logits.softmax(1, None::<Kind>).select(1, 1);
    assert_close("entity probability", &probability_of_entities, &inputs["out.1"], tolerance, 1.0);
    probability(&combined, total)
}

pub(crate) fn m3fend(vars: &VarStore, case: &Value, inputs: &Tensors) -> Output {
    let (config, kind) = (&case["config"], kind(vars));
    let input = |name: &str| inputs[name].to_kind(kind);
    let emotion =
        Tensor::cat(&[input("in.content_emotion"), input("in.comments_emotion"), input("in.emotion_gap")], 1);
    let style = input("in.style_feature");
    let mut expert_hidden_sizes = ints(config, "expert_hidden");
    let n_features = expert_hidden_sizes.pop().unwrap();
    // FaKnow has no argument for the kernels.
    let weights: Vec<&Tensor> =
        (0..).map_while(|i| inputs.get(&format!("param.content_expert.0.convs.{i}.weight"))).collect();
    let model_config = M3fendConfig {
        n_semantic_experts: int(config, "semantic_num"),
        n_emotion_experts: int(config, "emotion_num"),
        n_style_experts: int(config, "style_num"),
        n_filters: n_features / weights.len() as i64,
        kernel_sizes: weights.iter().map(|weight| weight.size()[2]).collect(),
        expert_hidden_sizes,
        n_interactions: int(config, "LNN_dim"),
        n_slots: int(config, "memory_num"),
        hidden_sizes: ints(config, "mlp_dims"),
        dropout: config["dropout"].as_f64().unwrap(),
        faithful: true,
        ..M3fendConfig::default()
    };
    let n_domains = int(config, "domain_num") as usize;
    let sizes = M3fendSizes {
        text: int(config, "emb_dim"),
        emotion: emotion.size()[1],
        style: style.size()[1],
        n_domains,
        n_classes: 2,
    };
    let model = M3fendHead::new(&vars.root(), &model_config, sizes).unwrap();
    let memory = |prefix: &str| {
        Tensor::stack(&(0..n_domains).map(|i| &inputs[&format!("{prefix}.{i}")]).collect::<Vec<_>>(), 0)
    };
    // Neither is a parameter in FaKnow.
    let given = [
        ("param.lnn_weight".to_owned(), inputs["in.lnn_weight"].shallow_clone()),
        ("param.domain_memory.memory".to_owned(), memory("in.memory")),
    ];
    let all = inputs.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).chain(given);
    load_without_bert(vars, &all.collect());
    let tokens = encode(case, inputs, "param.bert.", ["in.content", "in.content_masks"], kind);
    let domains = inputs["in.category"].shallow_clone();
    let views = Views { tokens, emotion: Some(emotion), style: Some(style), domains };
    let logits = model.logits(&views, mode(case)).unwrap();
    let total = loss::cross_entropy(&logits, &inputs["in.label"]).unwrap();
    let output = probability(&logits, total);
    let tolerance = case["tolerance"][if kind == Kind::Float { "f32" } else { "out" }].as_f64().unwrap();
    // On a second model, since the caller needs the gradients with the memory of the forward pass.
    let mut copy = VarStore::new(tch::Device::Cpu);
    copy.set_kind(kind);
    let second = M3fendHead::new(&copy.root(), &model_config, sizes).unwrap();
    copy.copy(vars).unwrap();
    second.memory().write(&second.describe(&views).unwrap(), &views.domains).unwrap();
    let written = &copy.variables()["domain_memory.memory"];
    assert_close("memory after a write", written, &memory("out.memory_after_write"), tolerance, 1.0);
    output
}
