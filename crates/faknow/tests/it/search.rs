//! Hyperparameter search: ranking, failures, halving, resume.

use std::fs;

use faknow::Config;
use faknow::callbacks::Callbacks;
use faknow::study::{SearchMethod, SearchOutcome, SearchSpace, resume_search, search};
use faknow::train;
use faknow::train::ContextFactory;
use faknow::trainer::RunDir;

use crate::cross_validation::interrupt_after;
use crate::support::{Bench, checkpoint, column, posts};

const LEARNING_RATES: &str = "optimizer.lr = [0.0, 0.003, 0.1]";

fn space(text: &str) -> SearchSpace {
    SearchSpace::from_text(text).unwrap()
}

fn grid(bench: &Bench, dir: &str, text: &str, settings: &[&str]) -> SearchOutcome {
    let config = bench.config.set_all(settings).unwrap();
    search(&config, &space(text), &SearchMethod::Grid {}, &bench.path(dir), ContextFactory::default())
        .unwrap()
}

/// Runs successive halving over random learning rates, with settings that depend on the length of a run.
fn halving(bench: &Bench, dir: &str, contexts: ContextFactory<'_>) -> SearchOutcome {
    let settings = [
        "trainer.epochs=8",
        "trainer.monitor=loss",
        "schedule.name=cosine",
        "model.dropout=0.3",
        "early_stopping.patience=2",
        "trainer.validate_every='2 epochs'",
    ];
    let config = bench.config.set_all(&settings).unwrap();
    let space = space("optimizer.lr = { low = 1e-4, high = 1e-1, log = true }\nmodel.n_filters = [3, 4, 5]");
    let method = SearchMethod::Halving { trials: 6, eta: 2 };
    search(&config, &space, &method, &bench.path(dir), contexts).unwrap()
}

#[test]
fn trials_are_ranked_by_monitor_and_only_the_best_is_tested() {
    let bench = Bench::new(&posts(60));
    let outcome = grid(&bench, "search", LEARNING_RATES, &["trainer.monitor=loss", "trainer.epochs=3"]);
    assert_eq!(outcome.monitor.name, "loss");
    let order: Vec<usize> = outcome.trials.iter().map(|trial| trial.number).collect();
    assert_eq!(order, [3, 2, 1], "{outcome}");
    assert_eq!(outcome.best, Some(3));
    let values: Vec<f64> = outcome.trials.iter().map(|trial| trial.value().unwrap()).collect();
    assert!(values.is_sorted(), "ascending loss: {values:?}");
    let best = outcome.best_trial().unwrap();
    assert_eq!((best.describe().as_str(), best.status(), best.epochs), ("optimizer.lr=0.1", "completed", 3));
    // The config of a trial reproduces its results.
    let config = Config::from_file(&bench.path("search/trials/0003/config.toml")).unwrap();
    assert_eq!(config.optimizer.lr(), 0.1);
    let alone = train(&config, || RunDir::create(bench.path("alone")), Callbacks::default()).unwrap();
    assert_eq!(alone.fit.best.as_ref().unwrap().value, values[0]);
    let test = outcome.test.as_ref().unwrap();
    assert_eq!(test.n_samples, 12);
    assert_eq!(test.scores.value("loss"), alone.test.unwrap().evaluation.scores.value("loss"));
    for (number, tests) in [(1, 0), (2, 0), (3, 1)] {
        let history = bench.read(&format!("search/trials/{number:04}/history.jsonl"));
        assert_eq!(history.matches("\"type\":\"test\"").count(), tests, "trial {number}: {history}");
    }
    let report = bench.read("search/report.md");
    assert!(report.contains("- best: trial 3") && report.contains("12 samples"), "{report}");
    // A completed search only returns its result again.
    let file = bench.read("search/search.json");
    let again = grid(&bench, "search", LEARNING_RATES, &["trainer.monitor=loss", "trainer.epochs=3"]);
    assert_eq!((again, bench.read("search/search.json")), (outcome, file));
}

#[test]
fn failed_trial_is_recorded_and_search_continues() {
    let bench = Bench::new(&posts(40));
    let outcome = grid(&bench, "search", "model.dropout = [1.5, 0.2]\noptimizer.lr = [0.01, 1e30]", &[]);
    let status = |number: usize| {
        let trial = outcome.trials.iter().find(|trial| trial.number == number).unwrap();
        (trial.status().to_owned(), trial.error.clone().unwrap_or_default())
    };
    assert_eq!(
        status(1),
        ("failed".to_owned(), "`model.dropout`: expected from 0 to below 1, got 1.5".to_owned())
    );
    assert_eq!(status(2).0, "failed");
    assert_eq!(status(3).0, "completed");
    let (trial_status, reason) = status(4);
    assert!(
        trial_status == "failed" && reason.contains("not finite") || reason.contains("the loss is NaN"),
        "{reason}"
    );
    assert_eq!(outcome.best, Some(3));
    assert!(bench.read("search/report.md").contains("failed: `model.dropout`"));
}

#[test]
fn nothing_is_tested_without_test_records() {
    let bench = Bench::new(&posts(40));
    let outcome = grid(&bench, "search", LEARNING_RATES, &["data.split=[0.8, 0.2, 0.0]"]);
    assert_eq!((outcome.test, outcome.best.is_some()), (None, true));
}

#[test]
fn halving_trains_the_best_trials_for_longer() {
    let bench = Bench::new(&posts(60));
    let outcome = halving(&bench, "search", ContextFactory::default());
    let rungs: Vec<usize> = outcome.trials.iter().map(|trial| trial.values.len()).collect();
    assert_eq!(rungs, [3, 2, 2, 1, 1, 1], "{outcome}");
    for trial in &outcome.trials {
        let (rung, status) = (trial.values.len(), trial.status());
        let expected = [2, 4, 8][rung - 1];
        match status {
            "paused" => assert!(rung < 3 && trial.epochs == expected, "{trial:?}"),
            "completed" => assert_eq!(trial.epochs, 8),
            other => assert!(other == "early_stopping" && trial.epochs <= expected, "{trial:?}"),
        }
    }
    // Trials of the second rung are among the better half of the first.
    let first_rung = |number: &usize| outcome.trials.iter().find(|t| t.number == *number).unwrap().values[0];
    let mut order: Vec<usize> = (1..=6).collect();
    order.sort_by(|a, b| first_rung(a).partial_cmp(&first_rung(b)).unwrap());
    let promoted: Vec<usize> =
        outcome.trials.iter().filter(|t| t.values.len() > 1).map(|t| t.number).collect();
    assert!(promoted.iter().all(|number| order[..3].contains(number)), "{promoted:?} {order:?}");
    assert!(outcome.test.is_some());
}

// Pauses do not affect the schedule, early stopping and dropout.
#[test]
fn paused_trial_has_the_result_of_an_uninterrupted_run() {
    let bench = Bench::new(&posts(60));
    let outcome = halving(&bench, "search", ContextFactory::default());
    let best = outcome.best_trial().unwrap();
    assert!(best.values.len() == 3 && best.epochs > 2, "{best:?}");
    let config = Config::from_file(&outcome.run(best).join("config.toml")).unwrap();
    let alone = train(&config, || RunDir::create(bench.path("alone")), Callbacks::default()).unwrap();
    assert_eq!(alone.fit.history.epochs.len(), best.epochs);
    assert_eq!(alone.fit.best.unwrap().value, best.value().unwrap());
    let weights = |run: &std::path::Path| fs::read(checkpoint(run, "last")).unwrap();
    assert!(weights(&outcome.run(best)) == weights(&bench.path("alone")), "the weights differ");
    let learning_rates = |run: &std::path::Path| -> Vec<String> { column(&run.join("metrics.csv"), "lr") };
    assert_eq!(learning_rates(&outcome.run(best)), learning_rates(&bench.path("alone")));
}

#[test]
fn interrupted_search_resumes_with_same_result() {
    let bench = Bench::new(&posts(60));
    halving(&bench, "uninterrupted", ContextFactory::default());
    let expected = bench.read("uninterrupted/search.json");
    // In the first trial, in a later one, in the second rung, in the last rung.
    for (n_runs, batch) in [(0, 1), (3, 7), (6, 2), (8, 5), (9, 11)] {
        let dir = format!("interrupted-{n_runs}");
        let interrupted = halving(&bench, &dir, interrupt_after(n_runs, batch));
        assert!(interrupted.is_interrupted && interrupted.best.is_none(), "{dir}");
        let outcome = resume_search(&bench.path(&dir), ContextFactory::default()).unwrap();
        assert!(!outcome.is_interrupted);
        assert_eq!(bench.read(&format!("{dir}/search.json")), expected, "{dir}");
    }
    // Killed after the first or last rung of a trial, but before its result was recorded.
    for n_rungs in [1, 3] {
        let mut json: serde_json::Value = serde_json::from_str(&expected).unwrap();
        (json["done"], json["best"], json["test"]) = (false.into(), ().into(), ().into());
        let values = |trial: &serde_json::Value| trial["values"].as_array().unwrap().len();
        let trials = json["trials"].as_array_mut().unwrap();
        let trial = trials.iter_mut().find(|trial| values(trial) == n_rungs).unwrap();
        trial["values"].as_array_mut().unwrap().pop();
        trial["ended"] = ().into();
        bench.write("uninterrupted/search.json", json.to_string());
        std::fs::remove_file(bench.path("uninterrupted/checksums.json")).unwrap();
        resume_search(&bench.path("uninterrupted"), ContextFactory::default()).unwrap();
        assert_eq!(bench.read("uninterrupted/search.json"), expected);
    }
}

#[test]
fn rejects_invalid_search_before_training() {
    let bench = Bench::new(&posts(40));
    let halving = SearchMethod::Halving { trials: 4, eta: 2 };
    let random = |trials| SearchMethod::Random { trials };
    let check = |text: &str, method: &SearchMethod, settings: &[&str], parts: &[&str]| {
        let config = bench.config.set_all(settings).unwrap();
        let error =
            search(&config, &space(text), method, &bench.path("new"), ContextFactory::default()).unwrap_err();
        assert!(error.is_input());
        let error = error.to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        assert!(!bench.path("new").exists(), "{error}");
    };
    let method = SearchMethod::Grid {};
    check("seed = [1, 2]", &method, &[], &["`seed`: all trials use the same seed"]);
    check("data.text = ['a', 'b']", &method, &[], &["`data.text`: trials are compared on the same records"]);
    check("trainer.monitor = ['f1', 'loss']", &method, &[], &["`trainer.monitor`: "]);
    check(
        "trainer.epochs = [1, 2, 3, 4]",
        &halving,
        &[],
        &["`trainer.epochs`: halving sets the number of epochs"],
    );
    check("", &method, &[], &["`space`: expected at least one setting"]);
    check("optimizer.lrr = [1, 2]", &method, &[], &["`optimizer.lrr`: unknown field"]);
    check(
        "model.dropout = [2.0, 3.0]",
        &method,
        &[],
        &["`model.dropout`: expected from 0 to below 1, got 2"],
    );
    check(LEARNING_RATES, &random(4), &[], &["`trials`: expected at most 3"]);
    check(LEARNING_RATES, &random(0), &[], &["`trials`: expected at least 1, got 0"]);
    check(
        LEARNING_RATES,
        &method,
        &["data.split=[0.8, 0.0, 0.2]"],
        &["`data.valid`: trials are ranked by their validation"],
    );
    check(LEARNING_RATES, &method, &["data.train=none.csv"], &["none.csv"]);
}

#[test]
fn rejects_changed_search_in_the_same_directory() {
    let bench = Bench::new(&posts(40));
    grid(&bench, "search", LEARNING_RATES, &["trainer.epochs=1"]);
    let check = |text: &str, settings: &[&str], part: &str| {
        let config = bench.config.set("trainer.epochs=1").unwrap().set_all(settings).unwrap();
        let dir = bench.path("search");
        let error = search(&config, &space(text), &SearchMethod::Grid {}, &dir, ContextFactory::default())
            .unwrap_err();
        assert!(error.to_string().starts_with(part), "{error}");
    };
    check("optimizer.lr = [0.0, 0.003]", &[], "`space.optimizer.lr`: ");
    check(LEARNING_RATES, &["model.dropout=0.1"], "`model.dropout`: ");
    check(LEARNING_RATES, &["seed=4"], "`seed`: ");
    let _lock = RunDir::open(bench.path("search")).unwrap();
    check(LEARNING_RATES, &[], "run directory");
}
