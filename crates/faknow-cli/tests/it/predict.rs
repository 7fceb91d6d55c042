//! The commands `test` and `predict`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Sandbox, csv, files, jsonl, keys, posts};

#[test]
fn test_equals_the_test_of_the_training() {
    let sandbox = Sandbox::new();
    let summary = sandbox.train(&["--valid", "valid.csv", "--test", "test.csv", "--out", "run"]);
    let result = sandbox
        .faknow(&["test", "run", "--data", "test.csv", "--text", "tweet", "--label", "label", "--json"]);
    let result = result.json();
    assert_eq!(keys(&result), ["run", "data", "test"]);
    assert_eq!(result["test"], summary["test"], "expected identical metrics");
    assert_eq!(
        sandbox.faknow(&["test", "run", "--data", "valid.csv", "--json"]).json()["test"],
        summary["valid"]
    );
    let table = sandbox.faknow(&["test", "run", "--data", "test.csv"]).ok();
    assert!(
        table.starts_with("test.csv (24 samples, uncalibrated loss ") && table.contains("confusion matrix"),
        "{table}"
    );
}

#[test]
fn test_accepts_other_columns_and_formats() {
    let sandbox = Sandbox::trained();
    let expected = sandbox.faknow(&["test", "run", "--data", "test.csv", "--json"]).json()["test"].clone();
    let rows = sandbox.read("test.csv").replace("id,tweet,label", "id,body,verdict").replace(',', "\t");
    sandbox.write("other.tsv", rows);
    let args = ["test", "run", "--data", "other.tsv", "--text", "body", "--label", "verdict", "--json"];
    assert_eq!(sandbox.faknow(&args).json()["test"], expected);
    sandbox.check_error(&["test", "run", "--data", "other.tsv"], &["other.tsv", "`tweet`", "`body`"]);
}

#[test]
fn predict_retains_fields_and_adds_the_prediction() {
    let sandbox = Sandbox::trained();
    let predictions =
        sandbox.faknow(&["predict", "run", "--input", "test.csv", "--text", "tweet"]).json_lines();
    assert_eq!(predictions.len(), 24);
    for (index, (record, (text, given))) in predictions.iter().zip(posts(24, 3)).enumerate() {
        let names = ["id", "tweet", "label", "predicted_label", "predicted_score", "scores", "known_tokens"];
        assert_eq!(keys(record), names);
        assert_eq!((&record["id"], &record["tweet"]), (&json!(index.to_string()), &json!(text)));
        assert_eq!(record["label"], given, "the given label stays");
        assert_eq!(record["known_tokens"], text.split(' ').count());
        let score = |class: &str| record["scores"][class].as_f64().unwrap();
        assert!((score("real") + score("fake") - 1.0).abs() < 1e-12);
        let label = if score("fake") > score("real") { "fake" } else { "real" };
        assert_eq!(record["predicted_label"], label);
        assert_eq!(record["predicted_score"].as_f64(), Some(score(label)));
    }
}

#[test]
fn standard_input_gives_the_same_predictions_as_a_file() {
    let sandbox = Sandbox::trained();
    let lines = jsonl(&posts(30, 4));
    sandbox.write("new.jsonl", &lines);
    let from_file = sandbox.faknow(&["predict", "run", "--input", "new.jsonl", "--text", "text"]).ok();
    assert_eq!(from_file.lines().count(), 30);
    let from_stdin =
        sandbox.faknow_with_stdin(&["predict", "run", "--input", "-", "--text", "text"], &lines).ok();
    assert_eq!(from_stdin, from_file);
    let array = format!("[{}]", lines.trim_end().replace('\n', ","));
    assert_eq!(
        sandbox.faknow_with_stdin(&["predict", "run", "--input", "-", "--text", "text"], &array).ok(),
        from_file
    );
    let args = ["predict", "run", "--input", "-", "--format", "csv"];
    let from_csv = sandbox.faknow_with_stdin(&args, &csv(30, 4)).json_lines();
    let scores = |line: &Value| line["scores"].clone();
    let expected: Vec<Value> =
        from_file.lines().map(|line| scores(&serde_json::from_str(line).unwrap())).collect();
    assert_eq!(from_csv.iter().map(scores).collect::<Vec<_>>(), expected);
}

#[test]
fn retains_nested_fields_and_unusual_texts() {
    let sandbox = Sandbox::trained();
    let records = [
        json!({ "text": "", "meta": { "likes": 3, "tags": ["a", null] } }),
        json!({ "text": "\"quoted\", with\nline break\t🙂", "id": 1.5 }),
        json!({ "text": "震惊", "flag": true, "score": "of the input" }),
    ];
    let input: String = records.iter().map(|record| format!("{record}\n")).collect();
    let predictions =
        sandbox.faknow_with_stdin(&["predict", "run", "--input", "-", "--text", "text"], &input).json_lines();
    for (record, prediction) in records.iter().zip(&predictions) {
        for (name, value) in record.as_object().unwrap() {
            assert_eq!(&prediction[name], value);
        }
    }
    let reasons: Vec<&Value> = predictions.iter().map(|prediction| &prediction["reason"]).collect();
    assert_eq!(reasons, [&json!("empty text"), &json!("no known tokens"), &json!("no known tokens")]);
}

#[test]
fn output_file_has_the_format_of_its_extension() {
    let sandbox = Sandbox::trained();
    let lines = sandbox.faknow(&["predict", "run", "--input", "test.csv"]).ok();
    let to = |output: &str| {
        let done = sandbox.faknow(&["predict", "run", "--input", "test.csv", "--output", output]);
        assert_eq!(done.ok(), "", "standard output is empty");
        sandbox.read(output)
    };
    assert_eq!(to("predictions.jsonl"), lines);
    let (table, tabs) = (to("predictions.csv"), to("predictions.tsv"));
    assert_eq!(
        table.lines().next().unwrap(),
        "id,tweet,label,predicted_label,predicted_score,score_real,score_fake,known_tokens,reason"
    );
    assert_eq!(tabs, table.replace(',', "\t"));
    for (row, line) in table.lines().skip(1).zip(lines.lines()) {
        let prediction: Value = serde_json::from_str(line).unwrap();
        let cells: Vec<&str> = row.split(',').collect();
        assert_eq!(
            (cells[1], cells[3]),
            (prediction["tweet"].as_str().unwrap(), prediction["predicted_label"].as_str().unwrap())
        );
        let number = |cell: usize| cells[cell].parse::<f64>().unwrap();
        assert_eq!(
            (number(4), number(6)),
            (prediction["predicted_score"].as_f64().unwrap(), prediction["scores"]["fake"].as_f64().unwrap())
        );
    }
    assert_eq!(table.lines().count(), 25);
}

#[test]
fn warns_of_fields_missing_in_the_first_record() {
    let sandbox = Sandbox::trained();
    let input = "{\"text\": \"rain, \\\"storm\\\"\"}\n{\"text\": \"vote\", \"id\": 2}\n{\"text\": \"x\", \"id\": 3}\n";
    let args = ["predict", "run", "--input", "-", "--text", "text", "--output", "predictions.csv"];
    let done = sandbox.faknow_with_stdin(&args, input);
    assert_eq!(done.stderr.lines().filter(|line| line.starts_with("warning: field `id`")).count(), 1);
    let table = sandbox.read("predictions.csv");
    assert!(table.starts_with("text,predicted_label,predicted_score,score_real,score_fake,known_tokens,reason\n\"rain, \"\"storm\"\"\","), "{table}");
    assert_eq!(table.lines().count(), 4);
}

#[test]
fn predicts_thousands_of_records_in_order() {
    let sandbox = Sandbox::trained();
    let posts = posts(5_003, 9);
    sandbox.write("many.jsonl", jsonl(&posts));
    let predictions =
        sandbox.faknow(&["predict", "run", "--input", "many.jsonl", "--text", "text"]).json_lines();
    assert_eq!(predictions.len(), 5_003);
    for (index, (record, (text, _))) in predictions.iter().zip(&posts).enumerate() {
        assert_eq!((&record["id"], &record["text"]), (&json!(index), &json!(text)));
    }
    // Among others, the first and last records of chunks.
    for index in [0, 2_047, 2_048, 4_095, 4_096, 5_002] {
        let line = jsonl(&posts[index..=index]);
        let alone = sandbox
            .faknow_with_stdin(&["predict", "run", "--input", "-", "--text", "text"], &line)
            .json_lines();
        let score = |record: &Value| record["scores"]["fake"].as_f64().unwrap();
        let (among, alone) = (score(&predictions[index]), score(&alone[0]));
        assert!((among - alone).abs() < 1e-6, "record {index}: {among} among others, {alone} alone");
    }
}

#[test]
fn run_directory_can_be_copied() {
    let sandbox = Sandbox::trained();
    let expected = sandbox.faknow(&["predict", "run", "--input", "test.csv"]).ok();
    let elsewhere = tempfile::tempdir().unwrap();
    let moved = elsewhere.path().join("a directory").join("détecteur");
    for name in files(&sandbox.path("run")) {
        let target = moved.join(&name);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(sandbox.path("run").join(&name), target).unwrap();
    }
    fs::remove_dir_all(sandbox.path("run")).unwrap();
    for name in ["train.csv", "valid.csv"] {
        fs::remove_file(sandbox.path(name)).unwrap();
    }
    let moved = moved.to_str().unwrap();
    assert_eq!(sandbox.faknow(&["predict", moved, "--input", "test.csv"]).ok(), expected);
    sandbox.faknow(&["test", moved, "--data", "test.csv"]).ok();
}

#[test]
fn closed_pipe_is_not_an_error() {
    let sandbox = Sandbox::trained();
    sandbox.write("many.jsonl", jsonl(&posts(6_000, 5)));
    let args = ["predict", "run", "--input", "many.jsonl", "--text", "text"];
    let mut child = sandbox.command(&args).stdin(Stdio::null()).spawn().unwrap();
    let mut first = String::new();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut first).unwrap();
    drop(reader);
    let output = child.wait_with_output().unwrap();
    assert!(first.contains("\"scores\""));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn predicts_all_records_before_a_broken_one() {
    let sandbox = Sandbox::trained();
    let check = |name: &str, content: String, n_before: usize, parts: &[&str]| {
        sandbox.write(name, content);
        let done = sandbox.faknow(&["predict", "run", "--input", name, "--text", "text"]);
        done.assert_error(&[&[name], parts].concat());
        assert_eq!(done.stdout.lines().count(), n_before, "{name}");
        assert!(done.stdout.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
        done.stdout.lines().next_back().map(str::to_owned)
    };
    let lines = |n| jsonl(&posts(n, 6));
    let broken = |n| lines(n) + "{\"text\": \"rain\n" + &lines(5);
    check("broken.jsonl", broken(10), 10, &["record 11", "invalid JSON at line"]);
    let last = check("later.jsonl", broken(3_000), 3_000, &["record 3001"]);
    assert!(last.unwrap().starts_with("{\"id\":2999,"), "expected the last record before the broken one");
    check(
        "number.jsonl",
        lines(3) + "{\"text\": 5}\n",
        3,
        &["record 4", "field `text`", "number", "`--text COLUMN`"],
    );
    check(
        "first.jsonl",
        "{\"text\": []}\n".to_owned() + &lines(3),
        0,
        &["record 1", "field `text`", "array"],
    );
    let rows = "text,id\nrain,1\nstorm,2\nvote\n".to_owned();
    check("short.csv", rows, 2, &["record 3", "expected 2 fields", "got 1"]);
}

#[test]
fn predicts_without_the_domain_column() {
    let sandbox = Sandbox::new();
    let with_domain = sandbox.read("train.csv").replace(",real", ",real,news").replace(",fake", ",fake,news");
    sandbox.write("domains.csv", with_domain.replace("label\n", "label,topic\n"));
    let args = ["--train", "domains.csv", "--text", "tweet", "--set", "data.domain=topic", "--out", "run"];
    sandbox.train(&args);
    sandbox.faknow(&["predict", "run", "--input", "test.csv"]).ok();
    sandbox.faknow(&["test", "run", "--data", "test.csv"]).ok();
}

#[test]
fn never_overwrites_the_input() {
    let sandbox = Sandbox::trained();
    let before = sandbox.read("test.csv");
    let args = ["predict", "run", "--input", "test.csv", "--output", "./test.csv"];
    sandbox.check_error(&args, &["`--output`", "a file other than --input", "test.csv"]);
    assert_eq!(sandbox.read("test.csv"), before);
}
