//! EANN, SpotFake, SAFE and CAFE: golden cases, on the features of the bodies of texts and images in each case.

use faknow_model::content::{
    CafeConfig, CafeHead, CafeInput, EannConfig, EannHead, ImageVectors, ModalitySizes, SafeConfig,
    SafeFeatures, SafeHead, SafeSentence, SpotFakeConfig, SpotFakeHead, TokenVectors,
};
use faknow_model::layers::{Embedding, Linear};
use faknow_model::{Loss, Mode, Output, loss};
use serde_json::Value;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use crate::golden::{Tensors, assert_close, load_parameters, mode};
use crate::golden_bert::last_hidden_state;
use crate::golden_domains::{int, ints, load_without_bert, probability};

/// The part of CAFE that classifies pairs, whose output nothing reads.
const LEFT_OUT: &str = "similarity_module.sim_classifier.";

/// Returns whether a parameter belongs to layers that are left out, since nothing reads them.
pub(crate) fn is_left_out(parameter: &str) -> bool {
    parameter.starts_with(LEFT_OUT)
}

/// Returns the tolerance of outputs.
fn tolerance(case: &Value, kind: Kind) -> f64 {
    case["tolerance"][if kind == Kind::Float { "f32" } else { "out" }].as_f64().unwrap()
}

fn float(config: &Value, name: &str) -> f64 {
    config[name].as_f64().unwrap_or_else(|| panic!("config `{name}`"))
}

fn ones(n: i64) -> Tensor {
    Tensor::ones([n], (Kind::Bool, Device::Cpu))
}

/// Renames the parts of a loss as in the golden file.
fn renamed(loss: Loss, names: &[&'static str]) -> Loss {
    assert_eq!(loss.parts.len(), names.len());
    let parts = names.iter().zip(loss.parts).map(|(name, (_, part))| (*name, part));
    Loss { total: loss.total, parts: parts.collect() }
}

pub(crate) fn eann(vars: &VarStore, case: &Value, inputs: &Tensors) -> Output {
    let (config, root) = (&case["config"], vars.root());
    let kind = root.kind();
    let model_config = EannConfig {
        // FaKnow has no argument for the filters.
        n_filters: int(config, "filter_num"),
        kernel_sizes: ints(config, "window_size"),
        hidden_size: int(config, "hidden_size"),
        event_hidden_size: int(config, "hidden_size"),
        reverse_lambda: float(config, "reverse_lambda"),
        faithful: true,
        ..EannConfig::default()
    };
    let size = int(config, "embedding_size");
    let embedding = Embedding::random(&(&root / "embed"), int(config, "vocab_size"), size).unwrap().freeze();
    // The body of images in place of VGG19.
    let body = &inputs["param.vgg.1.weight"].size();
    let vgg = Linear::new(&(&root / "vgg" / 1), body[1], body[0]).unwrap().freeze();
    let sizes = ModalitySizes { text: Some(size), image: Some(body[0]) };
    let head = EannHead::new(&root, &model_config, sizes, int(config, "event_num") as usize, 2).unwrap();
    load_parameters(vars, inputs);
    let vectors = embedding.forward(&inputs["in.token_id"]).unwrap();
    let tokens = TokenVectors::new(vectors, inputs["in.mask"].to_kind(Kind::Bool));
    let image = vgg.forward(&inputs["in.image"].to_kind(kind).flatten(1, -1)).unwrap();
    let output = head.outputs(&head.text(&tokens).unwrap(), &head.image(&image).unwrap()).unwrap();
    assert_close("events", &output.event_logits, &inputs["out.1"], tolerance(case, kind), 1.0);
    let loss = output.loss(&inputs["in.label"], &inputs["in.domain"]).unwrap();
    Output { logits: output.class_logits, loss: Some(renamed(loss, &["class_loss", "domain_loss"])) }
}

pub(crate) fn spotfake(vars: &VarStore, case: &Value, inputs: &Tensors) -> Output {
    const BERT: &str = "param.model.text_encoder.bert.";
    let (config, kind) = (&case["config"], vars.root().kind());
    let model_config = SpotFakeConfig {
        text_hidden_size: int(config, "text_fc1_out"),
        text_size: int(config, "text_fc2_out"),
        image_hidden_size: int(config, "img_fc1_out"),
        image_size: int(config, "img_fc2_out"),
        fusion_size: int(config, "fusion_output_size"),
        dropout: float(config, "dropout_p"),
        ..SpotFakeConfig::default()
    };
    let image = inputs["in.image_features"].to_kind(kind);
    let sizes =
        ModalitySizes { text: Some(int(&config["bert"], "hidden_size")), image: Some(image.size()[1]) };
    let head = SpotFakeHead::new(&vars.root(), &model_config, sizes, 2).unwrap();
    load_without_bert(vars, inputs);
    let hidden =
        last_hidden_state(inputs, BERT, &config["bert"], &inputs["in.token_id"], &inputs["in.mask"], kind);
    let pooler = |name: &str| inputs[&format!("{BERT}pooler.dense.{name}")].to_kind(kind);
    let pooled = hidden.select(1, 0).linear(&pooler("weight"), Some(&pooler("bias"))).tanh();
    let mode = mode(case);
    let (text, image) = (head.text(&pooled, mode).unwrap(), head.image(&image, mode).unwrap());
    let logits = head.logits(&text, &image, mode).unwrap();
    let total = loss::cross_entropy(&logits, &inputs["in.label"]).unwrap();
    probability(&logits, total)
}

pub(crate) fn safe(vars: &VarStore, case: &Value, inputs: &Tensors) -> Output {
    let (config, kind) = (&case["config"], vars.root().kind());
    let weights: Vec<f64> = serde_json::from_value(config["loss_weights"].clone()).unwrap();
    let model_config = SafeConfig {
        title: true,
        reduced_size: int(config, "conv_in_size"),
        n_filters: int(config, "filter_num"),
        kernel_sizes: ints(config, "kernel_sizes"),
        feature_size: int(config, "cnn_out_size"),
        dropout: float(config, "dropout"),
        class_weight: weights[0],
        similarity_weight: weights[1],
        real_class: 1,
        faithful: true,
        ..SafeConfig::default()
    };
    let sentences = [SafeSentence::Title, SafeSentence::Body, SafeSentence::Image];
    let head =
        SafeHead::new(&vars.root(), &model_config, int(config, "embedding_size"), &sentences, 2).unwrap();
    load_parameters(vars, inputs);
    let [title, body, image] = [
        (SafeSentence::Title, "in.head"),
        (SafeSentence::Body, "in.body"),
        (SafeSentence::Image, "in.image"),
    ]
    .map(|(sentence, name)| {
        let vectors = inputs[name].to_kind(kind);
        let (n, len, _) = vectors.size3().unwrap();
        let tokens = TokenVectors::new(vectors, Tensor::ones([n, len], (Kind::Bool, Device::Cpu)));
        SafeFeatures { features: head.features(sentence, &tokens, mode(case)).unwrap(), present: ones(n) }
    });
    let features = [&title, &body, &image].map(|it| it.features.shallow_clone());
    let logits = head.logits(&features).unwrap();
    let similarity = head.similarity(&[&title, &body], &image).unwrap();
    let labels = inputs["in.label"].to_kind(Kind::Int64);
    let loss = head.loss(&logits, Some(&similarity), &labels).unwrap();
    let pair = Tensor::stack(&[1.0 - &similarity.values, similarity.values], 1);
    assert_close("similarity", &pair, &inputs["out.1"], tolerance(case, kind), 1.0);
    let loss = renamed(loss, &["class_loss", "cos_dis_sim_loss"]);
    Output { logits: logits.softmax(1, None::<Kind>), loss: Some(loss) }
}

pub(crate) fn cafe(vars: &VarStore, case: &Value, inputs: &Tensors) -> Output {
    let (config, kind, mode) = (&case["config"], vars.root().kind(), mode(case));
    let default = CafeConfig::default();
    let unimodal_size = (int(config, "feature_dim") - default.cross_size) / 2;
    let model_config = CafeConfig {
        unimodal_size,
        hidden_size: int(config, "h_dim"),
        real_class: 1,
        faithful: true,
        ..default
    };
    let sizes = ModalitySizes { text: Some(int(config, "text_dim")), image: Some(int(config, "image_dim")) };
    let head = CafeHead::new(&vars.root(), &model_config, sizes, 2).unwrap();
    // FaKnow does not know missing texts and images.
    let missing = ["text", "image"].map(|name| {
        (format!("param.missing_{name}.embedding"), Tensor::zeros([unimodal_size], (kind, Device::Cpu)))
    });
    let given = inputs.iter().filter(|(name, _)| !is_left_out(name.trim_start_matches("param.")));
    let given = given.map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).chain(missing);
    load_parameters(vars, &given.collect());
    let (text, image) = (inputs["in.text"].to_kind(kind), inputs["in.image"].to_kind(kind));
    let (n, len, _) = text.size3().unwrap();
    let input = CafeInput {
        tokens: Some(TokenVectors::new(text, Tensor::ones([n, len], (Kind::Bool, Device::Cpu)))),
        images: Some(ImageVectors { vectors: image.unsqueeze(1), present: ones(n) }),
    };
    let labels = &inputs["in.label"];
    let similarity = head.similarity_loss(&input, labels, Mode::Eval).unwrap().unwrap();
    let output = head.outputs(&input, n, mode).unwrap();
    let [text, image] = output.aligned.unwrap();
    assert_close("aligned texts", &text, &inputs["out.1"], tolerance(case, kind), 1.0);
    assert_close("aligned images", &image, &inputs["out.2"], tolerance(case, kind), 1.0);
    let total = loss::cross_entropy(&output.logits, labels).unwrap();
    Output { logits: output.logits, loss: Some(Loss { total, parts: vec![("similarity", similarity)] }) }
}
