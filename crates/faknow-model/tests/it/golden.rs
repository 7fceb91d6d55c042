//! Equality with PyTorch: every case of a golden directory whose module is implemented, in f64 and f32.
//!
//! All sizes are those of the directory's `manifest.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use faknow_data::FieldBatch;
use faknow_model::layers::Activation;
use faknow_model::{Mode, Model, Output, TextCnn, TextCnnConfig, weights};
use serde_json::Value;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use crate::{
    golden_attention, golden_domains, golden_emotion, golden_fang, golden_gnncl, golden_multimodal,
    golden_trustrd, social,
};

pub(crate) type Tensors = BTreeMap<String, Tensor>;

#[test]
fn golden_cases_equal_pytorch() {
    let _generator = crate::generator();
    let mut n_cases = 0;
    for dir in dirs() {
        let manifest = read_manifest(&dir);
        let (mut cases, mut not_implemented) = (Vec::new(), Vec::new());
        for (name, case) in manifest["fixtures"].as_object().expect("fixtures") {
            if case["module"] == "trustrd_ib_loss" {
                let tensors = weights::read(&dir.join(case["file"].as_str().expect("file"))).unwrap();
                golden_trustrd::check_loss(case, &tensors);
                cases.push(name.as_str());
                continue;
            }
            let Some(run) = runner(case) else {
                // Training runs, also adversarial ones, are compared in faknow-trainer.
                if case["kind"] != "trajectory" && case["module"] != "PGD" {
                    not_implemented.push(format!("{name} ({})", case["module"].as_str().unwrap_or("?")));
                }
                continue;
            };
            let tensors = weights::read(&dir.join(case["file"].as_str().expect("file"))).unwrap();
            for kind in [Kind::Double, Kind::Float] {
                check(name, case, &tensors, kind, run);
                if tensors.contains_key("in.batch") {
                    let name = format!("{name} (sparse)");
                    check(&name, case, &with_sparse_features(&tensors), kind, run);
                }
            }
            cases.push(name.as_str());
        }
        println!("golden {}: {} cases in f64 and f32: {}", dir.display(), cases.len(), cases.join(", "));
        let missing = if not_implemented.is_empty() { "nothing".into() } else { not_implemented.join(", ") };
        println!("golden {}: {} cases ran; no module here yet: {missing}", dir.display(), cases.len());
        n_cases += cases.len();
    }
    if n_cases == 0 {
        crate::skip::check("golden").unwrap();
        println!("SKIPPED: no module of these directories is implemented");
    }
    assert!(n_cases > 0 || std::env::var_os("FAKNOW_GOLDEN").is_some(), "no cases");
}

/// Builds the module of a case and runs a forward pass on its inputs.
type Runner = fn(&VarStore, &Value, &Tensors) -> Output;

/// Returns the runner of a case, if its module is implemented.
fn runner(case: &Value) -> Option<Runner> {
    match (case["kind"].as_str()?, case["module"].as_str()?) {
        ("model", "TextCNN") => Some(text_cnn),
        ("model", "MDFEND") => Some(golden_domains::mdfend),
        ("model", "ENDEF") => Some(golden_domains::endef),
        ("model", "M3FEND") => Some(golden_domains::m3fend),
        ("model", "EANN") => Some(golden_multimodal::eann),
        ("model", "SpotFake") => Some(golden_multimodal::spotfake),
        ("model", "SAFE") => Some(golden_multimodal::safe),
        ("model", "CAFE") => Some(golden_multimodal::cafe),
        ("model", "GNNCL") => Some(golden_gnncl::run),
        ("model", "TrustRD") => Some(golden_trustrd::run_head),
        ("layer", "TrustRdEncoder") => Some(golden_trustrd::run_encoder),
        ("model", "DUDEF") => Some(golden_emotion::run_dudef),
        ("model", "EDDFN") => Some(golden_emotion::run_eddfn),
        ("layer", "FangStanceClassifier") => Some(golden_fang::run_stance),
        ("layer", "FangNewsClassifier") => Some(golden_fang::run_news),
        ("layer", "FangGraphSage") => Some(golden_fang::run_graphsage),
        ("layer", "McanCoAttentionLayer") => Some(golden_attention::run_co_attention),
        ("layer", "McanDctCnn") => Some(golden_attention::run_dct_cnn),
        ("model", "MCAN") => Some(golden_attention::run_mcan),
        ("layer", "HmcanTextImageTransformer") => Some(golden_attention::run_contextual_transformer),
        ("layer", "MfanTransformerBlock") => Some(golden_attention::run_residual_attention),
        ("layer", "SignedAttention") => Some(golden_attention::run_signed_attention),
        ("layer", "SignedGAT") => Some(golden_attention::run_signed_gat),
        ("model", module) if social::has(module) => Some(social::run),
        _ => None,
    }
}

/// Returns the same case with sparse features for the models of trees.
fn with_sparse_features(tensors: &Tensors) -> Tensors {
    let copy = tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone()));
    copy.chain([(social::SPARSE.to_owned(), Tensor::from(1i64))]).collect()
}

fn text_cnn(vars: &VarStore, case: &Value, inputs: &Tensors) -> Output {
    let config = &case["config"];
    let int = |name: &str| config[name].as_i64().unwrap_or_else(|| panic!("config `{name}`"));
    let model_config = TextCnnConfig {
        embedding_size: int("embedding_size"),
        n_filters: int("filter_num"),
        kernel_sizes: serde_json::from_value(config["kernel_sizes"].clone()).unwrap(),
        activation: match &config["activation"] {
            Value::Null => Activation::None,
            name => serde_json::from_value(name.clone()).unwrap(),
        },
        dropout: config["dropout"].as_f64().unwrap(),
        freeze_embedding: config["freeze"].as_bool().unwrap(),
    };
    let (n_words, n_classes) = (int("vocab_size") as usize, int("num_classes") as usize);
    let model = TextCnn::new(&vars.root(), &model_config, n_words, n_classes).unwrap();
    load_parameters(vars, inputs);
    let batch =
        FieldBatch::from_words(inputs["in.text"].shallow_clone(), Some(inputs["in.label"].shallow_clone()))
            .unwrap();
    model.forward(&batch, mode(case)).unwrap()
}

pub(crate) fn mode(case: &Value) -> Mode {
    if case["mode"] == "train" { Mode::Train } else { Mode::Eval }
}

pub(crate) fn load_parameters(vars: &VarStore, inputs: &Tensors) {
    let parameters = inputs
        .iter()
        .filter_map(|(name, t)| Some((name.strip_prefix("param.")?.to_owned(), t.shallow_clone())))
        .collect();
    weights::restore(vars, &parameters, Path::new("fixture")).unwrap();
}

/// Runs and compares a case, with the tolerances of the manifest.
fn check(name: &str, case: &Value, tensors: &Tensors, kind: Kind, run: Runner) {
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(kind);
    let output = run(&vars, case, tensors);
    let tolerance = &case["tolerance"];
    let f32_tolerance = tolerance["f32"].as_f64().unwrap();
    let is_f32 = kind == Kind::Float;

    let out = if is_f32 { f32_tolerance } else { tolerance["out"].as_f64().unwrap() };
    assert_close(&format!("{name} out.0"), &output.logits, &tensors["out.0"], out, 1.0);

    let loss = output.loss.expect("a loss");
    let bound = if is_f32 { f32_tolerance } else { tolerance["loss"].as_f64().unwrap() };
    for loss_name in case["losses"].as_array().unwrap().iter().filter_map(Value::as_str) {
        let ours = match loss_name {
            "total_loss" => &loss.total,
            part => {
                let part = match part {
                    "pred_loss" => faknow_model::Loss::CLASSIFICATION,
                    "edge_loss" => "edge",
                    other => other,
                };
                &loss
                    .parts
                    .iter()
                    .find(|(n, _)| *n == part)
                    .unwrap_or_else(|| panic!("{name}: no loss {part}"))
                    .1
            }
        };
        assert_close(
            &format!("{name} loss.{loss_name}"),
            ours,
            &tensors[&format!("loss.{loss_name}")],
            bound,
            1.0,
        );
    }

    loss.total.backward();
    let variables = vars.variables();
    let gradients: Vec<(&str, &Tensor)> =
        tensors.iter().filter_map(|(n, t)| Some((n.strip_prefix("grad.")?, t))).collect();
    let largest = gradients.iter().map(|(_, t)| largest(t)).fold(0.0, f64::max);
    for (parameter, theirs) in &gradients {
        let ours = variables[*parameter].grad();
        assert!(ours.defined(), "{name}: no gradient of {parameter}");
        let (bound, floor) = if is_f32 {
            (10.0 * f32_tolerance, 1e-2 * largest)
        } else {
            (tolerance["grad_rel"].as_f64().unwrap(), 1e-3 * largest)
        };
        assert_close(&format!("{name} grad.{parameter}"), &ours, theirs, bound, floor);
    }
    for parameter in case["no_grad"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        // A frozen BERT is not part of the model, nor are layers that nothing reads.
        let is_outside =
            golden_domains::is_frozen_bert(parameter) || golden_multimodal::is_left_out(parameter);
        if is_outside && !variables.contains_key(parameter) {
            continue;
        }
        let ours = variables[parameter].grad();
        assert!(!ours.defined() || self::largest(&ours) == 0.0, "{name}: {parameter} must have no gradient");
    }
}

/// Asserts |a - b| <= tolerance * max(floor, max|b|) for all elements.
pub(crate) fn assert_close(what: &str, ours: &Tensor, theirs: &Tensor, tolerance: f64, floor: f64) {
    assert_eq!(ours.size(), theirs.size(), "{what}: shape");
    let difference = largest(&(ours.detach().to_kind(Kind::Double) - theirs));
    let bound = tolerance * largest(theirs).max(floor);
    assert!(difference <= bound, "{what}: differs by {difference:e}, allowed {bound:e}");
}

fn largest(t: &Tensor) -> f64 {
    t.abs().max().double_value(&[])
}

/// Returns `FAKNOW_GOLDEN`, else the shared golden directory and its second set, else the directory of this crate.
fn dirs() -> Vec<PathBuf> {
    if let Some(dir) = std::env::var_os("FAKNOW_GOLDEN") {
        return vec![dir.into()];
    }
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared =
        std::env::var_os("FAKNOW_SHARED").map_or_else(|| crate_dir.join("../../../shared"), PathBuf::from);
    let golden = shared.join("golden");
    if golden.join("manifest.json").exists() {
        return vec![golden.clone(), golden.join("set_b")];
    }
    crate::skip::check("golden").unwrap();
    println!("SKIPPED: {} does not exist; only the golden files of this crate are run", golden.display());
    vec![crate_dir.join("tests/golden")]
}

fn read_manifest(dir: &Path) -> Value {
    let path = dir.join("manifest.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
