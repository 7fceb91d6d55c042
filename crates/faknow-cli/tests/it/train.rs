//! Training, in the forms that others call, and what it leaves behind.

use serde_json::{Value, json};

use crate::support::{Bench, TINY, files, keys};

/// The form that is fixed: others call it, so it must go on working as it is written here.
fn fixed_form(bench: &Bench) -> Value {
    let args = "train textcnn --train train.csv --valid valid.csv --test test.csv --text tweet --label label \
                --classes real,fake --language en --epochs 2 --seed 7 --out run --json";
    let args: Vec<&str> = args.split_whitespace().chain(TINY).collect();
    bench.faknow(&args).json()
}

#[test]
fn the_fixed_form_reports_all_facts_in_the_last_line() {
    let bench = Bench::new();
    let summary = fixed_form(&bench);
    assert_eq!(
        keys(&summary),
        ["run", "ended", "best_epoch", "epochs", "epoch_seconds", "valid", "test"]
    );
    assert_eq!((&summary["run"], &summary["ended"]), (&json!("run"), &json!("completed")));
    assert_eq!(summary["epochs"], 2);
    assert!((1..=2).contains(&summary["best_epoch"].as_u64().unwrap()));
    let seconds = summary["epoch_seconds"].as_array().unwrap();
    assert!(seconds.len() == 2 && seconds.iter().all(|s| s.as_f64().unwrap() > 0.0));
    assert_eq!((&summary["valid"]["n_samples"], &summary["test"]["n_samples"]), (&json!(20), &json!(24)));
}

#[test]
fn valid_and_test_have_every_metric_of_the_golden_file() {
    let golden = include_str!("../../../faknow-metrics/tests/golden/metrics.json");
    let golden: Value = serde_json::from_str(golden).unwrap();
    let bench = Bench::new();
    let binary = fixed_form(&bench);
    bench.write("three.csv", bench.read("train.csv").replace("mayor", "mayor,").replace(",", " "));
    let three = bench.train(&["--train", "three.jsonl", "--classes", "real,fake,unsure", "--out", "three"].map(|s| s));
    let _ = three;
    for case in golden["cases"].as_array().unwrap() {
        if case["num_classes"] != 2 {
            continue;
        }
        for name in keys(&case["metrics"]) {
            for part in ["valid", "test"] {
                let score = binary[part].get(name).unwrap_or_else(|| panic!("{part} lacks {name}"));
                assert!(score.is_number() || score.is_array(), "{part}.{name} is {score}");
            }
        }
    }
    for name in ["precision", "recall", "f1", "loss"] {
        assert!(binary["valid"][name].is_number() && binary["test"][name].is_number(), "{name}");
    }
}
