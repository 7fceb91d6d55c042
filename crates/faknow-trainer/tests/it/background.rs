//! Checkpoints that are written while training continues: the same ones, and all of them on the disk when a fit ends.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::panic::{AssertUnwindSafe, catch_unwind};
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

/// Notes each checkpoint that it is notified of, with the step that its directory holds just then.
#[derive(Clone)]
struct Notes {
    thread: ThreadId,
    saved: Arc<Mutex<Vec<(String, u64)>>>,
}

impl Notes {
    fn new() -> Self {
        Self { thread: thread::current().id(), saved: Arc::default() }
    }

    fn note(&self, name: &str, run: &Run) {
        assert_eq!(thread::current().id(), self.thread);
        let info = CheckpointStore::new(run.dir().unwrap()).verify(name);
        self.saved.lock().unwrap().push((name.to_owned(), info.map_or(0, |info| info.step)));
    }
}

impl Callback for Notes {
    fn on_checkpoint(&mut self, run: &mut Run, saved: &SavedCheckpoint) -> HookResult {
        self.note(&saved.name, run);
        Ok(())
    }

    fn on_fit_end(&mut self, run: &mut Run, _: FitEnd<'_>) -> HookResult {
        self.note("last", run);
        Ok(())
    }
}

/// Policies of all kinds, among them one of a run that is rolled back.
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
fn all_that_is_retained_is_the_same() {
    tch::set_num_threads(1);
    for setup in SETUPS {
        let temp = tempfile::tempdir().unwrap();
        let run = |background: bool| {
            let notes = Notes::new();
            let end =
                Setup { background, ..setup }.fit(&temp.path().join(background.to_string()), notes.clone());
            (end.unwrap(), std::mem::take(&mut *notes.saved.lock().unwrap()))
        };
        let (end, saved) = run(true);
        let (expected, all_saved) = run(false);
        end.assert_eq(&expected, &format!("{setup:?}"));
        // Each was on the disk when callbacks were notified of it, in order; some may have been left out.
        let mut rest = all_saved.iter();
        assert!(saved.iter().all(|one| rest.any(|other| other == one)), "{saved:?} of {all_saved:?}");
        assert_eq!(saved.last(), all_saved.last(), "{setup:?}");
    }
}

#[test]
fn a_run_that_is_killed_while_one_is_written_ends_as_if_it_had_not_been() {
    tch::set_num_threads(1);
    let temp = tempfile::tempdir().unwrap();
    let setup = Setup { background: true, ..ALL_FEATURES };
    let (copying, copies) = copy_at_hooks(temp.path(), 0.4, 3);
    let unbroken = setup.fit(&temp.path().join("run"), copying).unwrap();
    let copies = std::mem::take(&mut *copies.lock().unwrap());
    assert!(copies.len() > 10, "{}", copies.len());
    for (number, (copy, what)) in copies.into_iter().enumerate() {
        // The setting may change when a run is resumed.
        let setup = Setup { background: number % 3 > 0, ..setup };
        setup.resume(&copy).unwrap_or_else(|error| panic!("{what}: {error}")).assert_eq(&unbroken, &what);
    }
}

fn step_of_last(dir: &Path) -> u64 {
    CheckpointStore::new(dir).verify("last").unwrap().step
}

#[test]
fn what_was_being_written_is_on_the_disk_after_an_error_and_after_a_panic() {
    tch::set_num_threads(1);
    let temp = tempfile::tempdir().unwrap();
    let setup = Setup { background: true, poison: &[], ..ALL_FEATURES };
    let unbroken = setup.fit(&temp.path().join("whole"), no_op()).unwrap();

    let dir = temp.path().join("error");
    let failing = on_batch_end(|run, _| if run.step() == 3 { Err("no".into()) } else { Ok(Flow::Continue) });
    assert!(setup.fit(&dir, failing).is_err());
    assert_eq!(step_of_last(&dir), 3);
    setup.resume(&dir).unwrap().assert_eq(&unbroken, "after an error");

    // The trainer lives on, and so does its hold of the directory.
    let dir = temp.path().join("panic");
    let panicking = LambdaSchedule::new(Unit::Step, |step, _| {
        assert!(step < 5);
        1.0
    });
    let builder = setup.builder(RunDir::create(&dir).unwrap()).schedule(panicking);
    let mut trainer = builder.build().unwrap();
    let panic = catch_unwind(AssertUnwindSafe(|| trainer.fit(&train_data(), Some(&valid_data()))));
    assert!(panic.is_err());
    assert_eq!((step_of_last(&dir), trainer.run().step()), (4, 5));
}
