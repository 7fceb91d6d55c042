//! The baseline: which models get one, that it equals a run of `linear`, and that it changes nothing of the run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use faknow::callbacks::{Callback, Callbacks, FitEnd, HookResult, Run};
use faknow::data::synth::{SynthOptions, write_social};
use faknow::report::{BASELINE, Baseline, BaselinePart};
use faknow::train::{Outcome, ResumeOptions, resume};
use faknow::trainer::RunDir;
use faknow::{Config, train};
use serde_json::Value;

use crate::support::{Bench, csv, files, posts};

/// Returns a bench with validation and test records, on which detectors make errors.
fn bench() -> Bench {
    let mut bench = Bench::new(&posts(60));
    for (name, n, is_shifted) in [("valid.csv", 20, false), ("test.csv", 30, true)] {
        // Every fifth test record has the label of the other class.
        let mut posts = posts(n);
        for (index, post) in posts.iter_mut().enumerate().filter(|(index, _)| is_shifted && index % 5 == 0) {
            post.1 = if index % 2 == 0 { "fake" } else { "real" };
        }
        bench.write(name, csv(&posts));
    }
    bench.config.data.valid = Some(bench.path("valid.csv").into());
    bench.config.data.test = Some(bench.path("test.csv").into());
    bench
}

/// Returns the records of the history of a run, without times.
fn history(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("history.jsonl")).unwrap();
    let record = |line| {
        let mut record: Value = serde_json::from_str(line).unwrap();
        let fields = record.as_object_mut().unwrap();
        fields.retain(|name, _| !name.ends_with("seconds") && name != "profile" && name != "time");
        record
    };
    text.lines().map(record).collect()
}

/// Returns the names of the files of a run, without those of TensorBoard, whose names have the time.
fn names(run: &Path) -> Vec<String> {
    files(run).into_iter().filter(|name| !name.starts_with("tensorboard")).collect()
}

#[test]
fn baseline_changes_nothing_of_the_run() {
    faknow::tch::set_num_threads(1);
    let bench = bench();
    let (with, without) = (bench.train("with", &[]), bench.train("without", &["baseline=false"]));
    assert!(with.baseline.is_some() && without.baseline.is_none());
    let [with_files, without_files] = ["with", "without"].map(|run| names(&bench.path(run)));
    let others: Vec<String> = with_files.iter().filter(|name| *name != BASELINE).cloned().collect();
    assert!(others.len() + 1 == with_files.len() && others == without_files, "{with_files:?}");
    // Files with times, settings or the baseline itself.
    let different = [
        "config.toml",
        "report.html",
        "checksums.json",
        "run.log",
        ".lock",
        "summary.json",
        "history.jsonl",
        "metrics.csv",
        "manifest.json",
        "state.json",
    ];
    let is_equal = |name: &&String| !different.iter().any(|end| name.ends_with(end));
    let equal: Vec<&String> = others.iter().filter(is_equal).collect();
    assert!(equal.len() >= 9, "{equal:?}");
    for name in equal {
        let read = |run: &str| fs::read(bench.path(run).join(name)).unwrap();
        assert!(read("with") == read("without"), "{name}");
    }
    assert_eq!(history(&bench.path("with")), history(&bench.path("without")));
}

#[test]
fn baseline_equals_a_run_of_linear() {
    let bench = bench();
    let outcome = bench.train("run", &[]);
    let baseline = outcome.baseline.unwrap();
    assert_eq!((baseline.part, baseline.n_samples), (BaselinePart::Test, 30));
    let check = |name: &str, settings: &[&str], baseline: &Baseline| {
        let mut linear = Config::for_model("linear").unwrap();
        linear.data = bench.config.data.clone();
        let linear = linear.set_all(settings).unwrap();
        let linear = train(&linear, || RunDir::create(bench.path(name)), Callbacks::default()).unwrap();
        assert!(linear.baseline.is_none());
        for (metric, score) in linear.test.unwrap().report.scores().iter() {
            assert_eq!(baseline.metrics.get(metric), Some(score), "{metric} {settings:?}");
        }
    };
    check("linear", &[], &baseline);
    // The decision rule of the detector is also that of the baseline.
    let threshold = ["decision.threshold=0.9"];
    check("linear-threshold", &threshold, &bench.train("threshold", &threshold).baseline.unwrap());
    let test = outcome.test.unwrap();
    assert_eq!(&baseline.detector_metrics, test.report.scores());
    // The counts are those of the predictions in the run directories, sample by sample.
    let is_correct = |run: &str| -> Vec<bool> {
        let table = bench.path(run).join("predictions/test.csv");
        let [label, predicted] = ["label", "predicted"].map(|name| crate::support::column(&table, name));
        label.iter().zip(&predicted).map(|(label, predicted)| label == predicted).collect()
    };
    let (detector, linear) = (is_correct("run"), is_correct("linear"));
    let count = |a: &[bool], b: &[bool]| a.iter().zip(b).filter(|(a, b)| **a && !**b).count() as u64;
    let test = &baseline.mcnemar;
    assert_eq!(test.n_only_detector_correct, count(&detector, &linear));
    assert_eq!(test.n_only_baseline_correct, count(&linear, &detector));
    let saved: Baseline = serde_json::from_str(&bench.read("run/baseline.json")).unwrap();
    assert_eq!(saved.mcnemar, baseline.mcnemar);
    let report = bench.read("run/report.html");
    assert!(report.contains("<h3>Baseline</h3>") && report.contains(&baseline.verdict()), "{report}");
    assert!(!bench.read("linear/report.html").contains("<h3>Baseline</h3>"));
}

#[test]
fn baseline_is_compared_on_validation_records_without_test_records() {
    let mut bench = bench();
    bench.config.data.test = None;
    let baseline = bench.train("run", &[]).baseline.unwrap();
    assert_eq!((baseline.part, baseline.n_samples), (BaselinePart::Valid, 20));
    let report = bench.read("run/report.html");
    assert!(report.contains("was not tested") && report.contains(&baseline.verdict()), "{report}");
    bench.config.data.valid = None;
    assert!(bench.train("alone", &["data.split=[1.0, 0.0, 0.0]"]).baseline.is_none());
    // Without separate files, both are evaluated on the same share of the training records.
    let split = bench.train("split", &["data.split=[0.6, 0.2, 0.2]"]).baseline.unwrap();
    assert_eq!((split.part, split.n_samples), (BaselinePart::Test, 12));
    assert!(bench.train("limited", &["trainer.limit_batches=2"]).baseline.is_none());
}

#[test]
fn models_with_further_inputs_have_a_baseline() {
    let dir = tempfile::tempdir().unwrap();
    let options = SynthOptions { n_samples: 120, ..SynthOptions::default() };
    write_social(dir.path(), &options).unwrap();
    for (model, settings) in [
        ("dudef", &["data.features=['emotions']"][..]),
        ("mdfend", &["data.domain=domain"]),
        ("eddfn", &["data.features=['input']", "data.domain=domain"]),
    ] {
        let mut config = Config::for_model(model).unwrap();
        for part in ["train", "valid", "test"] {
            let file = dir.path().join(format!("{part}.jsonl"));
            config = config.set(&format!("data.{part}={}", file.display())).unwrap();
        }
        let general = ["device=cpu", "threads=1", "trainer.epochs=1", "model.embedding_size=8"];
        let config = config.set_all(&[&general[..], settings].concat()).unwrap();
        let outcome =
            train(&config, || RunDir::create(dir.path().join(model)), Callbacks::default()).unwrap();
        let (baseline, test) = (outcome.baseline.unwrap(), outcome.test.unwrap());
        assert_eq!(baseline.detector, model);
        assert_eq!(baseline.n_samples, test.evaluation.predictions.n_samples(), "{model}");
    }
}

/// Runs a function at the end of the fit, before the test and the baseline.
struct AtFitEnd<F>(F);

impl<F: FnMut() + Send + 'static> Callback for AtFitEnd<F> {
    fn on_fit_end(&mut self, _: &mut Run, _: FitEnd<'_>) -> HookResult {
        (self.0)();
        Ok(())
    }
}

#[test]
fn failure_of_the_baseline_does_not_end_the_run() {
    let bench = bench();
    let complete = |outcome: &Outcome, run: &str| {
        assert!(outcome.test.is_some() && outcome.baseline.is_none() && !outcome.is_interrupted);
        assert!(!bench.path(run).join(BASELINE).exists() && bench.path(run).join("report.html").exists());
    };
    // Removed during the training, or with the labels of other records.
    for (run, content) in [("removed", None), ("changed", Some(csv(&posts(30))))] {
        let file = bench.path("test.csv");
        let before = fs::read(&file).unwrap();
        let (path, content) = (file.clone(), content.clone());
        let mut callbacks = Callbacks::default();
        callbacks.push(AtFitEnd(move || match &content {
            None => fs::remove_file(&path).unwrap(),
            Some(content) => fs::write(&path, content).unwrap(),
        }));
        let outcome = train(&bench.config, || RunDir::create(bench.path(run)), callbacks).unwrap();
        complete(&outcome, run);
        fs::write(&file, before).unwrap();
    }
    // No word occurs in two training records.
    let rows: Vec<_> = (0..40).map(|i| (format!("only{i}"), ["real", "fake"][i % 2])).collect();
    bench.write("train.csv", csv(&rows));
    complete(&bench.train("unique", &[]), "unique");
}

#[test]
fn resumed_run_has_the_baseline_of_its_settings() {
    let bench = bench();
    let expected = bench.train("run", &[]).baseline.unwrap();
    let run = bench.path("run");
    let resumed = |set: &[&str]| {
        let set = set.iter().map(|it| (*it).to_owned()).collect();
        resume(&run, &ResumeOptions { set, ..ResumeOptions::default() }, Callbacks::default()).unwrap()
    };
    let content = bench.read("run/baseline.json");
    assert_eq!(resumed(&[]).baseline.unwrap(), expected);
    assert_eq!(bench.read("run/baseline.json"), content);
    assert!(resumed(&["baseline=false"]).baseline.is_none());
    assert!(!run.join(BASELINE).exists() && !bench.read("run/report.html").contains("<h3>Baseline</h3>"));
    faknow::report::Run::read(&run).unwrap();
    assert_eq!(resumed(&["baseline=true"]).baseline.unwrap(), expected);
}

#[test]
fn studies_train_no_baseline() {
    let bench = bench();
    let contexts = faknow::train::ContextFactory::default();
    let outcome = faknow::study::cross_validate(&bench.config, 2, &bench.path("cv"), contexts).unwrap();
    let runs: BTreeMap<usize, bool> =
        outcome.folds.iter().map(|fold| (fold.number, outcome.run(fold).join(BASELINE).exists())).collect();
    assert_eq!(runs, BTreeMap::from([(1, false), (2, false)]));
}
