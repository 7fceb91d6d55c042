//! Testing and predicting with the detector of a run directory.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Bench, csv, files, jsonl, keys, posts};

#[test]
fn the_test_command_finds_what_the_test_of_the_training_found() {
    let bench = Bench::new();
    let summary = bench.train(&["--valid", "valid.csv", "--test", "test.csv", "--out", "run"]);
    let tested =
        bench.faknow(&["test", "run", "--data", "test.csv", "--text", "tweet", "--label", "label", "--json"]);
    let tested = tested.json();
    assert_eq!(keys(&tested), ["run", "data", "test"]);
    assert_eq!(tested["test"], summary["test"], "to the last bit");
    assert_eq!(
        bench.faknow(&["test", "run", "--data", "valid.csv", "--json"]).json()["test"],
        summary["valid"]
    );
    let table = bench.faknow(&["test", "run", "--data", "test.csv"]).ok();
    assert!(
        table.starts_with("test.csv (24 samples, loss ") && table.contains("confusion matrix"),
        "{table}"
    );
}

#[test]
fn other_columns_and_other_formats_can_be_tested_too() {
    let bench = Bench::trained();
    let expected = bench.faknow(&["test", "run", "--data", "test.csv", "--json"]).json()["test"].clone();
    let rows = bench.read("test.csv").replace("id,tweet,label", "id,body,verdict").replace(',', "\t");
    bench.write("other.tsv", rows);
    let args = ["test", "run", "--data", "other.tsv", "--text", "body", "--label", "verdict", "--json"];
    assert_eq!(bench.faknow(&args).json()["test"], expected);
    bench.refuses(&["test", "run", "--data", "other.tsv"], &["other.tsv", "`tweet`", "`body`"]);
}

#[test]
fn predictions_keep_the_fields_and_add_label_score_and_scores() {
    let bench = Bench::trained();
    let judged = bench.faknow(&["predict", "run", "--input", "test.csv", "--text", "tweet"]).json_lines();
    assert_eq!(judged.len(), 24);
    for (index, (record, (text, _))) in judged.iter().zip(posts(24, 3)).enumerate() {
        assert_eq!(keys(record), ["id", "tweet", "label", "score", "scores"]);
        assert_eq!((&record["id"], &record["tweet"]), (&json!(index.to_string()), &json!(text)));
        let score = |class: &str| record["scores"][class].as_f64().unwrap();
        assert!((score("real") + score("fake") - 1.0).abs() < 1e-12);
        let label = if score("fake") > score("real") { "fake" } else { "real" };
        assert_eq!((&record["label"], record["score"].as_f64().unwrap()), (&json!(label), score(label)));
    }
}

#[test]
fn standard_input_gives_what_a_file_gives() {
    let bench = Bench::trained();
    let lines = jsonl(&posts(30, 4));
    bench.write("new.jsonl", &lines);
    let from_file = bench.faknow(&["predict", "run", "--input", "new.jsonl", "--text", "text"]).ok();
    assert_eq!(from_file.lines().count(), 30);
    let from_stdin = bench.faknow_reading(&["predict", "run", "--input", "-", "--text", "text"], &lines).ok();
    assert_eq!(from_stdin, from_file);
    let array = format!("[{}]", lines.trim_end().replace('\n', ","));
    assert_eq!(
        bench.faknow_reading(&["predict", "run", "--input", "-", "--text", "text"], &array).ok(),
        from_file
    );
    let args = ["predict", "run", "--input", "-", "--format", "csv"];
    let from_csv = bench.faknow_reading(&args, &csv(30, 4)).json_lines();
    let scores = |line: &Value| line["scores"].clone();
    let expected: Vec<Value> =
        from_file.lines().map(|line| scores(&serde_json::from_str(line).unwrap())).collect();
    assert_eq!(from_csv.iter().map(scores).collect::<Vec<_>>(), expected);
}

#[test]
fn nested_fields_and_odd_texts_survive() {
    let bench = Bench::trained();
    let records = [
        json!({ "text": "", "meta": { "likes": 3, "tags": ["a", null] } }),
        json!({ "text": "\"quoted\", with\nline break\t🙂", "id": 1.5 }),
        json!({ "text": "震惊", "flag": true, "score": "of the input" }),
    ];
    let input: String = records.iter().map(|record| format!("{record}\n")).collect();
    let judged =
        bench.faknow_reading(&["predict", "run", "--input", "-", "--text", "text"], &input).json_lines();
    for (record, judged) in records.iter().zip(&judged) {
        for (name, value) in record.as_object().unwrap().iter().filter(|(name, _)| *name != "score") {
            assert_eq!(&judged[name], value);
        }
        assert!(judged["score"].is_f64(), "what the detector says wins over a field of the same name");
    }
    assert_eq!(judged.len(), 3);
}

#[test]
fn output_goes_to_a_file_in_the_format_of_its_ending() {
    let bench = Bench::trained();
    let lines = bench.faknow(&["predict", "run", "--input", "test.csv"]).ok();
    let to = |output: &str| {
        let done = bench.faknow(&["predict", "run", "--input", "test.csv", "--output", output]);
        assert_eq!(done.ok(), "", "standard output stays empty");
        bench.read(output)
    };
    assert_eq!(to("judged.jsonl"), lines);
    let (table, tabs) = (to("judged.csv"), to("judged.tsv"));
    assert_eq!(table.lines().next().unwrap(), "id,tweet,label,score,score_real,score_fake");
    assert_eq!(tabs, table.replace(',', "\t"));
    for (row, line) in table.lines().skip(1).zip(lines.lines()) {
        let judged: Value = serde_json::from_str(line).unwrap();
        let cells: Vec<&str> = row.split(',').collect();
        assert_eq!(
            (cells[1], cells[2]),
            (judged["tweet"].as_str().unwrap(), judged["label"].as_str().unwrap())
        );
        let number = |cell: usize| cells[cell].parse::<f64>().unwrap();
        assert_eq!(
            (number(3), number(5)),
            (judged["score"].as_f64().unwrap(), judged["scores"]["fake"].as_f64().unwrap())
        );
    }
    assert_eq!(table.lines().count(), 25);
}

#[test]
fn a_field_that_the_first_record_lacks_has_no_column_and_that_is_said() {
    let bench = Bench::trained();
    let input = "{\"text\": \"rain, \\\"storm\\\"\"}\n{\"text\": \"vote\", \"id\": 2}\n{\"text\": \"x\", \"id\": 3}\n";
    let args = ["predict", "run", "--input", "-", "--text", "text", "--output", "judged.csv"];
    let done = bench.faknow_reading(&args, input);
    assert_eq!(done.stderr.lines().filter(|line| line.starts_with("warning: field `id`")).count(), 1);
    let table = bench.read("judged.csv");
    assert!(table.starts_with("text,label,score,score_real,score_fake\n\"rain, \"\"storm\"\"\","), "{table}");
    assert_eq!(table.lines().count(), 4);
}

#[test]
fn thousands_of_records_keep_their_order_and_are_judged_as_alone() {
    let bench = Bench::trained();
    let posts = posts(5_003, 9);
    bench.write("many.jsonl", jsonl(&posts));
    let judged = bench.faknow(&["predict", "run", "--input", "many.jsonl", "--text", "text"]).json_lines();
    assert_eq!(judged.len(), 5_003);
    for (index, (record, (text, _))) in judged.iter().zip(&posts).enumerate() {
        assert_eq!((&record["id"], &record["text"]), (&json!(index), &json!(text)));
    }
    // The borders of what is read at once, among others.
    for index in [0, 2_047, 2_048, 4_095, 4_096, 5_002] {
        let line = jsonl(&posts[index..=index]);
        let alone =
            bench.faknow_reading(&["predict", "run", "--input", "-", "--text", "text"], &line).json_lines();
        let score = |record: &Value| record["scores"]["fake"].as_f64().unwrap();
        let (among, alone) = (score(&judged[index]), score(&alone[0]));
        assert!((among - alone).abs() < 1e-6, "record {index}: {among} among others, {alone} alone");
    }
}

#[test]
fn a_run_dir_works_wherever_it_is_copied() {
    let bench = Bench::trained();
    let expected = bench.faknow(&["predict", "run", "--input", "test.csv"]).ok();
    let elsewhere = tempfile::tempdir().unwrap();
    let moved = elsewhere.path().join("a directory").join("détecteur");
    for name in files(&bench.path("run")) {
        let target = moved.join(&name);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(bench.path("run").join(&name), target).unwrap();
    }
    fs::remove_dir_all(bench.path("run")).unwrap();
    for name in ["train.csv", "valid.csv"] {
        fs::remove_file(bench.path(name)).unwrap();
    }
    let moved = moved.to_str().unwrap();
    assert_eq!(bench.faknow(&["predict", moved, "--input", "test.csv"]).ok(), expected);
    bench.faknow(&["test", moved, "--data", "test.csv"]).ok();
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let bench = Bench::trained();
    bench.write("many.jsonl", jsonl(&posts(6_000, 5)));
    let args = ["predict", "run", "--input", "many.jsonl", "--text", "text"];
    let mut child = bench.command(&args).stdin(Stdio::null()).spawn().unwrap();
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
fn what_stands_before_a_broken_record_is_judged() {
    let bench = Bench::trained();
    let check = |name: &str, content: String, n_before: usize, parts: &[&str]| {
        bench.write(name, content);
        let done = bench.faknow(&["predict", "run", "--input", name, "--text", "text"]);
        done.refused(&[&[name], parts].concat());
        assert_eq!(done.stdout.lines().count(), n_before, "{name}");
        assert!(done.stdout.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
        done.stdout.lines().next_back().map(str::to_owned)
    };
    let lines = |n| jsonl(&posts(n, 6));
    let broken = |n| lines(n) + "{\"text\": \"rain\n" + &lines(5);
    check("broken.jsonl", broken(10), 10, &["record 11", "invalid JSON at line"]);
    let last = check("later.jsonl", broken(3_000), 3_000, &["record 3001"]);
    assert!(last.unwrap().starts_with("{\"id\":2999,"), "the last whole record is there");
    check("number.jsonl", lines(3) + "{\"text\": 5}\n", 3, &["record 4", "field `text`", "number"]);
    check(
        "first.jsonl",
        "{\"text\": null}\n".to_owned() + &lines(3),
        0,
        &["record 1", "field `text`", "null"],
    );
    let rows = "text,id\nrain,1\nstorm,2\nvote\n".to_owned();
    check("short.csv", rows, 2, &["record 3", "expected 2 fields", "got 1"]);
}

#[test]
fn a_detector_with_a_domain_column_needs_no_domain_to_predict() {
    let bench = Bench::new();
    let with_domain = bench.read("train.csv").replace(",real", ",real,news").replace(",fake", ",fake,news");
    bench.write("domains.csv", with_domain.replace("label\n", "label,topic\n"));
    let args = ["--train", "domains.csv", "--text", "tweet", "--set", "data.domain=topic", "--out", "run"];
    bench.train(&args);
    bench.faknow(&["predict", "run", "--input", "test.csv"]).ok();
    bench.faknow(&["test", "run", "--data", "test.csv"]).ok();
}

#[test]
fn the_input_is_never_overwritten() {
    let bench = Bench::trained();
    let before = bench.read("test.csv");
    let args = ["predict", "run", "--input", "test.csv", "--output", "./test.csv"];
    bench.refuses(&args, &["`--output`", "another file", "test.csv"]);
    assert_eq!(bench.read("test.csv"), before);
}
