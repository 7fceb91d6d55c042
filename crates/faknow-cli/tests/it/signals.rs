//! The signals that ask the program to stop: the run is saved, and resumes to the result of an uninterrupted one.
#![cfg(unix)]

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Child, Command, Stdio};

use faknow::trainer::checkpoint::CheckpointStore;
use faknow::trainer::{STOP_SIGNALS, StopSignal};

use crate::kill::CONFIG;
use crate::same_run::{assert_same, content};
use crate::support::{CommandOutput, Sandbox, TINY, csv, signal, wait_for};

/// The flag of `open` for pipes.
#[cfg(target_os = "linux")]
const O_NONBLOCK: i32 = 0o4000;

const TRAIN: [&str; 5] = ["train", "--config", "config.toml", "--json", "--out"];

/// Creates a sandbox with a config that enables every component with state.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("config.toml", CONFIG);
    sandbox
}

/// Waits until the run has completed some epochs.
fn wait_for_epochs(sandbox: &Sandbox, run: &str, n: usize) {
    let table = sandbox.path(run).join("metrics.csv");
    wait_for("the epochs", || std::fs::read_to_string(&table).is_ok_and(|text| text.lines().count() > n));
}

/// Waits for the end of an interrupted program; its last line has these parts.
fn interrupted(child: Child, parts: &[&str]) -> CommandOutput {
    let done = CommandOutput::new(&["interrupted"], &child.wait_with_output().unwrap());
    assert_eq!(done.code, Some(130), "{}", done.stderr);
    let last = done.stderr.lines().last().unwrap_or_default();
    assert!(parts.iter().all(|part| last.contains(part)), "{}\nlacks {parts:?}", done.stderr);
    done
}

#[test]
fn every_signal_saves_the_run_which_resumes_to_the_same_result() {
    let sandbox = sandbox();
    let expected = sandbox.faknow(&[&TRAIN[..], &["uninterrupted"]].concat()).json();
    let expected_content = content(&sandbox.path("uninterrupted"));
    for (index, StopSignal { name, is_direct, .. }) in STOP_SIGNALS.iter().enumerate() {
        let run = format!("run-{name}");
        let child = sandbox.command(&[&TRAIN[..], &[&run]].concat()).spawn().unwrap();
        wait_for_epochs(&sandbox, &run, index % 3);
        // A closed window and a time limit may send several signals, which are one request.
        for _ in 0..if *is_direct { 1 } else { 3 } {
            signal(&child, name);
        }
        let done = interrupted(child, &["interrupted in epoch ", &format!("faknow resume {run}")]);
        assert!(done.stderr.contains(&format!("stopped by SIG{name}")), "{}", done.stderr);
        let resumed = sandbox.faknow(&["resume", &run, "--json"]).json();
        assert_eq!((&resumed["test"], &resumed["valid"]), (&expected["test"], &expected["valid"]), "{name}");
        assert_same(&content(&sandbox.path(&run)), &expected_content, name);
    }
}

#[test]
fn signal_that_is_ignored_at_the_start_stays_ignored() {
    let sandbox = sandbox();
    let script = format!("trap '' HUP USR1 USR2 XCPU; exec \"$0\" {} run", TRAIN.join(" "));
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_faknow")]).current_dir(sandbox.path(""));
    command.env("OMP_NUM_THREADS", "1").stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    wait_for_epochs(&sandbox, "run", 1);
    STOP_SIGNALS.iter().filter(|it| !it.is_direct).for_each(|it| signal(&child, it.name));
    let done = CommandOutput::new(&["nohup"], &child.wait_with_output().unwrap()).json();
    assert_eq!(done["ended"], "completed");
}

/// Arguments of a tiny run whose steps after training take seconds.
fn slow_end<'a>(test: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let train = [
        "train",
        "textcnn",
        "--train",
        "train.csv",
        "--valid",
        "valid.csv",
        "--text",
        "tweet",
        "--threads",
        "1",
    ];
    [&train[..], &["--test", test, "--epochs", "1", "--json", "--out", "run"], &TINY, more].concat()
}

#[test]
fn signal_during_the_test_stops_it() {
    let sandbox = Sandbox::new();
    sandbox.write("many.csv", csv(6000, 4));
    let child =
        sandbox.command(&slow_end("many.csv", &["--set", "loader.eval_batch_size=1"])).spawn().unwrap();
    // The last line before the steps after training.
    let history = || std::fs::read_to_string(sandbox.path("run/history.jsonl")).unwrap_or_default();
    wait_for("the end of the training", || history().contains("\"type\":\"end\""));
    signal(&child, "TERM");
    let done =
        interrupted(child, &["interrupted in the steps after training; resume with: faknow resume run"]);
    let result: serde_json::Value = serde_json::from_str(done.stdout.trim()).unwrap();
    assert_eq!((&result["ended"], result["test"].is_null()), (&"interrupted".into(), true));
    assert!(!sandbox.path("run/predictions/test.csv").exists());
    let resumed = sandbox.faknow(&["resume", "run", "--json", "--set", "loader.eval_batch_size=64"]).json();
    assert_eq!((&resumed["ended"], &resumed["test"]["n_samples"]), (&"completed".into(), &6000.into()));
}

#[test]
fn signal_during_the_report_keeps_the_test_result() {
    let sandbox = Sandbox::new();
    // Explaining the errors takes seconds.
    let word = |seed: usize| ["rain ", "mayor ", "storm "][seed % 3];
    let text = |row: usize| (0..8000).map(|i| word(i * i + row)).collect::<String>();
    let rows: String = (0..24).map(|i| format!("{i},{},{}\n", text(i), ["real", "fake"][i % 2])).collect();
    sandbox.write("long.csv", format!("id,tweet,label\n{rows}"));
    let child = sandbox.command(&slow_end("long.csv", &["--set", "text.max_length=9000"])).spawn().unwrap();
    wait_for("the predictions", || sandbox.path("run/predictions/test.csv").exists());
    signal(&child, "USR1");
    let done =
        interrupted(child, &["interrupted in the steps after training; resume with: faknow resume run"]);
    let result: serde_json::Value = serde_json::from_str(done.stdout.trim()).unwrap();
    assert_eq!((&result["ended"], &result["test"]["n_samples"]), (&"interrupted".into(), &24.into()));
    let resumed = sandbox.faknow(&["resume", "run", "--json"]).json();
    assert_eq!(resumed["test"], result["test"]);
    assert!(sandbox.path("run/report.html").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn signal_during_the_reading_of_a_resumed_run_prints_the_last_line() {
    let sandbox = sandbox();
    sandbox.faknow(&[&TRAIN[..], &["run"]].concat()).json();
    let step = CheckpointStore::new(&sandbox.path("run")).verify("last").unwrap().step;
    let fifo = sandbox.path("fifo.csv");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let args = ["resume", "run", "--epochs", "9", "--set", "data.valid=\"fifo.csv\"", "--allow", "data"];
    let child = sandbox.command(&args).spawn().unwrap();
    // Opening it for writing fails until the program opens it for reading.
    let mut options = std::fs::OpenOptions::new();
    options.write(true).custom_flags(O_NONBLOCK);
    let mut writer = None;
    wait_for("the reader", || {
        writer = options.open(&fifo).ok();
        writer.is_some()
    });
    signal(&child, "TERM");
    // What is opened next is a file.
    std::fs::rename(sandbox.path("valid.csv"), &fifo).unwrap();
    writer.unwrap().write_all(csv(20, 2).as_bytes()).unwrap();
    interrupted(child, &["resume with: faknow resume run"]);
    assert!(CheckpointStore::new(&sandbox.path("run")).verify("last").unwrap().step >= step);
}
