//! Whatever goes wrong wherever, a trainer leaves everything as it should be; many trainers leave each other alone.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use faknow_callbacks::{Callback, Flow, Recorder, Run, State, on_batch_end};
use faknow_data::Loader;
use faknow_metrics::{Direction, Metrics, metric_fn};
use faknow_trainer::checkpoint::CheckpointStore;
use faknow_trainer::{Error, NonFinitePolicy, RunDir, TrainerBuilder, WeightAveraging};
use tch::no_grad;

use crate::at_hook::{AtHook, HOOKS_OF_FIT};
use crate::interrupted_runs::{
    ALL_FEATURES, Averaging, RunOutcome, ScheduleKind, Setup, no_op, train_data, valid_data,
};
use crate::toy::{self, Fault, POINTS, Points, Toy, weights};

/// Gives a few points one by one, and fails at the `at`-th batch of all passes, from 1.
struct Failing {
    at: usize,
    panics: bool,
    given: AtomicUsize,
}

impl Failing {
    fn new(at: usize, panics: bool) -> Self {
        Self { at, panics, given: AtomicUsize::new(0) }
    }
}

impl Loader<Points> for Failing {
    fn n_samples(&self) -> usize {
        3
    }

    fn n_batches(&self) -> usize {
        3
    }

    fn batches(&self, _: usize, from: usize) -> Box<dyn Iterator<Item = faknow_data::Result<Points>> + '_> {
        Box::new((from..3).map(|i| {
            if self.given.fetch_add(1, Ordering::SeqCst) + 1 < self.at {
                return Ok(Points::new(&POINTS[i..=i]));
            }
            if self.panics {
                no_grad(|| panic!("the loader was asked to panic"));
            }
            Err(faknow_data::Error::File { path: "points.csv".into(), message: "the loader failed".into() })
        }))
    }
}

/// Never fails.
fn good() -> Failing {
    Failing::new(usize::MAX, false)
}

/// A fit fails. Gradients are recorded as before, the weights are those of training and not their average, and all of
/// them can still be trained.
fn check_state(builder: TrainerBuilder<Toy>, train: &Failing, valid: &Failing, says: &str) {
    let last = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&last);
    let note = on_batch_end(move |run, _| {
        *noted.lock().unwrap() = Some(weights(&run.vars));
        Ok(Flow::Continue)
    });
    let builder = builder.average(WeightAveraging::Ema { decay: 0.5 }).max_epochs(2).callback(note);
    let mut trainer = builder.build().unwrap();
    let error = trainer.fit(train, Some(valid)).unwrap_err().to_string();
    assert!(error.contains(says), "expected {says}, got {error}");
    assert!(toy::is_grad_enabled(), "{error}: gradients are off");
    assert_eq!(Some(weights(&trainer.run().vars)), *last.lock().unwrap(), "{error}: other weights");
    assert!(trainer.run().vars.variables().values().all(|t| t.requires_grad()), "{error}: frozen");
}

fn model(faulty: impl Fn(bool, usize) -> Fault + Send + 'static) -> TrainerBuilder<Toy> {
    let (mut model, vars) = Toy::new();
    model.fault = Box::new(move |mode, n| faulty(mode.is_train(), n));
    toy::trainer_for((model, vars))
}

#[test]
fn gradients_and_weights_are_as_before_whatever_fails() {
    for fault in [Fault::Error, Fault::Panic, Fault::Nan] {
        let says = match fault {
            Fault::Error => "libtorch: ",
            Fault::Panic => "simulated panic",
            _ => "NaN",
        };
        for (in_training, at) in [(true, 5), (false, 2), (false, 5)] {
            let location = if in_training { "training, epoch 2, batch 2" } else { "validation, epoch " };
            let builder = move || {
                model(move |train, n| if train == in_training && n == at { fault } else { Fault::Nothing })
            };
            check_state(builder(), &good(), &good(), location);
            check_state(builder(), &good(), &good(), says);
        }
    }
    for (panics, says) in [(true, "the loader was asked to panic"), (false, "the loader failed")] {
        for at in [2, 3, 4, 5] {
            check_state(toy::trainer(), &good(), &Failing::new(at, panics), says);
            check_state(toy::trainer(), &Failing::new(at, panics), &good(), says);
        }
    }
    let metric = metric_fn("odd", Direction::Maximize, |_| no_grad(|| -> f64 { panic!("an odd metric") }));
    let metrics = Metrics::empty().with(metric).unwrap();
    check_state(toy::trainer().metrics(metrics), &good(), &good(), "an odd metric");
    for hook in HOOKS_OF_FIT {
        for panics in [true, false] {
            let fail = AtHook(move |_: &mut Run, called: &'static str| match (called == hook, panics) {
                (false, _) => Ok(()),
                (true, true) => no_grad(|| panic!("asked to panic")),
                (true, false) => Err("failed".into()),
            });
            let says = if panics { "AtHook: panicked: asked to panic" } else { ": failed" };
            check_hook(toy::trainer().callback(fail), says);
        }
    }
}

/// As [`check_state`], of a callback that fails; at the end of the fit the weights are the average already.
fn check_hook(builder: TrainerBuilder<Toy>, says: &str) {
    let dir = tempfile::tempdir().unwrap();
    let builder = builder.run_dir(RunDir::create(dir.path().join("run")).unwrap());
    let mut trainer = builder.average(WeightAveraging::Ema { decay: 0.5 }).max_epochs(1).build().unwrap();
    let error = trainer.fit(&good(), Some(&good())).unwrap_err();
    assert!(matches!(error, Error::Callback(_)) && error.to_string().contains(says), "{error:?}");
    assert!(toy::is_grad_enabled(), "{error}: gradients are off");
    assert!(trainer.run().vars.variables().values().all(|t| t.requires_grad()), "{error}: frozen");
}

#[test]
fn gradients_stay_off_where_they_were_off() {
    no_grad(|| {
        let mut trainer = toy::trainer().max_epochs(1).build().unwrap();
        trainer.fit(&good(), Some(&good())).unwrap();
        trainer.test(&good()).unwrap();
        trainer.predict(&good()).unwrap();
        assert!(!toy::is_grad_enabled());
        trainer.fit(&Failing::new(1, true), None).unwrap_err();
        trainer.test(&Failing::new(1, true)).unwrap_err();
        trainer.predict(&Failing::new(1, true)).unwrap_err();
        assert!(!toy::is_grad_enabled());
    });
    assert!(toy::is_grad_enabled());
}

#[test]
fn a_test_or_prediction_that_fails_leaves_gradients_on() {
    let mut trainer = toy::trainer().build().unwrap();
    for panics in [true, false] {
        trainer.test(&Failing::new(2, panics)).unwrap_err();
        assert!(toy::is_grad_enabled());
        trainer.predict(&Failing::new(2, panics)).unwrap_err();
        assert!(toy::is_grad_enabled());
    }
    for hook in ["on_evaluation_start", "on_evaluation_batch_end", "on_evaluation_end"] {
        let panic = AtHook(move |_: &mut Run, called: &'static str| {
            if called == hook {
                no_grad(|| panic!("in {hook}"));
            }
            Ok(())
        });
        let mut trainer = toy::trainer().callback(panic).build().unwrap();
        let error = trainer.test(&good()).unwrap_err().to_string();
        assert_eq!(error, format!("AtHook: panicked: in {hook} (in {hook})"));
        assert!(toy::is_grad_enabled(), "{hook}");
    }
}

/// Short, with every hook in it.
const SHORT: Setup = Setup {
    epochs: 2,
    validate_every: Some("2 steps"),
    accumulate: 1,
    every: "3 steps",
    poison: &[],
    ..ALL_FEATURES
};

/// Panics when the hook is called for the `at`-th time.
fn panic_at(hook: &'static str, at: usize) -> impl Callback + 'static {
    let mut n = 0;
    AtHook(move |_: &mut Run, called: &'static str| {
        n += usize::from(called == hook);
        assert!(called != hook || n != at, "in {hook}");
        Ok(())
    })
}

#[test]
fn a_panic_in_any_hook_leaves_a_run_that_can_be_resumed() {
    tch::set_num_threads(1);
    let dir = tempfile::tempdir().unwrap();
    let unbroken = SHORT.fit(&dir.path().join("whole"), no_op()).unwrap();
    for hook in HOOKS_OF_FIT {
        for at in [1, 2] {
            let once = ["on_fit_start", "on_fit_end"].contains(&hook);
            if once && at > 1 {
                continue;
            }
            let what = format!("{hook} {at}");
            let dir = dir.path().join(&what);
            let recorder = Recorder::new();
            let builder = SHORT.builder(RunDir::create(&dir).unwrap()).callback(recorder.clone());
            let mut trainer = builder.callback(panic_at(hook, at)).build().unwrap();
            let error = trainer.fit(&train_data(), Some(&valid_data())).unwrap_err();
            assert!(matches!(error, Error::Callback(_)), "{what}: {error:?}");
            let message = format!("AtHook: panicked: in {hook} (in {hook}");
            assert!(error.to_string().starts_with(&message), "{error}");
            let last = recorder.events().pop().unwrap();
            if hook != "on_fit_end" {
                assert_eq!((last.hook, last.detail), ("on_fit_end", format!("error: {error}")), "{what}");
            }
            drop(trainer);
            SHORT.resume(&dir).unwrap_or_else(|error| panic!("{what}: {error}")).assert_eq(&unbroken, &what);
        }
    }
}

#[test]
fn no_update_is_lost_by_a_panic_before_or_after_it() {
    tch::set_num_threads(1);
    let dir = tempfile::tempdir().unwrap();
    // Never saved by itself: only the error does.
    let setup = Setup { every: "1000 hours", keep: 0, validate_every: None, ..SHORT };
    for (hook, step) in [("on_batch_start", 2), ("on_batch_end", 3)] {
        let dir = dir.path().join(hook);
        setup.fit(&dir, panic_at(hook, 3)).unwrap_err();
        assert_eq!(CheckpointStore::new(&dir).verify("last").unwrap().step, step, "{hook}");
    }
}

#[test]
fn a_panic_while_it_resumes_or_fails_changes_nothing() {
    tch::set_num_threads(1);
    let dir = tempfile::tempdir().unwrap();
    let unbroken = SHORT.fit(&dir.path().join("whole"), no_op()).unwrap();
    let dir = dir.path().join("run");
    SHORT.fit(&dir, panic_at("on_batch_end", 5)).unwrap_err();
    let error = SHORT.resume_with(&dir, panic_at("on_fit_start", 1)).unwrap_err().to_string();
    assert!(error.starts_with("AtHook: panicked: in on_fit_start"), "{error}");
    // A second panic does not hide the first.
    let both = AtHook(|run: &mut Run, hook: &'static str| {
        assert!(hook != "on_fit_end" && run.step() < 6, "in {hook}");
        Ok(())
    });
    let error = SHORT.resume_with(&dir, both).unwrap_err().to_string();
    assert!(error.starts_with("AtHook: panicked: in on_batch_end"), "{error}");
    SHORT.resume(&dir).unwrap().assert_eq(&unbroken, "in the end");
}

/// A callback with a state, which panics when it is asked for it for the `at`-th time, or given it back.
struct Stateful {
    asked: AtomicUsize,
    at: usize,
    panics_in_restore: bool,
}

impl Stateful {
    fn new(at: usize, panics_in_restore: bool) -> Self {
        Self { asked: AtomicUsize::new(0), at, panics_in_restore }
    }
}

impl Callback for Stateful {
    fn key(&self) -> Option<&str> {
        Some("stateful")
    }

    fn state(&self) -> faknow_callbacks::HookResult<State> {
        assert!(self.asked.fetch_add(1, Ordering::SeqCst) + 1 != self.at, "in state");
        Ok(serde_json::json!(1).into())
    }

    fn restore(&mut self, state: &State) -> faknow_callbacks::HookResult {
        assert!(!self.panics_in_restore, "in restore");
        assert_eq!(state.values, 1);
        Ok(())
    }
}

#[test]
fn a_panic_over_its_state_ends_the_run_and_it_can_be_resumed() {
    tch::set_num_threads(1);
    let dir = tempfile::tempdir().unwrap();
    let unbroken = SHORT.fit(&dir.path().join("whole"), Stateful::new(0, false)).unwrap();
    for at in [1, 2, 3] {
        let dir = dir.path().join(format!("state-{at}"));
        let error = SHORT.fit(&dir, Stateful::new(at, false)).unwrap_err().to_string();
        assert_eq!(error, "Stateful: panicked: in state (in state)");
        let error = SHORT.resume_with(&dir, Stateful::new(0, true)).unwrap_err().to_string();
        assert_eq!(error, "Stateful: panicked: in restore (in restore)");
        let end = SHORT.resume_with(&dir, Stateful::new(0, false)).unwrap();
        end.assert_eq(&unbroken, &format!("state {at}"));
    }
}

#[test]
fn many_trainers_in_one_process_compute_what_each_computes_alone() {
    tch::set_num_threads(1);
    let setups = [
        ALL_FEATURES,
        Setup { seed: 12, average: Averaging::Swa, validate_every: Some("2 steps"), ..ALL_FEATURES },
        Setup {
            seed: 13,
            average: Averaging::None,
            schedule: ScheduleKind::WarmUp,
            accumulate: 1,
            freeze: &[],
            ..ALL_FEATURES
        },
        Setup {
            seed: 14,
            on_non_finite: NonFinitePolicy::RollBack,
            schedule: ScheduleKind::Constant,
            ..ALL_FEATURES
        },
    ];
    let dir = tempfile::tempdir().unwrap();
    let fit = |setup: &Setup, name: &str| -> RunOutcome {
        setup.fit(&dir.path().join(format!("{name}-{}", setup.seed)), no_op()).unwrap()
    };
    let alone = setups.each_ref().map(|setup| fit(setup, "alone"));
    assert_ne!(alone[0].weights, alone[1].weights);
    let together = std::thread::scope(|scope| {
        let fit = &fit;
        let threads = setups.each_ref().map(|setup| scope.spawn(move || fit(setup, "together")));
        threads.map(|thread| thread.join().unwrap())
    });
    for (number, (together, alone)) in together.iter().zip(&alone).enumerate() {
        together.assert_eq(alone, &format!("trainer {number}"));
    }
    // And one after the other, each after all the others.
    fit(&setups[0], "again").assert_eq(&alone[0], "again");
    assert!(Path::new(&dir.path().join("again-11")).exists());
}
