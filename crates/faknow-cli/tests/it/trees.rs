//! The program on propagation trees, in the forms that its pages have.

use std::fs;

use faknow::data::synth::{CascadeOptions, write_td_rvnn};
use serde_json::{Value, json};

use crate::support::Bench;

/// A directory with made-up trees, their labels and ids.
fn bench() -> Bench {
    let bench = Bench::new();
    let options = CascadeOptions { n_trees: 160, mean_size: 6.0, n_words: 200, ..CascadeOptions::default() };
    write_td_rvnn(&bench.path(""), &options).unwrap();
    bench
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

fn train(bench: &Bench, model: &str, run: &str) -> Value {
    let rest = ["--epochs", "2", "--seed", "1", "--valid-fraction", "0.1", "--out", run, "--json"];
    bench.faknow(&[&["train", model], &FILES[..], &rest].concat()).json()
}

#[test]
fn trees_are_trained_tested_judged_and_explained() {
    let bench = bench();
    let summary = train(&bench, "bigcn", "run");
    assert_eq!((&summary["epochs"], &summary["test"]["n_samples"]), (&json!(2), &json!(32)));
    assert_eq!(summary["valid"]["n_samples"], json!(13));
    let same = ["--trees", "data.TD_RvNN.txt", "--ids", "test.txt"];
    let tested =
        bench.faknow(&[&["test", "run", "--labels", "label_All.txt", "--json"], &same[..]].concat()).json();
    assert_eq!(tested["test"]["accuracy"], summary["test"]["accuracy"]);
    let lines = bench.faknow(&[&["predict", "run", "--explain"], &same[..]].concat()).json_lines();
    assert_eq!(lines.len(), 32);
    assert!(lines.iter().all(|line| line["score"].as_f64().unwrap() >= 0.5 && !line["nodes"][0].is_null()));
    let resumed = bench.faknow(&["resume", "run", "--set", "trainer.epochs=3", "--json"]).json();
    assert_eq!(resumed["epochs"], json!(3));
}

#[test]
fn cascades_of_ones_own_are_judged_line_by_line() {
    let bench = bench();
    let tree = |id: usize, word: &str| {
        let nodes = json!([{ "id": "a", "text": format!("{word} news") }, { "id": "b", "parent": "a", "text": word }]);
        json!({ "id": id, "label": (["true", "false"][id % 2]), "nodes": nodes }).to_string() + "\n"
    };
    let lines: String = (0..40).map(|id| tree(id, ["calm", "shocking"][id % 2])).collect();
    bench.write("trees.jsonl", lines);
    bench
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
    let judged =
        bench.faknow_reading(&["predict", "run", "--input", "-", "--explain"], &tree(7, "shocking")).json();
    assert_eq!((&judged["id"], &judged["nodes"][1]["id"]), (&json!("7"), &json!("b")));
    bench.refuses(
        &["predict", "run", "--input", "trees.jsonl", "--text", "tweet"],
        &["`--text`: expected records of texts, got trees as JSON lines"],
    );
    // A broken line ends the work; what stands before it is written.
    bench.write("broken.jsonl", tree(1, "calm") + "{\"nodes\": []}\n");
    let refused = bench.faknow(&["predict", "run", "--input", "broken.jsonl"]);
    refused.refused(&["broken.jsonl: line 2: tree `2`: field `nodes`"]);
    assert_eq!(refused.stdout.lines().count(), 1);
    let inspected = bench.faknow(&["data", "inspect", "trees.jsonl", "--json"]).json();
    assert_eq!((&inspected["n_trees"], &inspected["n_nodes"]), (&json!(40), &json!(80)));
}

#[test]
fn a_look_at_trees_counts_classes_and_warns_of_shared_events() {
    let bench = bench();
    let page = bench.faknow(&["data", "inspect", "data.TD_RvNN.txt", "--labels", "label_All.txt"]).ok();
    assert!(page.contains("trees       160") && page.contains("split by event"), "{page}");
    assert!(page.contains("labels      false") && page.contains("depth       min 0"), "{page}");
    bench.refuses(
        &["data", "inspect", "data.TD_RvNN.txt", "--text", "tweet"],
        &["`--text`: expected a file of records, got propagation trees: data.TD_RvNN.txt"],
    );
}

#[test]
fn what_is_wrong_with_trees_is_said_in_a_line() {
    let bench = bench();
    let check = |arguments: &[&str], expected: &str| bench.refuses(arguments, &[expected]);
    let mut lines = fs::read_to_string(bench.path("data.TD_RvNN.txt")).unwrap();
    lines.push_str("9\tNone\t1\t0\t0\t1:x\n");
    bench.write("broken.txt", &lines);
    let n = lines.lines().count();
    check(
        &["train", "gcn", "--trees", "broken.txt", "--labels", "label_All.txt", "--classes", "true,false"],
        &format!("broken.txt: line {n}: column 6: expected `word:count` with numbers, got `1:x`"),
    );
    check(&["train", "gcn"], "`data.trees`: no trees; give them with `--trees FILE`");
    check(
        &[&["train", "textcnn"], &FILES[..]].concat(),
        "`--trees`: expected a model that reads trees, got one that reads text",
    );
    check(
        &[&["train", "gcn", "--test", "other.jsonl"], &FILES[..]].concat(),
        "`--test`: expected records of texts or trees as JSON lines, got trees of `--trees`; name the test trees with `--test-ids`",
    );
    check(
        &[&["train", "gcn", "--language", "zh"], &FILES[..]].concat(),
        "`--language`: expected records of texts or trees as JSON lines, got trees of `--trees`",
    );
    check(
        &[&["train", "gcn", "--valid-fraction", "1"], &FILES[..]].concat(),
        "expected a share from 0 to below 1",
    );
    check(&["train", "upfd-sage", "--upfd", "nowhere"], "nowhere/node_graph_id.npy: No such file");
    train(&bench, "gcn", "run");
    check(
        &["predict", "run", "--input", "train.csv"],
        "train.csv: line 1: expected a JSON object on one line",
    );
}
