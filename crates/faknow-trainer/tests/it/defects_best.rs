//! Regression tests for FaKnow's defects in best-epoch selection and early stopping (numbers as in docs/parity.md).
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking")]

use std::path::Path;

use faknow_callbacks::{EarlyStopping, Recorder, StopReason};
use faknow_metrics::{Direction, Metrics};
use faknow_trainer::{Error, FinalWeights, FitReport, OptimizerConfig, RunDir, Trainer, TrainerBuilder};

use crate::toy::{
    self, EpochWeights, Toy, scripted, train_data, trainer_with_scores, trainer_with_scores_in, valid_data,
    weights,
};

fn fit(builder: TrainerBuilder<Toy>) -> (Trainer<Toy>, FitReport, EpochWeights) {
    let epochs = EpochWeights::default();
    let mut trainer = builder.callback(epochs.clone()).build().unwrap();
    let report = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
    (trainer, report, epochs)
}

/// Checks the best epoch and its value, and that the model ends with the weights of that epoch.
fn check_best(builder: TrainerBuilder<Toy>, epoch: usize, value: f64) {
    let (trainer, report, epochs) = fit(builder);
    let best = report.best.as_ref().expect("a best epoch");
    assert_eq!((best.epoch, best.value), (epoch, value));
    assert_eq!(best.step, 3 * epoch as u64);
    assert_eq!(report.weights, FinalWeights::Best);
    assert_eq!(weights(&trainer.run().vars), epochs.after(epoch));
    assert_eq!(trainer.run().best(), report.best.as_ref());
}

/// Checks that there is no best epoch, and that the model ends with the last weights.
fn check_no_best(builder: TrainerBuilder<Toy>) -> FitReport {
    let (trainer, report, epochs) = fit(builder);
    assert_eq!((report.best.as_ref(), report.weights), (None, FinalWeights::Last));
    assert_eq!(weights(&trainer.run().vars), epochs.after(report.history.epochs.len()));
    report
}

#[test]
fn defect_13_restore_best_without_validation_keeps_the_last_weights() {
    let dir = tempfile::tempdir().unwrap();
    let dir = RunDir::create(dir.path().join("run")).unwrap();
    let epochs = EpochWeights::default();
    let builder = toy::trainer().restore_best(true).run_dir(dir.clone()).callback(epochs.clone());
    let mut trainer = builder.build().unwrap();
    let report = trainer.fit(&train_data(), None).unwrap();
    assert_eq!((report.best, report.weights), (None, FinalWeights::Last));
    assert_eq!(report.stop_reason, StopReason::Completed);
    let last = epochs.after(3);
    assert_eq!(weights(&trainer.run().vars), last);
    assert_eq!(toy::load_weights(&dir.path().join("checkpoints/last/model.safetensors")), last);
    assert!(!dir.path().join("checkpoints/best").exists());
}

#[test]
fn defect_14_non_positive_scores_have_a_best_epoch() {
    check_best(trainer_with_scores(&[-3.0, -1.0, -2.0]), 2, -1.0);
    check_best(trainer_with_scores(&[0.0, 0.0]), 1, 0.0);
    check_best(trainer_with_scores_in(Direction::Minimize, &[0.9, 0.5, 0.7]), 2, 0.5);
}

#[test]
fn defect_15_second_fit_continues() {
    let scores = [0.5, 0.4, 0.1, 0.2, 0.3];
    let epochs = EpochWeights::default();
    let builder =
        trainer_with_scores(&scores).max_epochs(3).callback(EarlyStopping::new(1)).callback(epochs.clone());
    let mut trainer = builder.build().unwrap();
    let first = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
    assert_eq!(first.stop_reason, StopReason::EarlyStopping { monitor: "score".into(), patience: 1 });
    assert_eq!((first.history.epochs.len(), first.best.unwrap().epoch), (2, 1));
    assert_eq!(weights(&trainer.run().vars), epochs.after(1));

    let second = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
    // Early stopping starts over, and does not end the run after one epoch.
    assert_eq!(second.stop_reason, StopReason::Completed);
    let recorded: Vec<usize> = second.history.epochs.iter().map(|record| record.epoch).collect();
    assert_eq!(recorded, [1, 2, 3, 4, 5]);
    assert_eq!(second.history.epochs[..2], first.history.epochs);
    // The best epoch of the first fit is retained.
    let best = second.best.unwrap();
    assert_eq!((best.epoch, best.value, best.step), (1, 0.5, 3));
    assert_eq!(weights(&trainer.run().vars), epochs.after(1));
}

#[test]
fn defect_16_non_finite_scores_are_never_best() {
    check_best(trainer_with_scores(&[f64::NAN, 0.1, 0.2]), 3, 0.2);
    check_best(trainer_with_scores(&[f64::INFINITY, 0.2, 0.1]), 2, 0.2);
    check_best(trainer_with_scores_in(Direction::Minimize, &[f64::NEG_INFINITY, 0.2, f64::NAN, 0.1]), 4, 0.1);
    check_no_best(trainer_with_scores(&[f64::NAN; 3]));
    let report = check_no_best(trainer_with_scores(&[f64::NAN; 5]).callback(EarlyStopping::new(2)));
    assert_eq!(report.history.epochs.len(), 2);
}

#[test]
fn defect_17_every_value_is_monitored_in_its_direction() {
    let metrics = || {
        let metrics = Metrics::from_names(&["accuracy"]).unwrap();
        let metrics = metrics.with(scripted("gain", Direction::Maximize, &[0.2, 0.3, 0.1])).unwrap();
        metrics.with(scripted("errors", Direction::Minimize, &[0.2, 0.3, 0.1])).unwrap()
    };
    check_best(toy::trainer().metrics(metrics()).monitor("gain"), 2, 0.3);
    check_best(toy::trainer().metrics(metrics()).monitor("errors"), 3, 0.1);

    let default = |builder: TrainerBuilder<Toy>| {
        let (trainer, _, _) = fit(builder);
        trainer.run().monitor().cloned().map(|monitor| (monitor.name, monitor.direction)).unwrap()
    };
    assert_eq!(default(toy::trainer().metrics(metrics())), ("accuracy".into(), Direction::Maximize));
    let only_errors = Metrics::empty().with(scripted("errors", Direction::Minimize, &[])).unwrap();
    assert_eq!(default(toy::trainer().metrics(only_errors)), ("errors".into(), Direction::Minimize));
    assert_eq!(default(toy::trainer().metrics(Metrics::empty())), ("loss".into(), Direction::Minimize));
}

#[test]
fn best_epoch_by_loss_has_the_lowest_loss() {
    // A learning rate at which the loss oscillates.
    let builder = toy::trainer().optimizer(OptimizerConfig::sgd(30.0)).monitor("loss").max_epochs(8);
    let (trainer, report, epochs) = fit(builder);
    let losses = report.history.series("valid/loss").unwrap();
    let (epoch, lowest) = losses
        .iter()
        .map(|(epoch, loss)| (*epoch, loss.unwrap()))
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap();
    assert!(epoch < 8, "expected an oscillating loss, got {losses:?}");
    let best = report.best.unwrap();
    assert_eq!((best.epoch, best.value), (epoch, lowest));
    assert_eq!(weights(&trainer.run().vars), epochs.after(epoch));
}

#[test]
fn defect_18_min_delta_does_not_affect_the_best_epoch() {
    let scores = [0.50, 0.54, 0.58, 0.62];
    check_best(trainer_with_scores(&scores).callback(EarlyStopping::new(2).min_delta(0.05)), 4, 0.62);
    // A patience of 1 stops at the first improvement below `min_delta`, and that epoch still is the best.
    let (_, report, _) = fit(trainer_with_scores(&scores).callback(EarlyStopping::new(1).min_delta(0.05)));
    assert_eq!(report.history.epochs.len(), 2);
    assert_eq!(report.best.unwrap().value, 0.54);
}

#[test]
fn defect_19_rejects_early_stopping_without_validation_before_training() {
    let (model, vars) = Toy::new();
    let modes = std::sync::Arc::clone(&model.modes);
    let recorder = Recorder::default();
    let builder = toy::trainer_for((model, vars)).callback(EarlyStopping::new(3)).callback(recorder.clone());
    let error = builder.build().unwrap().fit(&train_data(), None).unwrap_err();
    assert!(matches!(error, Error::Callback(_)), "{error:?}");
    let message = "early stopping requires validation data; pass a validation loader to `fit`";
    assert_eq!(error.to_string(), message);
    assert!(modes.lock().unwrap().is_empty(), "expected no forward pass");
    assert_eq!(recorder.hooks(), ["on_fit_start", "on_fit_end"]);
    assert_eq!(recorder.events()[1].detail, format!("error: {message}"));
}

#[test]
fn defect_20_early_stopping_neither_writes_nor_swaps_weights() {
    let list = || {
        let entries = std::fs::read_dir(Path::new(".")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = list();
    let builder =
        trainer_with_scores(&[0.9, 0.5, 0.4, 0.3]).restore_best(false).callback(EarlyStopping::new(2));
    let (trainer, report, epochs) = fit(builder);
    assert_eq!(list(), before);
    assert_eq!(report.run_dir, None);
    assert_eq!(report.weights, FinalWeights::Last);
    assert_eq!(report.best.unwrap().epoch, 1);
    assert_eq!(report.history.epochs.len(), 3);
    assert_eq!(weights(&trainer.run().vars), epochs.after(3));
    assert_ne!(epochs.after(3), epochs.after(1));
}

#[test]
fn defect_21_rejects_a_patience_of_zero() {
    let mut trainer = toy::trainer().callback(EarlyStopping::new(0)).build().unwrap();
    let error = trainer.fit(&train_data(), Some(&valid_data())).unwrap_err().to_string();
    assert_eq!(error, "early_stopping.patience: expected at least 1, got 0");
}
