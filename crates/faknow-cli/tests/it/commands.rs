//! The commands `models`, `data`, `demo`, and the help of all commands.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Sandbox, TINY, csv, keys};

#[test]
fn lists_models_with_hyperparameters() {
    let sandbox = Sandbox::new();
    let list = sandbox.faknow(&["models"]).ok();
    assert!(list.starts_with("textcnn ") && list.contains("Kim") && list.contains("EMNLP 2014"), "{list}");
    assert!(!list.contains("embedding_size"), "the list is short: {list}");
    let one = sandbox.faknow(&["models", "textcnn"]).ok();
    assert!(
        one.contains("  model.kernel_sizes = [3, 4, 5]  #") && one.contains("model.dropout = 0.5"),
        "{one}"
    );
    let one = sandbox.faknow(&["models", "bigcn"]).ok();
    assert!(one.contains("Default training settings:\n") && one.contains("lr = 0.0005"), "{one}");
    let json = sandbox.faknow(&["models", "--json"]).json();
    assert_eq!(
        keys(&json[0]),
        ["name", "title", "source", "reads", "hyperparameters", "documentation", "training"]
    );
    assert_eq!(json[0]["hyperparameters"]["n_filters"], 100);
}

#[test]
fn inspect_counts_records_classes_and_lengths() {
    let sandbox = Sandbox::new();
    let report =
        sandbox.faknow(&["data", "inspect", "train.csv", "--text", "tweet", "--label", "label"]).ok();
    for part in [
        "train.csv (CSV): 80 records",
        "columns     `id`, `tweet`, `label`",
        "real          40   50.0 %",
        "words       min 4",
    ] {
        assert!(report.contains(part), "{report}\nlacks {part}");
    }
    let recognized = sandbox.faknow(&["data", "inspect", "train.csv"]).ok();
    let command = "faknow train textcnn --train train.csv --text tweet --label label --classes real,fake";
    for report in [report, recognized] {
        assert_eq!(report.lines().last().map(str::trim), Some(command));
    }
    let json = sandbox.faknow(&["data", "inspect", "train.csv", "--classes", "real,fake", "--json"]).json();
    assert_eq!((&json["n_records"], &json["n_broken"]), (&json!(80), &json!(0)));
    let classes = json!([{ "value": "real", "n_records": 40 }, { "value": "fake", "n_records": 40 }]);
    assert_eq!(json["classes"], classes, "expected the given order");
}

#[test]
fn inspect_finds_problems() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "odd.jsonl",
        "{\"text\": \"rain\", \"label\": 0}\n{\"text\": \"rain\", \"label\": 1}\nbroken\n{\"text\": null, \"label\": 0}\n\
         {\"text\": \"\", \"label\": 5}\n{\"text\": \"storm\"}\n",
    );
    let done = sandbox.faknow(&["data", "inspect", "odd.jsonl", "--classes", "real,fake", "--json"]);
    assert_eq!(done.code, Some(1));
    let done: serde_json::Value = serde_json::from_str(done.stdout.trim_end()).unwrap();
    let kinds: Vec<&str> =
        done["problems"].as_array().unwrap().iter().filter_map(|p| p["kind"].as_str()).collect();
    for kind in
        ["broken_records", "no_text", "no_label", "unknown_labels", "conflicting_labels", "duplicates"]
    {
        assert!(kinds.contains(&kind), "{kind} is not among {kinds:?}");
    }
    let report = sandbox.faknow(&["data", "inspect", "odd.jsonl", "--classes", "real,fake"]).stdout;
    assert!(
        report.contains("1 × ") && report.contains("unknown label `5`") && report.contains("(record 3)"),
        "{report}"
    );
}

#[test]
fn inspect_reads_files_without_header_or_usual_names() {
    let sandbox = Sandbox::new();
    sandbox.write("plain.tsv", "1\train\tx\n2\tsaid \"so\ty\n");
    let args = ["data", "inspect", "plain.tsv", "--no-header", "--no-quotes"];
    let report = sandbox.faknow(&args);
    assert_eq!(report.code, Some(1), "nothing is checked without texts");
    let report = report.stdout;
    assert!(
        report.contains("columns     `1`, `2`, `3`")
            && report.contains("error: no text column was recognized"),
        "{report}"
    );
    let report = sandbox.faknow(&[&args[..], &["--text", "2", "--label", "3"]].concat()).ok();
    assert!(
        report.contains("characters  min 4") && report.contains("labels      x           1   50.0 %"),
        "{report}"
    );
    let report = sandbox.faknow(&[&args[..], &["--text", "2", "--domain", "1"]].concat()).stdout;
    assert!(report.contains("domains"), "{report}");
}

#[test]
fn demo_trains_on_built_in_posts_and_shows_predictions() {
    let sandbox = Sandbox::new();
    let args = ["demo", "--epochs", "1", "--set", "loader.batch_size=500", "--out", "run"];
    let shown = sandbox.faknow(&[&args[..], &TINY].concat()).ok();
    for part in [
        "Test (1200 samples",
        "confusion matrix",
        "Some predictions:",
        "(true: fake)",
        "run         run",
        "Try it: echo",
    ] {
        assert!(shown.contains(part), "{shown}\nlacks {part}");
    }
    let posts = fs::read_to_string(sandbox.path("runs/demo-data/train.jsonl")).unwrap();
    assert_eq!(
        keys(&serde_json::from_str(posts.lines().next().unwrap()).unwrap()),
        ["text", "label", "domain"]
    );
    // The suggested command works.
    let command = shown.lines().last().unwrap().split("faknow ").nth(1).unwrap();
    let command: Vec<&str> = command.split(' ').collect();
    let predictions = sandbox.faknow_with_stdin(&command, "{\"text\": \"the\"}").json_lines();
    let names = ["text", "predicted_label", "predicted_score", "scores", "known_tokens"];
    assert_eq!(keys(&predictions[0]), names);
}

#[test]
fn demo_trains_on_own_files() {
    let sandbox = Sandbox::new();
    let dir = sandbox.path("mine");
    fs::create_dir(&dir).unwrap();
    let other = |n, seed| {
        csv(n, seed).replace("label\n", "class\n").replace(",real", ",true").replace(",fake", ",hoax")
    };
    for (name, n, seed) in [("train.csv", 60, 1), ("dev.csv", 20, 2), ("test.csv", 20, 3)] {
        fs::write(dir.join(name), other(n, seed)).unwrap();
    }
    let args = ["demo", "--data", "mine", "--epochs", "1", "--out", "run"];
    let shown = sandbox.faknow(&[&args[..], &TINY].concat()).ok();
    assert!(shown.contains("Test (20 samples") && shown.contains("hoax"), "{shown}");
    let config = sandbox.read("run/config.toml");
    for line in ["classes = [\"true\", \"hoax\"]", "text = \"tweet\"", "label = \"class\"", "patience = 3"] {
        assert!(config.contains(line), "{config}\nlacks {line}");
    }
    sandbox.write("mine/train.csv", "a,b\n1,2\n");
    sandbox.check_error(
        &["demo", "--data", "mine"],
        &["train.csv", "no text column was recognized", "`a`, `b`", "`faknow train` with `--text`"],
    );
    fs::remove_file(sandbox.path("mine/train.csv")).unwrap();
    sandbox.check_error(&["demo", "--data", "mine"], &["mine", "no training file", "train.csv"]);
}

#[test]
fn every_command_has_a_help() {
    let sandbox = Sandbox::new();
    let help = sandbox.faknow(&["--help"]).ok();
    for command in [
        "train",
        "resume",
        "cv",
        "search",
        "lr-find",
        "batch-size",
        "summary",
        "test",
        "predict",
        "serve",
        "report",
        "export",
        "tokens",
        "models",
        "data",
        "demo",
    ] {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
        let of_command =
            if command == "data" { vec!["data", "inspect", "--help"] } else { vec![command, "--help"] };
        let text = sandbox.faknow(&of_command).ok();
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
        let (examples, usage) = (text.find("\n\nExamples:\n"), text.find("Usage:"));
        assert!(examples.is_some() && examples < usage, "examples come first: {text}");
    }
    assert!(
        help.contains("\n\nExamples:\n  faknow data example posts") && help.contains("Exit codes:"),
        "{help}"
    );
    let train = sandbox.faknow(&["train", "--help"]).ok();
    for option in [
        "--train",
        "--valid",
        "--test",
        "--text",
        "--label",
        "--classes",
        "--language",
        "--epochs",
        "--seed",
        "--out",
        "--json",
        "--set",
        "--device",
        "--threads",
        "--no-header",
        "--no-quotes",
        "--config",
    ] {
        assert!(train.contains(&format!("{option} ")) || train.contains(&format!("{option}\n")), "{option}");
    }
    let version = sandbox.faknow(&["--version"]).ok();
    assert_eq!(version.trim(), format!("faknow {}", env!("CARGO_PKG_VERSION")));
    let nothing = sandbox.faknow(&[]);
    assert_eq!(nothing.code, Some(2));
    assert!(nothing.stderr.contains("Usage: faknow"), "{}", nothing.stderr);
}

#[test]
fn json_output_is_one_line_of_json() {
    let sandbox = Sandbox::trained();
    for args in [
        &["test", "run", "--data", "test.csv", "--json"][..],
        &["models", "textcnn", "--json"],
        &["data", "inspect", "test.csv", "--json"],
    ] {
        let output = sandbox.faknow(args).ok();
        assert_eq!(output.lines().count(), 1, "{output}");
        assert!(serde_json::from_str::<Value>(&output).is_ok(), "{output}");
    }
}
