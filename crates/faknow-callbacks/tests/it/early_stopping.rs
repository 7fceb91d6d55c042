//! Early stopping, and the choice of the best epoch.

use std::path::PathBuf;

use faknow_callbacks::{BestTracker, EarlyStopping, Error, Monitor, Patience, RunOwner, StopReason};
use faknow_metrics::Direction;
use serde::Deserialize;

use crate::common;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    scores: Vec<Option<f64>>,
    mode: String,
    patience: usize,
    min_delta: f64,
    stop_index: Option<usize>,
    best_index: Option<usize>,
    best_score: Option<f64>,
    bad_counts: Vec<usize>,
}

impl Case {
    fn monitor(&self) -> Monitor {
        match self.mode.as_str() {
            "max" => Monitor::max("f1"),
            "min" => Monitor::min("f1"),
            other => panic!("{}: unknown mode {other}", self.name),
        }
    }
}

fn golden_cases() -> Vec<Case> {
    let built_in = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"));
    let path =
        std::env::var_os("FAKNOW_GOLDEN").map_or_else(built_in, PathBuf::from).join("early_stopping.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        crate::skip::check("golden").unwrap();
        println!("SKIPPED: {} does not exist", path.display());
        return Vec::new();
    };
    let golden: Golden = serde_json::from_str(&text).unwrap();
    println!("{} cases of {} run", golden.cases.len(), path.display());
    golden.cases
}

#[test]
fn rules_match_golden_series() {
    for case in golden_cases() {
        let direction = case.monitor().direction;
        let mut counter = Patience::new(direction, case.patience, case.min_delta);
        let mut tracker = BestTracker::new(direction);
        let (mut stop_index, mut best_index, mut bad_counts) = (None, None, Vec::new());
        for (i, &score) in case.scores.iter().enumerate() {
            if tracker.observe(score) {
                best_index = Some(i);
            }
            let stop = counter.observe(score);
            bad_counts.push(counter.n_bad());
            // A serialized and deserialized state continues identically.
            counter = serde_json::from_str(&serde_json::to_string(&counter).unwrap()).unwrap();
            tracker = serde_json::from_str(&serde_json::to_string(&tracker).unwrap()).unwrap();
            if stop {
                stop_index = Some(i);
                break;
            }
        }
        assert_eq!(stop_index, case.stop_index, "{}", case.name);
        assert_eq!(bad_counts, case.bad_counts, "{}", case.name);
        assert_eq!(best_index, case.best_index, "{}", case.name);
        assert_eq!(tracker.best(), case.best_score, "{}", case.name);
    }
}

#[test]
fn runs_match_golden_series() {
    for case in golden_cases() {
        // Uninterrupted, and interrupted after each epoch and resumed with a new callback.
        for n_before in 0..=case.bad_counts.len() {
            let dir = tempfile::tempdir().unwrap();
            let mut run = common::run(dir.path());
            run.setup_mut().monitor = Some(case.monitor());
            let stopping = || {
                common::one(
                    EarlyStopping::new(case.patience).monitor(case.monitor()).min_delta(case.min_delta),
                )
            };
            let (before, after) = case.scores.split_at(n_before);
            let mut first = stopping();
            let reason = match common::fit(&mut run, &mut first, before).unwrap() {
                StopReason::Completed => {
                    let state = first.state().unwrap();
                    common::resume(&mut run, &mut stopping(), &state, after).unwrap()
                }
                other => other,
            };
            let is_early = matches!(reason, StopReason::EarlyStopping { .. });
            assert_eq!(is_early, case.stop_index.is_some(), "{}", case.name);
            assert_eq!(run.history().epochs.len(), case.bad_counts.len(), "{}", case.name);
            let best = run.best().map(|best| (best.epoch - 1, best.value));
            assert_eq!(best, case.best_index.zip(case.best_score), "{}", case.name);
        }
    }
}

#[test]
fn rejects_invalid_settings_before_training() {
    let dir = tempfile::tempdir().unwrap();
    let check = |stopping: EarlyStopping, change: fn(&mut RunOwner), expected: &str| {
        let mut run = common::run(dir.path());
        change(&mut run);
        let mut stopping = common::one(stopping);
        let result = stopping.on_fit_start(&mut run).map_err(|e| e.to_string());
        match expected {
            "" => assert_eq!(result, Ok(())),
            _ => assert_eq!(result.unwrap_err(), expected),
        }
    };
    let unchanged = |_: &mut RunOwner| {};
    let no_validation = |run: &mut RunOwner| {
        run.setup_mut().monitors.clear();
        run.setup_mut().monitor = None;
    };
    check(EarlyStopping::new(1), unchanged, "");
    check(EarlyStopping::new(3).monitor("loss"), unchanged, "");
    check(EarlyStopping::new(3).monitor(Monitor::min("accuracy")), unchanged, "");
    check(EarlyStopping::new(0), unchanged, "early_stopping.patience: expected at least 1, got 0");
    let delta = "early_stopping.min_delta: expected a finite number of at least 0, got ";
    check(EarlyStopping::new(3).min_delta(-0.1), unchanged, &format!("{delta}-0.1"));
    check(EarlyStopping::new(3).min_delta(f64::NAN), unchanged, &format!("{delta}NaN"));
    let unknown = "monitor `roc_auc`: expected a recorded value (loss, accuracy, f1, train/loss), got an unknown name; for \
                   a value that a callback logs, give its direction: `Monitor::max(\"roc_auc\")`";
    check(EarlyStopping::new(3).monitor("auc"), unchanged, unknown);
    // A callback could log the value.
    check(EarlyStopping::new(3).monitor(Monitor::max("auc")), unchanged, "");
    let none = "early stopping requires validation data; pass a validation loader to `fit`";
    check(EarlyStopping::new(3), no_validation, none);
    let none = "monitor `f1` requires validation data; pass a validation loader to `fit`";
    check(EarlyStopping::new(3).monitor("f1"), no_validation, none);

    let f1 = || EarlyStopping::new(3).monitor("f1");
    check(f1().stopping_threshold(0.9).divergence_threshold(0.1).start_from_epoch(2), unchanged, "");
    check(
        EarlyStopping::new(3).monitor("loss").stopping_threshold(0.1).divergence_threshold(0.9),
        unchanged,
        "",
    );
    let first = "early_stopping.start_from_epoch: expected at least 1, got 0";
    check(f1().start_from_epoch(0), unchanged, first);
    let threshold = "early_stopping.stopping_threshold: expected a finite number, got NaN";
    check(f1().stopping_threshold(f64::NAN), unchanged, threshold);
    let threshold = "early_stopping.divergence_threshold: expected a finite number, got inf";
    check(f1().divergence_threshold(f64::INFINITY), unchanged, threshold);
    let worse = "early_stopping.divergence_threshold: expected a value of f1 worse than the stopping \
                 threshold 0.9, got 0.9";
    check(f1().stopping_threshold(0.9).divergence_threshold(0.9), unchanged, worse);
}

#[test]
fn thresholds_stop_the_run_immediately() {
    let dir = tempfile::tempdir().unwrap();
    let check = |stopping: EarlyStopping, f1s: &[Option<f64>], epochs: usize, reason_text: &str| {
        let mut run = common::run(dir.path());
        let mut stopping = common::one(stopping);
        let reason = common::fit(&mut run, &mut stopping, f1s).unwrap();
        assert_eq!(
            (run.history().epochs.len(), reason.to_string().as_str()),
            (epochs, reason_text),
            "{f1s:?}"
        );
        reason.code()
    };
    let done = "all epochs done";
    let values = [0.3, 0.5, 0.8, 0.7].map(Some);
    let good = |threshold| EarlyStopping::new(5).stopping_threshold(threshold);
    assert_eq!(check(good(0.5), &values, 2, "f1 reached the stopping threshold 0.5: 0.5"), "reached");
    check(good(0.6), &values, 3, "f1 reached the stopping threshold 0.6: 0.8");
    check(good(0.81), &values, 4, done);
    check(good(0.6), &[None, Some(f64::INFINITY), Some(f64::NAN), Some(0.1)], 4, done);
    // The loss of the toy run is always 0.5.
    check(
        EarlyStopping::new(5).monitor("loss").stopping_threshold(0.5),
        &values,
        1,
        "loss reached the stopping threshold 0.5: 0.5",
    );

    let bad = |threshold| EarlyStopping::new(5).divergence_threshold(threshold);
    assert_eq!(check(bad(0.4), &values, 1, "f1 passed the divergence threshold 0.4: 0.3"), "diverged");
    check(bad(0.3), &values, 4, done);
    check(EarlyStopping::new(5).monitor("loss").divergence_threshold(0.5), &values, 4, done);

    // Values before `start_from_epoch` count for neither threshold.
    check(bad(0.4).start_from_epoch(2), &values, 4, done);
    check(good(0.8).start_from_epoch(4), &values, 4, done);
    let late = EarlyStopping::new(2).start_from_epoch(3);
    let falling = [0.9, 0.8, 0.3, 0.2, 0.1, 0.4].map(Some);
    check(late, &falling, 5, "f1 did not improve in 2 validations");
    check(EarlyStopping::new(2), &falling, 3, "f1 did not improve in 2 validations");
}

#[test]
fn direction_comes_from_the_metric_or_the_monitor() {
    let dir = tempfile::tempdir().unwrap();
    let check = |stopping: EarlyStopping, f1s: &[f64], epochs: usize| {
        let mut run = common::run(dir.path());
        let f1s: Vec<Option<f64>> = f1s.iter().copied().map(Some).collect();
        let mut stopping = common::one(stopping);
        common::fit(&mut run, &mut stopping, &f1s).unwrap();
        assert_eq!(run.history().epochs.len(), epochs, "{f1s:?}");
    };
    check(EarlyStopping::new(1).monitor("f1"), &[0.1, 0.2, 0.1, 0.3], 3);
    check(EarlyStopping::new(1).monitor(Monitor::min("f1")), &[0.1, 0.2, 0.1, 0.3], 2);
    // The loss of the toy run never changes.
    check(EarlyStopping::new(2).monitor("loss"), &[0.1, 0.2, 0.3, 0.4], 3);
}

#[test]
fn second_fit_counts_from_zero() {
    let dir = tempfile::tempdir().unwrap();
    let mut stopping = common::one(EarlyStopping::new(2));
    for _ in 0..2 {
        let mut run = common::run(dir.path());
        let reason =
            common::fit(&mut run, &mut stopping, &[Some(0.9), Some(0.8), Some(0.7), Some(0.6)]).unwrap();
        assert_eq!(reason, StopReason::EarlyStopping { monitor: "f1".to_owned(), patience: 2 });
        assert_eq!(run.history().epochs.len(), 3);
        assert_eq!(n_bad(&stopping), Some(2));
    }
}

#[test]
fn epochs_without_validation_do_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = common::run(dir.path());
    let mut stopping = common::one(EarlyStopping::new(1));
    common::fit(&mut run, &mut stopping, &[Some(0.9)]).unwrap();
    let mut record = run.history().epochs[0].clone();
    (record.epoch, record.step, record.valid) = (2, 4, None);
    run.progress_mut().history.epochs.push(record);
    assert_eq!(stopping.on_epoch_end(&mut run).unwrap(), faknow_callbacks::Flow::Continue);
    assert_eq!(n_bad(&stopping), Some(0));
}

fn n_bad(callbacks: &faknow_callbacks::Callbacks) -> Option<usize> {
    callbacks.get::<EarlyStopping>()?.counter().map(Patience::n_bad)
}

#[test]
fn value_that_is_never_logged_is_an_error_in_first_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let mut stopping = common::one(EarlyStopping::new(1).monitor(Monitor::max("reward")));
    let error = common::fit(&mut common::run(dir.path()), &mut stopping, &[Some(0.5); 2]).unwrap_err();
    assert!(matches!(&error, Error::MissingMonitor { name, epoch: 1, .. } if name == "reward"), "{error}");
}

#[test]
fn equal_score_is_not_an_improvement_with_min_delta_of_zero() {
    let mut counter = Patience::new(Direction::Maximize, 1, 0.0);
    assert!(!counter.observe(Some(0.5)));
    assert!(counter.observe(Some(0.5)));
    assert_eq!(counter.best(), Some(0.5));
    assert!(!counter.observe(Some(0.6)));
    assert!(counter.observe(Some(f64::INFINITY)));
}
