//! Schedules in a config: each follows the length of the run, whatever limits it, and extended runs continue on it.

use std::f64::consts::PI;

use faknow::callbacks::Callbacks;
use faknow::train::{Outcome, ResumeOptions, resume};

use crate::support::{Bench, column, posts};

/// Returns half a cosine from 1 to 0 at this share.
fn cos(share: f64) -> f64 {
    f64::midpoint(1.0, (PI * share).cos())
}

/// Checks the learning rate of the last update of a run of 8 updates in 2 epochs, with a base learning rate of 1.
#[test]
fn the_last_learning_rate_is_that_of_the_end_whatever_limits_the_run() {
    let bench = Bench::new(&posts(40));
    let mut n = 0;
    let mut check = |schedule: &str, expected: f64| {
        for limits in [["trainer.epochs=2", "seed=0"], ["trainer.epochs=50", "trainer.max_steps=8"]] {
            n += 1;
            let (run, schedule) = (format!("run{n}"), format!("schedule={schedule}"));
            let settings = ["data.split=[1.0, 0.0, 0.0]", "optimizer.name=sgd", "optimizer.lr=1", &schedule];
            let outcome = bench.train(&run, &[&settings[..], &limits].concat());
            let last = outcome.fit.history.last().unwrap();
            assert_eq!((last.epoch, last.step), (2, 8), "{schedule} {limits:?}");
            assert!((last.learning_rates[0] - expected).abs() < 1e-9, "{schedule} {limits:?}: {last:?}");
            let recorded = column(&bench.path(&run).join("metrics.csv"), "lr");
            assert_eq!(recorded[1].parse::<f64>().unwrap(), last.learning_rates[0]);
        }
    };
    check("{name='constant'}", 1.0);
    check("{name='step', step_size=1}", 0.1);
    check("{name='multi_step', milestones=[1], gamma=0.5}", 0.5);
    check("{name='exponential', gamma=0.5}", 0.5);
    check("{name='constant_factor', total_iters=1}", 1.0);
    check("{name='linear', total_iters=4, interval='step'}", 1.0);
    check("{name='polynomial'}", 0.5);
    check("{name='polynomial', interval='step'}", 0.125);
    check("{name='cosine'}", cos(0.5));
    check("{name='cosine', interval='step'}", cos(0.875));
    check("{name='cosine_warm_restarts', t_0=1}", 1.0);
    check("{name='one_cycle'}", 1.0 / 25.0 / 10_000.0);
    check("{name='warmup_linear'}", 1.0 / 7.0);
    check("{name='warmup_cosine'}", cos(6.0 / 7.0));
    check(
        "{name='sequential', milestones=[4], schedules=[{name='constant'}, {name='warmup_linear', warmup_ratio=0}]}",
        0.25,
    );
}

#[test]
fn an_extended_run_continues_on_the_longer_schedule() {
    let bench = Bench::new(&posts(40));
    for (n, schedule) in ["cosine", "polynomial", "one_cycle", "warmup_linear"].into_iter().enumerate() {
        let (extended, long) = (format!("extended{n}"), format!("long{n}"));
        let schedule = format!("schedule={{name='{schedule}'}}");
        let settings = ["data.split=[1.0, 0.0, 0.0]", &schedule];
        bench.train(&extended, &settings);
        let options = ResumeOptions { set: vec!["trainer.epochs=4".into()], ..ResumeOptions::default() };
        let extended = resume(&bench.path(&extended), &options, Callbacks::default()).unwrap();
        let long = bench.train(&long, &[&settings[..], &["trainer.epochs=4"]].concat());
        let rates = |outcome: &Outcome| -> Vec<f64> {
            outcome.fit.history.epochs[2..].iter().map(|record| record.learning_rates[0]).collect()
        };
        assert_eq!(rates(&extended), rates(&long), "{schedule}");
    }
}
