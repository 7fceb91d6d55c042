//! Training, testing and predicting with propagation trees.

use std::fs;

use faknow::data::synth::{CascadeOptions, write_td_rvnn};
use serde_json::{Value, json};

use crate::support::{Sandbox, keys};

/// Creates a sandbox with synthetic trees, labels and ids.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let options = CascadeOptions { n_trees: 160, mean_size: 6.0, n_words: 200, ..CascadeOptions::default() };
    write_td_rvnn(&sandbox.path(""), &options).unwrap();
    sandbox
}

const FILES: [&str; 10] = [
    "--trees",
    "data.TD_RvNN.txt",
    "--labels",
    "label_All.txt",
    "--train-ids",
    "train.txt",
    "--test-ids",
    "test.txt",
    "--classes",
    "true,false",
];

fn train(sandbox: &Sandbox, model: &str, run: &str) -> Value {
    let rest = ["--epochs", "2", "--seed", "1", "--valid-fraction", "0.1", "--out", run, "--json"];
    sandbox.faknow(&[&["train", model], &FILES[..], &rest].concat()).json()
}

#[test]
fn trains_tests_predicts_and_explains_trees() {
    let sandbox = sandbox();
    let summary = train(&sandbox, "bigcn", "run");
    assert_eq!((&summary["epochs"], &summary["test"]["n_samples"]), (&json!(2), &json!(32)));
    assert_eq!(summary["valid"]["n_samples"], json!(13));
    let same = ["--trees", "data.TD_RvNN.txt", "--ids", "test.txt"];
    let result =
        sandbox.faknow(&[&["test", "run", "--labels", "label_All.txt", "--json"], &same[..]].concat()).json();
    assert_eq!(result["test"]["accuracy"], summary["test"]["accuracy"]);
    let lines = sandbox.faknow(&[&["predict", "run", "--explain"], &same[..]].concat()).json_lines();
    assert_eq!(lines.len(), 32);
    let names = keys(&lines[0]);
    assert!(
        names.ends_with(&["predicted_label", "predicted_score", "scores", "known_tokens", "nodes"]),
        "{names:?}"
    );
    assert!(
        lines
            .iter()
            .all(|line| line["predicted_score"].as_f64().unwrap() >= 0.5 && !line["nodes"][0].is_null())
    );
    let resumed = sandbox.faknow(&["resume", "run", "--set", "trainer.epochs=3", "--json"]).json();
    assert_eq!(resumed["epochs"], json!(3));
}

#[test]
fn predicts_trees_as_json_lines() {
    let sandbox = sandbox();
    let tree = |id: usize, word: &str| {
        let nodes = json!([{ "id": "a", "text": format!("{word} news") }, { "id": "b", "parent": "a", "text": word }]);
        json!({ "id": id, "label": (["true", "false"][id % 2]), "nodes": nodes }).to_string() + "\n"
    };
    let lines: String = (0..40).map(|id| tree(id, ["calm", "shocking"][id % 2])).collect();
    sandbox.write("trees.jsonl", lines);
    sandbox
        .faknow(&[
            "train",
            "upfd-gcn",
            "--train",
            "trees.jsonl",
            "--classes",
            "true,false",
            "--epochs",
            "3",
            "--out",
            "run",
        ])
        .ok();
    let predictions = sandbox
        .faknow_with_stdin(&["predict", "run", "--input", "-", "--explain"], &tree(7, "shocking"))
        .json();
    assert_eq!((&predictions["id"], &predictions["nodes"][1]["id"]), (&json!("7"), &json!("b")));
    let unknown = sandbox.faknow_with_stdin(&["predict", "run", "--input", "-", "--explain"], &tree(7, "🙂"));
    assert!(unknown.stderr.starts_with("1 tree: 0 true, 1 false"), "`news` is known: {}", unknown.stderr);
    let unknown =
        json!({ "nodes": [{ "id": "a", "text": "привет" }, { "id": "b", "parent": "a", "text": "" }] });
    let unknown =
        sandbox.faknow_with_stdin(&["predict", "run", "--input", "-", "--explain"], &unknown.to_string());
    assert!(
        unknown.stderr.starts_with("1 tree: 0 true, 0 false, 1 without a known token"),
        "{}",
        unknown.stderr
    );
    let unknown = unknown.json();
    assert_eq!((&unknown["predicted_label"], &unknown["reason"]), (&Value::Null, &json!("no known tokens")));
    assert_eq!((&unknown["known_tokens"], &unknown["nodes"]), (&json!(0), &json!([])));
    let args = ["predict", "run", "--input", "trees.jsonl", "--on-empty", "error"];
    sandbox.faknow(&args).ok();
    sandbox.write("blank.jsonl", json!({ "id": "x", "nodes": [{ "id": "a", "text": "" }] }).to_string());
    sandbox.check_error(
        &["predict", "run", "--input", "blank.jsonl", "--on-empty", "error"],
        &["blank.jsonl: tree `x`: no known tokens; `--on-empty null`"],
    );
    sandbox.check_error(
        &["predict", "run", "--input", "trees.jsonl", "--text", "tweet"],
        &["`--text`: expected text records, got trees as JSON lines"],
    );
    // A broken line stops the command; the predictions before it are written.
    sandbox.write("broken.jsonl", tree(1, "calm") + "{\"nodes\": []}\n");
    let output = sandbox.faknow(&["predict", "run", "--input", "broken.jsonl"]);
    output.assert_error(&["broken.jsonl: line 2: tree `2`: field `nodes`"]);
    assert_eq!(output.stdout.lines().count(), 1);
    let inspected = sandbox.faknow(&["data", "inspect", "trees.jsonl", "--json"]).json();
    assert_eq!((&inspected["n_trees"], &inspected["n_nodes"]), (&json!(40), &json!(80)));
}

#[test]
fn inspect_counts_classes_and_reports_shared_events() {
    let sandbox = sandbox();
    let report = sandbox.faknow(&["data", "inspect", "data.TD_RvNN.txt", "--labels", "label_All.txt"]).ok();
    assert!(report.contains("trees       160") && report.contains("split by event"), "{report}");
    assert!(report.contains("labels      true") && report.contains("depth       min 0"), "{report}");
    sandbox.check_error(
        &["data", "inspect", "data.TD_RvNN.txt", "--text", "tweet"],
        &["`--text`: expected a file of records, got propagation trees: data.TD_RvNN.txt"],
    );
}

#[test]
fn reports_invalid_trees_in_one_line() {
    let sandbox = sandbox();
    let check = |arguments: &[&str], expected: &str| sandbox.check_error(arguments, &[expected]);
    let mut lines = fs::read_to_string(sandbox.path("data.TD_RvNN.txt")).unwrap();
    lines.push_str("9\tNone\t1\t0\t0\t1:x\n");
    sandbox.write("broken.txt", &lines);
    let n = lines.lines().count();
    check(
        &["train", "gcn", "--trees", "broken.txt", "--labels", "label_All.txt", "--classes", "true,false"],
        &format!("broken.txt: line {n}: column 6: expected `word:count` with numbers, got `1:x`"),
    );
    check(&["train", "gcn"], "`data.trees`: no trees; use `--trees FILE`");
    check(
        &[&["train", "textcnn"], &FILES[..]].concat(),
        "`--trees`: expected a model that takes trees as input, got one that takes text",
    );
    check(
        &[&["train", "gcn", "--test", "other.jsonl"], &FILES[..]].concat(),
        "`--test`: expected text records or trees as JSON lines, got trees from `--trees`; use `--test-ids` for the test trees",
    );
    check(
        &[&["train", "gcn", "--language", "zh"], &FILES[..]].concat(),
        "`--language`: expected text records or trees as JSON lines, got trees from `--trees`",
    );
    check(
        &[&["train", "gcn", "--valid-fraction", "1"], &FILES[..]].concat(),
        "expected a fraction from 0 to below 1",
    );
    check(&["train", "upfd-sage", "--upfd", "nowhere"], "nowhere/node_graph_id.npy: No such file");
    train(&sandbox, "gcn", "run");
    check(
        &["predict", "run", "--input", "train.csv"],
        "train.csv: line 1: expected a JSON object on one line",
    );
}
