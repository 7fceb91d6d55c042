//! Runs with random settings, interrupted at random hooks: resumed, they have the same outcome as without interruption.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use faknow_callbacks::{Callback, Run, StopReason};
use faknow_data::Rng;
use faknow_trainer::{Interrupt, NonFinitePolicy, RunDir};

use crate::at_hook::AtHook;
use crate::interrupted_runs::{
    Averaging, RunOutcome, ScheduleKind, Setup, copy_at_hooks, train_data, valid_data,
};

/// The default number of cases; `FAKNOW_CASES=200` runs more. Case `n` is always the same.
const CASES: u64 = 4;

/// Returns a random element.
fn any<T: Copy>(rng: &mut Rng, values: &[T]) -> T {
    *rng.choose(values).unwrap()
}

fn any_setup(rng: &mut Rng) -> Setup {
    Setup {
        seed: rng.next_u64(),
        epochs: any(rng, &[1, 2, 4, 5]),
        max_steps: any(rng, &[None, None, Some(3), Some(7)]),
        accumulate: any(rng, &[1, 2, 3]),
        average: any(rng, &[Averaging::None, Averaging::Ema, Averaging::Swa]),
        schedule: any(
            rng,
            &[ScheduleKind::Constant, ScheduleKind::Plateau, ScheduleKind::WarmUp, ScheduleKind::EachEpoch],
        ),
        validate_every: any(
            rng,
            &[None, Some("1 step"), Some("2 steps"), Some("3 samples"), Some("0.5 epochs"), Some("2 epochs")],
        ),
        every: any(
            rng,
            &["1 step", "3 steps", "5 samples", "0.5 epochs", "1 epoch", "2 epochs", "1000 hours"],
        ),
        keep: any(rng, &[0, 1, 2]),
        best: any(rng, &[1, 2, 3]),
        patience: any(rng, &[1, 2, 10]),
        freeze: any(
            rng,
            &[
                &[][..],
                &[("bias", None)],
                &[("weight", Some("3 steps"))],
                &[("b*", Some("1.5 epochs"))],
                &[("*s", Some("9 samples")), ("bias", Some("2 epochs"))],
            ],
        ),
        on_non_finite: any(rng, &[NonFinitePolicy::Stop, NonFinitePolicy::Skip, NonFinitePolicy::RollBack]),
        poison: any(rng, &[&[][..], &[(1, 1)], &[(1, 4), (2, 1)], &[(2, 3), (3, 2)]]),
        background: false,
    }
}

/// Returns a random setup of a run that does not fail by itself.
fn random_setup(rng: &mut Rng) -> Setup {
    let setup = any_setup(rng);
    match (setup.on_non_finite, setup.validate_every) {
        (NonFinitePolicy::Stop, _) => Setup { poison: &[], ..setup },
        // Skipped updates do not count as steps, and logs cannot distinguish two records of one step. For the same reason
        // no setup skips all updates of an epoch.
        (NonFinitePolicy::Skip, Some("0.5 epochs")) => Setup { validate_every: Some("2 steps"), ..setup },
        _ => setup,
    }
}

/// Returns a callback that calls `action` at the hook number `index`, from 1, with the number of hooks so far.
fn at_hook(
    index: usize,
    mut action: impl FnMut(&str) + Send + 'static,
) -> (impl Callback + 'static, Arc<AtomicUsize>) {
    let n = Arc::<AtomicUsize>::default();
    let counter = Arc::clone(&n);
    let callback = AtHook(move |run: &mut Run, hook| {
        if counter.fetch_add(1, Ordering::SeqCst) + 1 == index {
            action(&format!("{hook} in epoch {}, batch {}, step {}", run.epoch(), run.batch(), run.step()));
        }
        Ok(())
    });
    (callback, n)
}

/// Checks the outcome of resuming each copy, and of a second interruption.
fn check_copies(
    setup: &Setup,
    uninterrupted: &RunOutcome,
    copies: Vec<(std::path::PathBuf, String)>,
    seed: u64,
) {
    for (number, (copy, what)) in copies.into_iter().enumerate() {
        let again = copy.with_added_extension("again");
        let (copier, copies) = copy_at_hooks(&again, 0.05, seed + number as u64);
        let outcome = setup.resume_with(&copy, copier).unwrap_or_else(|error| panic!("{what}: {error}"));
        outcome.assert_eq(uninterrupted, &format!("killed at {what}"));
        let copies = std::mem::take(&mut *copies.lock().unwrap());
        for (copy, then) in copies.into_iter().take(1) {
            let what = format!("killed at {what}, then at {then}");
            let outcome = setup.resume(&copy).unwrap_or_else(|error| panic!("{what}: {error}"));
            outcome.assert_eq(uninterrupted, &what);
        }
    }
}

fn check_panic(setup: &Setup, uninterrupted: &RunOutcome, dir: &Path, hook: usize) {
    let (callback, _) = at_hook(hook, |what| panic!("{what}"));
    let error = match setup.fit(dir, callback) {
        Err(error) => error.to_string(),
        // Another callback had stopped the run at the same hook, and takes precedence.
        Ok(outcome) => return outcome.assert_eq(uninterrupted, "a panic after the end"),
    };
    assert!(error.starts_with("AtHook: panicked: "), "{error}");
    let outcome = setup.resume(dir).unwrap_or_else(|second| panic!("{error}: {second}"));
    outcome.assert_eq(uninterrupted, &error);
}

fn check_interrupt(setup: &Setup, uninterrupted: &RunOutcome, dir: &Path, hook: usize) {
    let interrupt = Interrupt::default();
    let request = interrupt.clone();
    let (callback, _) = at_hook(hook, move |_| request.request());
    let builder = setup.builder(RunDir::create(dir).unwrap()).callback(callback).interrupt(interrupt);
    let mut trainer = builder.build().unwrap();
    let report = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
    let what =
        format!("interrupted at hook {hook}, epoch {}, step {}", trainer.run().epoch(), trainer.run().step());
    let is_interrupted = report.stop_reason == StopReason::Interrupted;
    drop(trainer);
    let outcome = setup.resume(dir).unwrap_or_else(|error| panic!("{what}: {error}"));
    outcome.assert_eq(uninterrupted, &format!("{what}, before the end: {is_interrupted}"));
}

#[test]
fn interrupted_runs_resume_to_same_outcome() {
    check(false);
}

#[test]
fn interrupted_runs_with_background_checkpoints_resume_to_same_outcome() {
    check(true);
}

#[expect(clippy::print_stdout, reason = "shown only if the test fails")]
fn check(background: bool) {
    tch::set_num_threads(1);
    let cases = std::env::var("FAKNOW_CASES").map_or(CASES, |cases| cases.parse().unwrap());
    for case in 0..cases {
        let mut rng = Rng::from_parts(&[2018, case]);
        let setup = Setup { background, ..random_setup(&mut rng) };
        let setup = match setup.on_non_finite {
            // Not the last update of an epoch: a checkpoint within the epoch and the record of the epoch would have the same
            // step, and a kill between the record and its checkpoint is more likely with background checkpoints.
            NonFinitePolicy::Skip if background => Setup { poison: &[(1, 1), (2, 1)], ..setup },
            _ => setup,
        };
        println!("case {case}: {setup:?}");
        let dir = tempfile::tempdir().unwrap();
        let (copier, copies) = copy_at_hooks(&dir.path().join("killed"), 0.08, rng.next_u64());
        let (counting, n_hooks) = at_hook(0, |_| {});
        let builder = setup.builder(RunDir::create(dir.path().join("run")).unwrap());
        let mut trainer = builder.callback(copier).callback(counting).build().unwrap();
        let report = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
        let uninterrupted = RunOutcome::new(report, &trainer, &dir.path().join("run"));
        let copies = std::mem::take(&mut *copies.lock().unwrap());
        check_copies(&setup, &uninterrupted, copies.into_iter().take(3).collect(), rng.next_u64());
        let n_hooks = n_hooks.load(Ordering::SeqCst);
        let mut any_hook = || 1 + rng.below(n_hooks);
        // A failed or interrupted run saves an additional checkpoint, to which it may be rolled back.
        if setup.on_non_finite == NonFinitePolicy::RollBack && setup.every != "1 step" {
            continue;
        }
        check_panic(&setup, &uninterrupted, &dir.path().join("panic"), any_hook());
        check_interrupt(&setup, &uninterrupted, &dir.path().join("interrupt"), any_hook());
    }
}
