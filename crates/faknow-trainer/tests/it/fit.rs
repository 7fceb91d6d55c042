//! `fit`: early stopping, the report, validation with one forward pass.

use std::sync::Arc;

use faknow_callbacks::{EarlyStopping, StopReason};
use faknow_model::Mode;
use faknow_trainer::FinalWeights;

use crate::by_hand::START;
use crate::toy::{
    self, EpochWeights, Memory, POINTS, Toy, train_data, trainer_with_scores, valid_data, weights,
};

#[test]
fn early_stopping_ends_the_run_and_the_report_has_all_epochs() {
    let scores = [0.5, 0.7, 0.6, 0.7, 0.6, 0.9];
    let mut trainer = trainer_with_scores(&scores).callback(EarlyStopping::new(3)).build().unwrap();
    let report = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
    assert_eq!(report.stop_reason, StopReason::EarlyStopping { monitor: "score".into(), patience: 3 });
    let values: Vec<Option<f64>> =
        report.history.series("score").unwrap().into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, scores[..5].iter().map(|score| Some(*score)).collect::<Vec<_>>());
    for (i, record) in report.history.epochs.iter().enumerate() {
        let n = i as u64 + 1;
        assert_eq!((record.epoch, record.step, record.samples), (i + 1, 3 * n, 7 * n));
        assert_eq!(record.learning_rates, [0.1]);
        assert!(
            record.train_seconds > 0.0 && record.valid_seconds > 0.0 && report.seconds > record.train_seconds
        );
    }
    let best = report.best.as_ref().unwrap();
    assert_eq!((best.epoch, best.monitor.as_str(), best.value), (2, "score", 0.7));
    assert_eq!(*trainer.run().history(), report.history);
}

#[test]
fn restore_best_decides_which_weights_stay() {
    for (restore, epoch, final_weights) in [(true, 2, FinalWeights::Best), (false, 4, FinalWeights::Last)] {
        let epochs = EpochWeights::default();
        let builder =
            trainer_with_scores(&[0.5, 0.7, 0.6, 0.1]).restore_best(restore).callback(epochs.clone());
        let mut trainer = builder.build().unwrap();
        let report = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
        assert_eq!(report.weights, final_weights);
        assert_eq!(weights(&trainer.run().vars), epochs.after(epoch));
        // The test evaluates these weights.
        let test = trainer.test(&valid_data()).unwrap();
        let expected = report.history.epochs[epoch - 1].valid.as_ref().unwrap();
        assert_eq!(test.scores.value("loss"), expected.value("loss"));
    }
}

#[test]
fn loss_and_scores_of_validation_come_from_one_forward_pass() {
    let (mut model, vars) = Toy::new();
    // Dropout makes training passes differ from evaluation passes.
    model.dropout = 0.5;
    let modes = Arc::clone(&model.modes);
    let mut trainer = toy::trainer_for((model, vars)).max_epochs(2).build().unwrap();
    let report = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
    let evaluations = modes.lock().unwrap().iter().filter(|mode| **mode == Mode::Eval).count();
    assert_eq!(evaluations, 2 * 2, "one forward pass per batch of each validation");
    let test = trainer.test(&valid_data()).unwrap();
    let labels = test.predictions.labels();
    let loss_of_scores: f64 =
        labels.iter().enumerate().map(|(i, label)| -test.predictions.row(i)[*label].ln()).sum::<f64>() / 7.0;
    assert!((test.scores.value("loss").unwrap() - loss_of_scores).abs() < 1e-12);
    assert!(
        report.history.epochs.iter().all(|record| record.valid.as_ref().unwrap().value("accuracy").is_some())
    );
}

#[test]
fn test_before_fit_evaluates_initial_weights() {
    let mut trainer = toy::trainer().build().unwrap();
    let test = trainer.test(&Memory::new(&POINTS, &[3, 4])).unwrap();
    assert!((test.scores.value("loss").unwrap() - START.loss(&POINTS)).abs() < 1e-12);
    let rows: Vec<f64> = POINTS.iter().flat_map(|(x, _)| START.scores(*x)).collect();
    for (got, expected) in test.predictions.scores().iter().zip(&rows) {
        assert!((got - expected).abs() < 1e-12);
    }
    let correct = POINTS.iter().filter(|(x, label)| (START.scores(*x)[1] > 0.5) == (*label == 1)).count();
    assert_eq!(test.scores.value("accuracy"), Some(correct as f64 / 7.0));
}

#[test]
fn fit_without_validation_trains_all_epochs() {
    let mut trainer = toy::trainer().max_epochs(4).build().unwrap();
    let report = trainer.fit(&train_data(), None).unwrap();
    assert_eq!(report.stop_reason, StopReason::Completed);
    assert_eq!(report.history.epochs.len(), 4);
    assert!(report.history.epochs.iter().all(|record| record.valid.is_none() && record.valid_seconds == 0.0));
    assert!(trainer.run().monitors().is_empty() && trainer.run().monitor().is_none());
}
