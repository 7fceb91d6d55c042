//! Typed errors with their location; the results before the error are retained.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::sync::{Arc, Mutex};

use faknow_callbacks::{Flow, Interval, Phase, Recorder, on_batch_end, on_epoch_end};
use faknow_data::Loader;
use faknow_metrics::{Direction, Metrics, Score, metric_fn};
use faknow_model::Loss;
use faknow_trainer::{
    Clip, Error, Location, NonFinitePolicy, Optimizer, Result, RunDir, StepContext, StepOutput, TrainStep,
    TrainerBuilder,
};
use tch::Tensor;

use crate::toy::{
    self, EpochWeights, Fault, Memory, POINTS, Points, Toy, scripted, train_data, valid_data, weights,
};

/// Fits with training and validation data.
fn fit(builder: TrainerBuilder<Toy>) -> Error {
    builder.build().unwrap().fit(&train_data(), Some(&valid_data())).unwrap_err()
}

fn location(phase: Phase, epoch: usize, batch: usize) -> Location {
    Location { phase, epoch, batch }
}

#[test]
fn defect_37_a_nan_loss_ends_the_run_before_it_spoils_the_weights() {
    let dir = tempfile::tempdir().unwrap();
    let dir = RunDir::create(dir.path().join("run")).unwrap();
    let after_batches = Arc::<Mutex<Vec<_>>>::default();
    let recorded = Arc::clone(&after_batches);
    let record_weights = on_batch_end(move |run, _| {
        recorded.lock().unwrap().push(weights(&run.vars));
        Ok(Flow::Continue)
    });
    let (recorder, epochs) = (Recorder::new(), EpochWeights::default());
    // The fifth training batch is the second of epoch 2.
    let builder = toy::trainer_for(Toy::with_training_fault(5, Fault::Nan)).run_dir(dir.clone());
    let builder = builder.callback(record_weights).callback(recorder.clone()).callback(epochs.clone());
    let mut trainer = builder.build().unwrap();
    let error = trainer.fit(&train_data(), Some(&valid_data())).unwrap_err();
    match &error {
        Error::NonFiniteLoss { location: actual, loss, learning_rate, .. } => {
            assert_eq!(*actual, location(Phase::Train, 2, 2));
            assert!(loss.is_nan() && *learning_rate == 0.1);
        }
        other => panic!("{other:?}"),
    }
    let message = error.to_string();
    assert!(
        message.starts_with(
            "training, epoch 2, batch 2: the loss is NaN; all weights are finite; learning rate 0.1"
        ),
        "{message}"
    );
    let last = recorder.events().pop().unwrap();
    assert_eq!((last.hook, last.detail), ("on_fit_end", format!("error: {message}")));

    let last_good = after_batches.lock().unwrap().last().unwrap().clone();
    assert_eq!(after_batches.lock().unwrap().len(), 4);
    assert_eq!(weights(&trainer.run().vars), last_good);
    let saved =
        |name: &str| toy::load_weights(&dir.path().join("checkpoints").join(name).join("model.safetensors"));
    assert_eq!(saved("last"), last_good);
    assert_eq!(saved("best"), epochs.after(1));
    assert_eq!(trainer.run().history().epochs.len(), 1);
    // The trainer can still be used.
    assert_eq!(trainer.test(&valid_data()).unwrap().predictions.n_samples(), 7);
}

#[test]
fn epoch_with_only_skipped_updates_has_no_training_loss() {
    let (mut model, vars) = Toy::new();
    model.fault =
        Box::new(|mode, n| if mode.is_train() && (4..=6).contains(&n) { Fault::Nan } else { Fault::Nothing });
    let builder = toy::trainer_for((model, vars))
        .on_non_finite(NonFinitePolicy::Skip)
        .validate_every(Interval::epochs(0.5));
    let mut trainer = builder.build().unwrap();
    let report = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
    assert_eq!((trainer.run().step(), trainer.run().skipped()), (6, 3));
    let epochs = &report.history.epochs;
    let losses: Vec<bool> = epochs.iter().map(|record| record.train.value("loss").is_some()).collect();
    assert_eq!(losses, [true, false, true]);
    match epochs[1].train.get("loss").unwrap() {
        Score::Undefined { reason, .. } => assert_eq!(reason, "every update of the epoch was skipped"),
        other => panic!("{other}"),
    }
    let loss = |epoch: usize| epochs[epoch].valid.as_ref().unwrap().value("loss");
    assert_eq!(loss(1), loss(0), "the weights must not change");
}

#[test]
fn nan_loss_error_names_loss_parts() {
    let (mut model, vars) = Toy::with_training_fault(1, Fault::Nan);
    model.has_loss_parts = true;
    let message = fit(toy::trainer_for((model, vars))).to_string();
    assert!(message.contains("the loss is NaN, class NaN, size 0.142"), "{message}");
}

/// A step with a finite loss whose gradient is NaN: that of a square root at 0.
struct RootAtZero;

impl TrainStep<Toy> for RootAtZero {
    fn step(
        &mut self,
        model: &mut Toy,
        batch: &Points,
        optimizer: &mut Optimizer,
        context: StepContext,
    ) -> Result<StepOutput> {
        let output = faknow_model::Model::forward(model, batch, faknow_model::Mode::Train);
        let loss = context.check_loss(output?.loss, optimizer)?;
        let root: Tensor = optimizer.parameters().map(|(_, p)| (p * 0.0).sqrt().sum(tch::Kind::Double)).sum();
        optimizer.backward_step(&(loss.total + root))?;
        Ok(Loss::single(Tensor::from(0.0)).into())
    }
}

#[test]
fn nan_gradient_does_not_change_weights() {
    for clip in [Clip::None, Clip::Norm(1.0), Clip::Value(1.0)] {
        let mut trainer = toy::trainer().step(RootAtZero).clip(clip).build().unwrap();
        let before = weights(&trainer.run().vars);
        let error = trainer.fit(&train_data(), None).unwrap_err();
        let expected = "training, epoch 1, batch 1: the gradient of `bias` is not finite (global norm NaN)";
        assert!(matches!(error, Error::NonFiniteGradient { .. }), "{clip:?}: {error:?}");
        assert!(error.to_string().starts_with(expected), "{clip:?}: {error}");
        assert_eq!(weights(&trainer.run().vars), before, "{clip:?}");
    }
}

#[test]
fn rejects_nan_scores_in_every_pass() {
    let (mut model, vars) = Toy::new();
    model.fault = Box::new(|mode, _| if mode.is_train() { Fault::Nothing } else { Fault::Nan });
    let mut trainer = toy::trainer_for((model, vars)).build().unwrap();
    let check = |error: Error, location: &str| {
        assert!(matches!(error, Error::NonFiniteScores { .. }), "{error:?}");
        let expected = format!("{location}: the model's class scores are NaN");
        assert!(error.to_string().starts_with(&expected), "{error}");
    };
    check(trainer.fit(&train_data(), Some(&valid_data())).unwrap_err(), "validation, epoch 1, batch 1");
    check(trainer.test(&valid_data()).unwrap_err(), "test, batch 1");
    check(trainer.predict(&valid_data()).unwrap_err(), "test, batch 1");
}

#[test]
fn panics_become_errors_with_location() {
    let check = |error: Error, expected: Location, part: &str| match &error {
        Error::Panic { location, message } => {
            assert_eq!(*location, expected, "{error}");
            assert!(message.contains(part), "{error}");
        }
        other => panic!("{part}: {other:?}"),
    };
    let in_training = fit(toy::trainer_for(Toy::with_training_fault(5, Fault::Panic)));
    check(in_training, location(Phase::Train, 2, 2), "simulated panic in forward pass 5");

    let metric = metric_fn("panicking", Direction::Maximize, |_| -> f64 { panic!("in a metric") });
    let metrics = Metrics::empty().with(metric).unwrap();
    let in_metric = fit(toy::trainer().metrics(metrics)).to_string();
    assert_eq!(in_metric, "validation, epoch 1, batch 2: metric `panicking`: panicked: in a metric");

    let fit_loader = |data: &dyn Loader<Points>| toy::trainer().build().unwrap().fit(data, None).unwrap_err();
    check(fit_loader(&PanickingLoader { batch: 0 }), location(Phase::Train, 1, 1), "panic in batch 0");
    check(fit_loader(&PanickingLoader { batch: 2 }), location(Phase::Train, 1, 3), "panic in batch 2");
    let in_predict = toy::trainer().build().unwrap().predict(&PanickingLoader { batch: 1 }).unwrap_err();
    check(in_predict, location(Phase::Test, 0, 2), "panic in batch 1");
}

/// A loader that panics in one batch.
struct PanickingLoader {
    batch: usize,
}

impl Loader<Points> for PanickingLoader {
    fn n_samples(&self) -> usize {
        7
    }

    fn n_batches(&self) -> usize {
        7
    }

    fn batches(&self, _: usize, from: usize) -> Box<dyn Iterator<Item = faknow_data::Result<Points>> + '_> {
        Box::new((from..7).map(|i| {
            assert!(i != self.batch, "panic in batch {i}");
            Ok(Points::new(&POINTS[i..=i]))
        }))
    }
}

#[test]
fn panic_in_validation_reenables_gradients() {
    let (mut model, vars) = Toy::new();
    // The first validation panics inside tch's `no_grad`; the first batch of the second fit panics too.
    model.fault = Box::new(|mode, i| match (mode.is_train(), i) {
        (false, 1) | (true, 4) => Fault::Panic,
        _ => Fault::Nothing,
    });
    let mut trainer = toy::trainer_for((model, vars)).build().unwrap();
    for expected in [location(Phase::Valid, 1, 1), location(Phase::Train, 2, 1)] {
        match trainer.fit(&train_data(), Some(&valid_data())).unwrap_err() {
            Error::Panic { location, .. } => assert_eq!(location, expected),
            other => panic!("{other:?}"),
        }
    }
    // One epoch before, and three more.
    let report = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
    assert_eq!(report.history.epochs.len(), 4);
}

#[test]
fn panicking_callback_ends_run_and_is_named() {
    let recorder = Recorder::new();
    let panicking = on_epoch_end(|_, record| panic!("panic in epoch {}", record.epoch));
    let error = fit(toy::trainer().callback(panicking).callback(recorder.clone()));
    assert!(matches!(error, Error::Callback(_)), "{error:?}");
    assert_eq!(
        error.to_string(),
        "on_epoch_end: panicked: panic in epoch 1 (in on_epoch_end, epoch 1, step 3)"
    );
    let last = recorder.events().pop().unwrap();
    assert_eq!((last.hook, last.detail), ("on_fit_end", format!("error: {error}")));
}

#[test]
fn libtorch_errors_have_location_and_one_line() {
    let error = fit(toy::trainer_for(Toy::with_training_fault(2, Fault::Error)));
    assert!(matches!(error, Error::Model { .. }), "{error:?}");
    let message = error.to_string();
    assert!(message.starts_with("training, epoch 1, batch 2: libtorch: "), "{message}");
    assert!(!message.contains('\n') && message.contains("mat"), "{message}");

    // Nothing to train: the backward pass fails.
    let (model, vars) = Toy::new();
    let mut trainer = toy::trainer_for((model, vars)).build().unwrap();
    trainer.run().vars.variables().into_values().for_each(|t| drop(t.set_requires_grad(false)));
    let message = trainer.fit(&train_data(), None).unwrap_err().to_string();
    assert!(message.starts_with("training, epoch 1, batch 1: libtorch: "), "{message}");
}

#[test]
fn rejects_labels_outside_the_classes() {
    let with_label = |label: i64| {
        let mut data = train_data();
        data.batches[1][0].1 = label;
        data
    };
    for (label, labels) in [(2, "1..=2"), (-1, "-1..=1")] {
        let expected = format!("batch 2: labels: expected 0..=1 (2 classes), got {labels}");
        let mut trainer = toy::trainer().build().unwrap();
        let in_training = trainer.fit(&with_label(label), None).unwrap_err().to_string();
        assert_eq!(in_training, format!("training, epoch 1, {expected}"));
        let in_validation = trainer.fit(&train_data(), Some(&with_label(label))).unwrap_err().to_string();
        assert_eq!(in_validation, format!("validation, epoch 1, {expected}"));
    }
}

#[test]
fn defect_32_empty_loaders_are_named() {
    let empty = Memory { batches: Vec::new(), is_labeled: true };
    let check = |error: Error, loader: &str| {
        assert!(matches!(error, Error::EmptyLoader { .. }), "{error:?}");
        assert!(error.to_string().starts_with(&format!("the {loader} loader has no batches: ")), "{error}");
    };
    let recorder = Recorder::new();
    let mut trainer = toy::trainer().callback(recorder.clone()).build().unwrap();
    check(trainer.fit(&empty, None).unwrap_err(), "training");
    check(trainer.fit(&train_data(), Some(&empty)).unwrap_err(), "validation");
    check(trainer.test(&empty).unwrap_err(), "test");
    assert_eq!(trainer.predict(&empty).unwrap(), Vec::<Vec<f64>>::new());
    assert_eq!(recorder.hooks(), ["on_fit_end", "on_fit_end", "on_evaluation_start"], "no fit was started");

    /// A loader that has no batches although `n_batches` is 1.
    struct Exhausted;
    impl Loader<Points> for Exhausted {
        fn n_samples(&self) -> usize {
            7
        }
        fn n_batches(&self) -> usize {
            1
        }
        fn batches(&self, _: usize, _: usize) -> Box<dyn Iterator<Item = faknow_data::Result<Points>> + '_> {
            Box::new(std::iter::empty())
        }
    }
    check(trainer.fit(&Exhausted, None).unwrap_err(), "training");
    check(trainer.fit(&train_data(), Some(&Exhausted)).unwrap_err(), "validation");
}

#[test]
fn rejects_unknown_monitor_and_lists_known_ones() {
    let metrics = || {
        let metrics = Metrics::from_names(&["accuracy", "f1"]).unwrap();
        metrics.with(scripted("own", Direction::Maximize, &[])).unwrap()
    };
    let recorder = Recorder::new();
    let error = fit(toy::trainer().metrics(metrics()).monitor("acuracy").callback(recorder.clone()));
    assert_eq!(
        error.to_string(),
        "monitor `acuracy`: expected a recorded value (loss, accuracy, f1, own, train/loss, train/accuracy), got an \
         unknown name; for a value that a callback logs, give its direction: `Monitor::max(\"acuracy\")`"
    );
    assert!(!recorder.hooks().contains(&"on_epoch_start"), "{}", recorder.text());

    let mut trainer = toy::trainer().monitor("accuracy").build().unwrap();
    let error = trainer.fit(&train_data(), None).unwrap_err().to_string();
    assert_eq!(error, "monitor `accuracy` requires validation data; pass a validation loader to `fit`");

    // The parts of a loss are known only after the first forward pass.
    let error = fit(toy::trainer().monitor("loss/other")).to_string();
    assert_eq!(
        error,
        "monitor `loss/other`: expected a value in every validation, got none in epoch 1; recorded values: loss, accuracy"
    );
}
