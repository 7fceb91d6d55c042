//! Adversarial training compared with FaKnow: parameters and losses after each attack, and the final gradients.
//!
//! All sizes and settings come from `manifest.json` of the golden directories.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "helpers of tests")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use faknow_data::FieldBatch;
use faknow_model::{Mode, Model, Output, TextCnn, TextCnnConfig, weights};
use faknow_trainer::{
    Adversarial, Attack, Clip, Location, Optimizer, OptimizerConfig, Pgd, StepContext, TrainStep,
};
use serde_json::Value;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use crate::trajectory_cases::{Tensors, with_prefix};

#[test]
fn golden_attacks_and_gradients_of_pgd() {
    let mut n_cases = 0;
    for dir in dirs() {
        let manifest = std::fs::read_to_string(dir.join("manifest.json")).unwrap();
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        let mut cases = Vec::new();
        for (name, case) in manifest["fixtures"].as_object().expect("fixtures") {
            if case["module"] != "PGD" {
                continue;
            }
            let tensors = weights::read(&dir.join(case["file"].as_str().expect("file"))).unwrap();
            for kind in [Kind::Double, Kind::Float] {
                check(&format!("{name} {kind:?}"), case, &tensors, kind);
            }
            cases.push(name.as_str());
        }
        println!("golden {}: adversarial in f64 and f32: {}", dir.display(), cases.join(", "));
        n_cases += cases.len();
    }
    if n_cases == 0 {
        crate::skip::check("golden").unwrap();
        println!("SKIPPED: no adversarial case; set FAKNOW_GOLDEN to a golden directory");
    }
}

/// A model that records the attacked parameter and the loss of each pass.
struct RecordingModel {
    model: TextCnn,
    target: Tensor,
    passes: Arc<Mutex<Vec<(Tensor, Tensor)>>>,
}

impl Model for RecordingModel {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, mode: Mode) -> faknow_model::Result<Output> {
        let output = self.model.forward(batch, mode)?;
        let loss = output.loss.as_ref().expect("a loss").total.detach();
        self.passes.lock().unwrap().push((self.target.detach().copy(), loss));
        Ok(output)
    }
}

fn check(name: &str, case: &Value, tensors: &Tensors, kind: Kind) {
    let config = &case["config"];
    let int = |name: &str| config[name].as_i64().unwrap_or_else(|| panic!("config `{name}`"));
    let number = |name: &str| config[name].as_f64().unwrap_or_else(|| panic!("config `{name}`"));
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(kind);
    // The step runs in training mode, so layers that differ in evaluation mode (dropout) must be absent.
    assert_eq!(case["mode"], "eval");
    let model_config = TextCnnConfig {
        embedding_size: int("embedding_size"),
        n_filters: int("filter_num"),
        kernel_sizes: serde_json::from_value(config["kernel_sizes"].clone()).unwrap(),
        activation: match &config["activation"] {
            Value::Null => faknow_model::layers::Activation::None,
            name => serde_json::from_value(name.clone()).unwrap(),
        },
        dropout: 0.0,
        freeze_embedding: config["freeze"].as_bool().unwrap(),
    };
    let (n_words, n_classes) = (int("vocab_size") as usize, int("num_classes") as usize);
    let model = TextCnn::new(&vars.root(), &model_config, n_words, n_classes).unwrap();
    weights::restore(&vars, &with_prefix(tensors, "param."), Path::new("fixture")).unwrap();
    let pattern = config["target"].as_str().unwrap().to_owned();
    let target = vars.variables()[&pattern].shallow_clone();
    let before = target.detach().copy();
    let pgd =
        Pgd { pattern, epsilon: number("epsilon"), alpha: number("alpha"), steps: int("steps") as usize };
    let n_attacks = pgd.steps;
    let mut step = Adversarial::new(Attack::Pgd(pgd), &vars).unwrap();
    // With a learning rate of 0, the weights after the update are those that the attack has restored.
    let mut optimizer = Optimizer::new(OptimizerConfig::sgd(0.0), &vars, Clip::None).unwrap();
    let batch =
        FieldBatch::from_words(tensors["in.text"].shallow_clone(), Some(tensors["in.label"].shallow_clone()))
            .unwrap();
    let passes = Arc::<Mutex<Vec<_>>>::default();
    let mut model = RecordingModel { model, target: target.shallow_clone(), passes: Arc::clone(&passes) };
    let context = StepContext {
        location: Location::training(1, 1),
        step: 0,
        position: 0,
        seed: 0,
        is_synchronous: false,
    };
    let loss = step.step(&mut model, &batch, &mut optimizer, context).unwrap();

    let tolerance = |key: &str| case["tolerance"][key].as_f64().unwrap();
    let single = kind == Kind::Float;
    let bound = |key: &str| tolerance(if single { "f32" } else { key });
    let passes = passes.lock().unwrap();
    assert_eq!(passes.len(), 1 + n_attacks, "{name}: passes");
    for (k, (embedding, loss)) in passes[1..].iter().enumerate() {
        let expected = |name: &str| &tensors[&format!("out.{name}_{k}")];
        assert_close(
            &format!("{name} embedding {k}"),
            embedding,
            expected("embedding_after"),
            bound("out"),
            1.0,
        );
        assert_close(&format!("{name} loss {k}"), loss, expected("adv_loss"), bound("loss"), 1.0);
    }
    let sum = &passes[0].1 + &passes[n_attacks].1;
    assert_eq!(loss.loss.total.double_value(&[]), sum.double_value(&[]), "{name}: the sum of both losses");
    let gradients = with_prefix(tensors, "grad.");
    let max_gradient = gradients.values().map(max_abs).fold(0.0, f64::max);
    for (parameter, expected) in &gradients {
        let got = vars.variables()[parameter].grad();
        let (bound, floor) = if single {
            (10.0 * tolerance("f32"), 1e-2 * max_gradient)
        } else {
            (tolerance("grad_rel"), 1e-3 * max_gradient)
        };
        assert_close(&format!("{name} grad.{parameter}"), &got, expected, bound, floor);
    }
    assert_eq!(target.detach(), before, "{name}: expected bitwise restored parameters");
}

/// Asserts max|got - expected| <= tolerance * max(floor, max|expected|).
fn assert_close(label: &str, got: &Tensor, expected: &Tensor, tolerance: f64, floor: f64) {
    assert_eq!(got.size(), expected.size(), "{label}: shape");
    let difference = max_abs(&(got.detach().to_kind(Kind::Double) - expected));
    let bound = tolerance * max_abs(expected).max(floor);
    assert!(difference <= bound, "{label}: expected a difference of at most {bound:e}, got {difference:e}");
}

fn max_abs(t: &Tensor) -> f64 {
    t.abs().max().double_value(&[])
}

/// Returns `FAKNOW_GOLDEN`, or the shared golden directory and its second set.
fn dirs() -> Vec<PathBuf> {
    let all = match std::env::var_os("FAKNOW_GOLDEN") {
        Some(dir) => vec![PathBuf::from(dir)],
        None => {
            let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
            let golden = std::env::var_os("FAKNOW_SHARED").map_or(default, PathBuf::from).join("golden");
            vec![golden.clone(), golden.join("set_b")]
        }
    };
    let has_manifest = |dir: &PathBuf| {
        let exists = dir.join("manifest.json").is_file();
        if !exists {
            println!("{}/manifest.json not found", dir.display());
        }
        exists
    };
    all.into_iter().filter(has_manifest).collect()
}
