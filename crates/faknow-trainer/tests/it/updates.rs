//! What decides an update of the weights: learning rates from schedules and callbacks, clipping.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use faknow_callbacks::{Callback, Flow, JsonlLog, Run, on_batch_end, on_epoch_end};
use faknow_trainer::schedule::{ExponentialLr, LambdaSchedule, ScheduleConfig, ScheduleUnit, Unit};
use faknow_trainer::{Clip, Error, Optimizer, OptimizerConfig, Result, Trainer, TrainerBuilder};
use tch::Kind;

use crate::by_hand::{Linear, START, assert_weights};
use crate::toy::{self, Memory, POINTS, Toy, train_data, valid_data};

/// Plain gradient descent by hand, over all points at once, with these rates.
fn descend(rates: &[f64]) -> Linear {
    rates.iter().fold(START, |at, rate| at.plus(-rate, &at.gradient(&POINTS)))
}

/// The weights after a fit of one batch an epoch are those of a descent with these rates.
fn check(builder: TrainerBuilder<Toy>, rates: &[f64], what: &str) {
    let mut trainer = builder.max_epochs(rates.len()).restore_best(false).build().unwrap();
    let data = Memory::new(&POINTS, &[7]);
    let report = trainer.fit(&data, Some(&data)).unwrap();
    let recorded: Vec<f64> = report.history.epochs.iter().map(|record| record.learning_rates[0]).collect();
    assert_eq!(recorded, rates, "{what}");
    assert_weights(&trainer.into_parts().1, &descend(rates), what);
}

/// Sets the rate at the beginning of each epoch.
struct AtEpochStart(&'static [f64]);

impl Callback for AtEpochStart {
    fn on_epoch_start(&mut self, run: &mut Run) -> faknow_callbacks::HookResult {
        run.learning_rates[0] = self.0[run.epoch() - 1];
        Ok(())
    }
}

#[test]
fn the_optimizer_follows_rates_that_callbacks_set() {
    check(
        toy::trainer().callback(AtEpochStart(&[0.5, 0.25, 2.0])),
        &[0.5, 0.25, 2.0],
        "at the start of an epoch",
    );
    let halved = |run: &mut Run| {
        run.learning_rates[0] /= 2.0;
        Ok(Flow::Continue)
    };
    check(
        toy::trainer().callback(on_epoch_end(move |run, _| halved(run))),
        &[0.1, 0.05, 0.025],
        "after an epoch",
    );
    check(
        toy::trainer().callback(on_batch_end(move |run, _| halved(run))),
        &[0.1, 0.05, 0.025],
        "after a batch",
    );
}

#[test]
fn the_optimizer_follows_its_schedule() {
    let exponential = |interval| {
        ScheduleConfig::Exponential(ExponentialLr { interval: Some(interval), ..ExponentialLr::new(0.5) })
    };
    check(toy::trainer().schedule(exponential(ScheduleUnit::Step)), &[0.1, 0.05, 0.025], "per step");
    check(toy::trainer().schedule(exponential(ScheduleUnit::Epoch)), &[0.1, 0.05, 0.025], "per epoch");
    let own = LambdaSchedule::new(Unit::Epoch, |t, _| if t == 1 { 3.0 } else { 1.0 });
    check(toy::trainer().schedule(own), &[0.1, 0.1 * 3.0, 0.1], "of one's own");
    // The schedule is the judge: what a callback sets lasts until its next step.
    let meddling = on_epoch_end(|run, record| {
        if record.epoch == 1 {
            run.learning_rates[0] = 1.0;
        }
        Ok(Flow::Continue)
    });
    check(
        toy::trainer().schedule(exponential(ScheduleUnit::Epoch)).callback(meddling),
        &[0.1, 1.0, 0.025],
        "both",
    );
}

#[test]
fn batches_and_epochs_are_logged_with_the_rates_of_their_updates() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("steps.jsonl");
    let schedule = ExponentialLr { interval: Some(ScheduleUnit::Step), ..ExponentialLr::new(0.5) };
    let builder = toy::trainer().schedule(ScheduleConfig::Exponential(schedule)).max_epochs(2);
    let mut trainer = builder.callback(JsonlLog::with_path(&path).log_every(1)).build().unwrap();
    let report = trainer.fit(&train_data(), None).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let steps: Vec<f64> = lines.filter_map(|line| line["lr"][0].as_f64()).collect();
    assert_eq!(steps, [0.1, 0.05, 0.025, 0.0125, 0.00625, 0.003125]);
    let epochs: Vec<f64> = report.history.epochs.iter().map(|record| record.learning_rates[0]).collect();
    assert_eq!(epochs, [0.1, 0.0125]);
}

#[test]
fn rates_that_no_optimizer_can_use_are_refused_before_the_update() {
    let check = |rates: &'static [f64], expected: &str| {
        let set = on_epoch_end(move |run, _| {
            run.learning_rates = rates.to_vec();
            Ok(Flow::Continue)
        });
        let mut trainer = toy::trainer().callback(set).build().unwrap();
        let data = Memory::new(&POINTS, &[7]);
        let error = trainer.fit(&data, None).unwrap_err();
        assert!(matches!(error, Error::Setting { .. }), "{error:?}");
        assert_eq!(error.to_string(), format!("learning_rates of the run: expected {expected}"));
        assert_weights(&trainer.into_parts().1, &descend(&[0.1]), expected);
    };
    check(&[f64::NAN], "numbers of at least 0, got NaN");
    check(&[-0.5], "numbers of at least 0, got -0.5");
    check(&[], "1, one per parameter group, got 0");
    check(&[0.1, 0.1], "1, one per parameter group, got 2");
}

/// One epoch of three batches by hand, with gradients changed by `clip`; also the mean of the norms before that.
fn one_epoch(clip: impl Fn(&Linear) -> Linear) -> (Linear, f64) {
    let mut at = START;
    let mut norms = 0.0;
    for batch in [&POINTS[..4], &POINTS[4..6], &POINTS[6..]] {
        let gradient = at.gradient(batch);
        norms += gradient.norm();
        at = at.plus(-0.1, &clip(&gradient));
    }
    (at, norms / 3.0)
}

#[test]
fn clipping_changes_the_gradients() {
    // In one of the three batches the norm is smaller than that: clipping then changes nothing.
    let max = 0.5;
    let (_, _) = one_epoch(|g| *g);
    let norms = [&POINTS[..4], &POINTS[4..6], &POINTS[6..]].map(|batch| START.gradient(batch).norm());
    assert!(norms.iter().any(|n| *n > max) && norms.iter().any(|n| *n < max), "{norms:?}");
    let by_norm = |g: &Linear| {
        let factor = max / (g.norm() + 1e-6);
        if factor < 1.0 { g.map(|v| v * factor) } else { *g }
    };
    let by_value = |g: &Linear| g.map(|v| v.clamp(-0.2, 0.2));
    for (clip, (expected, norm)) in [
        (Clip::None, one_epoch(|g| *g)),
        (Clip::Norm(max), one_epoch(by_norm)),
        (Clip::Value(0.2), one_epoch(by_value)),
    ] {
        let mut trainer = toy::trainer().clip(clip).max_epochs(1).build().unwrap();
        let report = trainer.fit(&train_data(), None).unwrap();
        let measured = report.history.last().unwrap().grad_norm.unwrap();
        assert!((measured - norm).abs() < 1e-12, "{clip:?}: the norm is measured before clipping");
        assert_weights(&trainer.into_parts().1, &expected, &format!("{clip:?}"));
    }
    assert_ne!(one_epoch(by_norm), one_epoch(|g| *g));
    assert_ne!(one_epoch(by_value), one_epoch(|g| *g));
}

#[test]
fn settings_outside_their_range_are_refused_when_the_trainer_is_built() {
    let says = |built: Result<Trainer<Toy>>, expected: &str| {
        let error = built.map(drop).unwrap_err();
        assert!(matches!(error, Error::Setting { .. }), "{error:?}");
        assert_eq!(error.to_string(), expected);
    };
    let rate = |lr| toy::trainer().optimizer(OptimizerConfig::sgd(lr)).build();
    says(rate(f64::NAN), "optimizer.lr: expected a number of at least 0, got NaN");
    says(rate(-0.1), "optimizer.lr: expected a number of at least 0, got -0.1");
    says(toy::trainer().max_epochs(0).build(), "max_epochs: expected at least 1, got 0");
    says(toy::trainer().clip(Clip::Norm(0.0)).build(), "clip_norm: expected a number above 0, got 0");
    says(
        toy::trainer().clip(Clip::Value(f64::NAN)).build(),
        "clip_value: expected a number above 0, got NaN",
    );
}

#[test]
fn a_schedule_that_does_not_fit_the_run_is_refused_before_training() {
    let plateau: ScheduleConfig = toml::from_str("name = 'plateau'").unwrap();
    let mut trainer = toy::trainer().schedule(plateau).build().unwrap();
    let error = trainer.fit(&train_data(), None).unwrap_err();
    assert!(matches!(error, Error::Schedule(_)), "{error:?}");
    assert!(error.to_string().contains("a run without validation"), "{error}");
    trainer.fit(&train_data(), Some(&valid_data())).unwrap();
}

#[test]
fn an_own_loop_can_drive_the_optimizer() {
    let (_, vars) = Toy::new();
    let mut optimizer = Optimizer::new(OptimizerConfig::sgd(0.5), &vars, Clip::None).unwrap();
    assert_eq!(optimizer.parameters().map(|(name, _)| name).collect::<Vec<_>>(), ["bias", "weight"]);
    let loss = || vars.variables().into_values().map(|t| t.square().sum(Kind::Double)).sum::<tch::Tensor>();
    for rate in [0.5, 0.25] {
        optimizer.set_learning_rates(&[rate]);
        optimizer.backward_step(&loss()).unwrap();
    }
    // The gradient of a square is twice the value: the first step ends at 0.
    assert_weights(&vars, &START.map(|_| 0.0), "squares");
    assert_eq!(optimizer.base_learning_rates(), [0.5]);
    assert_eq!(optimizer.learning_rates(), [0.25]);
    assert_eq!(optimizer.grad_norm().unwrap().double_value(&[]), 0.0);
}
