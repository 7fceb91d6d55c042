//! Failures at any point leave a trainer in a consistent state; concurrent trainers are independent.
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

/// A loader of single points that fails at a batch, counted over all passes from 1.
struct FailingLoader {
    fail_at: usize,
    panics: bool,
    n_batches: AtomicUsize,
}

impl FailingLoader {
    fn new(fail_at: usize, panics: bool) -> Self {
        Self { fail_at, panics, n_batches: AtomicUsize::new(0) }
    }
}

impl Loader<Points> for FailingLoader {
    fn n_samples(&self) -> usize {
        3
    }

    fn n_batches(&self) -> usize {
        3
    }

    fn batches(&self, _: usize, from: usize) -> Box<dyn Iterator<Item = faknow_data::Result<Points>> + '_> {
        Box::new((from..3).map(|i| {
            if self.n_batches.fetch_add(1, Ordering::SeqCst) + 1 < self.fail_at {
                return Ok(Points::new(&POINTS[i..=i]));
            }
            if self.panics {
                no_grad(|| panic!("the loader panicked"));
            }
            Err(faknow_data::Error::File { path: "points.csv".into(), message: "the loader failed".into() })
        }))
    }
}

/// Returns a loader that never fails.
fn loader() -> FailingLoader {
    FailingLoader::new(usize::MAX, false)
}

/// Checks the state after a failed fit: gradients are enabled, the weights are those of training and not their average,
/// and all of them are still trainable.
fn check_state(builder: TrainerBuilder<Toy>, train: &FailingLoader, valid: &FailingLoader, message: &str) {
    let last = Arc::new(Mutex::new(None));
    let log = Arc::clone(&last);
    let record = on_batch_end(move |run, _| {
        *log.lock().unwrap() = Some(weights(&run.vars));
        Ok(Flow::Continue)
    });
    let builder = builder.average(WeightAveraging::Ema { decay: 0.5 }).max_epochs(2).callback(record);
    let mut trainer = builder.build().unwrap();
    let error = trainer.fit(train, Some(valid)).unwrap_err().to_string();
    assert!(error.contains(message), "expected {message}, got {error}");
    assert!(toy::is_grad_enabled(), "{error}: gradients are disabled");
    assert_eq!(Some(weights(&trainer.run().vars)), *last.lock().unwrap(), "{error}: the weights differ");
    assert!(trainer.run().vars.variables().values().all(|t| t.requires_grad()), "{error}: frozen");
}

fn trainer_with_fault(fault: impl Fn(bool, usize) -> Fault + Send + 'static) -> TrainerBuilder<Toy> {
    let (mut model, vars) = Toy::new();
    model.fault = Box::new(move |mode, n| fault(mode.is_train(), n));
    toy::trainer_for((model, vars))
}

#[test]
fn failures_restore_gradient_mode_and_weights() {
    for fault in [Fault::Error, Fault::Panic, Fault::Nan] {
        let message = match fault {
            Fault::Error => "libtorch: ",
            Fault::Panic => "simulated panic",
            _ => "NaN",
        };
        for (in_training, batch) in [(true, 5), (false, 2), (false, 5)] {
            let location = if in_training { "training, epoch 2, batch 2" } else { "validation, epoch " };
            let builder = move || {
                trainer_with_fault(
                    move |train, n| if train == in_training && n == batch { fault } else { Fault::Nothing },
                )
            };
            check_state(builder(), &loader(), &loader(), location);
            check_state(builder(), &loader(), &loader(), message);
        }
    }
    for (panics, message) in [(true, "the loader panicked"), (false, "the loader failed")] {
        for fail_at in [2, 3, 4, 5] {
            check_state(toy::trainer(), &loader(), &FailingLoader::new(fail_at, panics), message);
            check_state(toy::trainer(), &FailingLoader::new(fail_at, panics), &loader(), message);
        }
    }
    let metric = metric_fn("odd", Direction::Maximize, |_| no_grad(|| -> f64 { panic!("an odd metric") }));
    let metrics = Metrics::empty().with(metric).unwrap();
    check_state(toy::trainer().metrics(metrics), &loader(), &loader(), "an odd metric");
    for hook in HOOKS_OF_FIT {
        for panics in [true, false] {
            let fail = AtHook(move |_: &mut Run, called: &'static str| match (called == hook, panics) {
                (false, _) => Ok(()),
                (true, true) => no_grad(|| panic!("intended")),
                (true, false) => Err("failed".into()),
            });
            let message = if panics { "AtHook: panicked: intended" } else { ": failed" };
            check_hook(toy::trainer().callback(fail), message);
        }
    }
}

/// Checks the state after a failed callback, like [`check_state`]; at the end of the fit, the weights are the average.
fn check_hook(builder: TrainerBuilder<Toy>, message: &str) {
    let dir = tempfile::tempdir().unwrap();
    let builder = builder.run_dir(RunDir::create(dir.path().join("run")).unwrap());
    let mut trainer = builder.average(WeightAveraging::Ema { decay: 0.5 }).max_epochs(1).build().unwrap();
    let error = trainer.fit(&loader(), Some(&loader())).unwrap_err();
    assert!(matches!(error, Error::Callback(_)) && error.to_string().contains(message), "{error:?}");
    assert!(toy::is_grad_enabled(), "{error}: gradients are disabled");
    assert!(trainer.run().vars.variables().values().all(|t| t.requires_grad()), "{error}: frozen");
}

#[test]
fn disabled_gradients_stay_disabled() {
    no_grad(|| {
        let mut trainer = toy::trainer().max_epochs(1).build().unwrap();
        trainer.fit(&loader(), Some(&loader())).unwrap();
        trainer.test(&loader()).unwrap();
        trainer.predict(&loader()).unwrap();
        assert!(!toy::is_grad_enabled());
        trainer.fit(&FailingLoader::new(1, true), None).unwrap_err();
        trainer.test(&FailingLoader::new(1, true)).unwrap_err();
        trainer.predict(&FailingLoader::new(1, true)).unwrap_err();
        assert!(!toy::is_grad_enabled());
    });
    assert!(toy::is_grad_enabled());
}

#[test]
fn failed_test_or_prediction_leaves_gradients_enabled() {
    let mut trainer = toy::trainer().build().unwrap();
    for panics in [true, false] {
        trainer.test(&FailingLoader::new(2, panics)).unwrap_err();
        assert!(toy::is_grad_enabled());
        trainer.predict(&FailingLoader::new(2, panics)).unwrap_err();
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
        let error = trainer.test(&loader()).unwrap_err().to_string();
        assert_eq!(error, format!("AtHook: panicked: in {hook} (in {hook})"));
        assert!(toy::is_grad_enabled(), "{hook}");
    }
}

/// A short run that calls every hook.
const SHORT: Setup = Setup {
    epochs: 2,
    validate_every: Some("2 steps"),
    accumulate: 1,
    every: "3 steps",
    poison: &[],
    ..ALL_FEATURES
};

/// Returns a callback that panics in the `nth` call of a hook.
fn panic_at(hook: &'static str, nth: usize) -> impl Callback + 'static {
    let mut n = 0;
    AtHook(move |_: &mut Run, called: &'static str| {
        n += usize::from(called == hook);
        assert!(called != hook || n != nth, "in {hook}");
        Ok(())
    })
}

#[test]
fn run_is_resumable_after_a_panic_in_any_hook() {
    tch::set_num_threads(1);
    let dir = tempfile::tempdir().unwrap();
    let expected = SHORT.fit(&dir.path().join("uninterrupted"), no_op()).unwrap();
    for hook in HOOKS_OF_FIT {
        for nth in [1, 2] {
            let is_called_once = ["on_fit_start", "on_fit_end"].contains(&hook);
            if is_called_once && nth > 1 {
                continue;
            }
            let label = format!("{hook} {nth}");
            let dir = dir.path().join(&label);
            let recorder = Recorder::new();
            let builder = SHORT.builder(RunDir::create(&dir).unwrap()).callback(recorder.clone());
            let mut trainer = builder.callback(panic_at(hook, nth)).build().unwrap();
            let error = trainer.fit(&train_data(), Some(&valid_data())).unwrap_err();
            assert!(matches!(error, Error::Callback(_)), "{label}: {error:?}");
            let message = format!("AtHook: panicked: in {hook} (in {hook}");
            assert!(error.to_string().starts_with(&message), "{error}");
            let last = recorder.events().pop().unwrap();
            if hook != "on_fit_end" {
                assert_eq!((last.hook, last.detail), ("on_fit_end", format!("error: {error}")), "{label}");
            }
            drop(trainer);
            SHORT
                .resume(&dir)
                .unwrap_or_else(|error| panic!("{label}: {error}"))
                .assert_eq(&expected, &label);
        }
    }
}

#[test]
fn panics_before_or_after_an_update_do_not_lose_it() {
    tch::set_num_threads(1);
    let dir = tempfile::tempdir().unwrap();
    // No checkpoint is due: only the error saves one.
    let setup = Setup { every: "1000 hours", keep: 0, validate_every: None, ..SHORT };
    for (hook, step) in [("on_batch_start", 2), ("on_batch_end", 3)] {
        let dir = dir.path().join(hook);
        setup.fit(&dir, panic_at(hook, 3)).unwrap_err();
        assert_eq!(CheckpointStore::new(&dir).verify("last").unwrap().step, step, "{hook}");
    }
}

#[test]
fn run_is_resumable_after_panics_during_resume_and_failure() {
    tch::set_num_threads(1);
    let dir = tempfile::tempdir().unwrap();
    let expected = SHORT.fit(&dir.path().join("uninterrupted"), no_op()).unwrap();
    let dir = dir.path().join("run");
    SHORT.fit(&dir, panic_at("on_batch_end", 5)).unwrap_err();
    let error = SHORT.resume_with(&dir, panic_at("on_fit_start", 1)).unwrap_err().to_string();
    assert!(error.starts_with("AtHook: panicked: in on_fit_start"), "{error}");
    // A second panic does not hide the first.
    let two_panics = AtHook(|run: &mut Run, hook: &'static str| {
        assert!(hook != "on_fit_end" && run.step() < 6, "in {hook}");
        Ok(())
    });
    let error = SHORT.resume_with(&dir, two_panics).unwrap_err().to_string();
    assert!(error.starts_with("AtHook: panicked: in on_batch_end"), "{error}");
    SHORT.resume(&dir).unwrap().assert_eq(&expected, "resumed after panics");
}

/// A callback with a state that panics in the nth call of `state`, or in `restore`.
struct Stateful {
    n_calls: AtomicUsize,
    panic_at: usize,
    panics_in_restore: bool,
}

impl Stateful {
    fn new(panic_at: usize, panics_in_restore: bool) -> Self {
        Self { n_calls: AtomicUsize::new(0), panic_at, panics_in_restore }
    }
}

impl Callback for Stateful {
    fn key(&self) -> Option<&str> {
        Some("stateful")
    }

    fn state(&self) -> faknow_callbacks::HookResult<State> {
        assert!(self.n_calls.fetch_add(1, Ordering::SeqCst) + 1 != self.panic_at, "in state");
        Ok(serde_json::json!(1).into())
    }

    fn restore(&mut self, state: &State) -> faknow_callbacks::HookResult {
        assert!(!self.panics_in_restore, "in restore");
        assert_eq!(state.values, 1);
        Ok(())
    }
}

#[test]
fn run_is_resumable_after_a_panic_in_callback_state() {
    tch::set_num_threads(1);
    let dir = tempfile::tempdir().unwrap();
    let expected = SHORT.fit(&dir.path().join("uninterrupted"), Stateful::new(0, false)).unwrap();
    for nth in [1, 2, 3] {
        let dir = dir.path().join(format!("state-{nth}"));
        let error = SHORT.fit(&dir, Stateful::new(nth, false)).unwrap_err().to_string();
        assert_eq!(error, "Stateful: panicked: in state (in state)");
        let error = SHORT.resume_with(&dir, Stateful::new(0, true)).unwrap_err().to_string();
        assert_eq!(error, "Stateful: panicked: in restore (in restore)");
        let outcome = SHORT.resume_with(&dir, Stateful::new(0, false)).unwrap();
        outcome.assert_eq(&expected, &format!("state {nth}"));
    }
}

#[test]
fn concurrent_trainers_match_sequential_ones() {
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
    let sequential = setups.each_ref().map(|setup| fit(setup, "sequential"));
    assert_ne!(sequential[0].weights, sequential[1].weights);
    let concurrent = std::thread::scope(|scope| {
        let fit = &fit;
        let threads = setups.each_ref().map(|setup| scope.spawn(move || fit(setup, "concurrent")));
        threads.map(|thread| thread.join().unwrap())
    });
    for (number, (got, expected)) in concurrent.iter().zip(&sequential).enumerate() {
        got.assert_eq(expected, &format!("trainer {number}"));
    }
    // A run after all the others is unchanged, too.
    fit(&setups[0], "again").assert_eq(&sequential[0], "again");
    assert!(Path::new(&dir.path().join("again-11")).exists());
}
