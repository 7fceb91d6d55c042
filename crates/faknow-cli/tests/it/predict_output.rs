//! Output of `predict`: known tokens, records without any, columns, summary; and their counts in `test` and `train`.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Sandbox, keys};

/// Writes texts that a model cannot read, as CSV.
fn unreadable(sandbox: &Sandbox) {
    let texts = ["", "\" \"", "🙂🙂", "привет мир", "\u{200b}\u{feff}", "shocking rain", "rain привет"];
    let rows: String = texts.iter().enumerate().map(|(id, text)| format!("{id},{text}\n")).collect();
    sandbox.write("unreadable.csv", format!("id,tweet\n{rows}"));
}

#[test]
fn records_without_known_tokens_have_no_prediction_but_a_reason() {
    let sandbox = Sandbox::trained();
    unreadable(&sandbox);
    let done = sandbox.faknow(&["predict", "run", "--input", "unreadable.csv"]);
    assert!(done.stderr.starts_with("7 records: "), "{}", done.stderr);
    assert!(done.stderr.lines().next().unwrap().ends_with(", 5 without a known token"), "{}", done.stderr);
    let lines = done.json_lines();
    let expected = [
        (0, json!("empty text")),
        (0, json!("empty text")),
        (0, json!("no known tokens")),
        (0, json!("no known tokens")),
        (0, json!("empty text")),
        (2, Value::Null),
        (1, Value::Null),
    ];
    for (line, (known_tokens, reason)) in lines.iter().zip(expected) {
        assert_eq!((&line["known_tokens"], &line["reason"]), (&json!(known_tokens), &reason), "{line}");
        for name in ["predicted_label", "predicted_score", "scores"] {
            assert!(line.get(name).is_some_and(|value| value.is_null() == (known_tokens == 0)), "{line}");
        }
    }
    // Values that data frames write for a missing text, and JSON's null; a missing column is still an error.
    let missing = "{\"text\": null}\n{\"text\": \"NaN\"}\n{}\n{\"text\": \"\"}\n{\"text\": \"rain\"}\n";
    let done = sandbox.faknow_with_stdin(&["predict", "run", "--input", "-", "--text", "text"], missing);
    let reasons: Vec<Value> = done.json_lines().iter().map(|line| line["reason"].clone()).collect();
    let missing = json!("missing text");
    assert_eq!(reasons, [missing.clone(), missing.clone(), missing, json!("empty text"), Value::Null]);
    let done = sandbox
        .faknow_with_stdin(&["predict", "run", "--input", "-", "--text", "body"], "{\"text\": \"rain\"}");
    done.assert_error(&["`body`", "--text"]);
    let args = ["predict", "run", "--input", "unreadable.csv", "--output", "predictions.csv", "--explain"];
    sandbox.faknow(&args).ok();
    let table = sandbox.read("predictions.csv");
    assert!(
        table.lines().next().unwrap().ends_with(",known_tokens,reason,parts,baseline,residual"),
        "{table}"
    );
    assert_eq!(table.lines().nth(3).unwrap(), "2,🙂🙂,,,,,0,no known tokens,[],,");
}

#[test]
fn on_empty_predicts_or_is_an_error() {
    let sandbox = Sandbox::trained();
    unreadable(&sandbox);
    let predict = ["predict", "run", "--input", "unreadable.csv"];
    let done = sandbox.faknow(&[&predict[..], &["--on-empty", "predict"]].concat());
    assert!(
        done.stderr.lines().next().unwrap().ends_with(" fake (5 without a known token)"),
        "{}",
        done.stderr
    );
    let lines = done.json_lines();
    assert!(lines.iter().all(|line| line["predicted_label"].is_string() && line.get("reason").is_none()));
    assert_eq!(lines[2]["known_tokens"], 0);
    let done = sandbox.faknow(&[&predict[..], &["--on-empty", "error"]].concat());
    done.assert_error(&["unreadable.csv: record 1: empty text; `--on-empty null`"]);
    assert_eq!(done.stdout, "");
    sandbox.check_error(&[&predict[..], &["--on-empty", "real"]].concat(), &["--on-empty", "real"]);
}

#[test]
fn summary_counts_classes_and_warns_of_unknown_tokens() {
    let sandbox = Sandbox::trained();
    let predict = ["predict", "run", "--input", "test.csv"];
    let done = sandbox.faknow(&predict);
    let n_fake = done.stdout.matches("\"predicted_label\":\"fake\"").count();
    assert_eq!(done.stderr, format!("24 records: {} real, {n_fake} fake\n", 24 - n_fake));
    assert_eq!(sandbox.faknow(&[&predict[..], &["--quiet"]].concat()).stderr, "");
    sandbox.write("other.csv", "tweet\nrain в городе\nmayor нет\n");
    let done = sandbox.faknow(&["predict", "run", "--input", "other.csv", "--quiet"]);
    let (first, second) = done.stderr.split_once('\n').unwrap();
    assert!(first.starts_with("2 records: "), "{first}");
    assert!(second.starts_with("warning: 60.0 % of all tokens are unknown to the model"), "{second}");
}

#[test]
fn columns_of_the_input_do_not_collide_with_the_prediction() {
    let sandbox = Sandbox::trained();
    let check = |header: &str, more: &[&str], column: &str| {
        sandbox.write("new.csv", format!("tweet,{header}\nrain,1\n"));
        let output = ["predict", "run", "--input", "new.csv", "--output", "predictions.jsonl"];
        let args = [&output[..], more].concat();
        sandbox.check_error(&args, &["new.csv", &format!("column `{column}`"), "--copy"]);
        assert!(!sandbox.path("predictions.jsonl").exists(), "nothing is written");
        // Without this column, it is accepted.
        sandbox.faknow(&[&args[..], &["--copy", "tweet"]].concat()).ok();
        let line: Value = serde_json::from_str(&sandbox.read("predictions.jsonl")).unwrap();
        assert_eq!(keys(&line)[..2], ["tweet", "predicted_label"]);
        fs::remove_file(sandbox.path("predictions.jsonl")).unwrap();
    };
    for column in ["predicted_label", "predicted_score", "scores", "known_tokens", "reason"] {
        check(column, &[], column);
    }
    check("parts", &["--explain"], "parts");
    sandbox.write("new.csv", "tweet,score_fake,label,score,parts\nrain,1,2,3,4\n");
    let args = ["predict", "run", "--input", "new.csv", "--output", "predictions.csv"];
    sandbox.check_error(&args, &["column `score_fake`"]);
    // Only names of this output collide.
    let line = sandbox.faknow(&args[..4]).json();
    let given = ["score_fake", "label", "score", "parts"].map(|name| line[name].as_str().unwrap().to_owned());
    assert_eq!(given, ["1", "2", "3", "4"]);
    // A later JSON record may have other fields.
    sandbox.write("later.jsonl", "{\"tweet\": \"rain\"}\n{\"tweet\": \"rain\", \"scores\": 1}\n");
    let done = sandbox.faknow(&["predict", "run", "--input", "later.jsonl"]);
    done.assert_error(&["later.jsonl: record 2: column `scores`"]);
    assert_eq!(done.stdout.lines().count(), 1);
}

#[test]
fn copies_chosen_columns() {
    let sandbox = Sandbox::trained();
    let predict = ["predict", "run", "--input", "test.csv", "--copy"];
    let names = |columns: &str| {
        let line = sandbox.faknow(&[&predict[..], &[columns]].concat()).json();
        keys(&line).iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()
    };
    let added = ["predicted_label", "predicted_score", "scores", "known_tokens"];
    assert_eq!(names("id,label"), [&["id", "label"][..], &added[..]].concat());
    assert_eq!(names(""), added);
    sandbox
        .check_error(&[&predict[..], &["body"]].concat(), &["`--copy`", "`id`, `tweet`, `label`", "`body`"]);
}

#[test]
fn test_counts_texts_without_known_tokens() {
    let sandbox = Sandbox::trained();
    sandbox.write("test.csv", sandbox.read("test.csv") + "24,привет,fake\n25,🙂,real\n");
    let done = sandbox.faknow(&["test", "run", "--data", "test.csv", "--json"]);
    let warning = "test.csv: 2 of 26 texts without any known token";
    assert!(done.stderr.contains(warning), "{}", done.stderr);
    let result = done.json();
    assert_eq!(result["test"]["n_without_known_tokens"], 2);
    assert_eq!(result["test"]["n_samples"], 26);
    let table = sandbox.faknow(&["test", "run", "--data", "test.csv"]).ok();
    assert!(table.starts_with("test.csv (26 samples, 2 without a known token, "), "{table}");
    sandbox.write("test.csv", sandbox.read("test.csv") + "26,,fake\n27,NaN,real\n");
    let result = sandbox.faknow(&["test", "run", "--data", "test.csv", "--json"]).json();
    assert_eq!(result["test"]["n_without_known_tokens"], 4, "missing texts are counted too");
}

#[test]
fn training_warns_of_texts_without_tokens() {
    let sandbox = Sandbox::new();
    sandbox.write("train.csv", sandbox.read("train.csv") + "80,🙂,fake\n");
    sandbox.write("test.csv", sandbox.read("test.csv") + "24,привет,fake\n");
    let args = ["train", "textcnn", "--train", "train.csv", "--valid", "valid.csv", "--test", "test.csv"];
    let done = sandbox
        .faknow(&[&args[..], &["--text", "tweet", "--epochs", "1", "--out", "run", "--json"]].concat());
    for warning in [
        "training: 1 of 81 texts without any known token",
        "test: 1 of 25 texts without any known token: their predictions",
    ] {
        assert!(
            done.stderr.lines().any(|line| line.contains("WARN") && line.contains(warning)),
            "{}",
            done.stderr
        );
    }
    assert_eq!(done.json()["test"]["n_without_known_tokens"], 1);
    assert!(sandbox.read("run/report.html").contains("1 texts without any known token"));
}
