//! The fields of records besides the text, in every command that uses a trained detector.

use serde_json::{Value, json};

use crate::server_process::{ServerProcess, post};
use crate::support::Sandbox;

/// What happens without the column of a field.
enum Missing {
    /// An error with this text, in `predict` and `test`.
    Error(&'static str),
    /// The predictions are others, and the summary of `predict` has this text.
    Noted(&'static str),
    /// The predictions are the same.
    Unused,
}

/// A field of records: options of the training, its column, options that name the column `other`, an option that does not apply to
/// the detector with its error, and what happens without the column.
struct Field {
    model: &'static str,
    training: &'static [&'static str],
    column: &'static str,
    other: &'static [&'static str],
    wrong: (&'static [&'static str], &'static str),
    missing: Missing,
}

const FIELDS: [Field; 5] = [
    Field {
        model: "mdfend",
        training: &["--domain", "domain", "--set", "model.n_filters=4"],
        column: "domain",
        other: &["--domain", "other"],
        wrong: (&["--comments", "text"], "`--comments`: `mdfend` was trained without comments"),
        missing: Missing::Noted("without a known domain"),
    },
    Field {
        model: "dudef",
        training: &["--features", "emotions"],
        column: "emotions",
        other: &["--features", "emotions=other"],
        wrong: (
            &["--features", "joy=other"],
            "`--features`: expected features that `dudef` was trained on (from columns: `emotions`), got `joy`",
        ),
        missing: Missing::Error("name another column with `--features NAME=COLUMN`"),
    },
    Field {
        model: "dudef",
        training: &["--comments", "comments", "--set", "text.lexicons=lexicons"],
        column: "comments",
        other: &["--comments", "other"],
        wrong: (
            &["--features", "emotions=other"],
            "`--features`: expected features that `dudef` was trained on (from columns: none), got `emotions`",
        ),
        missing: Missing::Error("name another column with `--comments COLUMN`"),
    },
    Field {
        model: "eddfn",
        training: &["--features", "input", "--domain", "domain"],
        column: "input",
        other: &["--features", "input=other"],
        wrong: (&["--comments", "text"], "`--comments`: `eddfn` was trained without comments"),
        missing: Missing::Error("name another column with `--features NAME=COLUMN`"),
    },
    Field {
        model: "endef",
        training: &["--entities", "entities", "--domain", "domain", "--set", "model.mdfend.n_filters=4"],
        column: "entities",
        other: &[],
        wrong: (&["--features", "input=other"], "(from columns: none), got `input`"),
        missing: Missing::Unused,
    },
];

/// Writes `name` with the column `from` of the test posts renamed, or without it.
fn write_posts(sandbox: &Sandbox, name: &str, from: &str, to: Option<&str>) {
    let lines = sandbox.read("posts/social/test.jsonl");
    let rename = |line: &str| {
        let mut record: Value = serde_json::from_str(line).unwrap();
        let value = record.as_object_mut().unwrap().remove(from).unwrap();
        if let Some(to) = to {
            record[to] = value;
        }
        record.to_string() + "\n"
    };
    sandbox.write(name, lines.lines().map(rename).collect::<String>());
}

/// Returns the score of the class `fake` of each prediction.
fn scores(predictions: &[Value]) -> Vec<f64> {
    predictions.iter().map(|prediction| prediction["scores"]["fake"].as_f64().unwrap()).collect()
}

#[test]
fn fields_of_records_may_have_other_columns_in_new_files() {
    let sandbox = Sandbox::new();
    sandbox.faknow(&["data", "example", "posts", "--posts", "100"]).ok();
    std::fs::create_dir(sandbox.path("lexicons")).unwrap();
    sandbox.write("lexicons/categories.tsv", "people\tanger\nsay\tjoy\nshare\tfear\n");
    for (index, Field { model, training, column, other, wrong, missing }) in FIELDS.iter().enumerate() {
        let run = format!("run{index}");
        let data =
            ["--train", "posts/social/train.jsonl", "--valid", "posts/social/valid.jsonl", "--epochs", "2"];
        let settings = ["--out", &run, "--set", "model.embedding_size=8", "--set", "optimizer.lr=0.01"];
        sandbox.faknow(&[&["train", model][..], &data, &settings, training].concat()).ok();
        write_posts(&sandbox, "renamed.jsonl", column, Some("other"));
        write_posts(&sandbox, "without.jsonl", column, None);
        let predict = |file: &str, more: &[&str]| {
            sandbox.faknow(&[&["predict", &run, "--input", file][..], more].concat())
        };
        let test = |file: &str, more: &[&str]| {
            sandbox.faknow(&[&["test", &run, "--data", file, "--json"][..], more].concat())
        };
        let same = predict("posts/social/test.jsonl", &[]).json_lines();
        let expected = scores(&same);
        assert_eq!(scores(&predict("renamed.jsonl", other).json_lines()), expected, "{run}: predict");
        // Unlike the loss, it does not depend on the order of the texts, which are sorted by length, entities included.
        let loss = |result: &Value| result["test"]["log_loss"].as_f64().unwrap();
        let tested = loss(&test("posts/social/test.jsonl", &[]).json());
        assert_eq!(loss(&test("renamed.jsonl", other).json()), tested, "{run}: test");
        for command in ["predict", "test"] {
            let file = if command == "predict" { "--input" } else { "--data" };
            let args = [&[command, &run, file, "renamed.jsonl"][..], wrong.0].concat();
            sandbox.check_error(&args, &[wrong.1]);
            match missing {
                Missing::Error(text) => {
                    sandbox.check_error(&[command, &run, file, "without.jsonl"], &[column, text])
                }
                Missing::Noted(_) => {
                    let args = [&[command, &run, file, "without.jsonl"][..], other].concat();
                    sandbox.check_error(&args, &["no such column `other`", "`--domain COLUMN`"]);
                }
                Missing::Unused => {}
            }
        }
        match missing {
            Missing::Error(_) => {}
            Missing::Noted(text) => {
                let output = predict("without.jsonl", &[]);
                assert!(output.stderr.contains(text), "{run}: {}", output.stderr);
                assert_ne!(scores(&output.json_lines()), expected, "{run}");
                assert_ne!(loss(&test("without.jsonl", &[]).json()), tested, "{run}");
            }
            Missing::Unused => {
                assert_eq!(scores(&predict("without.jsonl", &[]).json_lines()), expected, "{run}");
                assert_eq!(loss(&test("without.jsonl", &[]).json()), tested, "{run}");
            }
        }
        // Tokens are those of the text.
        sandbox.faknow(&["tokens", &run, "--input", "without.jsonl"]).ok();
        // The fields of a request have fixed names.
        let server = ServerProcess::start(&sandbox, &run, &[]);
        let record: Value =
            serde_json::from_str(sandbox.read("posts/social/test.jsonl").lines().next().unwrap()).unwrap();
        let mut text =
            json!({ "text": record["text"], "domain": record["domain"], "comments": record["comments"] });
        text["features"] = json!({ "emotions": record["emotions"], "input": record["input"] });
        let (status, response) = server.request(&post(&text));
        assert_eq!(status, 200, "{run}: {response}");
        let score = response["scores"]["fake"].as_f64().unwrap();
        assert!((score - expected[0]).abs() < 1e-6, "{run}: {response}, not {}", same[0]);
        // The explanation is that of the text with its fields.
        text["explain"] = json!(true);
        let (status, response) = server.request(&post(&text));
        if training.contains(&"input") {
            let message = response["error"]["message"].as_str().unwrap();
            assert_eq!(status, 422, "{run}");
            assert!(message.contains("the scores of `eddfn` do not depend on words"), "{message}");
        } else {
            assert_eq!(status, 200, "{run}: {response}");
            let parts = response["parts"].as_array().unwrap();
            assert!(parts.iter().any(|part| part["contribution"] != 0.0), "{run}: {response}");
        }
    }
    let unused =
        ["predict", "run1", "--input", "renamed.jsonl", "--features", "emotions=other", "--domain", "domain"];
    sandbox.check_error(&unused, &["`--domain`: `dudef` does not use domains", "`faknow test`"]);
}
