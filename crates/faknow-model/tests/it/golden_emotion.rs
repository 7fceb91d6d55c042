//! DUDEF and EDDFN: equality with FaKnow, and invariants.

use faknow_data::FieldBatch;
use faknow_model::content::TextSource;
use faknow_model::{Dudef, DudefConfig, Eddfn, EddfnConfig, EddfnInput, Mode, Model, Output};
use serde_json::Value;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use crate::golden::{Tensors, assert_close, load_parameters, mode};

/// Runs DUDEF; `out.0` are probabilities.
pub(crate) fn run_dudef(vars: &VarStore, case: &Value, inputs: &Tensors) -> Output {
    let int = |name: &str| case["config"][name].as_i64().unwrap_or_else(|| panic!("config `{name}`"));
    let config = DudefConfig {
        embedding_size: int("input_size"),
        freeze_embedding: true,
        train_encoder: false,
        hidden_size: int("hidden_size"),
        n_layers: int("gru_layers"),
        dense_size: inputs["param.fc1.weight"].size()[0],
        faithful: true,
    };
    let (vocab_size, n_emotions) = (int("vocab_size") as usize, int("emotion_len") as usize);
    let source = TextSource::Random { vocab_size, size: config.embedding_size };
    let model = Dudef::new(&vars.root(), &config, &source, n_emotions, 2).unwrap();
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
        ..EddfnConfig::default()
    };
    let (n_in, n_domain) = (int("input_size") as usize, int("domain_size") as usize);
    let model = Eddfn::new(&vars.root(), &config, EddfnInput::Feature(n_in), n_domain, 2).unwrap();
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

fn double() -> VarStore {
    tch::manual_seed(4);
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(Kind::Double);
    vars
}

fn max_difference(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

/// Posts of 3, 1, 0 and 2 words, with `extra` columns of padding, 4 emotions and domains.
fn posts(extra: i64) -> FieldBatch {
    let ids = Tensor::from_slice2(&[[3i64, 4, 5], [6, 0, 0], [0, 0, 0], [5, 3, 0]]);
    let padded = Tensor::cat(&[ids, Tensor::zeros([4, extra], (Kind::Int64, Device::Cpu))], 1);
    let mut batch = FieldBatch::from_words(padded, Some(Tensor::from_slice(&[0i64, 1, 2, 1]))).unwrap();
    let emotions = Tensor::arange(16, (Kind::Double, Device::Cpu)).view([4, 4]).sin();
    batch.features.insert(Dudef::EMOTIONS.into(), emotions);
    batch.domains = Some(Tensor::from_slice(&[0i64, 1, -1, 1]));
    batch
}

fn row(batch: &FieldBatch, index: i64) -> FieldBatch {
    let ids = batch.words.as_ref().unwrap().ids.narrow(0, index, 1);
    let mut one = FieldBatch::from_words(ids, None).unwrap();
    for (name, feature) in &batch.features {
        one.features.insert(name.clone(), feature.narrow(0, index, 1));
    }
    one
}

const WORDS: TextSource<'static> = TextSource::Random { vocab_size: 7, size: 6 };

#[test]
fn dudef_and_eddfn_ignore_padding_and_the_other_posts() {
    let _generator = crate::generator();
    let check = |model: &dyn Model<Batch = FieldBatch>| {
        let together = model.forward(&posts(0), Mode::Eval).unwrap();
        assert_eq!(together.logits.size(), [4, 3]);
        assert!(together.loss.unwrap().total.double_value(&[]).is_finite());
        let padded = model.forward(&posts(5), Mode::Eval).unwrap().logits;
        assert!(max_difference(&padded, &together.logits) < 1e-12);
        for index in 0..4 {
            let alone = model.forward(&row(&posts(2), index), Mode::Eval).unwrap();
            assert!(max_difference(&alone.logits.get(0), &together.logits.get(index)) < 1e-12);
            assert!(alone.loss.is_none());
        }
    };
    let vars = double();
    for n_layers in [1, 2] {
        let config = DudefConfig { n_layers, ..DudefConfig::default() };
        check(&Dudef::new(&(vars.root() / n_layers), &config, &WORDS, 4, 3).unwrap());
    }
    let input = EddfnInput::Text(WORDS);
    check(&Eddfn::new(&(vars.root() / "eddfn"), &EddfnConfig::default(), input, 2, 3).unwrap());
}

// FaKnow's GRU reads across the batch, so that a post depends on the others.
#[test]
fn faithful_dudef_depends_on_the_other_posts() {
    let _generator = crate::generator();
    let vars = double();
    let config = DudefConfig { faithful: true, ..DudefConfig::default() };
    let model = Dudef::new(&vars.root(), &config, &WORDS, 4, 3).unwrap();
    let together = model.forward(&posts(0), Mode::Eval).unwrap().logits;
    let alone = model.forward(&row(&posts(0), 0), Mode::Eval).unwrap().logits;
    assert!(max_difference(&alone.get(0), &together.get(0)) > 1e-6);
}

// The discriminator of the shared half learns the domain, the embedding the opposite; FaKnow's embedding learns it too.
#[test]
fn eddfn_reverses_the_gradient_of_the_shared_half() {
    let _generator = crate::generator();
    let gradients = |faithful: bool| {
        let vars = double();
        let config =
            EddfnConfig { hidden_size: 8, lambda1: 0.0, lambda2: 0.0, faithful, ..EddfnConfig::default() };
        let model = Eddfn::new(&vars.root(), &config, EddfnInput::Text(WORDS), 2, 3).unwrap();
        let loss = model.forward(&posts(0), Mode::Eval).unwrap().loss.unwrap();
        loss.parts.iter().find(|(name, _)| *name == "shared_domain").unwrap().1.backward();
        let variables = vars.variables();
        ["shared_discriminator.ffn.dense1.weight", "input_embedding_layer.0.dense2.weight"]
            .map(|name| variables[name].grad().copy())
    };
    let ([ours, embedding], [theirs, same_direction]) = (gradients(false), gradients(true));
    assert!(max_difference(&ours, &theirs) < 1e-15 && max_difference(&embedding, &-same_direction) < 1e-15);
    assert!(embedding.abs().max().double_value(&[]) > 0.0);
}

#[test]
fn dudef_and_eddfn_reject_settings_out_of_range() {
    let _generator = crate::generator();
    let vars = double();
    let dudef =
        |config: DudefConfig| Dudef::new(&vars.root(), &config, &WORDS, 4, 2).unwrap_err().to_string();
    let base = DudefConfig::default;
    assert_eq!(
        dudef(DudefConfig { hidden_size: 0, ..base() }),
        "DUDEF: `hidden_size`: expected at least 1, got 0"
    );
    assert_eq!(dudef(DudefConfig { n_layers: 0, ..base() }), "DUDEF: `n_layers`: expected at least 1, got 0");
    let eddfn = |config: EddfnConfig| {
        Eddfn::new(&vars.root(), &config, EddfnInput::Feature(3), 2, 2).unwrap_err().to_string()
    };
    let base = EddfnConfig::default;
    assert_eq!(
        eddfn(EddfnConfig { hidden_size: 7, ..base() }),
        "EDDFN: `hidden_size`: expected an even number, got 7"
    );
    assert_eq!(
        eddfn(EddfnConfig { lambda2: -1.0, ..base() }),
        "EDDFN: `lambda2`: expected a number of at least 0, got -1"
    );
    assert_eq!(
        eddfn(EddfnConfig { lsh_share: 0.0, ..base() }),
        "EDDFN: `lsh_share`: expected a number above 0, at most 1, got 0"
    );
}
