//! From files as they are to records: several text columns, nested fields, labels by file, records that are left out.

use std::io::Write;

use serde_json::json;

use crate::support::{Sandbox, posts};

/// Returns the posts of a class, with a title of two words.
fn titled(class: &str, n: usize) -> Vec<(String, String)> {
    let of_class = posts(n, 1).into_iter().filter(|(_, label)| *label == class);
    let title = |text: &str| text.split(' ').take(2).collect::<Vec<_>>().join(" ");
    of_class.map(|(text, _)| (title(&text), text)).collect()
}

#[test]
fn labels_by_file_with_several_text_columns_in_a_compressed_file() {
    let sandbox = Sandbox::new();
    for class in ["real", "fake"] {
        let rows: String =
            titled(class, 60).iter().map(|(title, text)| format!("{title},NaN,{text}\n")).collect();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(format!("title,author,text\n{rows}").as_bytes()).unwrap();
        sandbox.write(&format!("{class}.csv.gz"), gz.finish().unwrap());
    }
    let files = "real=real.csv.gz,fake=fake.csv.gz";
    sandbox.train(&["--train", files, "--text", "title,author,text", "--out", "run"]);
    let log = sandbox.read("run/run.log");
    assert!(log.contains("training: 42 texts (21 real, 21 fake)"), "{log}");
    let config = sandbox.read("run/config.toml");
    assert!(config.contains("real = \"real.csv.gz\""), "{config}");
    let table = sandbox.faknow(&["test", "run", "--data", files]).ok();
    assert!(table.starts_with(&format!("{files} (60 samples")), "{table}");
    // The text consists of both columns, without the missing one; the output has the fields of the record.
    sandbox.write("new.csv", "id,title,author,text\n1,rain mayor,None,rain mayor\n");
    let tokens = sandbox.faknow(&["tokens", "run", "--input", "new.csv"]).json();
    assert_eq!(tokens["tokens"].as_array().unwrap().len(), 4);
    let line = sandbox.faknow(&["predict", "run", "--input", "new.csv"]).json();
    assert_eq!((&line["title"], &line["author"]), (&json!("rain mayor"), &json!("None")));
    let line = sandbox.faknow(&["predict", "run", "--input", "new.csv", "--explain"]).json();
    assert_eq!(line["parts"].as_array().unwrap().len(), 4);
    sandbox.check_train_error(
        &["--train", "real=real.csv.gz,fake=real.csv.gz"],
        &["`--train`: expected each file once, got `real.csv.gz` twice"],
    );
    sandbox.check_train_error(
        &["--train", "real=real.csv.gz,fake.csv.gz"],
        &["no label for `fake.csv.gz`", "--train"],
    );
}

#[test]
fn nested_fields_are_read_and_written_as_they_are() {
    let sandbox = Sandbox::new();
    let lines: String = posts(60, 1)
        .into_iter()
        .map(|(text, label)| {
            json!({ "content": { "text": text, "lang": "en" }, "meta": [{ "label": label }] }).to_string()
                + "\n"
        })
        .collect();
    sandbox.write("nested.jsonl", &lines);
    let columns = ["--text", "content.text", "--label", "meta.0.label"];
    sandbox.train(&[&["--train", "nested.jsonl", "--out", "run"][..], &columns].concat());
    let first = sandbox.faknow(&["predict", "run", "--input", "nested.jsonl"]).json_lines().remove(0);
    let original: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!((&first["content"], &first["meta"]), (&original["content"], &original["meta"]));
    let report = sandbox.faknow(&[&["data", "inspect", "nested.jsonl"][..], &columns].concat()).ok();
    assert!(report.contains("60 records") && report.contains("content.text"), "{report}");
    let args = ["--train", "nested.jsonl", "--text", "content.body", "--label", "meta.0.label"];
    let keys = "no such column `content.body`: `content` has the keys `text`, `lang`";
    sandbox.check_error(&[&["train", "textcnn"][..], &args].concat(), &[keys, "--text"]);
}

#[test]
fn left_out_records_are_counted_and_named() {
    let sandbox = Sandbox::new();
    let rows = posts(60, 1).into_iter().enumerate().map(|(index, (text, label))| {
        let label = if index % 10 == 0 { "satire" } else { label };
        format!("{text},{label}\n")
    });
    let rows: String = rows.collect();
    sandbox.write("all.csv", format!("tweet,label\n{rows}None,fake\nrain\n"));
    let args = ["--train", "all.csv", "--drop-classes", "Satire"];
    let broken = ["all.csv: record 61, field `tweet`: missing text", "`None`", "--skip-broken N"];
    sandbox.check_train_error(&args, &broken);
    let two = ["--train", "all.csv", "--classes", "real,fake"];
    sandbox.check_train_error(&two, &["unknown label `satire`", "--drop-classes"]);
    let few = [&args[..], &["--skip-broken", "1"]].concat();
    sandbox.check_train_error(
        &few,
        &["at most 1 broken records (`--skip-broken`), got 2 in the first 62 records"],
    );
    sandbox.check_train_error(
        &["--train", "all.csv", "--drop-classes", "satyre,satire", "--skip-broken", "5%"],
        &["`--drop-classes`: expected labels of records, got `satyre`"],
    );
    sandbox.check_error(&["predict", "run", "--input", "all.csv", "--skip-broken", "3"], &["--skip-broken"]);
    let skip = ["--drop-classes", "Satire", "--skip-broken", "5%", "--text", "tweet"];
    sandbox.train(&[&["--train", "all.csv", "--out", "run"][..], &skip].concat());
    let log = sandbox.read("run/run.log");
    assert!(log.contains("left out: 6 Satire"), "{log}");
    assert!(
        log.contains("skipped: 2 of 62 records of all.csv are broken: record 61, field `tweet`: "),
        "{log}"
    );
    // A limit of the training does not apply to other files; the dropped labels do.
    sandbox.check_error(&["test", "run", "--data", "all.csv"], &["record 62", "--skip-broken"]);
    let done = sandbox.faknow(&["test", "run", "--data", "all.csv", "--skip-broken", "2"]);
    assert!(
        done.stderr.contains("left out: 6 Satire") && done.stderr.contains("skipped: 2 of 62"),
        "{}",
        done.stderr
    );
    let folds =
        [&["cv", "textcnn", "--train", "all.csv", "--folds", "2", "--epochs", "1", "--out", "cv"][..], &skip];
    sandbox.faknow(&folds.concat()).ok();
}

#[test]
fn invisible_characters_do_not_hide_words() {
    let sandbox = Sandbox::trained();
    let tokens = |input: &str| {
        sandbox.faknow_with_stdin(&["tokens", "run", "--input", "-", "--text", "text"], input).ok()
    };
    let hidden = tokens("{\"text\": \"ra\u{200b}in ｒａｉｎ\"}\n");
    assert_eq!(hidden, tokens("{\"text\": \"rain rain\"}\n"));
    let tokenizer = sandbox.read("run/tokenizer.json");
    assert!(tokenizer.contains("\"normalize_unicode\": true"), "{tokenizer}");
    // A run of an earlier version.
    sandbox.train(&["--set", "text.normalize_unicode=false", "--out", "old"]);
    sandbox.write(
        "old/tokenizer.json",
        sandbox.read("old/tokenizer.json").replace("  \"normalize_unicode\": false,\n", ""),
    );
    sandbox
        .write("old/config.toml", sandbox.read("old/config.toml").replace("normalize_unicode = false\n", ""));
    std::fs::remove_file(sandbox.path("old/checksums.json")).unwrap();
    sandbox.faknow(&["resume", "old", "--epochs", "3"]).ok();
    assert!(sandbox.read("old/config.toml").contains("normalize_unicode = false"));
}
