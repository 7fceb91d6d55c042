//! Learning rates of a run: which are recorded, what callbacks set, and how schedules follow the length of the run.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use faknow_callbacks::{BatchEnd, Callback, Flow, HookResult, Interval, Run, StopReason};
use faknow_metrics::History;
use faknow_trainer::schedule::ScheduleConfig;
use faknow_trainer::{OptimizerConfig, RunDir, TrainerBuilder};

use crate::toy::{self, Toy, logged, train_data, valid_data};

/// A callback that records the learning rate of each update, and sets it before each update to the values of a function.
struct Watch {
    set: fn(u64) -> Option<f64>,
    rates: Arc<Mutex<Vec<f64>>>,
}

impl Callback for Watch {
    fn on_batch_start(&mut self, run: &mut Run) -> HookResult {
        if let Some(rate) = (self.set)(run.step()) {
            run.learning_rates = vec![rate];
        }
        Ok(())
    }

    fn on_batch_end(&mut self, run: &mut Run, _: &BatchEnd) -> HookResult<Flow> {
        self.rates.lock().unwrap().push(run.learning_rates[0]);
        Ok(Flow::Continue)
    }
}

fn schedule(config: &str) -> ScheduleConfig {
    toml::from_str(&config.replace("; ", "\n")).unwrap_or_else(|e| panic!("{config}: {e}"))
}

/// Returns a trainer with a base learning rate of 1, in epochs of 3 batches and 7 samples.
fn trainer(config: &str) -> TrainerBuilder<Toy> {
    toy::trainer().optimizer(OptimizerConfig::sgd(1.0)).schedule(schedule(config))
}

/// Fits, and returns the learning rate of each update and the history.
fn fit(builder: TrainerBuilder<Toy>, set: fn(u64) -> Option<f64>) -> (Vec<f64>, History) {
    let rates = Arc::<Mutex<Vec<f64>>>::default();
    let mut trainer = builder.callback(Watch { set, rates: Arc::clone(&rates) }).build().unwrap();
    let report = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
    let rates = rates.lock().unwrap().clone();
    (rates, report.history)
}

fn recorded(history: &History) -> Vec<f64> {
    history.epochs.iter().map(|record| record.learning_rates[0]).collect()
}

#[test]
fn the_learning_rate_of_an_epoch_is_that_of_its_last_update() {
    let dir = tempfile::tempdir().unwrap();
    let builder =
        trainer("name = 'linear'; interval = 'step'; start_factor = 0.25; total_iters = 4").max_epochs(2);
    let run_dir = RunDir::create(dir.path().join("run")).unwrap();
    let (rates, history) = fit(builder.run_dir(run_dir), |_| None);
    assert_eq!(rates, [0.25, 0.4375, 0.625, 0.8125, 1.0, 1.0]);
    assert_eq!(recorded(&history), [0.625, 1.0]);
    let read = |name: &str| fs::read_to_string(dir.path().join("run").join(name)).unwrap();
    let csv = read("metrics.csv");
    let column = csv.lines().next().unwrap().split(',').position(|name| name == "lr").unwrap();
    let column: Vec<&str> = csv.lines().skip(1).map(|line| line.split(',').nth(column).unwrap()).collect();
    assert_eq!(column, ["0.625", "1"]);
    assert!(read("run.log").contains("lr=0.625"), "{}", read("run.log"));
    assert!(read("history.jsonl").contains("[0.625]"), "{}", read("history.jsonl"));
}

#[test]
fn a_learning_rate_set_at_the_start_of_a_batch_applies_to_its_update() {
    for config in ["name = 'constant'", "name = 'warmup_linear'", "name = 'step'; step_size = 1"] {
        for accumulate in [1, 2] {
            let set: fn(u64) -> Option<f64> = |step| Some(0.5 / (step + 1) as f64);
            let builder = trainer(config).max_epochs(2).accumulate_grad_batches(accumulate);
            let (rates, history) = fit(builder, set);
            let n = 6_usize.div_ceil(accumulate) + usize::from(accumulate == 2);
            let expected: Vec<f64> = (1..=n).map(|step| 0.5 / step as f64).collect();
            assert_eq!(rates, expected, "{config}, {accumulate} batches");
            assert_eq!(recorded(&history).last(), expected.last(), "{config}");
            // The weights are those of a run whose schedule has these values.
            let same = toy::trainer().optimizer(OptimizerConfig::sgd(1.0)).max_epochs(2);
            let same = same.accumulate_grad_batches(accumulate).schedule(
                faknow_trainer::schedule::LambdaSchedule::new(
                    faknow_trainer::schedule::Unit::Step,
                    |t, _| 0.5 / (t + 1) as f64,
                ),
            );
            let (_, other) = fit(same, |_| None);
            let loss = |history: &History| history.series("train/loss").unwrap();
            assert_eq!(loss(&history), loss(&other), "{config}, {accumulate} batches");
        }
    }
}

/// Checks the last learning rate of runs of 12 updates that end by different limits.
#[test]
fn every_schedule_ends_with_the_run_whatever_limits_it() {
    let end = |config: &str, expected: f64| {
        let limits: [(usize, Option<Interval>); 4] = [
            (4, None),
            (40, Some(Interval::steps(12))),
            (40, Some(Interval::epochs(4.0))),
            (40, Some(Interval::samples(28))),
        ];
        for (max_epochs, limit) in limits {
            let mut builder = trainer(config).max_epochs(max_epochs);
            if let Some(limit) = limit {
                builder = builder.stop_after(limit);
            }
            let (rates, history) = fit(builder, |_| None);
            assert_eq!(rates.len(), 12, "{config} {limit:?}");
            assert!((rates[11] - expected).abs() < 1e-9, "{config} {limit:?}: {rates:?}");
            assert_eq!(recorded(&history)[3], rates[11]);
        }
    };
    let cos = |share: f64| f64::midpoint(1.0, (std::f64::consts::PI * share).cos());
    end("name = 'constant'", 1.0);
    end("name = 'step'; step_size = 3", 0.1);
    end("name = 'multi_step'; milestones = [1, 3]", 0.01);
    end("name = 'exponential'; gamma = 0.5", 0.125);
    end("name = 'constant_factor'; total_iters = 2", 1.0);
    end("name = 'linear'; total_iters = 3", 1.0);
    end("name = 'polynomial'", 0.25);
    end("name = 'polynomial'; interval = 'step'", 1.0 / 12.0);
    end("name = 'cosine'", cos(0.75));
    end("name = 'cosine'; interval = 'step'", cos(11.0 / 12.0));
    end("name = 'cosine_warm_restarts'; t_0 = 3", 1.0);
    end("name = 'one_cycle'", 1.0 / 25.0 / 10_000.0);
    end("name = 'one_cycle'; interval = 'epoch'", 1.0 / 25.0 / 10_000.0);
    end("name = 'warmup_linear'", 0.1);
    end("name = 'warmup_cosine'", cos(0.9));
    end(
        "name = 'sequential'; milestones = [1]; schedules = [{ name = 'constant' }, { name = 'polynomial' }]",
        1.0 / 3.0,
    );
    end("name = 'plateau'", 1.0);
}

/// Checks a run that only its time limit ends: without an estimate, the learning rate would hardly change.
#[test]
fn a_schedule_is_laid_out_for_the_time_that_is_left() {
    for (config, message) in [
        ("name = 'polynomial'; interval = 'step'", "the learning-rate schedule is laid out for"),
        ("name = 'polynomial'", "the learning-rate schedule is laid out for"),
    ] {
        let mut rates = Vec::new();
        let log = logged(|| {
            let builder = trainer(config).max_epochs(1_000_000).stop_after(Interval::seconds(0.4));
            rates = fit(builder.callback(Slow), |_| None).0;
        });
        assert!(log.contains("the time limit of 0.4 seconds allows about") && log.contains(message), "{log}");
        assert_eq!(log.matches("laid out").count(), 1, "{log}");
        assert!(rates.len() > 8 && rates[rates.len() - 1] < 0.5, "{config}: {rates:?}");
    }
    // A schedule whose length is set is left alone, and so is one that ends before the limit.
    for (config, seconds) in
        [("name = 'polynomial'; total_iters = 100000", 0.1), ("name = 'polynomial'", 1000.0)]
    {
        let log = logged(|| {
            let builder = trainer(config).max_epochs(200).stop_after(Interval::seconds(seconds));
            let builder = if seconds < 1.0 { builder.callback(Slow) } else { builder };
            let (rates, _) = fit(builder.max_epochs(20), |_| None);
            assert!(seconds < 1.0 || (rates[59] - 0.05).abs() < 1e-12, "{rates:?}");
        });
        assert!(!log.contains("laid out"), "{log}");
    }
}

struct Slow;

impl Callback for Slow {
    fn on_batch_start(&mut self, _: &mut Run) -> HookResult {
        std::thread::sleep(Duration::from_millis(3));
        Ok(())
    }
}

/// Checks that an extended run continues as a longer run would, and says so.
#[test]
fn an_extended_run_continues_on_the_longer_schedule() {
    let check = |config: &str, expected: &str| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        let first = RunDir::create(&path).unwrap();
        fit(trainer(config).max_epochs(3).run_dir(first), |_| None);
        let rates = Arc::<Mutex<Vec<f64>>>::default();
        let log = logged(|| {
            let watch = Watch { set: |_| None, rates: Arc::clone(&rates) };
            let builder = trainer(config).max_epochs(5).run_dir(RunDir::open(&path).unwrap()).callback(watch);
            builder.build().unwrap().resume(&train_data(), Some(&valid_data())).unwrap();
        });
        let (uninterrupted, _) = fit(trainer(config).max_epochs(5), |_| None);
        assert_eq!(*rates.lock().unwrap(), uninterrupted[9..], "{config}");
        assert!(log.contains(expected), "{config}: {log}");
        // Without a change nothing is said.
        let log = logged(|| {
            let builder = trainer(config).max_epochs(5).run_dir(RunDir::open(&path).unwrap());
            builder.build().unwrap().resume(&train_data(), Some(&valid_data())).unwrap();
        });
        assert!(!log.contains("learning rate by the schedule"), "{log}");
    };
    let from = "the run now has up to 15 updates instead of 9; learning rate by the schedule:";
    check(
        "name = 'cosine'",
        &format!("{from} 0.345492 from here on (before: 0), 0.0954915 in the last update"),
    );
    check("name = 'polynomial'", &format!("{from} 0.4 from here on (before: 0), 0.2 in the last update"));
    check("name = 'one_cycle'", &format!("{from} 0."));
    check(
        "name = 'warmup_linear'",
        &format!("{from} 0.461538 from here on (before: 0), 0.0769231 in the last"),
    );
    check(
        "name = 'linear'",
        &format!("{from} 0.733333 from here on (before: 0.733333), 0.866667 in the last update"),
    );
    check(
        "name = 'cosine'; t_max = 3",
        &format!("{from} 0 from here on (before: 0), 0.25 in the last update"),
    );
}

/// Checks that a second fit in the same process is the extension of the first.
#[test]
fn a_second_fit_continues_on_the_longer_schedule() {
    let rates = Arc::<Mutex<Vec<f64>>>::default();
    let watch = Watch { set: |_| None, rates: Arc::clone(&rates) };
    let mut trainer = trainer("name = 'cosine'").callback(watch).max_epochs(2).build().unwrap();
    let log = logged(|| {
        trainer.fit(&train_data(), Some(&valid_data())).unwrap();
        let report = trainer.fit(&train_data(), Some(&valid_data())).unwrap();
        assert_eq!(report.stop_reason, StopReason::Completed);
    });
    let cos = |share: f64| f64::midpoint(1.0, (std::f64::consts::PI * share).cos());
    let expected = [1.0, cos(0.5), cos(0.5), cos(0.75)];
    for (epoch, rates) in rates.lock().unwrap().chunks(3).enumerate() {
        assert!(rates.iter().all(|rate| (rate - expected[epoch]).abs() < 1e-12), "{epoch}: {rates:?}");
    }
    let expected = "the run now has up to 12 updates instead of 6; learning rate by the schedule: 0.5 from here on (before: 0)";
    assert!(log.contains(expected), "{log}");
}
