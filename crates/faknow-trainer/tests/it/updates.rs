//! Weight updates: learning rates from schedules and callbacks, clipping.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use faknow_callbacks::{Callback, Flow, JsonlLog, Run, on_batch_end, on_epoch_end};
use faknow_trainer::schedule::{ExponentialLr, LambdaSchedule, ScheduleConfig, ScheduleUnit, Unit};
use faknow_trainer::{Clip, Error, Optimizer, OptimizerConfig, Result, Trainer, TrainerBuilder};
use tch::Kind;

use crate::by_hand::{Linear, START, assert_weights};
use crate::toy::{self, Memory, POINTS, Toy, train_data, valid_data};

/// Computes full-batch gradient descent with these learning rates.
fn descend(learning_rates: &[f64]) -> Linear {
    learning_rates.iter().fold(START, |weights, rate| weights.plus(-rate, &weights.gradient(&POINTS)))
}

/// Checks that a fit with one batch per epoch has these learning rates, and the weights of gradient descent with them.
fn check(builder: TrainerBuilder<Toy>, learning_rates: &[f64], what: &str) {
    let mut trainer = builder.max_epochs(learning_rates.len()).restore_best(false).build().unwrap();
    let data = Memory::new(&POINTS, &[7]);
    let report = trainer.fit(&data, Some(&data)).unwrap();
    let recorded: Vec<f64> = report.history.epochs.iter().map(|record| record.learning_rates[0]).collect();
    assert_eq!(recorded, learning_rates, "{what}");
    assert_weights(&trainer.into_parts().1, &descend(learning_rates), what);
}

/// A callback that sets the learning rate at the start of each epoch.
struct SetAtEpochStart(&'static [f64]);

impl Callback for SetAtEpochStart {
    fn on_epoch_start(&mut self, run: &mut Run) -> faknow_callbacks::HookResult {
        run.learning_rates[0] = self.0[run.epoch() - 1];
        Ok(())
    }
}

#[test]
fn callbacks_set_the_learning_rate() {
    check(
        toy::trainer().callback(SetAtEpochStart(&[0.5, 0.25, 2.0])),
        &[0.5, 0.25, 2.0],
        "at the start of an epoch",
    );
    let halve = |run: &mut Run| {
        run.learning_rates[0] /= 2.0;
        Ok(Flow::Continue)
    };
    check(
        toy::trainer().callback(on_epoch_end(move |run, _| halve(run))),
        &[0.1, 0.05, 0.025],
        "after an epoch",
    );
    check(
        toy::trainer().callback(on_batch_end(move |run, _| halve(run))),
        &[0.1, 0.05, 0.025],
        "after a batch",
    );
}

#[test]
fn schedules_set_the_learning_rate() {
    let exponential = |interval| {
        ScheduleConfig::Exponential(ExponentialLr { interval: Some(interval), ..ExponentialLr::new(0.5) })
    };
    check(toy::trainer().schedule(exponential(ScheduleUnit::Step)), &[0.1, 0.05, 0.025], "per step");
    check(toy::trainer().schedule(exponential(ScheduleUnit::Epoch)), &[0.1, 0.05, 0.025], "per epoch");
    let custom = LambdaSchedule::new(Unit::Epoch, |t, _| if t == 1 { 3.0 } else { 1.0 });
    check(toy::trainer().schedule(custom), &[0.1, 0.1 * 3.0, 0.1], "custom");
    // The schedule takes precedence: a learning rate set by a callback lasts until its next step.
    let set = on_epoch_end(|run, record| {
        if record.epoch == 1 {
            run.learning_rates[0] = 1.0;
        }
        Ok(Flow::Continue)
    });
    check(
        toy::trainer().schedule(exponential(ScheduleUnit::Epoch)).callback(set),
        &[0.1, 1.0, 0.025],
        "both",
    );
}

#[test]
fn batches_and_epochs_are_logged_with_their_learning_rates() {
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
    assert_eq!(epochs, [0.025, 0.003125]);
}

#[test]
fn rejects_invalid_learning_rates_before_the_update() {
    let check = |learning_rates: &'static [f64], expected: &str| {
        let set = on_epoch_end(move |run, _| {
            run.learning_rates = learning_rates.to_vec();
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

/// Computes one epoch of three batches with clipped gradients; also returns the mean of the unclipped norms.
fn one_epoch(clip: impl Fn(&Linear) -> Linear) -> (Linear, f64) {
    let mut weights = START;
    let mut norms = 0.0;
    for batch in [&POINTS[..4], &POINTS[4..6], &POINTS[6..]] {
        let gradient = weights.gradient(batch);
        norms += gradient.norm();
        weights = weights.plus(-0.1, &clip(&gradient));
    }
    (weights, norms / 3.0)
}

#[test]
fn clipping_changes_the_gradients() {
    // At least one of the three norms is smaller than the maximum, and one is larger.
    let max = 0.5;
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
fn build_rejects_settings_out_of_range() {
    let check = |result: Result<Trainer<Toy>>, expected: &str| {
        let error = result.map(drop).unwrap_err();
        assert!(matches!(error, Error::Setting { .. }), "{error:?}");
        assert_eq!(error.to_string(), expected);
    };
    let build = |lr| toy::trainer().optimizer(OptimizerConfig::sgd(lr)).build();
    check(build(f64::NAN), "optimizer.lr: expected a number of at least 0, got NaN");
    check(build(-0.1), "optimizer.lr: expected a number of at least 0, got -0.1");
    check(toy::trainer().max_epochs(0).build(), "max_epochs: expected at least 1, got 0");
    check(toy::trainer().clip(Clip::Norm(0.0)).build(), "clip_norm: expected a number above 0, got 0");
    check(
        toy::trainer().clip(Clip::Value(f64::NAN)).build(),
        "clip_value: expected a number above 0, got NaN",
    );
}

#[test]
fn fit_rejects_schedule_that_requires_validation() {
    let plateau: ScheduleConfig = toml::from_str("name = 'plateau'").unwrap();
    let mut trainer = toy::trainer().schedule(plateau).build().unwrap();
    let error = trainer.fit(&train_data(), None).unwrap_err();
    assert!(matches!(error, Error::Schedule(_)), "{error:?}");
    assert!(error.to_string().contains("a run without validation"), "{error}");
    trainer.fit(&train_data(), Some(&valid_data())).unwrap();
}

#[test]
fn optimizer_can_be_used_in_custom_loop() {
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
