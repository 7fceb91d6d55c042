//! Two losses with an optimizer each: what each of them changes, and that nothing of it is lost.
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

/// A linear classifier of points that a gate has scaled; the gate has a loss of its own.
struct Gated {
    gate: Tensor,
    weight: Tensor,
    dropout: f64,
    /// Whether classes depend on the gate.
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

    /// How far the sum of a gated point is from its class; depends on the classifier too, which it must not change.
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

/// A trainer of the gated classifier; `gate_loss` is told the number of the call, from 1.
fn trainer(
    (model, vars): (Gated, VarStore),
    own: impl Into<OptimizerConfig>,
    gate_loss: impl Fn(&Gated, &Points, usize) -> faknow_model::Result<Option<Tensor>> + Send + 'static,
) -> TrainerBuilder<Gated> {
    let own = Optimizer::for_parameters(own, &vars, Clip::Norm(GATE_CLIP), &["gate.*".into()]).unwrap();
    let calls = AtomicUsize::new(0);
    let gate_loss = move |model: &Gated, batch: &Points| {
        gate_loss(model, batch, calls.fetch_add(1, Ordering::Relaxed) + 1)
    };
    let step = TwoOptimizers::new("gate", own, gate_loss);
    Trainer::builder(model, vars).step(step).optimizer(OptimizerConfig::sgd(0.1)).clip(Clip::Norm(CLIP))
}

fn sgd() -> TrainerBuilder<Gated> {
    trainer(Gated::new(), OptimizerConfig::sgd(0.5), |model, batch, _| model.gate_loss(batch))
}

/// As [`sgd`], where several batches make the update of one large batch, since the classes do not see the gate.
fn trainer_without_gate_in_classes() -> TrainerBuilder<Gated> {
    let (mut model, vars) = Gated::new();
    model.gates_classes = false;
    trainer((model, vars), OptimizerConfig::sgd(0.5), |model, batch, _| model.gate_loss(batch))
}

/// Gradient descent on `t` with the clipped gradient.
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

/// One update of each by hand: first the gate, then the classifier behind the new gate.
fn by_hand(model: &Gated, points: &Points) -> (f64, f64) {
    let gate = model.gate_loss(points).unwrap().unwrap();
    descend(&model.gate, &gradient(&gate, &model.gate), 0.5, GATE_CLIP);
    let loss = class_loss(model, points);
    descend(&model.weight, &gradient(&loss, &model.weight), 0.1, CLIP);
    (gate.double_value(&[]), loss.double_value(&[]))
}

/// Points that are where the model wants them.
fn moved(points: &[crate::toy::Point]) -> Points {
    Points { is_moved: true, ..Points::new(points) }
}

fn assert_same(got: &VarStore, expected: &VarStore, what: &str) {
    let (got, expected) = (weights(got), weights(expected));
    for (name, expected) in &expected {
        for (got, expected) in got[name].iter().zip(expected) {
            assert!((got - expected).abs() < 1e-12, "{what}: {name}: {got}, expected {expected}");
        }
    }
}

#[test]
fn each_optimizer_changes_its_own_parameters_and_clips_them() {
    let mut trainer = sgd().max_epochs(2).build().unwrap();
    let report = trainer.fit(&Memory::new(&POINTS, &[7]), None).unwrap();
    let (model, vars) = Gated::new();
    for record in &report.history.epochs {
        let (gate, loss) = by_hand(&model, &moved(&POINTS));
        for (name, expected) in [("loss", loss), ("loss/gate", gate)] {
            let got = record.train.value(name).unwrap();
            assert!((got - expected).abs() < 1e-12, "{name}: {got}, expected {expected}");
        }
    }
    assert_same(&trainer.run().vars, &vars, "two updates of each");
}

#[test]
fn several_batches_make_one_update_of_each() {
    let mut trainer = sgd().accumulate_grad_batches(3).max_epochs(1).build().unwrap();
    trainer.fit(&train_data(), None).unwrap();
    // The gate is updated by all batches, before the last of them gives its part of the other update.
    let (model, vars) = Gated::new();
    let part = |points, share: f64| gradient(&class_loss(&model, &moved(points)), &model.weight) * share;
    let of_first = part(&POINTS[..4], 4.0 / 7.0) + part(&POINTS[4..6], 2.0 / 7.0);
    let gate = model.gate_loss(&moved(&POINTS)).unwrap().unwrap();
    descend(&model.gate, &gradient(&gate, &model.gate), 0.5, GATE_CLIP);
    descend(&model.weight, &(of_first + part(&POINTS[6..], 1.0 / 7.0)), 0.1, CLIP);
    assert_same(&trainer.run().vars, &vars, "three batches");
    // What one window leaves behind is not the next one's.
    let fit = |data: &Memory, accumulate: usize| {
        let trainer =
            trainer_without_gate_in_classes().accumulate_grad_batches(accumulate).max_epochs(3).build();
        let mut trainer = trainer.unwrap();
        trainer.fit(data, None).unwrap();
        trainer.into_parts().1
    };
    assert_same(&fit(&train_data(), 2), &fit(&Memory::new(&POINTS, &[6, 1]), 1), "two windows an epoch");
}

#[test]
fn a_batch_may_have_nothing_for_the_own_loss() {
    let only_first = |model: &Gated, batch: &Points, call: usize| match call {
        1 => model.gate_loss(batch),
        _ => Ok(None),
    };
    let mut trainer =
        trainer(Gated::new(), OptimizerConfig::adam(0.5), only_first).max_epochs(1).build().unwrap();
    trainer.fit(&train_data(), None).unwrap();
    let gate = weights(&trainer.run().vars)["gate.scale"].clone();
    // Adam moves by its rate at first, and would go on moving by its momentum.
    assert!(gate.iter().all(|value| ((value - 0.7).abs() - 0.5).abs() < 1e-6), "{gate:?}");
}

/// All that a run ends with: weights and every tensor of the last checkpoint, to the bit.
fn end(trainer: &Trainer<Gated>, dir: &Path) -> BTreeMap<String, Vec<u64>> {
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let checkpoint = CheckpointStore::new(dir).read("last").unwrap();
    let mut all = BTreeMap::new();
    for (group, tensors) in &checkpoint.tensors {
        for (name, tensor) in tensors {
            let values = Vec::<f64>::try_from(tensor.to_kind(Kind::Double).reshape([-1])).unwrap();
            all.insert(format!("{group}/{name}"), bits(&values));
        }
    }
    all.extend(weights(&trainer.run().vars).into_iter().map(|(name, values)| (name, bits(&values))));
    all
}

#[test]
fn a_run_that_is_killed_after_any_step_ends_as_if_it_had_not_been() {
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
    let (noted, to) = (Arc::clone(&copies), dir.path().to_owned());
    let kill = on_batch_end(move |run, _| {
        let to = to.join(format!("killed-at-{}", run.step()));
        crate::interrupted_runs::copy(run.dir().unwrap(), &to);
        noted.lock().unwrap().push(to);
        Ok(Flow::Continue)
    });
    let whole = dir.path().join("whole");
    let mut unbroken = builder(RunDir::create(&whole).unwrap()).callback(kill).build().unwrap();
    unbroken.fit(&train_data(), None).unwrap();
    let expected = end(&unbroken, &whole);
    assert!(expected.contains_key("step/exp_avg.gate.scale"), "{:?}", expected.keys());
    let copies = copies.lock().unwrap();
    assert_eq!(copies.len(), 6);
    for copy in &*copies {
        let mut resumed = builder(RunDir::open(copy).unwrap()).build().unwrap();
        resumed.resume(&train_data(), None).unwrap();
        assert_eq!(end(&resumed, copy), expected, "{}", copy.display());
    }
}

/// The gate's loss, NaN in its n-th call.
fn failing(n: usize) -> TrainerBuilder<Gated> {
    trainer(Gated::new(), OptimizerConfig::sgd(0.5), move |model, batch, call| {
        let loss = model.gate_loss(batch)?;
        Ok(if call == n { loss.map(|loss| loss * f64::NAN) } else { loss })
    })
}

#[test]
fn an_own_loss_that_is_not_finite_is_named_and_can_be_skipped() {
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

/// The trainer's loss is NaN from the gate's second update on.
fn failing_after_the_gate() -> TrainerBuilder<Gated> {
    let (model, vars) = Gated::new();
    let weight = model.weight.shallow_clone();
    trainer((model, vars), OptimizerConfig::sgd(0.5), move |model, batch, call| {
        if call == 2 {
            let _ = tch::no_grad(|| weight.shallow_clone().fill_(f64::NAN));
        }
        // Not through the weights, which are NaN.
        Ok(Some(batch.x.f_mul(&model.gate)?.f_square()?.f_mean(Kind::Double)?))
    })
}

#[test]
fn an_update_that_was_half_made_is_not_skipped_but_can_be_rolled_back() {
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

/// Two updates from each batch.
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
fn the_first_of_two_updates_by_one_optimizer_is_not_forgotten() {
    let skipping = |n: usize| {
        let builder =
            toy::trainer_for(Toy::with_training_fault(n, Fault::Nan)).step(Twice(Supervised::default()));
        let mut trainer = builder.max_epochs(1).on_non_finite(NonFinitePolicy::Skip).build().unwrap();
        trainer.fit(&train_data(), None).map(|_| trainer.run().skipped())
    };
    assert_eq!(skipping(1).unwrap(), 1, "nothing was changed yet");
    assert!(matches!(skipping(2), Err(Error::NonFiniteLoss { .. })), "half of it was made");
}
