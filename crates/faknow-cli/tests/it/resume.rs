//! `faknow resume`, and signals that stop a run gracefully.

use std::fs;
use std::path::Path;
use std::process::Child;

use faknow::trainer::checkpoint::CheckpointStore;
use serde_json::{Value, json};

use crate::kill::CONFIG;
use crate::same_run::{assert_same, content};
use crate::support::{CommandOutput, Sandbox, signal, wait_for};

const TRAIN: [&str; 5] = ["train", "--config", "config.toml", "--json", "--out"];

/// Creates a sandbox with a config that enables every component with state.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("config.toml", CONFIG);
    sandbox
}

fn train(sandbox: &Sandbox, out: &str) -> CommandOutput {
    sandbox.faknow(&[&TRAIN[..], &[out]].concat())
}

/// Starts a very long run.
fn start_long(sandbox: &Sandbox, out: &str) -> Child {
    let long = ["--set", "trainer.epochs=100000", "--set", "early_stopping.enabled=false"];
    let child = sandbox.command(&[&TRAIN[..], &[out], &long[..]].concat()).spawn().unwrap();
    wait_for("the first checkpoint", || sandbox.path(out).join("checkpoints/last").exists());
    child
}

/// Truncates a finished run to its first epochs, as after a kill: without later checkpoints.
fn truncate(run: &Path) {
    let store = CheckpointStore::new(run);
    let step = |name: &str| store.verify(name).unwrap().step;
    let names: Vec<String> = store.list().into_iter().map(|found| found.name).collect();
    let numbered = names.iter().filter(|name| name.starts_with("step-") || name.starts_with("epoch-"));
    let oldest = numbered.min_by_key(|name| step(name)).unwrap();
    store.link(oldest, "last").unwrap();
    for name in names.iter().filter(|name| step(name) > step(oldest)) {
        fs::remove_dir_all(run.join("checkpoints").join(name)).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn signal_stops_gracefully_and_prints_the_resume_command() {
    for name in ["INT", "TERM"] {
        let sandbox = sandbox();
        let child = start_long(&sandbox, "run");
        signal(&child, name);
        let done = CommandOutput::new(&[name], &child.wait_with_output().unwrap());
        assert_eq!(done.code, Some(130), "{}", done.stderr);
        let last = done.stderr.lines().last().unwrap();
        let (epoch, command) =
            last.strip_prefix("interrupted in epoch ").unwrap().split_once("; resume with: ").unwrap();
        assert!(epoch.parse::<usize>().unwrap() >= 1, "{last}");
        assert_eq!(command, "faknow resume run");
        let summary: Value = serde_json::from_str(done.stdout.lines().last().unwrap()).unwrap();
        assert_eq!(summary["ended"], "interrupted");
        let step = CheckpointStore::new(&sandbox.path("run")).verify("last").unwrap().step;
        // The logs already have the end of the run.
        let history = sandbox.read("run/history.jsonl");
        let end: Value = serde_json::from_str(history.lines().last().unwrap()).unwrap();
        assert_eq!((&end["type"], &end["step"]), (&json!("end"), &json!(step)));
        // The printed command works; --epochs may shorten the run.
        let epochs = (step / 13 + 2).to_string();
        let args: Vec<&str> = command.split(' ').skip(1).collect();
        let resumed = sandbox.faknow(&[&args[..], &["--json", "--epochs", &epochs]].concat()).json();
        assert_eq!(resumed["ended"], "completed");
        assert!(resumed["test"]["accuracy"].is_number(), "{resumed}");
        assert!(!sandbox.read("run/history.jsonl").contains("\"reason\":\"interrupted\""));
    }
}

#[cfg(unix)]
#[test]
fn second_signal_exits_immediately_and_leaves_a_valid_checkpoint() {
    let sandbox = sandbox();
    // While libtorch computes in several threads.
    sandbox.write(
        "config.toml",
        CONFIG.replace("embedding_size = 8", "embedding_size = 300").replace("threads = 1", "threads = 2"),
    );
    for run in ["run-1", "run-2", "run"] {
        let child = start_long(&sandbox, run);
        signal(&child, "INT");
        signal(&child, "INT");
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{:?}", output.status);
        CheckpointStore::new(&sandbox.path(run)).verify("last").unwrap();
    }
    let step = CheckpointStore::new(&sandbox.path("run")).verify("last").unwrap().step;
    let epochs = (step / 13 + 1).to_string();
    let stopped = sandbox.faknow(&["resume", "run", "--epochs", &epochs, "--json"]).json();
    assert!(stopped["epochs"].as_u64() >= Some(1), "{stopped}");
}

#[test]
fn rejects_changed_records_and_settings_unless_allowed() {
    let sandbox = sandbox();
    train(&sandbox, "run").ok();
    truncate(&sandbox.path("run"));
    let resume = |more: &[&str]| sandbox.faknow(&[&["resume", "run", "--json"], more].concat());
    resume(&["--set", "model.dropout=0.1"]).assert_error(&[
        "the model changed since the run started",
        "`model.dropout` was 0.5, now 0.1",
        "--allow model",
    ]);
    resume(&["--set", "optimizer.lr=0.5"]).assert_error(&[
        "the config changed",
        "`optimizer.lr`",
        "--allow config",
    ]);
    resume(&["--set", "model.n_filters=5", "--allow", "model"]).assert_error(&[
        "the weights of the run do not fit the model",
        "was Float [2, 12], now Float [2, 15]",
        "start a new run",
    ]);
    resume(&["--from", "nope"]).assert_error(&["nope", "the newest valid checkpoint is `"]);
    resume(&["--set", "nope=1"]).assert_error(&["nope"]);
    let posts = sandbox.read("train.csv");
    sandbox.write("train.csv", posts.replacen("mayor", "storm", 1));
    resume(&[]).assert_error(&["the data changed since the run started", "fingerprint", "--allow data"]);
    let allowed = resume(&["--allow", "data"]).json();
    assert_eq!(allowed["ended"], "completed");
}

#[test]
fn run_and_records_can_be_moved() {
    let sandbox = sandbox();
    train(&sandbox, "run").ok();
    let expected = content(&sandbox.path("run"));
    truncate(&sandbox.path("run"));
    fs::rename(sandbox.path("run"), sandbox.path("moved")).unwrap();
    fs::rename(sandbox.path("train.csv"), sandbox.path("elsewhere.csv")).unwrap();
    sandbox.check_error(&["resume", "moved"], &["train.csv"]);
    sandbox.faknow(&["resume", "moved", "--set", "data.train='elsewhere.csv'"]).ok();
    let mut moved = content(&sandbox.path("moved"));
    let config = moved["config.toml"].as_str().unwrap();
    assert!(config.contains("data.train was \"train.csv\", then \"elsewhere.csv\""), "{config}");
    moved.insert("config.toml".into(), expected["config.toml"].clone());
    for (name, value) in &mut moved {
        // Later checkpoints contain the settings.
        if name.ends_with(": state") {
            value["settings"]["hyperparameters"] = expected[name]["settings"]["hyperparameters"].clone();
            value["run"]["progress"]["changes"] = expected[name]["run"]["progress"]["changes"].clone();
        }
    }
    assert_same(&moved, &expected, "moved");
}

/// Returns the training time in the summary of the run.
fn training_seconds(sandbox: &Sandbox) -> f64 {
    let summary: Value = serde_json::from_str(&sandbox.read("run/summary.json")).unwrap();
    summary["seconds"].as_f64().unwrap()
}

#[test]
fn resume_of_a_finished_run_prints_the_command_that_extends_it() {
    let sandbox = Sandbox::trained();
    let output = sandbox.faknow(&["resume", "run"]);
    assert!(output.stderr.contains("`faknow resume run --epochs 4`"), "{}", output.stderr);
    output.ok();
}

#[test]
fn finished_run_is_tested_again_or_extended() {
    let sandbox = sandbox();
    let done = train(&sandbox, "run").json();
    let (before, seconds) = (content(&sandbox.path("run")), training_seconds(&sandbox));
    let again = sandbox.faknow(&["resume", "run", "--json"]).json();
    assert_eq!((&again["test"], &again["epochs"]), (&done["test"], &done["epochs"]));
    assert_same(&content(&sandbox.path("run")), &before, "tested again");
    assert_eq!(training_seconds(&sandbox), seconds);
    let longer = sandbox.faknow(&["resume", "run", "--epochs", "8", "--set", "early_stopping.patience=90"]);
    assert!(longer.ok().contains("8 epochs"));
    assert!(sandbox.read("run/config.toml").contains("epochs = 8"));
}

#[test]
fn batch_size_of_evaluation_may_change() {
    let sandbox = Sandbox::trained();
    sandbox.faknow(&["resume", "run", "--epochs", "3", "--set", "loader.eval_batch_size=3"]).ok();
    assert!(sandbox.read("run/config.toml").contains("eval_batch_size = 3"));
}

#[test]
fn rejects_other_classes_and_encodings_of_texts() {
    let sandbox = Sandbox::trained();
    let config = sandbox.read("run/config.toml");
    for (setting, expected) in [
        ("data.classes=[\"fake\",\"real\"]", "`data.classes` was [\"real\",\"fake\"]"),
        ("text.lowercase=false", "`text.lowercase` was true"),
        ("text.max_vocab=3", "`text.max_vocab` was 0"),
    ] {
        sandbox.check_error(
            &["resume", "run", "--epochs", "3", "--allow", "data", "--set", setting],
            &[expected, "start a new run"],
        );
    }
    assert_eq!(sandbox.read("run/config.toml"), config);
}

#[test]
fn corrupted_best_checkpoint_is_replaced_with_a_warning() {
    let sandbox = Sandbox::trained();
    let weights = sandbox.path("run/checkpoints/best/model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    // The file may be a hard link to that of another checkpoint.
    fs::remove_file(&weights).unwrap();
    fs::write(&weights, bytes).unwrap();
    let output = sandbox.faknow(&["resume", "run", "--epochs", "3"]);
    assert!(output.stderr.contains("checkpoints/best is corrupted: model.safetensors"), "{}", output.stderr);
    output.ok();
    CheckpointStore::new(&sandbox.path("run")).verify("best").unwrap();
}

#[test]
fn warns_about_batches_that_are_skipped_after_a_limit() {
    let sandbox = Sandbox::new();
    sandbox.train(&[
        "--valid",
        "valid.csv",
        "--out",
        "run",
        "--set",
        "trainer.max_steps=1",
        "--set",
        "loader.batch_size=4",
    ]);
    let output = sandbox.faknow(&["resume", "run", "--set", "trainer.max_steps=3"]);
    assert!(output.stderr.contains("the run had stopped after 1 of the "), "{}", output.stderr);
    output.ok();
}

#[test]
fn rejects_fewer_epochs_than_those_of_the_run() {
    let sandbox = Sandbox::trained();
    let config = sandbox.read("run/config.toml");
    sandbox.check_error(
        &["resume", "run", "--epochs", "1"],
        &["`--epochs`: expected more than the 2 epochs of the run, got 1"],
    );
    assert_eq!(sandbox.read("run/config.toml"), config);
    sandbox.faknow(&["resume", "run", "--epochs", "2"]).ok();
}

#[test]
fn corrupted_checkpoint_is_rejected_and_a_valid_one_named() {
    let sandbox = sandbox();
    train(&sandbox, "run").ok();
    let state = sandbox.path("run/checkpoints/last/state.json");
    let text = fs::read_to_string(&state).unwrap();
    fs::write(&state, text.replacen("\"step\":", "\"step\": ", 1)).unwrap();
    sandbox.check_error(
        &["resume", "run"],
        &["state.json", "the newest valid checkpoint is `", "with `--from "],
    );
    sandbox.faknow(&["resume", "run", "--from", "previous"]).ok();
}

#[test]
fn rejects_directories_that_are_not_runs() {
    let sandbox = sandbox();
    sandbox.check_error(&["resume", "nowhere"], &["nowhere", "no such directory"]);
    fs::create_dir(sandbox.path("empty")).unwrap();
    sandbox.check_error(&["resume", "empty"], &["empty", "missing `config.toml`"]);
    train(&sandbox, "run").ok();
    train(&sandbox, "run").assert_error(&[
        "run directory run",
        "already contains a run",
        "`faknow resume run`",
    ]);
}
