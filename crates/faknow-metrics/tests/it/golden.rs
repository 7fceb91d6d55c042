//! Equality with scikit-learn (`metrics.json`) and FaKnow's evaluator (`evaluator.json`).
//!
//! Runs the files of `tests/golden`, and those of the directory in the environment variable `FAKNOW_GOLDEN`, by default
//! `golden` in the directory `FAKNOW_SHARED`, by default `../shared` next to the workspace.

use std::env;
use std::path::{Path, PathBuf};

use faknow_metrics::{ClassificationReport, Metric, Predictions, metric_by_name};
use serde_json::Value;

const TOLERANCE: f64 = 1e-10;

#[test]
fn metrics_equal_scikit_learns() {
    run_all_dirs("metrics.json", |file| {
        let tolerance = file["tolerance"].as_f64().unwrap_or(TOLERANCE);
        let cases = file["cases"].as_array().expect("a list of cases");
        for case in cases {
            check_metrics_case(case, tolerance);
        }
        cases.len()
    });
}

#[test]
fn metrics_equal_faknows_evaluator() {
    run_all_dirs("evaluator.json", |file| {
        let cases = file.as_array().expect("a list of cases");
        for (i, case) in cases.iter().enumerate() {
            let predictions = predictions(&case["outputs"], &case["y"], 2);
            for (name, expected) in case["metrics"].as_object().expect("metrics") {
                let ours = match name.as_str() {
                    "auc" => "auc_hard",
                    "auc_scores" => "roc_auc",
                    other => other,
                };
                let got = scalar(ours, &predictions).unwrap_or_else(|| panic!("no metric for `{name}`"));
                compare(&format!("case {i}: {name}"), &got, expected, TOLERANCE);
            }
        }
        cases.len()
    });
}

/// Compares a case; each of its metrics must be a built-in metric or a key of the report.
fn check_metrics_case(case: &Value, tolerance: f64) {
    let name = case["name"].as_str().expect("a name");
    let n_classes = case["num_classes"].as_u64().expect("a number of classes") as usize;
    let predictions = predictions(&case["probabilities"], &case["y"], n_classes);
    if !case["predicted"].is_null() {
        let predicted = serde_json::to_value(predictions.predicted()).unwrap();
        assert_eq!(predicted, case["predicted"], "{name}: predicted classes");
    }
    let class_names: Vec<String> = (0..n_classes).map(|class| format!("class {class}")).collect();
    let report = ClassificationReport::new(&predictions, &class_names).unwrap();
    let report = serde_json::to_value(&report).unwrap();
    for (metric, expected) in case["metrics"].as_object().expect("metrics") {
        let what = format!("{name}: {metric}");
        let scalar = scalar(metric, &predictions);
        assert!(scalar.is_some() || report.get(metric).is_some(), "{what}: unknown metric");
        for got in [scalar.as_ref(), report.get(metric)].into_iter().flatten() {
            compare(&what, got, expected, tolerance);
        }
    }
}

fn scalar(name: &str, predictions: &Predictions) -> Option<Value> {
    let score = metric_by_name(name).ok()?.compute(predictions).unwrap();
    Some(serde_json::to_value(score).unwrap())
}

fn predictions(scores: &Value, labels: &Value, n_classes: usize) -> Predictions {
    let labels: Vec<usize> = serde_json::from_value(labels.clone()).expect("labels");
    let rows: Vec<Vec<f64>> = serde_json::from_value(scores.clone()).expect("rows of scores");
    Predictions::new(n_classes, labels, rows.concat()).unwrap()
}

fn compare(what: &str, got: &Value, expected: &Value, tolerance: f64) {
    match (got, expected) {
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{what}[{i}]"), a, b, tolerance);
            }
        }
        (Value::Null, Value::Null) => {}
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            assert!((a - b).abs() <= tolerance, "{what}: got {a}, expected {b}");
        }
        _ => panic!("{what}: got {got}, expected {expected}"),
    }
}

/// Runs a fixture from every directory that has it; `run` returns the number of cases.
fn run_all_dirs(file: &str, run: impl Fn(&Value) -> usize) {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = crate_dir.join("tests/golden").join(file);
    let n_cases = run(&read(&path));
    assert!(n_cases > 0, "{}: no cases", path.display());
    println!("{}: {n_cases} cases", path.display());

    let dir = env::var_os("FAKNOW_GOLDEN").map(PathBuf::from).unwrap_or_else(|| {
        let shared = env::var_os("FAKNOW_SHARED").map(PathBuf::from);
        shared.unwrap_or_else(|| crate_dir.join("../../../shared")).join("golden")
    });
    let path = dir.join(file);
    if path.is_file() {
        println!("{}: {} cases", path.display(), run(&read(&path)));
    } else {
        crate::skip::check("golden").unwrap();
        println!(
            "SKIPPED: {} does not exist; set FAKNOW_GOLDEN to a directory that contains it",
            path.display()
        );
    }
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
