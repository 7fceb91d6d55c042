//! DUDEF and EDDFN: equality with FaKnow, and invariants.

use faknow_data::FieldBatch;
use faknow_model::{Dudef, DudefConfig, Eddfn, EddfnConfig, Model, Output};
use serde_json::Value;
use tch::Kind;
use tch::nn::VarStore;

use crate::golden::{Tensors, assert_close, load_parameters, mode};

/// Runs DUDEF; `out.0` are probabilities.
pub(crate) fn run_dudef(vars: &VarStore, case: &Value, inputs: &Tensors) -> Output {
    let int = |name: &str| case["config"][name].as_i64().unwrap_or_else(|| panic!("config `{name}`"));
    let config = DudefConfig {
        embedding_size: int("input_size"),
        freeze_embedding: true,
        hidden_size: int("hidden_size"),
        n_layers: int("gru_layers"),
        dense_size: inputs["param.fc1.weight"].size()[0],
        faithful: true,
    };
    let (vocab_size, n_emotions) = (int("vocab_size") as usize, int("emotion_len") as usize);
    let model = Dudef::new(&vars.root(), &config, vocab_size, n_emotions, 2).unwrap();
    load_parameters(vars, inputs);
    let labels = Some(inputs["in.label"].shallow_clone());
    let mut batch = FieldBatch::from_words(inputs["in.semantics"].shallow_clone(), labels).unwrap();
    batch.features.insert(Dudef::EMOTIONS.into(), inputs["in.emotions"].shallow_clone());
    let Output { logits, loss } = model.forward(&batch, mode(case)).unwrap();
    Output { logits: logits.softmax(1, None::<Kind>), loss }
}

/// Runs EDDFN; `out.0` is the probability of class 1.
pub(crate) fn run_eddfn(vars: &VarStore, case: &Value, inputs: &Tensors) -> Output {
    let int = |name: &str| case["config"][name].as_i64().unwrap_or_else(|| panic!("config `{name}`"));
    let float = |name: &str| case["config"][name].as_f64().unwrap_or_else(|| panic!("config `{name}`"));
    let config = EddfnConfig {
        hidden_size: int("hidden_size"),
        lambda1: float("lambda1"),
        lambda2: float("lambda2"),
        lambda3: float("lambda3"),
        faithful: true,
    };
    let (n_in, n_domain) = (int("input_size") as usize, int("domain_size") as usize);
    let model = Eddfn::new(&vars.root(), &config, n_in, n_domain, 2).unwrap();
    load_parameters(vars, inputs);
    let kind = vars.variables()["output_classifier.0.weight"].kind();
    let mut batch = FieldBatch::new(inputs["in.input"].size()[0] as usize);
    batch.labels = Some(inputs["in.label"].shallow_clone());
    for (name, input) in [(Eddfn::INPUT, "in.input"), (Eddfn::DOMAIN, "in.domain")] {
        batch.features.insert(name.into(), inputs[input].to_kind(kind));
    }
    let outputs = model.outputs(&batch.features[Eddfn::INPUT]).unwrap();
    let tolerance = case["tolerance"][if kind == Kind::Float { "f32" } else { "out" }].as_f64().unwrap();
    let others =
        [("out.1", outputs.decoded), ("out.2", outputs.specific_domain), ("out.3", outputs.shared_domain)];
    for (name, output) in others {
        assert_close(&format!("eddfn {name}"), &output, &inputs[name], tolerance, 1.0);
    }
    let Output { logits, loss } = model.forward(&batch, mode(case)).unwrap();
    let mut loss = loss.unwrap();
    for (ours, theirs) in [
        (faknow_model::Loss::CLASSIFICATION, "class_loss"),
        ("decoder", "decoder_loss"),
        ("specific_domain", "specific_domain_loss"),
        ("shared_domain", "shared_domain_loss"),
    ] {
        loss.parts.iter_mut().filter(|(name, _)| *name == ours).for_each(|(name, _)| *name = theirs);
    }
    Output { logits: logits.softmax(1, None::<Kind>).narrow(1, 1, 1), loss: Some(loss) }
}
