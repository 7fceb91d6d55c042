//! `faknow resume`, and signals that end a run in good order.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use faknow::trainer::checkpoint::CheckpointStore;
use serde_json::{Value, json};

use crate::kill::CONFIG;
use crate::same_run::{assert_same, content};
use crate::support::{Bench, Done};

const TRAIN: [&str; 5] = ["train", "--config", "config.toml", "--json", "--out"];

/// A directory with the settings of a run in which everything has to remember something.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("config.toml", CONFIG);
    bench
}

fn train(bench: &Bench, out: &str) -> Done {
    bench.faknow(&[&TRAIN[..], &[out]].concat())
}

/// Begins a run that goes on for very long.
fn begin_long(bench: &Bench, out: &str) -> Child {
    let long = ["--set", "trainer.epochs=100000", "--set", "early_stopping.enabled=false"];
    let child = bench.command(&[&TRAIN[..], &[out], &long[..]].concat()).spawn().unwrap();
    wait_for("the first checkpoint", || bench.path(out).join("checkpoints/last").exists());
    child
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(120), "waited two minutes for {what}");
        sleep(Duration::from_millis(2));
    }
}

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
}

/// Cuts a finished run down to what it was after its first epochs, as a kill would have left it: without later checkpoints.
fn cut_off(run: &Path) {
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
fn a_signal_ends_a_run_in_good_order_and_says_how_to_go_on() {
    for name in ["INT", "TERM"] {
        let bench = bench();
        let child = begin_long(&bench, "run");
        signal(&child, name);
        let done = Done::new(&[name], &child.wait_with_output().unwrap());
        assert_eq!(done.code, Some(130), "{}", done.stderr);
        let last = done.stderr.lines().last().unwrap();
        let (epoch, command) =
            last.strip_prefix("interrupted in epoch ").unwrap().split_once("; resume with: ").unwrap();
        assert!(epoch.parse::<usize>().unwrap() >= 1, "{last}");
        assert_eq!(command, "faknow resume run");
        let facts: Value = serde_json::from_str(done.stdout.lines().last().unwrap()).unwrap();
        assert_eq!(facts["ended"], "interrupted");
        let step = CheckpointStore::new(&bench.path("run")).verify("last").unwrap().step;
        // The words of the end are in the logs already.
        let history = bench.read("run/history.jsonl");
        let end: Value = serde_json::from_str(history.lines().last().unwrap()).unwrap();
        assert_eq!((&end["type"], &end["step"]), (&json!("end"), &json!(step)));
        // What it says to do works; the run may be made shorter than it was to be.
        let epochs = (step / 13 + 2).to_string();
        let args: Vec<&str> = command.split(' ').skip(1).collect();
        let resumed = bench.faknow(&[&args[..], &["--json", "--epochs", &epochs]].concat()).json();
        assert_eq!(resumed["ended"], "completed");
        assert!(resumed["test"]["accuracy"].is_number(), "{resumed}");
        assert!(!bench.read("run/history.jsonl").contains("\"reason\":\"interrupted\""));
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_that_goes_on_is_the_one_that_was_not_interrupted() {
    let bench = bench();
    let whole = train(&bench, "whole").json();
    let child = bench.command(&[&TRAIN[..], &["run"]].concat()).spawn().unwrap();
    wait_for("the first checkpoint", || bench.path("run/checkpoints/last").exists());
    signal(&child, "INT");
    let done = Done::new(&TRAIN, &child.wait_with_output().unwrap());
    // A machine that is fast may have ended it before.
    assert!(matches!(done.code, Some(0 | 130)), "{}", done.stderr);
    let resumed = bench.faknow(&["resume", "run", "--json"]).json();
    assert_eq!((&resumed["test"], &resumed["valid"]), (&whole["test"], &whole["valid"]));
    assert_same(&content(&bench.path("run")), &content(&bench.path("whole")), "interrupted");
}

#[cfg(unix)]
#[test]
fn a_second_signal_ends_at_once_and_leaves_the_checkpoint_whole() {
    let bench = bench();
    // While libtorch is at work in several threads, which no destructor may notice.
    bench.write(
        "config.toml",
        CONFIG.replace("embedding_size = 8", "embedding_size = 300").replace("threads = 1", "threads = 2"),
    );
    for run in ["run-1", "run-2", "run"] {
        let child = begin_long(&bench, run);
        signal(&child, "INT");
        signal(&child, "INT");
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{:?}", output.status);
        CheckpointStore::new(&bench.path(run)).verify("last").unwrap();
    }
    let stopped = bench.faknow(&["resume", "run", "--epochs", "1", "--json"]).json();
    assert!(stopped["epochs"].as_u64() >= Some(1), "{stopped}");
}

#[test]
fn changed_records_and_settings_are_refused_or_allowed_by_name() {
    let bench = bench();
    train(&bench, "run").ok();
    cut_off(&bench.path("run"));
    let resume = |more: &[&str]| bench.faknow(&[&["resume", "run", "--json"], more].concat());
    resume(&["--set", "model.dropout=0.1"]).refused(&[
        "the model changed since the run started",
        "`model.dropout` was 0.5, now 0.1",
        "--allow model",
    ]);
    resume(&["--set", "optimizer.lr=0.5"]).refused(&[
        "the config changed",
        "`optimizer.lr`",
        "--allow config",
    ]);
    resume(&["--set", "model.n_filters=5", "--allow", "model"]).refused(&[
        "the weights of the run do not fit the model",
        "was Float [2, 12], now Float [2, 15]",
        "start a new run",
    ]);
    resume(&["--from", "nope"]).refused(&["nope", "the newest valid checkpoint is `"]);
    resume(&["--set", "nope=1"]).refused(&["nope"]);
    let posts = bench.read("train.csv");
    bench.write("train.csv", posts.replacen("mayor", "storm", 1));
    resume(&[]).refused(&["the data changed since the run started", "fingerprint", "--allow data"]);
    let allowed = resume(&["--allow", "data"]).json();
    assert_eq!(allowed["ended"], "completed");
}

#[test]
fn records_may_lie_elsewhere_and_so_may_the_run() {
    let bench = bench();
    train(&bench, "run").ok();
    let whole = content(&bench.path("run"));
    cut_off(&bench.path("run"));
    fs::rename(bench.path("run"), bench.path("moved")).unwrap();
    fs::rename(bench.path("train.csv"), bench.path("elsewhere.csv")).unwrap();
    bench.refuses(&["resume", "moved"], &["train.csv"]);
    bench.faknow(&["resume", "moved", "--set", "data.train='elsewhere.csv'"]).ok();
    let mut moved = content(&bench.path("moved"));
    assert!(moved["config.toml"].as_str().unwrap().contains("elsewhere.csv"));
    moved.insert("config.toml".into(), whole["config.toml"].clone());
    for (name, value) in &mut moved {
        // The settings stand in the checkpoints that were written since.
        if name.ends_with(": state") {
            value["settings"]["hyperparameters"] = whole[name]["settings"]["hyperparameters"].clone();
        }
    }
    assert_same(&moved, &whole, "moved");
}

#[test]
fn a_finished_run_is_tested_again_or_made_longer() {
    let bench = bench();
    let done = train(&bench, "run").json();
    let before = content(&bench.path("run"));
    let again = bench.faknow(&["resume", "run", "--json"]).json();
    assert_eq!((&again["test"], &again["epochs"]), (&done["test"], &done["epochs"]));
    assert_same(&content(&bench.path("run")), &before, "tested again");
    let longer = bench.faknow(&["resume", "run", "--epochs", "8", "--set", "early_stopping.patience=90"]);
    assert!(longer.ok().contains("8 epochs"));
    assert!(bench.read("run/config.toml").contains("epochs = 8"));
}

#[test]
fn a_damaged_checkpoint_is_refused_and_the_good_one_named() {
    let bench = bench();
    train(&bench, "run").ok();
    let state = bench.path("run/checkpoints/last/state.json");
    let text = fs::read_to_string(&state).unwrap();
    fs::write(&state, text.replacen("\"step\":", "\"step\": ", 1)).unwrap();
    bench.refuses(&["resume", "run"], &["state.json", "the newest valid checkpoint is `"]);
    bench.faknow(&["resume", "run", "--from", "previous"]).ok();
}

#[test]
fn what_is_no_run_is_refused() {
    let bench = bench();
    bench.refuses(&["resume", "nowhere"], &["nowhere", "no such directory"]);
    fs::create_dir(bench.path("empty")).unwrap();
    bench.refuses(&["resume", "empty"], &["empty", "`config.toml` is not there", "start a new one"]);
    train(&bench, "run").ok();
    train(&bench, "run").refused(&["run directory run", "it holds a run already", "resume it"]);
}
