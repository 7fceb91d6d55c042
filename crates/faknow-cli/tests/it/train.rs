//! The command `train`: options, output, run directory.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Sandbox, TINY, files, jsonl, keys, posts_of};

/// Trains with the options of the stable command line, which must keep working.
fn stable_form(sandbox: &Sandbox) -> Value {
    let args = "train textcnn --train train.csv --valid valid.csv --test test.csv --text tweet --label label \
                --classes real,fake --language en --epochs 2 --seed 7 --out run --json";
    let args: Vec<&str> = args.split_whitespace().chain(TINY).collect();
    sandbox.faknow(&args).json()
}

#[test]
fn json_line_has_all_results() {
    let sandbox = Sandbox::new();
    let summary = stable_form(&sandbox);
    assert_eq!(
        keys(&summary),
        ["run", "ended", "best_epoch", "epochs", "epoch_seconds", "valid", "test", "baseline"]
    );
    assert_eq!((&summary["run"], &summary["ended"]), (&json!("run"), &json!("completed")));
    assert_eq!(summary["epochs"], 2);
    assert!((1..=2).contains(&summary["best_epoch"].as_u64().unwrap()));
    let seconds = summary["epoch_seconds"].as_array().unwrap();
    assert!(seconds.len() == 2 && seconds.iter().all(|s| s.as_f64().unwrap() > 0.0));
    assert_eq!((&summary["valid"]["n_samples"], &summary["test"]["n_samples"]), (&json!(20), &json!(24)));
    for part in ["valid", "test"] {
        assert_eq!(summary[part]["classes"], json!(["real", "fake"]));
        assert_eq!(summary[part]["f1"], summary[part]["f1_binary"]);
    }
}

#[test]
fn json_and_table_compare_with_the_baseline() {
    let sandbox = Sandbox::new();
    let summary = stable_form(&sandbox);
    let baseline = &summary["baseline"];
    assert_eq!(
        keys(baseline),
        ["model", "detector", "part", "n_samples", "metrics", "detector_metrics", "mcnemar"]
    );
    assert_eq!((&baseline["model"], &baseline["detector"]), (&json!("linear"), &json!("textcnn")));
    assert_eq!((&baseline["part"], &baseline["n_samples"]), (&json!("test"), &json!(24)));
    assert_eq!(baseline["detector_metrics"]["f1_macro"], summary["test"]["f1_macro"]);
    assert!(baseline["metrics"]["accuracy"].as_f64().unwrap() > 0.9, "{baseline}");
    let test = &baseline["mcnemar"];
    assert_eq!(keys(test), ["n_only_detector_correct", "n_only_baseline_correct", "p_value"]);
    let p = test["p_value"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&p) && test["n_only_baseline_correct"].is_u64(), "{test}");
    let saved: Value = serde_json::from_str(&sandbox.read("run/baseline.json")).unwrap();
    assert_eq!(saved, *baseline);

    let train = ["train", "--train", "train.csv", "--text", "tweet", "--epochs", "1"];
    let train = |more: &[&str]| sandbox.faknow(&[&train[..], &TINY, more].concat());
    let done = train(&["--out", "table"]);
    let verdict = done.stdout.lines().find(|line| line.contains("the linear model")).unwrap();
    let parts = ["textcnn ", "accuracy 0.", " against ", "McNemar p "];
    assert!(parts.iter().all(|part| verdict.contains(part)), "{verdict}");
    assert!(
        done.stdout.contains("Baseline (linear, ") && done.stdout.contains("f1_macro"),
        "{}",
        done.stdout
    );
    assert!(done.stderr.contains("baseline: `linear` is trained"), "{}", done.stderr);
    // Also if the report is created again.
    fs::remove_file(sandbox.path("table/report.html")).unwrap();
    assert_eq!(sandbox.faknow(&["report", "table"]).code, Some(0));
    assert!(sandbox.read("table/report.html").contains(verdict));
    // A resumed run has it too, unless it is left out.
    let resumed = sandbox.faknow(&["resume", "table"]);
    assert!(resumed.stdout.contains(verdict), "{}", resumed.stdout);
    let resumed = sandbox.faknow(&["resume", "table", "--no-baseline"]);
    assert!(resumed.code == Some(0) && !resumed.stdout.contains("linear"), "{}", resumed.stdout);
    let without = train(&["--out", "without", "--no-baseline", "--json"]);
    assert_eq!(without.json()["baseline"], Value::Null);
    assert!(!sandbox.path("without/baseline.json").exists());
}

#[test]
fn failure_of_the_baseline_is_a_warning_with_the_option() {
    let sandbox = Sandbox::new();
    // No word occurs in two texts.
    let rows: String = (0..40).map(|i| format!("only{i},{}\n", ["real", "fake"][i % 2])).collect();
    sandbox.write("unique.csv", format!("tweet,label\n{rows}"));
    let train = ["train", "--train", "unique.csv", "--epochs", "1", "--out", "run", "--json"];
    let done = sandbox.faknow(&[&train[..], &TINY].concat());
    let warning = done.stderr.lines().find(|line| line.contains("the baseline `linear` failed")).unwrap();
    assert!(warning.contains("n-gram") && warning.contains("`--no-baseline`"), "{warning}");
    let summary = done.json();
    assert_eq!((&summary["ended"], &summary["baseline"]), (&json!("completed"), &Value::Null));
    assert!(sandbox.path("run/report.html").exists());
}

#[test]
fn baseline_of_records_from_standard_input() {
    let sandbox = Sandbox::new();
    let train = ["train", "--train", "-", "--text", "tweet", "--epochs", "1", "--out", "run", "--json"];
    let done = sandbox.faknow_with_stdin(&[&train[..], &TINY].concat(), &sandbox.read("train.csv"));
    assert_eq!(done.json()["baseline"]["model"], "linear");
}

#[test]
fn run_directory_has_all_files() {
    let sandbox = Sandbox::new();
    stable_form(&sandbox);
    let mut names = files(&sandbox.path("run"));
    let events = names.iter().position(|name| name.starts_with("tensorboard/events.out.tfevents")).unwrap();
    names.remove(events);
    let expected = [
        "baseline.json",
        "calibration.json",
        "checkpoints/best/manifest.json",
        "checkpoints/best/model.safetensors",
        "checkpoints/last/manifest.json",
        "checkpoints/last/model.safetensors",
        "checkpoints/last/optimizer.safetensors",
        "checkpoints/last/state.json",
        "classes.json",
        "config.toml",
        "history.jsonl",
        "metrics.csv",
        "mistakes.json",
        "checksums.json",
        "predictions/test.csv",
        "predictions/valid.csv",
        "report.html",
        "run.log",
        "summary.json",
        "tokenizer.json",
        "vocab.txt",
    ];
    let missing: Vec<_> = expected.iter().filter(|name| !names.iter().any(|n| n == *name)).collect();
    assert!(missing.is_empty(), "{missing:?} are not among {names:?}");
    let report = sandbox.read("run/report.html");
    assert!(
        report.contains("<h1>run</h1>")
            && report.contains("All 2 epochs")
            && report.contains("n_filters = 4"),
        "{report}"
    );
    let log = sandbox.read("run/run.log");
    assert!(log.contains("training: 80 texts (40 real, 40 fake)") && log.contains("epoch=2/2"), "{log}");
}

#[test]
fn valid_and_test_have_all_metrics_of_the_golden_file() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../faknow-metrics/tests/golden/metrics.json");
    let Ok(golden) = fs::read_to_string(&golden) else {
        crate::skip::check("golden").unwrap();
        println!("SKIPPED: {} does not exist", golden.display());
        return;
    };
    let golden: Value = serde_json::from_str(&golden).unwrap();
    let sandbox = Sandbox::new();
    sandbox.write("three.jsonl", jsonl(&posts_of(&["a", "b", "c"], 90, 1)));
    let binary = stable_form(&sandbox);
    let three = sandbox.train(&["--train", "three.jsonl", "--classes", "a,b,c", "--out", "three"]);
    let mut n_checked = 0;
    for case in golden["cases"].as_array().unwrap() {
        let summary = if case["num_classes"] == 2 { &binary } else { &three };
        for (name, golden) in case["metrics"].as_object().unwrap() {
            for part in ["valid", "test"] {
                let score = summary[part].get(name).unwrap_or_else(|| panic!("{part} lacks {name}"));
                // The metric is undefined where the golden value is null too.
                assert!(
                    score.is_number() || score.is_array() || golden.is_null(),
                    "{part}.{name} is {score}"
                );
                n_checked += 1;
            }
        }
    }
    assert!(n_checked > 100, "{n_checked}");
    for (summary, part) in [(&binary, "valid"), (&binary, "test"), (&three, "valid"), (&three, "test")] {
        for name in ["loss", "precision", "recall", "f1"] {
            assert!(summary[part][name].is_number(), "{part}.{name}");
        }
    }
    assert_eq!(three["test"]["f1"], three["test"]["f1_macro"], "macro average with more than two classes");
    assert_eq!(three["test"]["precision_binary"], Value::Null, "there is no positive class");
}

#[test]
fn table_has_the_results_without_json() {
    let sandbox = Sandbox::new();
    let args =
        "train textcnn --train train.csv --valid valid.csv --test test.csv --text tweet --epochs 2 --out run";
    let args: Vec<&str> = args.split_whitespace().chain(TINY).collect();
    let table = sandbox.faknow(&args).ok();
    for part in [
        "Test (24 samples, uncalibrated loss ",
        "confusion matrix",
        "roc_auc",
        "ended       completed",
        "best epoch  ",
        "of 2, validation accuracy",
        "validation  loss ",
        " in 2 epochs, ",
        "run         run",
    ] {
        assert!(table.contains(part), "{table}\nlacks {part}");
    }
}

#[test]
fn seed_determines_the_result() {
    let sandbox = Sandbox::new();
    let train = |out: &str, seed: &str| {
        let mut summary = sandbox.train(&["--seed", seed, "--out", out]);
        summary["run"].take();
        summary["epoch_seconds"].take();
        (summary, fs::read(sandbox.path(out).join("checkpoints/last/model.safetensors")).unwrap())
    };
    let first = train("first", "3");
    assert!(train("again", "3") == first, "the same seed gives different results");
    assert!(train("other", "4").1 != first.1, "a different seed gives the same weights");
}

#[test]
fn result_does_not_depend_on_workers_and_evaluation_batch_size() {
    let sandbox = Sandbox::new();
    let weights = |out: &str, set: &str| {
        sandbox.train(&["--set", set, "--out", out]);
        fs::read(sandbox.path(out).join("checkpoints/last/model.safetensors")).unwrap()
    };
    let usual = weights("usual", "loader.workers=1");
    assert!(weights("none", "loader.workers=0") == usual);
    assert!(weights("three", "loader.workers=3") == usual);
    assert!(weights("small", "loader.eval_batch_size=3") == usual);
}

#[test]
fn splits_one_file_by_class_and_uses_given_files_completely() {
    let sandbox = Sandbox::new();
    let n_samples = |out: &str, files: &[&str]| {
        let summary = sandbox.train(&[files, &["--out", out]].concat());
        let log = sandbox.read(&format!("{out}/run.log"));
        let training = log.lines().find_map(|line| line.split_once("training: ")).unwrap().1.to_owned();
        let n = |part: &str| summary[part]["n_samples"].as_u64();
        (training.split(',').take(2).collect::<Vec<_>>().join(","), n("valid"), n("test"))
    };
    let all_texts = "80 texts (40 real, 40 fake)".to_owned();
    assert_eq!(n_samples("a", &[]), ("56 texts (28 real, 28 fake)".to_owned(), Some(8), Some(16)));
    assert_eq!(n_samples("b", &["--valid", "valid.csv"]), (all_texts.clone(), Some(20), None));
    assert_eq!(
        n_samples("c", &["--valid", "valid.csv", "--test", "test.csv"]),
        (all_texts.clone(), Some(20), Some(24))
    );
    let (training, valid, test) = n_samples("d", &["--test", "test.csv"]);
    assert_eq!((training.as_str(), valid, test), ("70 texts (35 real, 35 fake)", Some(10), Some(24)));
    let all = ["--set", "data.split=[1.0, 0.0, 0.0]"];
    assert_eq!(n_samples("e", &all), (all_texts, None, None));
}

#[test]
fn no_best_epoch_without_validation() {
    let sandbox = Sandbox::new();
    let summary = sandbox.train(&["--set", "data.split=[1, 0, 0]", "--out", "run"]);
    assert_eq!(
        (&summary["best_epoch"], &summary["valid"], &summary["test"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert_eq!(summary["ended"], "completed");
    assert!(!sandbox.path("run/checkpoints/best").exists());
    sandbox.faknow(&["predict", "run", "--input", "test.csv"]).ok();
}

#[test]
fn early_stopping_ends_a_run_without_improvement() {
    let sandbox = Sandbox::new();
    // With a learning rate of 0 nothing ever improves on the first epoch.
    let still = ["--epochs", "30", "--set", "optimizer.lr=0", "--set", "trainer.monitor=loss"];
    let summary =
        sandbox.train(&[&still[..], &["--set", "early_stopping.patience=2", "--out", "run"]].concat());
    assert_eq!((&summary["ended"], &summary["epochs"]), (&json!("early_stopping"), &json!(3)));
    assert_eq!(summary["best_epoch"], 1);
    let summary =
        sandbox.train(&[&still[..], &["--set", "early_stopping.enabled=false", "--out", "on"]].concat());
    assert_eq!((&summary["ended"], &summary["epochs"]), (&json!("completed"), &json!(30)));
}

#[test]
fn reports_and_saves_the_last_epoch_without_restore_best() {
    let sandbox = Sandbox::new();
    // With a high learning rate, the first epochs differ strongly from the last one.
    let args = ["--valid", "valid.csv", "--test", "test.csv", "--epochs", "4", "--set", "optimizer.lr=0.3"];
    let args = [&args[..], &["--set", "trainer.restore_best=false", "--out", "run"]].concat();
    let summary = sandbox.train(&args);
    let history = sandbox.read("run/history.jsonl");
    let last = history.lines().rfind(|line| line.contains("\"type\":\"epoch\"")).unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    assert_eq!(summary["valid"]["log_loss"], last["valid"]["log_loss"]);
    let result = sandbox.faknow(&["test", "run", "--data", "test.csv", "--json"]).json();
    assert_eq!(result["test"], summary["test"]);
}

#[test]
fn log_describes_the_data() {
    let sandbox = Sandbox::new();
    sandbox.write("words.vec", "rain 1 2 3\nofficials -1 0 0.5\nabsent 9 9 9\n");
    sandbox.train(&["--valid", "valid.csv", "--set", "text.vectors=words.vec", "--out", "run"]);
    let log = sandbox.read("run/run.log");
    for part in [
        "validation: 20 texts (10 real, 10 fake)",
        "test: none",
        "vocabulary: 12 words",
        "word vectors: 2 of 12",
    ] {
        assert!(log.contains(part), "{log}\nlacks {part}");
    }
}

#[test]
fn log_describes_the_initial_weights() {
    let sandbox = Sandbox::trained();
    let file = "run/checkpoints/best/model.safetensors";
    sandbox.train(&[
        "--set",
        &format!("model.weights={file}"),
        "--set",
        "model.n_filters=3",
        "--out",
        "next",
    ]);
    let log = sandbox.read("next/run.log");
    for part in [
        &format!("initial weights from {file}: 2 of 9 weights loaded"),
        "shape mismatch: `classifier.1.weight`: expected [2, 9], got [2, 12]",
        "shape mismatch: `text_ccn_layer.convs.0.bias`: expected [3], got [4]",
    ] {
        assert!(log.contains(part), "{log}\nlacks {part}");
    }
}

#[test]
fn quiet_logs_nothing_and_verbose_logs_more() {
    let sandbox = Sandbox::new();
    let stderr = |out: &str, more: &[&str]| {
        let train = ["train", "--train", "train.csv", "--text", "tweet", "--epochs", "1", "--out", out];
        let done = sandbox.faknow(&[&train[..], &TINY, more].concat());
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        done.stderr
    };
    assert_eq!(stderr("quiet", &["--quiet"]), "");
    let usual = stderr("usual", &[]);
    assert!(usual.contains("epoch=1/1") && usual.contains("training: 56 texts"), "{usual}");
    assert!(stderr("verbose", &["--verbose"]).len() >= usual.len());
}

#[test]
fn each_run_gets_a_separate_directory_without_out() {
    let sandbox = Sandbox::new();
    let runs: Vec<_> =
        (0..2).map(|_| sandbox.train(&["--epochs", "1"])["run"].as_str().unwrap().to_owned()).collect();
    assert_ne!(runs[0], runs[1]);
    assert!(
        runs.iter().all(|run| run.starts_with("runs/textcnn-") && sandbox.path(run).is_dir()),
        "{runs:?}"
    );
}
