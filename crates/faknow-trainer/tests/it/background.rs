//! Background saving: the checkpoints equal those of synchronous saving, and all are on disk when a fit ends.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use faknow_callbacks::{Callback, FitEnd, Flow, HookResult, Run, SavedCheckpoint, on_batch_end};
use faknow_trainer::checkpoint::CheckpointStore;
use faknow_trainer::schedule::{LambdaSchedule, Unit};
use faknow_trainer::{NonFinitePolicy, RunDir};

use crate::interrupted_runs::{
    ALL_FEATURES, Averaging, ScheduleKind, Setup, copy_at_hooks, no_op, train_data, valid_data,
};

/// Records each checkpoint event, with the step of the checkpoint on disk at that time.
#[derive(Clone)]
struct CheckpointLog {
    thread: ThreadId,
    saved: Arc<Mutex<Vec<(String, u64)>>>,
}

impl CheckpointLog {
    fn new() -> Self {
        Self { thread: thread::current().id(), saved: Arc::default() }
    }

    fn record(&self, name: &str, run: &Run) {
        assert_eq!(thread::current().id(), self.thread);
        let info = CheckpointStore::new(run.dir().unwrap()).verify(name);
        self.saved.lock().unwrap().push((name.to_owned(), info.map_or(0, |info| info.step)));
    }
}

impl Callback for CheckpointLog {
    fn on_checkpoint(&mut self, run: &mut Run, saved: &SavedCheckpoint) -> HookResult {
        self.record(&saved.name, run);
        Ok(())
    }

    fn on_fit_end(&mut self, run: &mut Run, _: FitEnd<'_>) -> HookResult {
        self.record("last", run);
        Ok(())
    }
}

/// Various checkpoint policies, including one of a run that is rolled back.
const SETUPS: [Setup; 4] = [
    ALL_FEATURES,
    Setup { every: "1 epoch", keep: 0, best: 1, average: Averaging::Swa, ..ALL_FEATURES },
    Setup {
        every: "3 steps",
        accumulate: 1,
        validate_every: Some("2 steps"),
        schedule: ScheduleKind::EachEpoch,
        ..ALL_FEATURES
    },
    Setup {
        on_non_finite: NonFinitePolicy::RollBack,
        schedule: ScheduleKind::Constant,
        poison: &[(2, 3), (3, 2)],
        ..ALL_FEATURES
    },
];

#[test]
fn background_saving_retains_the_same_checkpoints() {
    tch::set_num_threads(1);
    for setup in SETUPS {
        let temp = tempfile::tempdir().unwrap();
        let run = |background: bool| {
            let log = CheckpointLog::new();
            let end =
                Setup { background, ..setup }.fit(&temp.path().join(background.to_string()), log.clone());
            (end.unwrap(), std::mem::take(&mut *log.saved.lock().unwrap()))
        };
        let (end, saved) = run(true);
        let (expected, all_saved) = run(false);
        end.assert_eq(&expected, &format!("{setup:?}"));
        // Each checkpoint was on disk when the callbacks were notified, in order; some may have been skipped.
        let mut remaining = all_saved.iter();
        assert!(
            saved.iter().all(|entry| remaining.any(|other| other == entry)),
            "{saved:?} of {all_saved:?}"
        );
        assert_eq!(saved.last(), all_saved.last(), "{setup:?}");
    }
}

#[test]
fn runs_killed_during_a_save_resume_identically() {
    tch::set_num_threads(1);
    let temp = tempfile::tempdir().unwrap();
    let setup = Setup { background: true, ..ALL_FEATURES };
    let (callback, copies) = copy_at_hooks(temp.path(), 0.4, 3);
    let expected = setup.fit(&temp.path().join("run"), callback).unwrap();
    let copies = std::mem::take(&mut *copies.lock().unwrap());
    assert!(copies.len() > 10, "{}", copies.len());
    for (number, (copy, label)) in copies.into_iter().enumerate() {
        // The setting may change on resume.
        let setup = Setup { background: number % 3 > 0, ..setup };
        setup.resume(&copy).unwrap_or_else(|error| panic!("{label}: {error}")).assert_eq(&expected, &label);
    }
}

fn step_of_last(dir: &Path) -> u64 {
    CheckpointStore::new(dir).verify("last").unwrap().step
}

#[test]
fn errors_and_panics_finish_pending_saves() {
    tch::set_num_threads(1);
    let temp = tempfile::tempdir().unwrap();
    let setup = Setup { background: true, poison: &[], ..ALL_FEATURES };
    let expected = setup.fit(&temp.path().join("uninterrupted"), no_op()).unwrap();

    let dir = temp.path().join("error");
    let failing =
        on_batch_end(|run, _| if run.step() == 3 { Err("failed".into()) } else { Ok(Flow::Continue) });
    assert!(setup.fit(&dir, failing).is_err());
    assert_eq!(step_of_last(&dir), 3);
    setup.resume(&dir).unwrap().assert_eq(&expected, "after an error");

    // The trainer is still alive and holds the lock of the directory.
    let dir = temp.path().join("panic");
    let panicking = LambdaSchedule::new(Unit::Step, |step, _| {
        assert!(step < 5);
        1.0
    });
    let builder = setup.builder(RunDir::create(&dir).unwrap()).schedule(panicking);
    let mut trainer = builder.build().unwrap();
    let error = trainer.fit(&train_data(), Some(&valid_data())).unwrap_err().to_string();
    assert!(error.contains("assertion failed: step < 5"), "{error}");
    assert_eq!((step_of_last(&dir), trainer.run().step()), (4, 5));
}
