//! The setting `data.fold`, and cross-validation over all folds.

use std::path::Path;

use faknow::callbacks::{BatchEnd, Callback, Callbacks, Flow, HookResult, Run};
use faknow::data::stratified_k_fold;
use faknow::detector::DetectorEvaluation;
use faknow::study::{CrossValidation, cross_validate, resume_cross_validation};
use faknow::train::ContextFactory;
use faknow::trainer::{Interrupt, RunDir};
use faknow::{Config, train};

use crate::support::{Bench, csv, posts};

/// Requests an interrupt after `n_left` batches.
pub(crate) struct InterruptAt {
    n_left: usize,
    interrupt: Interrupt,
}

impl Callback for InterruptAt {
    fn on_batch_end(&mut self, _: &mut Run, _: &BatchEnd) -> HookResult<Flow> {
        self.n_left = self.n_left.saturating_sub(1);
        if self.n_left == 0 {
            self.interrupt.request();
        }
        Ok(Flow::Continue)
    }
}

/// Returns contexts that interrupt the run after the first `n_runs` runs at its `batch`-th batch.
pub(crate) fn interrupt_after(n_runs: usize, batch: usize) -> ContextFactory<'static> {
    let interrupt = Interrupt::default();
    let (request, mut n_started) = (interrupt.clone(), 0);
    let callbacks = move || {
        n_started += 1;
        let mut callbacks = Callbacks::default();
        if n_started == n_runs + 1 {
            callbacks.push(InterruptAt { n_left: batch, interrupt: request.clone() });
        }
        callbacks
    };
    ContextFactory { callbacks: Some(Box::new(callbacks)), interrupt }
}

fn run(bench: &Bench, dir: &str, n_folds: usize) -> CrossValidation {
    cross_validate(&bench.config, n_folds, &bench.path(dir), ContextFactory::default()).unwrap()
}

#[test]
fn fold_is_tested_and_validation_comes_from_other_folds() {
    let bench = Bench::new(&posts(50));
    let labels: Vec<usize> = (0..50).map(|index| index % 2).collect();
    let folds = stratified_k_fold(&labels, 5, bench.config.seed).unwrap();
    let outcome = bench.train("run", &["data.fold=2 of 5"]);
    let n_samples = |part: &Option<DetectorEvaluation>| part.as_ref().map(|part| part.known_tokens.n_samples);
    // Validation has 0.1 / 0.8 of the other 40 samples.
    assert_eq!((n_samples(&outcome.valid), n_samples(&outcome.test)), (Some(5), Some(10)));
    let words = bench.words("run");
    let trained: Vec<usize> = (0..50).filter(|index| words.contains(&format!("only{index}"))).collect();
    assert_eq!(trained.len(), 35);
    assert!(trained.iter().all(|index| !folds[1].contains(index)), "the fold is not in the training data");
    let all = bench.train("all", &["data.fold=2 of 5", "data.split=[1.0, 0.0, 0.0]"]);
    assert_eq!((n_samples(&all.valid), n_samples(&all.test)), (None, Some(10)));
}

#[test]
fn every_fold_is_tested_and_metrics_are_averaged() {
    let bench = Bench::new(&posts(47));
    let outcome = run(&bench, "cv", 4);
    assert!(!outcome.is_interrupted);
    let sizes: Vec<usize> = outcome.folds.iter().map(|fold| fold.test.n_samples).collect();
    assert_eq!(sizes, [12, 12, 12, 11]);
    let metrics = outcome.metrics();
    assert_eq!((metrics[0].name.as_str(), metrics[1].name.as_str()), ("loss", "accuracy"));
    let values: Vec<f64> = metrics[0].values.iter().map(|value| value.unwrap()).collect();
    let mean = values.iter().sum::<f64>() / 4.0;
    let std = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 3.0).sqrt();
    let summary = metrics[0].summary.unwrap();
    assert!((summary.mean - mean).abs() < 1e-12 && (summary.std.unwrap() - std).abs() < 1e-12);
    assert!(std > 0.0, "the folds have different results");
    let table = outcome.to_string();
    assert!(table.contains("mean ± std") && table.contains(&summary.to_string()), "{table}");
    let report = bench.read("cv/report.md");
    assert!(
        report.contains("4-fold cross-validation") && report.contains("| 4 | 11 | completed | 2 |"),
        "{report}"
    );
    // The config of a fold reproduces its results.
    let config = Config::from_file(&bench.path("cv/fold-3/config.toml")).unwrap();
    let again = train(&config, || RunDir::create(bench.path("again")), Callbacks::default()).unwrap();
    assert_eq!(again.test.unwrap().evaluation.scores.value("loss"), metrics[0].values[2]);
}

#[test]
fn interrupted_cross_validation_resumes_with_same_result() {
    let bench = Bench::new(&posts(48));
    run(&bench, "uninterrupted", 3);
    let expected = bench.read("uninterrupted/cv.json");
    let check = |dir: &str, n_runs, batch, n_done| {
        let contexts = interrupt_after(n_runs, batch);
        let interrupted = cross_validate(&bench.config, 3, &bench.path(dir), contexts).unwrap();
        assert!(interrupted.is_interrupted && interrupted.folds.len() == n_done, "{dir}");
        assert!(!bench.path(dir).join("report.md").exists());
        let first = bench.path(dir).join("fold-1/run.log");
        let log = std::fs::read_to_string(&first).unwrap();
        let contexts = ContextFactory::default();
        let outcome = match n_runs {
            0 => resume_cross_validation(&bench.path(dir), contexts).unwrap(),
            _ => run(&bench, dir, 3),
        };
        assert!(!outcome.is_interrupted);
        assert_eq!(bench.read(&format!("{dir}/cv.json")), expected, "{dir}");
        let is_repeated = std::fs::read_to_string(&first).unwrap() != log;
        assert_eq!(is_repeated, n_done == 0, "{dir}: a completed fold is not repeated");
    };
    check("first", 0, 2, 0);
    check("second", 1, 4, 1);
    check("last-batch", 1, 6, 1);
    // A completed cross-validation only returns its result again.
    let before = std::fs::read_to_string(bench.path("uninterrupted/fold-2/history.jsonl")).unwrap();
    run(&bench, "uninterrupted", 3);
    assert_eq!(bench.read("uninterrupted/cv.json"), expected);
    assert_eq!(std::fs::read_to_string(bench.path("uninterrupted/fold-2/history.jsonl")).unwrap(), before);
}

#[test]
fn rejects_changed_settings_and_records() {
    let bench = Bench::new(&posts(40));
    run(&bench, "cv", 2);
    let check = |config: &Config, n_folds, dir: &str, parts: &[&str]| {
        let error = cross_validate(config, n_folds, &bench.path(dir), ContextFactory::default()).unwrap_err();
        assert!(error.is_input());
        let error = error.to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    };
    let config = |setting: &str| bench.config.set(setting).unwrap();
    check(
        &bench.config,
        3,
        "cv",
        &["`folds`: ", "was started with 2, got 3; restore it, or start over in a new directory"],
    );
    check(&config("optimizer.lr=0.5"), 2, "cv", &["`optimizer.lr`: ", "was started with 0.001, got 0.5"]);
    check(&config("early_stopping.patience=9"), 2, "cv", &["`early_stopping.patience`: "]);
    cross_validate(&config("threads=2"), 2, &bench.path("cv"), ContextFactory::default()).unwrap();
    check(
        &bench.config,
        21,
        "new",
        &["`data.fold`: expected 2 to 20 folds (the rarest class has 20 samples), got 21"],
    );
    check(&bench.config, 1, "new", &["`folds`: expected at least 2, got 1"]);
    check(&config("data.fold=1 of 3"), 3, "new", &["`data.fold`: ", "remove this setting"]);
    assert!(!bench.path("new").exists());
    std::fs::create_dir(bench.path("other")).unwrap();
    bench.write("other/x", "");
    check(&bench.config, 2, "other", &["other", "not empty"]);
    bench.write("train.csv", csv(&posts(42)));
    check(
        &bench.config,
        2,
        "cv",
        &["`data`: the records have changed since", "start over in a new directory"],
    );
}

#[test]
fn test_file_is_ignored() {
    let mut bench = Bench::new(&posts(40));
    bench.config.data.test = Some(Path::new("no such file").into());
    let outcome = run(&bench, "cv", 2);
    assert_eq!(outcome.folds.iter().map(|fold| fold.test.n_samples).sum::<usize>(), 40);
}
