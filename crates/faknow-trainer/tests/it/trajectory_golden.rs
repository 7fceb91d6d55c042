//! Training runs compared with PyTorch: losses, gradient norms, learning rates, weights and optimizer state, step by step.
//!
//! All sizes and settings come from `manifest.json` in the directory of reference files.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "helpers of tests")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use faknow_callbacks::{Flow, Interval, on_batch_end};
use faknow_metrics::Metrics;
use faknow_model::weights;
use faknow_trainer::schedule::TrainingLength;
use faknow_trainer::{AccumulationWindow, FinalWeights, Optimizer, Trainer};
use serde_json::Value;
use tch::{Kind, Tensor, no_grad};

use crate::trajectory_cases::{Batches, Case, Task, Tensors, is_supported, with_prefix};

#[test]
fn golden_trajectories_through_the_optimizer() {
    run_all("the optimizer", custom_loop);
}

#[test]
fn golden_trajectories_through_fit() {
    run_all("fit", fit);
}

#[test]
fn golden_averages_through_fit() {
    let Some(dir) = dir() else { return };
    tch::set_num_threads(1);
    for (name, case) in trajectories(&dir) {
        let tensors = weights::read(&dir.join(case["file"].as_str().expect("file"))).unwrap();
        if !is_supported(&case) || case["config"].get("ema_decay").is_none() {
            continue;
        }
        let n_steps = case["config"]["steps"].as_u64().expect("steps");
        for kind in [Kind::Double, Kind::Float] {
            for (prefix, n_steps) in [("ema_half.", n_steps / 2), ("ema.", n_steps)] {
                let Case { task, vars, optimizer, schedule, clip, batches, average, .. } =
                    Case::new(&case, &tensors, kind);
                let Task::Text { model, tokens, labels } = task else { continue };
                let builder = Trainer::builder(model, vars).optimizer(optimizer).clip(clip).max_epochs(1);
                let builder =
                    builder.schedule(schedule.unwrap_or_default()).stop_after(Interval::steps(n_steps));
                let mut trainer = builder.average(average.expect("an average")).build().unwrap();
                let report = trainer.fit(&Batches::new(tokens, labels, &batches, &[]), None).unwrap();
                assert_eq!(report.weights, FinalWeights::Average);
                let bound = if kind == Kind::Float { "f32" } else { "final_rel" };
                compare_tensors(
                    &format!("{name} {kind:?} {prefix}"),
                    &weights::snapshot(&trainer.run().vars),
                    &with_prefix(&tensors, prefix),
                    case["tolerance"][bound].as_f64().unwrap(),
                );
            }
        }
        println!("golden {}: average through fit in f64 and f32: {name}", dir.display());
    }
}

/// The results of a training run, in the form of the reference file.
#[derive(Default)]
struct Trajectory {
    losses: Vec<f64>,
    grad_norms: Vec<f64>,
    /// The learning rates of a single group; empty if they were not recorded.
    learning_rates: Vec<f64>,
    /// Loss on all rows after each update; empty if it was not computed.
    full_losses: Vec<f64>,
    weights: Tensors,
    /// The tensors of the optimizer state; empty if they are not available.
    state: Tensors,
}

/// Trains with a custom loop of the optimizer and a schedule, with micro-batches if the case has them.
fn custom_loop(case: Case) -> Option<Trajectory> {
    let Case { task, vars, optimizer, schedule, clip, batches, micro_sizes, .. } = case;
    let mut optimizer = Optimizer::new(&optimizer, &vars, clip).unwrap();
    let n_steps = batches.size()[0];
    let length = TrainingLength {
        steps_per_epoch: n_steps as usize,
        max_epochs: 1,
        max_steps: None,
        monitor_direction: None,
    };
    let mut schedule = schedule.unwrap_or_default().build(optimizer.base_learning_rates(), &length).unwrap();
    let mut all = Trajectory::default();
    for step in 0..n_steps {
        let rows = batches.get(step);
        let n_rows = rows.size()[0];
        optimizer.set_learning_rates(&schedule.learning_rates());
        if let [learning_rate] = optimizer.learning_rates() {
            all.learning_rates.push(*learning_rate);
        }
        let mut total = 0.0;
        let mut from = 0;
        for size in micro_sizes.iter().copied().chain(micro_sizes.is_empty().then_some(n_rows)) {
            let weight = size as f64 / n_rows as f64;
            optimizer.set_window(AccumulationWindow {
                weight,
                is_first: from == 0,
                is_last: from + size == n_rows,
            });
            let loss = task.loss(&rows.narrow(0, from, size));
            optimizer.backward_step(&loss).unwrap();
            total += weight * loss.double_value(&[]);
            from += size;
            assert_eq!(optimizer.has_updated(), from == n_rows);
        }
        all.losses.push(total);
        all.grad_norms.push(optimizer.grad_norm().expect("a norm").double_value(&[]));
        all.full_losses.push(no_grad(|| task.loss(&task.all_rows())).double_value(&[]));
        schedule.step(None).unwrap();
    }
    all.weights = weights::snapshot(&vars);
    all.state = optimizer.state().unwrap().tensors;
    Some(all)
}

/// Trains one epoch with the trainer.
fn fit(case: Case) -> Option<Trajectory> {
    let Case { task, vars, optimizer, schedule, clip, batches, micro_sizes, .. } = case;
    let Task::Text { model, tokens, labels } = task else { return None };
    let data = Batches::new(tokens, labels, &batches, &micro_sizes);
    let trajectory = Arc::<Mutex<Trajectory>>::default();
    let recorded = Arc::clone(&trajectory);
    let record = on_batch_end(move |_, batch| {
        let mut recorded = recorded.lock().unwrap();
        recorded.losses.push(batch.read_loss()?);
        recorded.grad_norms.extend(batch.read_grad_norm()?);
        Ok(Flow::Continue)
    });
    let builder = Trainer::builder(model, vars).optimizer(optimizer).clip(clip).metrics(Metrics::empty());
    let builder = builder.schedule(schedule.unwrap_or_default()).callback(record).max_epochs(1);
    let builder = builder.accumulate_grad_batches(micro_sizes.len().max(1));
    let mut trainer = builder.build().unwrap();
    trainer.fit(&data, None).unwrap();
    let mut trajectory = std::mem::take(&mut *trajectory.lock().unwrap());
    trajectory.weights = weights::snapshot(&trainer.run().vars);
    Some(trajectory)
}

fn run_all(how: &str, train: fn(Case) -> Option<Trajectory>) {
    let Some(dir) = dir() else { return };
    tch::set_num_threads(1);
    let (mut compared, mut skipped) = (Vec::new(), Vec::new());
    for (name, case) in trajectories(&dir) {
        let mut is_run = is_supported(&case);
        if is_run {
            let tensors = weights::read(&dir.join(case["file"].as_str().expect("file"))).unwrap();
            for kind in [Kind::Double, Kind::Float] {
                let trajectory = train(Case::new(&case, &tensors, kind));
                is_run = trajectory.is_some();
                if let Some(trajectory) = trajectory {
                    compare(&format!("{name} {kind:?}"), &trajectory, &tensors, &case["tolerance"], kind);
                }
            }
        }
        if is_run { &mut compared } else { &mut skipped }.push(name);
    }
    println!("golden {}: through {how} in f64 and f32: {}", dir.display(), compared.join(", "));
    println!("golden {}: skipped for {how}: {}", dir.display(), skipped.join(", "));
    if compared.is_empty() {
        crate::skip::check("golden").unwrap();
        println!("SKIPPED: {} contains no trajectory that can be compared", dir.display());
    }
}

/// Returns all trajectories of a directory of reference files, by name.
fn trajectories(dir: &Path) -> Vec<(String, Value)> {
    let manifest = std::fs::read_to_string(dir.join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let all = manifest["fixtures"].as_object().expect("fixtures").clone();
    all.into_iter().filter(|(_, case)| case["kind"] == "trajectory").collect()
}

/// Compares losses, norms and learning rates by absolute differences, weights relative to the largest value of the tensor.
fn compare(name: &str, trajectory: &Trajectory, tensors: &Tensors, tolerance: &Value, kind: Kind) {
    let bound = |key: &str| tolerance[if kind == Kind::Float { "f32" } else { key }].as_f64().unwrap();
    let series = [
        ("out.loss", &trajectory.losses, bound("loss")),
        ("out.grad_norm", &trajectory.grad_norms, bound("out")),
        ("out.lr", &trajectory.learning_rates, tolerance["out"].as_f64().unwrap()),
        ("out.full_loss_after", &trajectory.full_losses, bound("loss")),
    ];
    for (what, got, bound) in series {
        let is_optional = matches!(what, "out.lr" | "out.full_loss_after");
        if got.is_empty() && is_optional || what == "out.lr" && !tensors.contains_key(what) {
            continue;
        }
        let expected = Vec::<f64>::try_from(&tensors[what]).unwrap();
        assert_eq!(got.len(), expected.len(), "{name}: {what}");
        for (step, (got, expected)) in got.iter().zip(&expected).enumerate() {
            assert!(
                (got - expected).abs() <= bound,
                "{name}: {what}[{step}]: expected {expected}, got {got}"
            );
        }
    }
    compare_tensors(name, &trajectory.weights, &with_prefix(tensors, "final."), bound("final_rel"));
    if !trajectory.state.is_empty() {
        compare_tensors(name, &trajectory.state, &with_prefix(tensors, "opt."), bound("final_rel"));
    }
}

fn compare_tensors(name: &str, got: &Tensors, expected: &Tensors, tolerance: f64) {
    assert_eq!(got.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{name}");
    for (tensor, expected) in expected {
        let difference = max_abs(&(got[tensor].to_kind(Kind::Double) - expected));
        let bound = tolerance * max_abs(expected);
        assert!(difference <= bound, "{name}: {tensor}: differs by {difference:e}, allowed {bound:e}");
    }
}

fn max_abs(t: &Tensor) -> f64 {
    t.abs().max().double_value(&[])
}

/// Returns the directory of reference files: `FAKNOW_GOLDEN`, else the shared one.
fn dir() -> Option<PathBuf> {
    let dir = std::env::var_os("FAKNOW_GOLDEN").map_or_else(
        || {
            let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
            std::env::var_os("FAKNOW_SHARED").map_or(shared, PathBuf::from).join("golden")
        },
        PathBuf::from,
    );
    if dir.join("manifest.json").is_file() {
        return Some(dir);
    }
    crate::skip::check("golden").unwrap();
    println!(
        "SKIPPED: {}/manifest.json does not exist; set FAKNOW_GOLDEN to a directory of reference files",
        dir.display()
    );
    None
}
