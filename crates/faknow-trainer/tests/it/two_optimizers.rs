//! Training with two losses and two optimizers: updates, accumulation, non-finite losses and resuming.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use faknow_callbacks::{Flow, on_batch_end};
use faknow_model::{Mode, Model, Output, loss};
use faknow_trainer::checkpoint::CheckpointStore;
use faknow_trainer::{
    CheckpointPolicy, Clip, Error, NonFinitePolicy, Optimizer, OptimizerConfig, Result, RunDir, StepContext,
    StepOutput, Supervised, TrainStep, Trainer, TrainerBuilder, TwoOptimizers,
};
use tch::nn::{Init, VarStore};
use tch::{Device, Kind, Tensor};

use crate::toy::{self, Fault, Memory, POINTS, Points, Toy, train_data, weights};

/// A linear classifier of points scaled by a gate, which has a separate loss.
struct Gated {
    gate: Tensor,
    weight: Tensor,
    dropout: f64,
    /// Whether the logits depend on the gate.
    gates_classes: bool,
}

impl Gated {
    fn new() -> (Self, VarStore) {
        let mut vars = VarStore::new(Device::Cpu);
        vars.set_kind(Kind::Double);
        let gate = (vars.root() / "gate").var("scale", &[2], Init::Const(0.7));
        let weight = vars.root().var("weight", &[2, 2], Init::Const(0.0));
        tch::no_grad(|| weight.shallow_clone().copy_(&Tensor::from_slice2(&[[0.1, -0.2], [0.3, 0.05]])));
        (Self { gate, weight, dropout: 0.0, gates_classes: true }, vars)
    }

    /// Returns the mean squared difference of the sum of a gated point and its class; it also depends on the weights of the
    /// classifier, which it must not update.
    fn gate_loss(&self, batch: &Points) -> faknow_model::Result<Option<Tensor>> {
        let sums = batch.x.f_mul(&self.gate)?.f_sum_dim_intlist(-1, false, Kind::Double)?;
        let Some(labels) = &batch.labels else { return Ok(None) };
        let distance = sums.f_sub(labels)?.f_add(&self.weight.f_sum(Kind::Double)?)?;
        Ok(Some(distance.f_square()?.f_mean(Kind::Double)?))
    }
}

impl Model for Gated {
    type Batch = Points;

    fn forward(&self, batch: &Points, mode: Mode) -> faknow_model::Result<Output> {
        let x = if self.gates_classes { batch.x.f_mul(&self.gate)? } else { batch.x.shallow_clone() };
        let x = x.f_dropout(self.dropout, mode.is_train())?;
        loss::classify(x.f_linear(&self.weight, None::<&Tensor>)?, batch)
    }
}

const GATE_CLIP: f64 = 0.3;
const CLIP: f64 = 0.1;

/// Returns a trainer of the gated classifier; the last argument of `gate_loss` is the number of the call, from 1.
fn trainer(
    (model, vars): (Gated, VarStore),
    gate_optimizer: impl Into<OptimizerConfig>,
    gate_loss: impl Fn(&Gated, &Points, usize) -> faknow_model::Result<Option<Tensor>> + Send + 'static,
) -> TrainerBuilder<Gated> {
    let gate_optimizer =
        Optimizer::for_parameters(gate_optimizer, &vars, Clip::Norm(GATE_CLIP), &["gate.*".into()]).unwrap();
    let calls = AtomicUsize::new(0);
    let gate_loss = move |model: &Gated, batch: &Points| {
        gate_loss(model, batch, calls.fetch_add(1, Ordering::Relaxed) + 1)
    };
    let step = TwoOptimizers::new("gate", gate_optimizer, gate_loss);
    Trainer::builder(model, vars).step(step).optimizer(OptimizerConfig::sgd(0.1)).clip(Clip::Norm(CLIP))
}

fn sgd() -> TrainerBuilder<Gated> {
    trainer(Gated::new(), OptimizerConfig::sgd(0.5), |model, batch, _| model.gate_loss(batch))
}

/// Returns a trainer like [`sgd`] whose logits do not depend on the gate, so that accumulated batches are equivalent to one
/// large batch.
fn trainer_without_gate_in_classes() -> TrainerBuilder<Gated> {
    let (mut model, vars) = Gated::new();
    model.gates_classes = false;
    trainer((model, vars), OptimizerConfig::sgd(0.5), |model, batch, _| model.gate_loss(batch))
}

/// Updates `t` by gradient descent with the clipped gradient.
fn descend(t: &Tensor, gradient: &Tensor, rate: f64, max: f64) {
    let norm = gradient.norm().double_value(&[]);
    assert!(norm > max, "nothing to clip: {norm}");
    tch::no_grad(|| t.shallow_clone().copy_(&(t - gradient * (rate * max / (norm + 1e-6)))));
}

fn gradient(loss: &Tensor, t: &Tensor) -> Tensor {
    Tensor::run_backward(&[loss], &[t], false, false).remove(0)
}

fn class_loss(model: &Gated, points: &Points) -> Tensor {
    model.forward(points, Mode::Train).unwrap().loss.unwrap().total
}

/// Updates the gate, then the classifier with the new gate, and returns both losses.
fn update_both(model: &Gated, points: &Points) -> (f64, f64) {
    let gate = model.gate_loss(points).unwrap().unwrap();
    descend(&model.gate, &gradient(&gate, &model.gate), 0.5, GATE_CLIP);
    let loss = class_loss(model, points);
    descend(&model.weight, &gradient(&loss, &model.weight), 0.1, CLIP);
    (gate.double_value(&[]), loss.double_value(&[]))
}

/// Returns a batch that counts as moved to the device.
fn moved(points: &[crate::toy::Point]) -> Points {
    Points { is_moved: true, ..Points::new(points) }
}

fn assert_same(got: &VarStore, expected: &VarStore, what: &str) {
    let (got, expected) = (weights(got), weights(expected));
    for (name, expected) in &expected {
        for (got, expected) in got[name].iter().zip(expected) {
            assert!((got - expected).abs() < 1e-12, "{what}: {name}: expected {expected}, got {got}");
        }
    }
}

#[test]
fn each_optimizer_updates_and_clips_its_own_parameters() {
    let mut trainer = sgd().max_epochs(2).build().unwrap();
    let report = trainer.fit(&Memory::new(&POINTS, &[7]), None).unwrap();
    let (model, vars) = Gated::new();
    for record in &report.history.epochs {
        let (gate, loss) = update_both(&model, &moved(&POINTS));
        for (name, expected) in [("loss", loss), ("loss/gate", gate)] {
            let got = record.train.value(name).unwrap();
            assert!((got - expected).abs() < 1e-12, "{name}: expected {expected}, got {got}");
        }
    }
    assert_same(&trainer.run().vars, &vars, "two updates of each");
}

#[test]
fn accumulated_batches_are_one_update_of_each() {
    let mut trainer = sgd().accumulate_grad_batches(3).max_epochs(1).build().unwrap();
    trainer.fit(&train_data(), None).unwrap();
    // The gate is updated with all batches, before the gradient of the last batch for the other update is computed.
    let (model, vars) = Gated::new();
    let part = |points, share: f64| gradient(&class_loss(&model, &moved(points)), &model.weight) * share;
    let first_two = part(&POINTS[..4], 4.0 / 7.0) + part(&POINTS[4..6], 2.0 / 7.0);
    let gate = model.gate_loss(&moved(&POINTS)).unwrap().unwrap();
    descend(&model.gate, &gradient(&gate, &model.gate), 0.5, GATE_CLIP);
    descend(&model.weight, &(first_two + part(&POINTS[6..], 1.0 / 7.0)), 0.1, CLIP);
    assert_same(&trainer.run().vars, &vars, "three batches");
    // Gradients of one window do not affect the next one.
    let fit = |data: &Memory, accumulate: usize| {
        let trainer =
            trainer_without_gate_in_classes().accumulate_grad_batches(accumulate).max_epochs(3).build();
        let mut trainer = trainer.unwrap();
        trainer.fit(data, None).unwrap();
        trainer.into_parts().1
    };
    assert_same(&fit(&train_data(), 2), &fit(&Memory::new(&POINTS, &[6, 1]), 1), "two windows per epoch");
}

#[test]
fn second_loss_is_optional_per_batch() {
    let only_first = |model: &Gated, batch: &Points, call: usize| match call {
        1 => model.gate_loss(batch),
        _ => Ok(None),
    };
    let mut trainer =
        trainer(Gated::new(), OptimizerConfig::adam(0.5), only_first).max_epochs(1).build().unwrap();
    let report = trainer.fit(&train_data(), None).unwrap();
    // The mean over the first batch, not over all of them.
    let first = Gated::new().0.gate_loss(&moved(&POINTS[..4])).unwrap().unwrap().double_value(&[]);
    let recorded = report.history.epochs[0].train.value("loss/gate").unwrap();
    assert!((recorded - first).abs() < 1e-12, "{recorded} {first}");
    let gate = weights(&trainer.run().vars)["gate.scale"].clone();
    // The first update of Adam is the learning rate; further updates with its momentum would change the value more.
    assert!(gate.iter().all(|value| ((value - 0.7).abs() - 0.5).abs() < 1e-6), "{gate:?}");
}

/// Returns the bits of the final weights and of every tensor of the last checkpoint.
fn final_state(trainer: &Trainer<Gated>, dir: &Path) -> BTreeMap<String, Vec<u64>> {
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let checkpoint = CheckpointStore::new(dir).read("last").unwrap();
    let mut state = BTreeMap::new();
    for (group, tensors) in &checkpoint.tensors {
        for (name, tensor) in tensors {
            let values = Vec::<f64>::try_from(tensor.to_kind(Kind::Double).reshape([-1])).unwrap();
            state.insert(format!("{group}/{name}"), bits(&values));
        }
    }
    state.extend(weights(&trainer.run().vars).into_iter().map(|(name, values)| (name, bits(&values))));
    state
}

#[test]
fn killed_run_resumes_to_same_state() {
    tch::set_num_threads(1);
    let builder = |dir: RunDir| {
        let (mut model, vars) = Gated::new();
        model.dropout = 0.3;
        let checkpoints =
            CheckpointPolicy { every: "1 step".parse().unwrap(), ..CheckpointPolicy::default() };
        trainer((model, vars), OptimizerConfig::adam(0.05), |model, batch, _| model.gate_loss(batch))
            .optimizer(OptimizerConfig::adam(0.02))
            .accumulate_grad_batches(2)
            .max_epochs(3)
            .checkpoints(checkpoints)
            .run_dir(dir)
    };
    let dir = tempfile::tempdir().unwrap();
    let copies = Arc::<Mutex<Vec<PathBuf>>>::default();
    let (recorded, to) = (Arc::clone(&copies), dir.path().to_owned());
    let copy_run_dir = on_batch_end(move |run, _| {
        let to = to.join(format!("killed-at-{}", run.step()));
        crate::interrupted_runs::copy(run.dir().unwrap(), &to);
        recorded.lock().unwrap().push(to);
        Ok(Flow::Continue)
    });
    let path = dir.path().join("uninterrupted");
    let mut uninterrupted = builder(RunDir::create(&path).unwrap()).callback(copy_run_dir).build().unwrap();
    uninterrupted.fit(&train_data(), None).unwrap();
    let expected = final_state(&uninterrupted, &path);
    assert!(expected.contains_key("step/exp_avg.gate.scale"), "{:?}", expected.keys());
    let copies = copies.lock().unwrap();
    assert_eq!(copies.len(), 6);
    for copy in &*copies {
        let mut resumed = builder(RunDir::open(copy).unwrap()).build().unwrap();
        resumed.resume(&train_data(), None).unwrap();
        assert_eq!(final_state(&resumed, copy), expected, "{}", copy.display());
    }
}

/// Returns a trainer whose gate loss is NaN in its n-th call.
fn failing(n: usize) -> TrainerBuilder<Gated> {
    trainer(Gated::new(), OptimizerConfig::sgd(0.5), move |model, batch, call| {
        let loss = model.gate_loss(batch)?;
        Ok(if call == n { loss.map(|loss| loss * f64::NAN) } else { loss })
    })
}

#[test]
fn non_finite_second_loss_is_named_and_can_be_skipped() {
    let mut stopping = failing(2).build().unwrap();
    let error = stopping.fit(&train_data(), None).unwrap_err().to_string();
    let expected =
        "training, epoch 1, batch 2: the loss is NaN, gate NaN; all weights are finite; learning rate 0.5";
    assert!(error.starts_with(expected), "{error}");

    let mut skipping = failing(2).max_epochs(1).on_non_finite(NonFinitePolicy::Skip).build().unwrap();
    skipping.fit(&train_data(), None).unwrap();
    assert_eq!((skipping.run().skipped(), skipping.run().step()), (1, 2));
    let without = Memory { batches: vec![POINTS[..4].to_vec(), POINTS[6..].to_vec()], is_labeled: true };
    let mut other = sgd().max_epochs(1).build().unwrap();
    other.fit(&without, None).unwrap();
    assert_eq!(weights(&skipping.run().vars), weights(&other.run().vars));
}

/// Returns a trainer whose main loss is NaN from the second gate update on.
fn failing_after_the_gate() -> TrainerBuilder<Gated> {
    let (model, vars) = Gated::new();
    let weight = model.weight.shallow_clone();
    trainer((model, vars), OptimizerConfig::sgd(0.5), move |model, batch, call| {
        if call == 2 {
            let _ = tch::no_grad(|| weight.shallow_clone().fill_(f64::NAN));
        }
        // This loss does not depend on the weights, which are NaN.
        Ok(Some(batch.x.f_mul(&model.gate)?.f_square()?.f_mean(Kind::Double)?))
    })
}

#[test]
fn partial_update_cannot_be_skipped_but_rolled_back() {
    let mut skipping = failing_after_the_gate().on_non_finite(NonFinitePolicy::Skip).build().unwrap();
    let error = skipping.fit(&train_data(), None).unwrap_err();
    assert!(matches!(error, Error::NonFiniteLoss { .. }), "{error:?}");
    assert!(error.to_string().contains("batch 2: the loss is NaN; the weights `weight` are not"), "{error}");

    let dir = tempfile::tempdir().unwrap();
    let dir = RunDir::create(dir.path().join("run")).unwrap();
    let builder = failing_after_the_gate().max_epochs(1).on_non_finite(NonFinitePolicy::RollBack);
    let mut rolling = builder.run_dir(dir).build().unwrap();
    rolling.fit(&train_data(), None).unwrap();
    assert_eq!((rolling.run().step(), rolling.run().learning_rates[0]), (3, 0.05));
    assert!(weights(&rolling.run().vars).values().flatten().all(|value| value.is_finite()));
}

/// A step with two updates per batch.
struct Twice(Supervised);

impl TrainStep<Toy> for Twice {
    fn step(
        &mut self,
        model: &mut Toy,
        batch: &Points,
        optimizer: &mut Optimizer,
        context: StepContext,
    ) -> Result<StepOutput> {
        self.0.step(model, batch, optimizer, context)?;
        self.0.step(model, batch, optimizer, context)
    }
}

#[test]
fn skip_fails_after_first_of_two_updates() {
    let skipping = |n: usize| {
        let builder =
            toy::trainer_for(Toy::with_training_fault(n, Fault::Nan)).step(Twice(Supervised::default()));
        let mut trainer = builder.max_epochs(1).on_non_finite(NonFinitePolicy::Skip).build().unwrap();
        trainer.fit(&train_data(), None).map(|_| trainer.run().skipped())
    };
    assert_eq!(skipping(1).unwrap(), 1, "no update before");
    assert!(matches!(skipping(2), Err(Error::NonFiniteLoss { .. })), "after the first update");
}
