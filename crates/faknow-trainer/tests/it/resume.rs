//! Interrupted and resumed runs have the same outcome as uninterrupted ones.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::fs;
use std::path::Path;

use faknow_callbacks::{Callback, Flow, Run, StopReason, on_batch_end, on_epoch_end};
use faknow_trainer::checkpoint::CheckpointStore;
use faknow_trainer::{ChangeKind, Error, FitReport, Interrupt, Resume, RunDir};

use crate::at_hook::AtHook;
use crate::interrupted_runs::{
    ALL_FEATURES, Averaging, RunOutcome, ScheduleKind, Setup, copy_at_hooks, no_op, train_data,
    train_data_of, valid_data,
};
use crate::toy;

/// Checks the outcome of resuming from copies of the run directory at random hooks.
fn check(setup: Setup, share: f64, seed: u64) {
    tch::set_num_threads(1);
    let temp = tempfile::tempdir().unwrap();
    let (copier, copies) = copy_at_hooks(temp.path(), share, seed);
    let uninterrupted = setup.fit(&temp.path().join("run"), copier).unwrap();
    let copies = std::mem::take(&mut *copies.lock().unwrap());
    assert!(copies.len() > 2, "the run was copied {} times", copies.len());
    for (copy, what) in copies {
        let outcome = setup.resume(&copy).unwrap_or_else(|error| panic!("{what}: {error}"));
        uninterrupted.assert_eq(&outcome, &what);
        // Resuming a finished run changes nothing.
        setup.resume(&copy).unwrap().assert_eq(&uninterrupted, &what);
    }
}

#[test]
fn killed_run_resumes_to_same_outcome() {
    check(ALL_FEATURES, 0.25, 1);
}

#[test]
fn killed_runs_with_various_settings_resume_to_same_outcome() {
    let setups = [
        Setup { every: "1 epoch", keep: 0, best: 1, ..ALL_FEATURES },
        Setup {
            every: "3 steps",
            average: Averaging::Swa,
            validate_every: Some("2 steps"),
            accumulate: 1,
            ..ALL_FEATURES
        },
        Setup {
            every: "5 samples",
            schedule: ScheduleKind::WarmUp,
            average: Averaging::None,
            keep: 1,
            ..ALL_FEATURES
        },
        Setup { every: "2 epochs", validate_every: Some("2 epochs"), accumulate: 3, best: 3, ..ALL_FEATURES },
        Setup { every: "1000 seconds", validate_every: Some("0.5 epochs"), ..ALL_FEATURES },
    ];
    for (seed, setup) in (2..).zip(setups) {
        check(setup, 0.1, seed);
    }
}

#[test]
fn interrupted_run_is_saved_and_resumes() {
    tch::set_num_threads(1);
    let temp = tempfile::tempdir().unwrap();
    let uninterrupted = ALL_FEATURES.fit(&temp.path().join("uninterrupted"), no_op()).unwrap();
    for step in [1, 2, 3, 5, 6] {
        let dir = temp.path().join(format!("at-{step}"));
        let interrupt = Interrupt::default();
        let request = interrupt.clone();
        let request_interrupt = on_batch_end(move |run, _| {
            if run.step() == step {
                request.request();
            }
            Ok(Flow::Continue)
        });
        // No regular checkpoints: only the interrupt saves one.
        let setup = Setup { every: "100 epochs", keep: 0, ..ALL_FEATURES };
        let builder =
            setup.builder(RunDir::create(&dir).unwrap()).callback(request_interrupt).interrupt(interrupt);
        let mut trainer = builder.build().unwrap();
        let report = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
        assert_eq!(report.stop_reason, StopReason::Interrupted);
        let info = CheckpointStore::new(&dir).verify("last").unwrap();
        assert_eq!((info.step, info.stop_reason), (step, None));
        drop(trainer);
        let outcome = setup.resume(&dir).unwrap();
        assert_eq!(outcome.report, uninterrupted.report);
        assert_eq!(outcome.weights, uninterrupted.weights);
        assert_eq!((outcome.csv, outcome.jsonl), (uninterrupted.csv.clone(), uninterrupted.jsonl.clone()));
    }
}

/// Requests an interrupt in the validation batch of this number, counted over all validations.
fn interrupt_in_validation(batch: usize, interrupt: Interrupt) -> impl Callback {
    let mut n = 0;
    AtHook(move |_: &mut Run, hook| {
        n += usize::from(hook == "on_evaluation_batch_end");
        if n == batch {
            interrupt.request();
        }
        Ok(())
    })
}

#[test]
fn interrupted_validation_is_repeated() {
    tch::set_num_threads(1);
    let temp = tempfile::tempdir().unwrap();
    let setup = Setup {
        validate_every: Some("2 steps"),
        accumulate: 1,
        every: "100 epochs",
        keep: 0,
        ..ALL_FEATURES
    };
    let uninterrupted = setup.fit(&temp.path().join("uninterrupted"), no_op()).unwrap();
    assert!(!uninterrupted.report["history"]["inside"].as_array().unwrap().is_empty());
    // Each validation has 3 batches; they take place after 2 and 4 steps, the latter at the end of the first epoch.
    for batch in [1, 2, 3, 4, 6] {
        let dir = temp.path().join(format!("batch-{batch}"));
        let interrupt = Interrupt::default();
        let callback = interrupt_in_validation(batch, interrupt.clone());
        let builder = setup.builder(RunDir::create(&dir).unwrap()).callback(callback).interrupt(interrupt);
        let mut trainer = builder.build().unwrap();
        let report = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
        assert_eq!(report.stop_reason, StopReason::Interrupted);
        let step = if batch <= 3 { 2 } else { 4 };
        assert_eq!(CheckpointStore::new(&dir).verify("last").unwrap().step, step, "{batch}");
        drop(trainer);
        let outcome = setup.resume(&dir).unwrap();
        assert_eq!(outcome.report, uninterrupted.report, "{batch}");
        assert_eq!(outcome.weights, uninterrupted.weights, "{batch}");
        assert_eq!((&outcome.csv, &outcome.jsonl), (&uninterrupted.csv, &uninterrupted.jsonl), "{batch}");
    }
}

#[test]
fn run_resumes_after_callback_failure() {
    tch::set_num_threads(1);
    let temp = tempfile::tempdir().unwrap();
    let uninterrupted = ALL_FEATURES.fit(&temp.path().join("uninterrupted"), no_op()).unwrap();
    let in_batch =
        on_batch_end(|run, _| if run.step() == 3 { panic!("at step 3") } else { Ok(Flow::Continue) });
    let error = ALL_FEATURES.fit(&temp.path().join("batch"), in_batch).unwrap_err();
    assert_eq!(error.to_string(), "on_batch_end: panicked: at step 3 (in on_batch_end, epoch 2, step 3)");
    let in_epoch =
        on_epoch_end(|run, _| if run.epoch() == 2 { panic!("in epoch 2") } else { Ok(Flow::Continue) });
    let error = ALL_FEATURES.fit(&temp.path().join("epoch"), in_epoch).unwrap_err();
    assert_eq!(error.to_string(), "on_epoch_end: panicked: in epoch 2 (in on_epoch_end, epoch 2, step 4)");
    for (name, step) in [("batch", 3), ("epoch", 4)] {
        let dir = temp.path().join(name);
        assert_eq!(CheckpointStore::new(&dir).verify("last").unwrap().step, step, "{name}");
        ALL_FEATURES.resume(&dir).unwrap().assert_eq(&uninterrupted, name);
    }
}

#[test]
fn finished_run_can_be_extended() {
    tch::set_num_threads(1);
    let temp = tempfile::tempdir().unwrap();
    // With a plateau schedule, the learning rates do not depend on the length of the run.
    let long = Setup { epochs: 4, every: "1 epoch", ..ALL_FEATURES };
    let uninterrupted = long.fit(&temp.path().join("uninterrupted"), no_op()).unwrap();
    let dir = temp.path().join("short");
    let short = Setup { epochs: 2, ..long }.fit(&dir, no_op()).unwrap();
    assert_eq!(short.report["ended"]["reason"], "completed");
    let extended = long.resume(&dir).unwrap();
    assert_eq!(extended.report, uninterrupted.report);
    assert_eq!(extended.weights, uninterrupted.weights);
    assert_eq!(extended.csv, uninterrupted.csv);
}

fn assert_rejected(result: faknow_trainer::Result<FitReport>, kind: ChangeKind, part: &str) {
    let error = result.unwrap_err();
    assert!(matches!(&error, Error::Changed { what: actual, .. } if *actual == kind), "{error:?}");
    let message = error.to_string();
    assert!(message.contains(part) && message.contains(&format!("--allow {kind}")), "{message}");
}

#[test]
fn rejects_changed_data_model_and_settings_unless_allowed() {
    tch::set_num_threads(1);
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("run");
    let setup = Setup { epochs: 3, ..ALL_FEATURES };
    let stop =
        on_batch_end(|run, _| if run.step() == 3 { panic!("interrupted") } else { Ok(Flow::Continue) });
    setup.fit(&dir, stop).unwrap_err();
    let builder = || setup.builder(RunDir::open(&dir).unwrap());
    let valid = valid_data();

    let mut trainer = builder().build().unwrap();
    assert_rejected(
        trainer.resume(&train_data_of(3), Some(&valid)),
        ChangeKind::Data,
        "the training data had 4 batches, fingerprint ",
    );
    drop(trainer);
    let mut trainer = builder().seed(12).build().unwrap();
    assert_rejected(trainer.resume(&train_data(), Some(&valid)), ChangeKind::Config, "`seed` was 11, now 12");
    let hyperparameters = serde_json::Map::from_iter([("model.dropout".to_owned(), 0.5.into())]);
    drop(trainer);
    let mut trainer = builder().hyperparameters(hyperparameters).build().unwrap();
    assert_rejected(
        trainer.resume(&train_data(), Some(&valid)),
        ChangeKind::Model,
        "`model.dropout` was not set, now 0.5",
    );
    let allow = Resume { allow: vec![ChangeKind::Model], ..Resume::default() };
    let report = trainer.resume_from(&allow, &train_data(), Some(&valid)).unwrap();
    assert_eq!(report.history.epochs.len(), 3);
}

#[test]
fn rejects_corrupted_checkpoint_and_names_newest_valid_one() {
    tch::set_num_threads(1);
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("run");
    let setup = Setup { epochs: 4, ..ALL_FEATURES };
    let uninterrupted = setup.fit(&temp.path().join("uninterrupted"), no_op()).unwrap();
    let stop =
        on_batch_end(|run, _| if run.step() == 5 { panic!("interrupted") } else { Ok(Flow::Continue) });
    setup.fit(&dir, stop).unwrap_err();
    let weights = dir.join("checkpoints/last/training.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    let error = setup.resume(&dir).unwrap_err();
    assert!(matches!(error, Error::Checkpoint(_)), "{error:?}");
    let message = error.to_string();
    assert!(
        message.contains("training.safetensors") && message.contains("the newest valid checkpoint is `"),
        "{message}"
    );
    let mut trainer = setup.builder(RunDir::open(&dir).unwrap()).build().unwrap();
    let from = Resume { from: "previous".into(), ..Resume::default() };
    let report = trainer.resume_from(&from, &train_data(), Some(&valid_data())).unwrap();
    assert_eq!(RunOutcome::new(report, &trainer, &dir).weights, uninterrupted.weights);
}

#[test]
fn second_fit_can_be_resumed() {
    tch::set_num_threads(1);
    let temp = tempfile::tempdir().unwrap();
    let freeze = &[("bias", Some("3 epochs"))];
    let setup = Setup { epochs: 2, schedule: ScheduleKind::WarmUp, freeze, ..ALL_FEATURES };
    let fit_twice = |dir: &Path, callback| {
        let mut trainer = setup.builder(RunDir::create(dir).unwrap()).callback(callback).build().unwrap();
        trainer.fit(&train_data(), Some(&valid_data())).unwrap();
        let report = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
        RunOutcome::new(report, &trainer, dir)
    };
    let (copier, copies) = copy_at_hooks(temp.path(), 0.2, 5);
    let uninterrupted = fit_twice(&temp.path().join("run"), copier);
    assert_eq!(uninterrupted.report["history"]["epochs"].as_array().map(Vec::len), Some(4));
    let copies = std::mem::take(&mut *copies.lock().unwrap());
    let in_second_fit =
        copies.iter().filter(|(_, what)| what.contains("epoch 3") || what.contains("epoch 4"));
    let mut n = 0;
    for (copy, what) in in_second_fit {
        n += 1;
        let outcome = setup.resume(copy).unwrap();
        assert_eq!(outcome.report, uninterrupted.report, "{what}");
        assert_eq!(outcome.weights, uninterrupted.weights, "{what}");
    }
    assert!(n > 1, "{n}");
}

#[test]
fn resume_requires_existing_run_dir() {
    let error = RunDir::open("/nowhere/at/all").unwrap_err().to_string();
    assert!(error.contains("no such directory"), "{error}");
    let mut trainer = toy::trainer().build().unwrap();
    let error = trainer.resume(&train_data(), None).unwrap_err().to_string();
    assert_eq!(error, "run_dir: expected the directory of the run to resume, got none");
}
