//! What goes wrong is a typed error that says where; what was computed before it stays.
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
    let noted = Arc::clone(&after_batches);
    let note = on_batch_end(move |run, _| {
        noted.lock().unwrap().push(weights(&run.vars));
        Ok(Flow::Continue)
    });
    let (recorder, epochs) = (Recorder::new(), EpochWeights::default());
    // The fifth training batch is the second of epoch 2.
    let builder = toy::trainer_for(Toy::with_training_fault(5, Fault::Nan)).run_dir(dir.clone());
    let builder = builder.callback(note).callback(recorder.clone()).callback(epochs.clone());
    let mut trainer = builder.build().unwrap();
    let error = trainer.fit(&train_data(), Some(&valid_data())).unwrap_err();
    match &error {
        Error::NonFiniteLoss { location: at, loss, learning_rate, .. } => {
            assert_eq!(*at, location(Phase::Train, 2, 2));
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
    // The trainer itself can still be used.
    assert_eq!(trainer.test(&valid_data()).unwrap().predictions.n_samples(), 7);
}

#[test]
fn an_epoch_whose_updates_are_all_skipped_is_recorded_without_a_training_loss() {
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
    assert_eq!(loss(1), loss(0), "the weights stayed");
}

#[test]
fn a_nan_loss_names_its_parts() {
    let (mut model, vars) = Toy::with_training_fault(1, Fault::Nan);
    model.has_loss_parts = true;
    let message = fit(toy::trainer_for((model, vars))).to_string();
    assert!(message.contains("the loss is NaN, class NaN, size 0.142"), "{message}");
}

/// A loss whose value is that of the batch, and whose gradient is NaN: that of a root at 0.
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
fn a_nan_gradient_never_reaches_the_weights() {
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
fn nan_scores_are_refused_in_every_pass() {
    let (mut model, vars) = Toy::new();
    model.fault = Box::new(|mode, _| if mode.is_train() { Fault::Nothing } else { Fault::Nan });
    let mut trainer = toy::trainer_for((model, vars)).build().unwrap();
    let says = |error: Error, at: &str| {
        assert!(matches!(error, Error::NonFiniteScores { .. }), "{error:?}");
        assert!(error.to_string().starts_with(&format!("{at}: the model's class scores are NaN")), "{error}");
    };
    says(trainer.fit(&train_data(), Some(&valid_data())).unwrap_err(), "validation, epoch 1, batch 1");
    says(trainer.test(&valid_data()).unwrap_err(), "test, batch 1");
    says(trainer.predict(&valid_data()).unwrap_err(), "test, batch 1");
}

#[test]
fn panics_become_errors_with_their_place() {
    let check = |error: Error, at: Location, says: &str| match &error {
        Error::Panic { location, message } => {
            assert_eq!(*location, at, "{error}");
            assert!(message.contains(says), "{error}");
        }
        other => panic!("{says}: {other:?}"),
    };
    let in_training = fit(toy::trainer_for(Toy::with_training_fault(5, Fault::Panic)));
    check(in_training, location(Phase::Train, 2, 2), "forward 5 was asked to panic");

    let metric = metric_fn("odd", Direction::Maximize, |_| -> f64 { panic!("an odd metric") });
    let metrics = Metrics::empty().with(metric).unwrap();
    check(fit(toy::trainer().metrics(metrics)), location(Phase::Valid, 1, 2), "an odd metric");

    let own_loader = |data: &dyn Loader<Points>| toy::trainer().build().unwrap().fit(data, None).unwrap_err();
    check(own_loader(&Bomb { at: 0 }), location(Phase::Train, 1, 1), "batch 0 is a bomb");
    check(own_loader(&Bomb { at: 2 }), location(Phase::Train, 1, 3), "batch 2 is a bomb");
    let predicted = toy::trainer().build().unwrap().predict(&Bomb { at: 1 }).unwrap_err();
    check(predicted, location(Phase::Test, 0, 2), "batch 1 is a bomb");
}

/// A loader that panics instead of giving a batch.
struct Bomb {
    at: usize,
}

impl Loader<Points> for Bomb {
    fn n_samples(&self) -> usize {
        7
    }

    fn n_batches(&self) -> usize {
        7
    }

    fn batches(&self, _: usize, from: usize) -> Box<dyn Iterator<Item = faknow_data::Result<Points>> + '_> {
        Box::new((from..7).map(|i| {
            assert!(i != self.at, "batch {i} is a bomb");
            Ok(Points::new(&POINTS[i..=i]))
        }))
    }
}

#[test]
fn a_panic_in_validation_does_not_leave_gradients_off() {
    let (mut model, vars) = Toy::new();
    // The first validation panics inside tch's `no_grad`; the second fit makes up for it, and its first batch panics.
    model.fault = Box::new(|mode, i| match (mode.is_train(), i) {
        (false, 1) | (true, 4) => Fault::Panic,
        _ => Fault::Nothing,
    });
    let mut trainer = toy::trainer_for((model, vars)).build().unwrap();
    for at in [location(Phase::Valid, 1, 1), location(Phase::Train, 2, 1)] {
        match trainer.fit(&train_data(), Some(&valid_data())).unwrap_err() {
            Error::Panic { location, .. } => assert_eq!(location, at),
            other => panic!("{other:?}"),
        }
    }
    // One epoch was done, and three more are.
    let report = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
    assert_eq!(report.history.epochs.len(), 4);
}

#[test]
fn a_panicking_or_failing_callback_ends_the_run_with_its_name() {
    let recorder = Recorder::new();
    let careless = on_epoch_end(|_, record| panic!("careless in epoch {}", record.epoch));
    let error = fit(toy::trainer().callback(careless).callback(recorder.clone()));
    assert!(matches!(error, Error::Callback(_)), "{error:?}");
    assert_eq!(
        error.to_string(),
        "on_epoch_end: panicked: careless in epoch 1 (in on_epoch_end, epoch 1, step 3)"
    );
    let last = recorder.events().pop().unwrap();
    assert_eq!((last.hook, last.detail), ("on_fit_end", format!("error: {error}")));
}

#[test]
fn what_libtorch_refuses_has_a_place_and_one_line() {
    let error = fit(toy::trainer_for(Toy::with_training_fault(2, Fault::Error)));
    assert!(matches!(error, Error::Model { .. }), "{error:?}");
    let message = error.to_string();
    assert!(message.starts_with("training, epoch 1, batch 2: libtorch: "), "{message}");
    assert!(!message.contains('\n') && message.contains("mat"), "{message}");

    // Nothing to train: backward itself is refused.
    let (model, vars) = Toy::new();
    let mut trainer = toy::trainer_for((model, vars)).build().unwrap();
    trainer.run().vars.variables().into_values().for_each(|t| drop(t.set_requires_grad(false)));
    let message = trainer.fit(&train_data(), None).unwrap_err().to_string();
    assert!(message.starts_with("training, epoch 1, batch 1: libtorch: "), "{message}");
}

#[test]
fn labels_outside_the_classes_are_named_with_their_batch() {
    let with_label = |label: i64| {
        let mut data = train_data();
        data.batches[1][0].1 = label;
        data
    };
    for (label, says) in [(2, "labels 1..=2"), (-1, "labels -1..=1")] {
        let says = format!(
            "batch 2: labels outside the classes: the model has 2 classes (0..=1), the batch holds {says}"
        );
        let mut trainer = toy::trainer().build().unwrap();
        let in_training = trainer.fit(&with_label(label), None).unwrap_err().to_string();
        assert_eq!(in_training, format!("training, epoch 1, {says}"));
        let in_validation = trainer.fit(&train_data(), Some(&with_label(label))).unwrap_err().to_string();
        assert_eq!(in_validation, format!("validation, epoch 1, {says}"));
    }
}

#[test]
fn defect_32_empty_loaders_are_named() {
    let empty = Memory { batches: Vec::new(), is_labeled: true };
    let says = |error: Error, which: &str| {
        assert!(matches!(error, Error::EmptyLoader { .. }), "{error:?}");
        assert!(error.to_string().starts_with(&format!("the {which} loader has no batches: ")), "{error}");
    };
    let recorder = Recorder::new();
    let mut trainer = toy::trainer().callback(recorder.clone()).build().unwrap();
    says(trainer.fit(&empty, None).unwrap_err(), "training");
    says(trainer.fit(&train_data(), Some(&empty)).unwrap_err(), "validation");
    says(trainer.test(&empty).unwrap_err(), "test");
    assert_eq!(trainer.predict(&empty).unwrap(), Vec::<Vec<f64>>::new());
    assert_eq!(recorder.hooks(), ["on_fit_end", "on_fit_end", "on_evaluation_start"], "no fit began");

    /// Announces batches and gives none.
    struct Liar;
    impl Loader<Points> for Liar {
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
    says(trainer.fit(&Liar, None).unwrap_err(), "training");
    says(trainer.fit(&train_data(), Some(&Liar)).unwrap_err(), "validation");
}

#[test]
fn a_monitor_that_does_not_exist_is_refused_with_those_that_do() {
    let metrics = || {
        let metrics = Metrics::from_names(&["accuracy", "f1"]).unwrap();
        metrics.with(scripted("own", Direction::Maximize, &[])).unwrap()
    };
    let recorder = Recorder::new();
    let error = fit(toy::trainer().metrics(metrics()).monitor("acuracy").callback(recorder.clone()));
    assert_eq!(
        error.to_string(),
        "monitor `acuracy`: expected a recorded value (loss, accuracy, f1, own, train/loss, train/accuracy), got an \
         unknown name; the direction of a value that a callback logs has to be given: `Monitor::max(\"acuracy\")`"
    );
    assert!(!recorder.hooks().contains(&"on_epoch_start"), "{}", recorder.text());

    let mut trainer = toy::trainer().monitor("accuracy").build().unwrap();
    let error = trainer.fit(&train_data(), None).unwrap_err().to_string();
    assert_eq!(error, "monitor `accuracy` needs validation data; give `fit` a validation loader");

    // Which parts a loss has shows only when there is one.
    let error = fit(toy::trainer().monitor("loss/other")).to_string();
    assert_eq!(
        error,
        "monitor `loss/other`: expected a value in every validation, got none in epoch 1; recorded: loss, accuracy"
    );
}
