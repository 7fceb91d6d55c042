//! Runs with the same seed are bitwise identical.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::path::Path;

use faknow_metrics::History;
use tch::{Tensor, kind};

use crate::isolated::is_isolated;
use crate::toy::{self, Toy, Weights, train_data, valid_data, weights};

/// Returns weights and history (without times) of a fit with dropout.
fn fit(seed: Option<u64>) -> (Weights, History) {
    let (mut model, vars) = Toy::new();
    model.dropout = 0.4;
    let builder = toy::trainer_for((model, vars)).max_epochs(4).restore_best(false);
    let builder = match seed {
        Some(seed) => builder.seed(seed),
        None => builder,
    };
    let mut trainer = builder.build().unwrap();
    let mut history = trainer.fit(&train_data(), Some(&valid_data())).unwrap().history;
    for record in &mut history.epochs {
        (record.train_seconds, record.valid_seconds) = (0.0, 0.0);
    }
    (weights(&trainer.run().vars), history)
}

#[test]
fn defect_40_runs_depend_only_on_the_seed() {
    if !is_isolated("determinism::defect_40_runs_depend_only_on_the_seed", Path::new(".")) {
        return;
    }
    let first = fit(Some(7));
    // Other uses of libtorch's random generator in between have no effect.
    tch::manual_seed(123);
    drop(Tensor::randn([1000], kind::FLOAT_CPU));
    assert_eq!(fit(Some(7)), first);
    let other = fit(Some(8));
    assert_ne!(other.0, first.0);
    assert_ne!(other.1, first.1);
    // Without a seed, runs are identical, too.
    assert_eq!(fit(None), fit(None));
    assert_eq!(fit(None), fit(Some(0)));
}

#[test]
fn noise_differs_between_steps() {
    if !is_isolated("determinism::noise_differs_between_steps", Path::new(".")) {
        return;
    }
    // With the same noise in each step, dropout would drop the same inputs in each epoch.
    let losses_without_updates = |seed| {
        let (mut model, vars) = Toy::new();
        model.dropout = 0.4;
        let builder = toy::trainer_for((model, vars)).optimizer(faknow_trainer::OptimizerConfig::sgd(0.0));
        let mut trainer = builder.seed(seed).max_epochs(2).build().unwrap();
        let report = trainer.fit(&train_data(), None).unwrap();
        report
            .history
            .series("train/loss")
            .unwrap()
            .into_iter()
            .map(|(_, loss)| loss.unwrap())
            .collect::<Vec<_>>()
    };
    let losses = losses_without_updates(7);
    assert_ne!(losses[0], losses[1]);
    assert_eq!(losses, losses_without_updates(7));
}

#[test]
fn sleeping_threads_do_not_change_results() {
    let sum = || Tensor::arange(1_000_000, kind::FLOAT_CPU).sin().sum(tch::Kind::Float).double_value(&[]);
    let before = sum();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(faknow_trainer::let_threads_sleep);
        }
    });
    faknow_trainer::let_threads_sleep();
    assert_eq!(sum(), before);
}
