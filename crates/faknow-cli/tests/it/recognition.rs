//! Recognition of data files: what `train` assumes, and the commands that `data inspect` prints.

use crate::support::{Sandbox, TINY, posts};

/// Inspects files, and trains with exactly the command that is printed; returns the report and the log of the training.
fn inspect_and_train(sandbox: &Sandbox, files: &[&str], run: &str) -> (String, String) {
    let report = sandbox.faknow(&[&["data", "inspect"], files].concat());
    assert_eq!(report.code, Some(0), "{}{}", report.stdout, report.stderr);
    let command = report.stdout.lines().last().unwrap_or_default().trim().to_owned();
    let words: Vec<String> = command.split(' ').map(|word| word.trim_matches('\'').to_owned()).collect();
    assert_eq!(words[0], "faknow", "{}", report.stdout);
    let args: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    let trained = sandbox.faknow(&[&args[..], &["--epochs", "1", "--out", run], &TINY].concat());
    assert_eq!(trained.code, Some(0), "{command}\n{}", trained.stderr);
    (command, trained.stderr)
}

#[test]
fn printed_command_trains_on_files_of_any_layout() {
    let sandbox = Sandbox::new();
    let rows = |n: usize, row: &dyn Fn(usize, &str, &str) -> String| -> String {
        posts(n, 5).iter().enumerate().map(|(i, (text, label))| row(i, text, label) + "\n").collect()
    };
    sandbox.write(
        "semicolon.csv",
        "post;verdict\n".to_owned() + &rows(60, &|_, text, label| format!("{text};{label}")),
    );
    let (command, _) = inspect_and_train(&sandbox, &["semicolon.csv"], "a");
    assert_eq!(
        command,
        "faknow train textcnn --train semicolon.csv --text post --label verdict --classes real,fake --delimiter ';'"
    );
    let plain = |i: usize, text: &str, label: &str| {
        format!("{i}.json\t{label}\t{}{text} said so", if i.is_multiple_of(7) { "\"" } else { "" })
    };
    sandbox.write("plain.tsv", rows(60, &plain));
    let (command, _) = inspect_and_train(&sandbox, &["plain.tsv"], "b");
    assert_eq!(
        command,
        "faknow train textcnn --train plain.tsv --text 3 --label 2 --classes real,fake --no-header --no-quotes"
    );
    // Its valid and test files have the layout of the training file, whatever they show.
    sandbox.write("dev.tsv", rows(20, &|i, text, label| format!("{i}.json\t{label}\t{text}")));
    let (command, _) = inspect_and_train(&sandbox, &["plain.tsv", "dev.tsv"], "c");
    assert!(command.contains("--valid dev.tsv"), "{command}");
    sandbox.write(
        "my posts.jsonl",
        rows(60, &|_, text, label| {
            format!("{{\"content\": {{\"text\": \"{text}\"}}, \"label\": \"{label}\"}}")
        }),
    );
    let report = sandbox.faknow(&["data", "inspect", "my posts.jsonl"]).ok();
    assert!(
        report.ends_with("--train 'my posts.jsonl' --text content.text --label label --classes real,fake\n"),
        "{report}"
    );
}

#[test]
fn numbers_have_no_assumed_meaning() {
    let sandbox = Sandbox::new();
    let rows: String =
        posts(60, 5).iter().map(|(text, label)| format!("{text},{}\n", u8::from(*label == "real"))).collect();
    sandbox.write("numbers.csv", "text,label\n".to_owned() + &rows);
    let (command, log) = inspect_and_train(&sandbox, &["numbers.csv"], "run");
    assert!(command.ends_with("--classes 0,1"), "{command}");
    let config = sandbox.read("run/config.toml");
    assert!(config.contains("classes = [\"0\", \"1\"]"), "{config}");
    // Without --classes, both possible commands are shown.
    let args = ["train", "textcnn", "--train", "numbers.csv", "--epochs", "1", "--out", "other"];
    let trained = sandbox.faknow(&[&args[..], &TINY].concat());
    for part in ["--classes real=0,fake=1", "--classes real=1,fake=0"] {
        assert!(trained.stderr.contains(part), "{}\n{log}", trained.stderr);
    }
    let by_position = [&args[..6], &["--classes", "real,fake", "--out", "third"], &TINY].concat();
    let trained = sandbox.faknow(&by_position);
    assert!(trained.stderr.contains("0 -> real, 1 -> fake (given, by position)"), "{}", trained.stderr);
}

#[test]
fn other_layouts_are_recognized_for_tests_and_predictions() {
    let sandbox = Sandbox::trained();
    let rows: String = posts(20, 7).iter().map(|(text, label)| format!("{label};{text}\n")).collect();
    sandbox.write("other.csv", "label;tweet\n".to_owned() + &rows);
    let test = sandbox.faknow(&["test", "run", "--data", "other.csv", "--json"]).json();
    assert!(test["test"]["accuracy"].as_f64().is_some_and(|accuracy| accuracy > 0.5), "{test}");
    assert_eq!(sandbox.faknow(&["predict", "run", "--input", "other.csv"]).json_lines().len(), 20);
}

#[test]
fn equally_likely_columns_are_an_error_with_both_options() {
    let sandbox = Sandbox::new();
    let rows: String = posts(60, 5).iter().map(|(text, label)| format!("{text},{text},{label}\n")).collect();
    sandbox.write("two.csv", "body,content,label\n".to_owned() + &rows);
    sandbox.check_error(
        &["train", "textcnn", "--train", "two.csv", "--out", "x"],
        &["`--text body` or `--text content`"],
    );
    let report = sandbox.faknow(&["data", "inspect", "two.csv"]);
    assert_eq!(report.code, Some(1));
    assert!(report.stdout.contains("--text body or --text content"), "{}", report.stdout);
}
