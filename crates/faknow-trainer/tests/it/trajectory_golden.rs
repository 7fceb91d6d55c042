//! Whole trainings against PyTorch's: losses, gradient norms, learning rates and weights, step by step.
//!
//! All sizes and settings come from the golden folder's `manifest.json`; nothing about a particular case is built in.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use faknow_callbacks::{Flow, on_batch_end};
use faknow_data::{Loader, TextBatch};
use faknow_metrics::Metrics;
use faknow_model::{Mode, Model, TextCnn, TextCnnConfig, weights};
use faknow_trainer::schedule::{Plan, ScheduleConfig};
use faknow_trainer::{Clip, Optimizer, OptimizerConfig, Trainer};
use serde_json::{Map, Value, json};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor, no_grad};

type Tensors = BTreeMap<String, Tensor>;

/// Settings of a case that are understood here; a case with any other has no module yet.
const UNDERSTOOD: [&str; 11] = [
    "model",
    "vocab_size",
    "embedding_size",
    "filter_num",
    "kernel_sizes",
    "dropout",
    "activation",
    "batch_size",
    "steps",
    "clip_grad_norm",
    "optimizer",
];

#[test]
fn golden_trajectories_through_the_optimizer() {
    run_all("the optimizer", own_loop);
}

#[test]
fn golden_trajectories_through_fit() {
    run_all("fit", fit);
}

/// What a training gives, in the form of the golden file.
#[derive(Default)]
struct Trajectory {
    losses: Vec<f64>,
    grad_norms: Vec<f64>,
    learning_rates: Vec<f64>,
    /// Loss on all rows after each update; empty if it was not computed.
    full_losses: Vec<f64>,
    weights: Tensors,
}

struct Case {
    model: TextCnn,
    vars: VarStore,
    optimizer: OptimizerConfig,
    schedule: Option<ScheduleConfig>,
    clip: Clip,
    data: Batches,
}

/// A loop of one's own, over the optimizer and a schedule.
fn own_loop(case: Case) -> Trajectory {
    let Case { model, vars, optimizer, schedule, clip, data } = case;
    let mut optimizer = Optimizer::new(&optimizer, &vars, clip).unwrap();
    let plan = Plan { steps_per_epoch: data.n_batches(), max_epochs: 1, monitor_direction: None };
    let mut schedule = schedule.unwrap_or_default().build(optimizer.base_learning_rates(), &plan).unwrap();
    let loss = |batch: &TextBatch| model.forward(batch, Mode::Train).unwrap().loss.expect("a loss").total;
    let mut all = Trajectory::default();
    for batch in data.batches(0, 0) {
        optimizer.set_learning_rates(&schedule.learning_rates());
        all.learning_rates.push(optimizer.learning_rates()[0]);
        let total = loss(&batch.unwrap());
        optimizer.backward_step(&total).unwrap();
        all.losses.push(total.double_value(&[]));
        all.grad_norms.push(optimizer.grad_norm().expect("a norm").double_value(&[]));
        all.full_losses.push(no_grad(|| loss(&data.all())).double_value(&[]));
        schedule.step(None).unwrap();
    }
    all.weights = weights::snapshot(&vars);
    all
}

/// The trainer itself, in one epoch.
fn fit(case: Case) -> Trajectory {
    let Case { model, vars, optimizer, schedule, clip, data } = case;
    let told = Arc::<Mutex<Trajectory>>::default();
    let noted = Arc::clone(&told);
    let note = on_batch_end(move |_, batch| {
        let mut noted = noted.lock().unwrap();
        noted.losses.push(batch.read_loss()?);
        noted.grad_norms.extend(batch.read_grad_norm()?);
        Ok(Flow::Continue)
    });
    let builder = Trainer::builder(model, vars).optimizer(optimizer).clip(clip).metrics(Metrics::empty());
    let builder = builder.schedule(schedule.unwrap_or_default()).callback(note).max_epochs(1);
    let mut trainer = builder.build().unwrap();
    trainer.fit(&data, None).unwrap();
    let mut all = std::mem::take(&mut *told.lock().unwrap());
    all.weights = weights::snapshot(&trainer.run().vars);
    all
}

fn run_all(how: &str, train: fn(Case) -> Trajectory) {
    let Some(folder) = folder() else { return };
    tch::set_num_threads(1);
    let manifest = std::fs::read_to_string(folder.join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let (mut ran, mut without_module) = (Vec::new(), Vec::new());
    for (name, case) in manifest["fixtures"].as_object().expect("fixtures") {
        if case["kind"] != "trajectory" {
            continue;
        }
        let Some((optimizer, schedule)) = settings(case) else {
            without_module.push(name.as_str());
            continue;
        };
        let tensors = weights::read(&folder.join(case["file"].as_str().expect("file"))).unwrap();
        for kind in [Kind::Double, Kind::Float] {
            let case_here = build(case, &tensors, kind, optimizer.clone(), schedule.clone());
            compare(&format!("{name} {kind:?}"), &train(case_here), &tensors, &case["tolerance"], kind);
        }
        ran.push(name.as_str());
    }
    println!("golden {}: through {how} in f64 and f32: {}", folder.display(), ran.join(", "));
    println!("golden {}: no module here yet: {}", folder.display(), without_module.join(", "));
    if ran.is_empty() {
        println!("SKIPPED: {} holds no trajectory that could be compared", folder.display());
    }
}

/// Optimizer and schedule of a case; `None` if it needs something that is not here.
fn settings(case: &Value) -> Option<(OptimizerConfig, Option<ScheduleConfig>)> {
    let config = case["config"].as_object()?;
    let is_understood = |key: &String| UNDERSTOOD.contains(&key.as_str()) || key == "scheduler";
    if config["model"] != "TextCNN" || !config.keys().all(is_understood) {
        return None;
    }
    let mut optimizer = config["optimizer"].clone();
    optimizer["name"] = json!(optimizer["name"].as_str()?.to_lowercase());
    let optimizer = serde_json::from_value(optimizer).ok()?;
    let schedule = match config.get("scheduler").and_then(Value::as_object) {
        Some(scheduler) => Some(serde_json::from_value(our_schedule(scheduler)?).expect("a schedule")),
        None => None,
    };
    Some((optimizer, schedule))
}

/// PyTorch's schedule as a configuration of ours.
fn our_schedule(scheduler: &Map<String, Value>) -> Option<Value> {
    let name = match scheduler["name"].as_str()? {
        "StepLR" => "step",
        "CosineAnnealingLR" => "cosine",
        _ => return None,
    };
    let settings = scheduler.iter().map(|(key, value)| match key.as_str() {
        "name" => ("name".to_owned(), json!(name)),
        "unit" => ("interval".to_owned(), value.clone()),
        other => (other.to_lowercase(), value.clone()),
    });
    Some(Value::Object(settings.collect()))
}

fn build(
    case: &Value,
    tensors: &Tensors,
    kind: Kind,
    optimizer: OptimizerConfig,
    schedule: Option<ScheduleConfig>,
) -> Case {
    let config = &case["config"];
    let int = |name: &str| config[name].as_i64().unwrap_or_else(|| panic!("config `{name}`"));
    let model_config = TextCnnConfig {
        embedding_size: int("embedding_size"),
        n_filters: int("filter_num"),
        kernel_sizes: serde_json::from_value(config["kernel_sizes"].clone()).unwrap(),
        activation: serde_json::from_value(config["activation"].clone()).unwrap(),
        dropout: config["dropout"].as_f64().unwrap(),
        freeze_embedding: false,
    };
    let mut vars = VarStore::new(Device::Cpu);
    vars.set_kind(kind);
    let n_classes = tensors["param.classifier.1.bias"].size()[0] as usize;
    let model = TextCnn::new(&vars.root(), &model_config, int("vocab_size") as usize, n_classes).unwrap();
    weights::restore(&vars, &with_prefix(tensors, "param."), Path::new("fixture")).unwrap();
    let [tokens, labels, batches] =
        ["in.tokens", "in.labels", "in.batches"].map(|name| tensors[name].shallow_clone());
    assert_eq!(batches.size(), [int("steps"), int("batch_size")]);
    let clip = config["clip_grad_norm"].as_f64().map_or(Clip::None, Clip::Norm);
    Case { model, vars, optimizer, schedule, clip, data: Batches { tokens, labels, batches } }
}

fn with_prefix(tensors: &Tensors, prefix: &str) -> Tensors {
    let named = tensors
        .iter()
        .filter_map(|(name, t)| Some((name.strip_prefix(prefix)?.to_owned(), t.shallow_clone())));
    named.collect()
}

/// The batches of a golden file, in its order.
struct Batches {
    tokens: Tensor,
    labels: Tensor,
    batches: Tensor,
}

impl Batches {
    fn all(&self) -> TextBatch {
        TextBatch::new(self.tokens.shallow_clone(), Some(self.labels.shallow_clone())).unwrap()
    }
}

impl Loader<TextBatch> for Batches {
    fn n_samples(&self) -> usize {
        self.batches.numel()
    }

    fn n_batches(&self) -> usize {
        self.batches.size()[0] as usize
    }

    fn batches(
        &self,
        _: usize,
        from: usize,
    ) -> Box<dyn Iterator<Item = faknow_data::Result<TextBatch>> + '_> {
        Box::new((from..self.n_batches()).map(|step| {
            let rows = self.batches.get(step as i64);
            TextBatch::new(self.tokens.index_select(0, &rows), Some(self.labels.index_select(0, &rows)))
        }))
    }
}

/// Losses, norms and rates absolutely, weights relatively to their tensor's largest entry.
fn compare(name: &str, ours: &Trajectory, tensors: &Tensors, tolerance: &Value, kind: Kind) {
    let bound = |key: &str| tolerance[if kind == Kind::Float { "f32" } else { key }].as_f64().unwrap();
    let series = [
        ("out.loss", &ours.losses, bound("loss")),
        ("out.grad_norm", &ours.grad_norms, bound("out")),
        ("out.lr", &ours.learning_rates, tolerance["out"].as_f64().unwrap()),
        ("out.full_loss_after", &ours.full_losses, bound("loss")),
    ];
    for (what, got, bound) in series {
        if got.is_empty() && matches!(what, "out.lr" | "out.full_loss_after") {
            continue;
        }
        let expected = Vec::<f64>::try_from(&tensors[what]).unwrap();
        assert_eq!(got.len(), expected.len(), "{name}: {what}");
        for (step, (got, expected)) in got.iter().zip(&expected).enumerate() {
            assert!(
                (got - expected).abs() <= bound,
                "{name}: {what}[{step}]: got {got}, expected {expected}"
            );
        }
    }
    let expected = with_prefix(tensors, "final.");
    assert_eq!(ours.weights.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{name}");
    for (parameter, expected) in &expected {
        let difference = largest(&(ours.weights[parameter].to_kind(Kind::Double) - expected));
        let bound = bound("final_rel") * largest(expected);
        assert!(difference <= bound, "{name}: {parameter}: differs by {difference:e}, allowed {bound:e}");
    }
}

fn largest(t: &Tensor) -> f64 {
    t.abs().max().double_value(&[])
}

/// `FAKNOW_GOLDEN`, or the shared golden folder.
fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("FAKNOW_GOLDEN").map_or_else(
        || {
            let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
            std::env::var_os("FAKNOW_SHARED").map_or(here, PathBuf::from).join("golden")
        },
        PathBuf::from,
    );
    if folder.join("manifest.json").is_file() {
        return Some(folder);
    }
    println!("SKIPPED: there is no {}/manifest.json; set FAKNOW_GOLDEN to a golden folder", folder.display());
    None
}
