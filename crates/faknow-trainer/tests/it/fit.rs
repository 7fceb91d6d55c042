//! What `fit` promises: the order of events, stopping, the report, validation from one forward pass.

use std::sync::Arc;

use expect_test::expect;
use faknow_callbacks::{EarlyStopping, Flow, Run, StopReason, on_batch_end};
use faknow_metrics::EpochRecord;
use faknow_model::Mode;
use faknow_trainer::Weights;

use crate::by_hand::START;
use crate::toy::{self, Memory, POINTS, Recorder, Toy, judged_by, train_data, valid_data, weights};

#[test]
fn events_come_in_order() {
    let recorder = Recorder::default();
    let mut trainer = judged_by(&[0.5, 0.4]).callback(recorder.clone()).build().unwrap();
    trainer.fit(&train_data(), Some(&valid_data())).unwrap();
    trainer.test(&valid_data()).unwrap();
    expect![[r#"
        fit_start, 3 batches
        epoch_start 1/2
        batch_end 1 of 4, step 1
        batch_end 2 of 2, step 2
        batch_end 3 of 1, step 3
        evaluation_batch_end Valid 1/2
        evaluation_batch_end Valid 2/2
        epoch_end 1, best Some(1)
        epoch_start 2/2
        batch_end 1 of 4, step 4
        batch_end 2 of 2, step 5
        batch_end 3 of 1, step 6
        evaluation_batch_end Valid 1/2
        evaluation_batch_end Valid 2/2
        epoch_end 2, best Some(1)
        fit_end completed
        evaluation_batch_end Test 1/2
        evaluation_batch_end Test 2/2
        test_end 7"#]]
    .assert_eq(&recorder.text());
}

#[test]
fn a_run_that_is_stopped_inside_an_epoch_ends_in_good_order() {
    let recorder = Recorder::default();
    let reason = StopReason::Callback { callback: "budget".into(), message: "20 samples are enough".into() };
    let stop = reason.clone();
    let budget = on_batch_end(move |run: &mut Run, _| {
        Ok(if run.samples < 11 { Flow::Continue } else { Flow::Stop(stop.clone()) })
    });
    let mut trainer =
        judged_by(&[0.5, 0.6, 0.7]).callback(budget).callback(recorder.clone()).build().unwrap();
    let report = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
    expect![[r#"
        epoch_end 1, best Some(1)
        epoch_start 2/3
        batch_end 1 of 4, step 4
        evaluation_batch_end Valid 1/2
        evaluation_batch_end Valid 2/2
        epoch_end 2, best Some(2)
        fit_end callback"#]]
    .assert_eq(&recorder.text().lines().skip(7).collect::<Vec<_>>().join("\n"));
    assert_eq!(report.ended, reason);
    let last: &EpochRecord = report.history.last().unwrap();
    assert_eq!((last.epoch, last.step, last.samples), (2, 4, 11));
    assert_eq!(report.best.unwrap().epoch, 2);
}

#[test]
fn early_stopping_ends_the_run_and_the_report_has_all_epochs() {
    let scores = [0.5, 0.7, 0.6, 0.7, 0.6, 0.9];
    let mut trainer = judged_by(&scores).callback(EarlyStopping::new(3)).build().unwrap();
    let report = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
    assert_eq!(report.ended, StopReason::EarlyStopping { monitor: "score".into(), patience: 3 });
    let values: Vec<Option<f64>> =
        report.history.series("valid/score").into_iter().map(|(_, value)| value).collect();
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
    assert_eq!(trainer.run().history, report.history);
}

#[test]
fn restore_best_decides_which_weights_stay() {
    for (restore, epoch, kept) in [(true, 2, Weights::Best), (false, 4, Weights::Last)] {
        let recorder = Recorder::default();
        let builder = judged_by(&[0.5, 0.7, 0.6, 0.1]).restore_best(restore).callback(recorder.clone());
        let mut trainer = builder.build().unwrap();
        let report = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
        assert_eq!(report.weights, kept);
        assert_eq!(weights(&trainer.run().vars), recorder.weights_of_epoch(epoch));
        // Whatever stays, the test is of those weights.
        let test = trainer.test(&valid_data()).unwrap();
        let expected = report.history.epochs[epoch - 1].valid.as_ref().unwrap();
        assert_eq!(test.scores.value("loss"), expected.value("loss"));
    }
}

#[test]
fn loss_and_scores_of_validation_come_from_one_forward_pass() {
    let (mut model, vars) = Toy::new();
    // Passes that differ from each other would show: every evaluation pass would be another one.
    model.dropout = 0.5;
    let modes = Arc::clone(&model.modes);
    let mut trainer = toy::of((model, vars)).max_epochs(2).build().unwrap();
    let report = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
    let evaluations = modes.lock().unwrap().iter().filter(|mode| **mode == Mode::Eval).count();
    assert_eq!(evaluations, 2 * 2, "a forward pass for each batch of each validation");
    let test = trainer.test(&valid_data()).unwrap();
    let labels = test.predictions.labels();
    let of_scores: f64 =
        labels.iter().enumerate().map(|(i, label)| -test.predictions.row(i)[*label].ln()).sum::<f64>() / 7.0;
    assert!((test.scores.value("loss").unwrap() - of_scores).abs() < 1e-12);
    assert!(
        report.history.epochs.iter().all(|record| record.valid.as_ref().unwrap().value("accuracy").is_some())
    );
}

#[test]
fn a_test_before_any_fit_judges_the_first_weights() {
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
fn a_fit_without_validation_trains_all_epochs() {
    let mut trainer = toy::trainer().max_epochs(4).build().unwrap();
    let report = trainer.fit(&train_data(), None).unwrap();
    assert_eq!(report.ended, StopReason::Completed);
    assert_eq!(report.history.epochs.len(), 4);
    assert!(report.history.epochs.iter().all(|record| record.valid.is_none() && record.valid_seconds == 0.0));
    assert!(trainer.run().monitors.is_empty() && trainer.run().monitor.is_none());
}
