//! A full disk, simulated by a limit on the size of files: results on standard output, and complete files or none.
#![cfg(unix)]

use std::process::Command;

use serde_json::Value;

use crate::support::{CommandOutput, Sandbox, TINY, csv, files};

/// Runs the program with files of at most 40 KiB.
fn limited(sandbox: &Sandbox, args: &[&str]) -> CommandOutput {
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 80; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_faknow")])
        .args(args)
        .current_dir(sandbox.path("."))
        .env("OMP_NUM_THREADS", "1")
        .output()
        .unwrap();
    CommandOutput::new(args, &output)
}

#[test]
fn test_result_is_printed_although_the_report_cannot_be_written() {
    let sandbox = Sandbox::new();
    let train = ["train", "textcnn", "--train", "train.csv", "--valid", "valid.csv", "--test", "test.csv"];
    let options = ["--text", "tweet", "--threads", "1", "--epochs", "2", "--json", "--out"];
    let train = [&train[..], &TINY, &options].concat();
    let expected = sandbox.faknow(&[&train[..], &["expected"]].concat()).json();
    let output = limited(&sandbox, &[&train[..], &["run"]].concat());
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    let line = output.error_line();
    for part in ["the detector is trained", "run/report.html: ", "File too large", "`faknow resume run`"] {
        assert!(line.contains(part), "{line}");
    }
    let result: Value = serde_json::from_str(output.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(result["test"], expected["test"]);
    assert_eq!(sandbox.faknow(&["resume", "run", "--json"]).json()["test"], expected["test"]);
    assert!(sandbox.path("run/report.html").exists());
    assert_eq!(sandbox.read("run/predictions/test.csv"), sandbox.read("expected/predictions/test.csv"));
}

#[test]
fn incomplete_predictions_do_not_replace_a_file() {
    let sandbox = Sandbox::trained();
    sandbox.write("many.csv", csv(2_000, 1));
    let predict = ["predict", "run", "--input", "many.csv", "--output"];
    for name in ["new.csv", "new.jsonl"] {
        let output = limited(&sandbox, &[&predict[..], &[name]].concat());
        assert_eq!(output.code, Some(1), "{}", output.stderr);
        assert!(output.error_line().contains(&format!("{name}: File too large")), "{}", output.stderr);
        assert!(!sandbox.path(name).exists(), "{name}");
    }
    sandbox.write("old.csv", "old");
    assert_eq!(limited(&sandbox, &[&predict[..], &["old.csv"]].concat()).code, Some(1));
    assert_eq!(sandbox.read("old.csv"), "old");
    let names = files(&sandbox.path("."));
    assert!(names.iter().all(|name| !name.ends_with(".tmp")), "{names:?}");
    sandbox.faknow(&[&predict[..], &["old.csv"]].concat()).ok();
    assert_eq!(sandbox.read("old.csv").lines().count(), 2_001);
}

#[test]
fn corrupted_files_are_named_by_every_command() {
    let sandbox = Sandbox::trained();
    let commands: [&[&str]; 8] = [
        &["predict", "run", "--input", "test.csv"],
        &["test", "run", "--data", "test.csv"],
        &["serve", "run", "--port", "0"],
        &["export", "run", "--out", "exported"],
        &["tokens", "run", "--input", "test.csv"],
        &["summary", "run"],
        &["report", "run", "--out", "report.html"],
        &["resume", "run"],
    ];
    let intact = sandbox.read("run/config.toml");
    sandbox.write("run/config.toml", intact.replacen("dropout = 0.5", "dropout = 0.4", 1));
    for command in commands {
        sandbox.check_error(command, &["run/config.toml: the file is corrupted: checksum", "copy the run"]);
    }
    sandbox.write("run/config.toml", intact);
    // What can be restored is, with a warning.
    for name in ["classes.json", "history.jsonl"] {
        sandbox.write(&format!("run/{name}"), "");
        let resumed = sandbox.faknow(&["resume", "run"]);
        assert!(resumed.stderr.contains(&format!("run/{name}: the file is corrupted")), "{}", resumed.stderr);
        resumed.ok();
        sandbox.faknow(&["report", "run"]).ok();
        sandbox.faknow(commands[0]).ok();
    }
}
