//! A run that is cut off at any moment and resumed ends as the run that was not.
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

/// Cuts the run off at random hooks, and again at random hooks while it goes on.
fn check(setup: Setup, share: f64, seed: u64) {
    tch::set_num_threads(1);
    let temp = tempfile::tempdir().unwrap();
    let (copying, copies) = copy_at_hooks(temp.path(), share, seed);
    let unbroken = setup.fit(&temp.path().join("run"), copying).unwrap();
    let copies = std::mem::take(&mut *copies.lock().unwrap());
    assert!(copies.len() > 2, "the run was cut off {} times", copies.len());
    for (copy, what) in copies {
        let end = setup.resume(&copy).unwrap_or_else(|error| panic!("{what}: {error}"));
        unbroken.assert_eq(&end, &what);
        // Done is done: to resume it once more gives the same again.
        setup.resume(&copy).unwrap().assert_eq(&unbroken, &what);
    }
}

#[test]
fn a_run_that_is_killed_anywhere_ends_as_if_it_had_not_been() {
    check(ALL_FEATURES, 0.25, 1);
}

#[test]
fn whatever_the_policies_are() {
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
fn an_interrupted_run_saves_itself_and_goes_on() {
    tch::set_num_threads(1);
    let temp = tempfile::tempdir().unwrap();
    let unbroken = ALL_FEATURES.fit(&temp.path().join("whole"), no_op()).unwrap();
    for step in [1, 2, 3, 5, 6] {
        let dir = temp.path().join(format!("at-{step}"));
        let interrupt = Interrupt::default();
        let asks = interrupt.clone();
        let ask = on_batch_end(move |run, _| {
            if run.step() == step {
                asks.request();
            }
            Ok(Flow::Continue)
        });
        // Seldom saved: the interrupt itself has to.
        let setup = Setup { every: "100 epochs", keep: 0, ..ALL_FEATURES };
        let builder = setup.builder(RunDir::create(&dir).unwrap()).callback(ask).interrupt(interrupt);
        let mut trainer = builder.build().unwrap();
        let report = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
        assert_eq!(report.stop_reason, StopReason::Interrupted);
        let info = CheckpointStore::new(&dir).verify("last").unwrap();
        assert_eq!((info.step, info.stop_reason), (step, None));
        drop(trainer);
        let end = setup.resume(&dir).unwrap();
        assert_eq!(end.report, unbroken.report);
        assert_eq!(end.weights, unbroken.weights);
        assert_eq!((end.csv, end.jsonl), (unbroken.csv.clone(), unbroken.jsonl.clone()));
    }
}

/// Asks for the end while a validation is under way, at its `at`-th batch in all.
fn ask_in_validation(at: usize, interrupt: Interrupt) -> impl Callback {
    let mut n = 0;
    AtHook(move |_: &mut Run, hook| {
        n += usize::from(hook == "on_evaluation_batch_end");
        if n == at {
            interrupt.request();
        }
        Ok(())
    })
}

#[test]
fn a_validation_that_was_interrupted_is_made_up_for() {
    tch::set_num_threads(1);
    let temp = tempfile::tempdir().unwrap();
    let setup = Setup {
        validate_every: Some("2 steps"),
        accumulate: 1,
        every: "100 epochs",
        keep: 0,
        ..ALL_FEATURES
    };
    let unbroken = setup.fit(&temp.path().join("whole"), no_op()).unwrap();
    assert!(!unbroken.report["history"]["inside"].as_array().unwrap().is_empty());
    // A validation has 3 batches; those after 2 and after 4 steps, the latter the end of the first epoch.
    for at in [1, 2, 3, 4, 6] {
        let dir = temp.path().join(format!("at-{at}"));
        let interrupt = Interrupt::default();
        let ask = ask_in_validation(at, interrupt.clone());
        let builder = setup.builder(RunDir::create(&dir).unwrap()).callback(ask).interrupt(interrupt);
        let mut trainer = builder.build().unwrap();
        let report = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
        assert_eq!(report.stop_reason, StopReason::Interrupted);
        let step = if at <= 3 { 2 } else { 4 };
        assert_eq!(CheckpointStore::new(&dir).verify("last").unwrap().step, step, "{at}");
        drop(trainer);
        let end = setup.resume(&dir).unwrap();
        assert_eq!(end.report, unbroken.report, "{at}");
        assert_eq!(end.weights, unbroken.weights, "{at}");
        assert_eq!((&end.csv, &end.jsonl), (&unbroken.csv, &unbroken.jsonl), "{at}");
    }
}

#[test]
fn a_run_that_a_callback_failed_goes_on_when_it_no_longer_does() {
    tch::set_num_threads(1);
    let temp = tempfile::tempdir().unwrap();
    let unbroken = ALL_FEATURES.fit(&temp.path().join("whole"), no_op()).unwrap();
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
        ALL_FEATURES.resume(&dir).unwrap().assert_eq(&unbroken, name);
    }
}

#[test]
fn a_finished_run_goes_on_to_more_epochs() {
    tch::set_num_threads(1);
    let temp = tempfile::tempdir().unwrap();
    // Without a plateau, whose rates do not depend on the length of the run, the two would differ.
    let long = Setup { epochs: 4, every: "1 epoch", ..ALL_FEATURES };
    let whole = long.fit(&temp.path().join("whole"), no_op()).unwrap();
    let dir = temp.path().join("short");
    let short = Setup { epochs: 2, ..long }.fit(&dir, no_op()).unwrap();
    assert_eq!(short.report["ended"]["reason"], "completed");
    let extended = long.resume(&dir).unwrap();
    assert_eq!(extended.report, whole.report);
    assert_eq!(extended.weights, whole.weights);
    assert_eq!(extended.csv, whole.csv);
}

fn refused(resumed: faknow_trainer::Result<FitReport>, what: ChangeKind, says: &str) {
    let error = resumed.unwrap_err();
    assert!(matches!(&error, Error::Changed { what: found, .. } if *found == what), "{error:?}");
    let message = error.to_string();
    assert!(message.contains(says) && message.contains(&format!("--allow {what}")), "{message}");
}

#[test]
fn changed_data_model_and_settings_are_refused_or_allowed_by_name() {
    tch::set_num_threads(1);
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("run");
    let setup = Setup { epochs: 3, ..ALL_FEATURES };
    let stop = on_batch_end(|run, _| if run.step() == 3 { panic!("cut off") } else { Ok(Flow::Continue) });
    setup.fit(&dir, stop).unwrap_err();
    let builder = || setup.builder(RunDir::open(&dir).unwrap());
    let valid = valid_data();

    let mut trainer = builder().build().unwrap();
    refused(
        trainer.resume(&train_data_of(3), Some(&valid)),
        ChangeKind::Data,
        "the training data had 4 batches, fingerprint ",
    );
    drop(trainer);
    let mut trainer = builder().seed(12).build().unwrap();
    refused(trainer.resume(&train_data(), Some(&valid)), ChangeKind::Config, "`seed` was 11, now 12");
    let own = serde_json::Map::from_iter([("model.dropout".to_owned(), 0.5.into())]);
    drop(trainer);
    let mut trainer = builder().hyperparameters(own.clone()).build().unwrap();
    refused(
        trainer.resume(&train_data(), Some(&valid)),
        ChangeKind::Model,
        "`model.dropout` was not set, now 0.5",
    );
    let allow = Resume { allow: vec![ChangeKind::Model], ..Resume::default() };
    let report = trainer.resume_from(&allow, &train_data(), Some(&valid)).unwrap();
    assert_eq!(report.history.epochs.len(), 3);
}

#[test]
fn a_damaged_checkpoint_is_refused_and_the_previous_good_one_named() {
    tch::set_num_threads(1);
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("run");
    let setup = Setup { epochs: 4, ..ALL_FEATURES };
    let whole = setup.fit(&temp.path().join("whole"), no_op()).unwrap();
    let stop = on_batch_end(|run, _| if run.step() == 5 { panic!("cut off") } else { Ok(Flow::Continue) });
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
    assert_eq!(RunOutcome::new(report, &trainer, &dir).weights, whole.weights);
}

#[test]
fn a_second_fit_can_be_cut_off_too() {
    tch::set_num_threads(1);
    let temp = tempfile::tempdir().unwrap();
    let freeze = &[("bias", Some("3 epochs"))];
    let setup = Setup { epochs: 2, schedule: ScheduleKind::WarmUp, freeze, ..ALL_FEATURES };
    let twice = |dir: &Path, callback| {
        let mut trainer = setup.builder(RunDir::create(dir).unwrap()).callback(callback).build().unwrap();
        trainer.fit(&train_data(), Some(&valid_data())).unwrap();
        let report = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
        RunOutcome::new(report, &trainer, dir)
    };
    let (copying, copies) = copy_at_hooks(temp.path(), 0.2, 5);
    let whole = twice(&temp.path().join("run"), copying);
    assert_eq!(whole.report["history"]["epochs"].as_array().map(Vec::len), Some(4));
    let copies = std::mem::take(&mut *copies.lock().unwrap());
    let second = copies.iter().filter(|(_, what)| what.contains("epoch 3") || what.contains("epoch 4"));
    let mut n = 0;
    for (copy, what) in second {
        n += 1;
        let end = setup.resume(copy).unwrap();
        assert_eq!(end.report, whole.report, "{what}");
        assert_eq!(end.weights, whole.weights, "{what}");
    }
    assert!(n > 1, "{n}");
}

#[test]
fn a_run_dir_that_is_none_cannot_be_resumed() {
    let error = RunDir::open("/nowhere/at/all").unwrap_err().to_string();
    assert!(error.contains("no such directory"), "{error}");
    let mut trainer = toy::trainer().build().unwrap();
    let error = trainer.resume(&train_data(), None).unwrap_err().to_string();
    assert_eq!(error, "run_dir: expected the directory of the run to resume, got none");
}
