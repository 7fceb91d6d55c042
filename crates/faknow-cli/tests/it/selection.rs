//! The commands `cv` and `search`: options, output, resuming after interrupts and kills.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{CommandOutput, Sandbox, TINY, keys, signal};

/// Returns the arguments of `faknow COMMAND textcnn --train train.csv …` for a tiny model.
fn args<'a>(command: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let train =
        [command, "textcnn", "--train", "train.csv", "--text", "tweet", "--epochs", "2", "--threads", "1"];
    [&train[..], &TINY, more].concat()
}

/// Starts the program and waits at most a minute until it has created a file.
fn start_until(sandbox: &Sandbox, args: &[&str], file: &str) -> Child {
    let mut child = sandbox.command(args).stdin(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while !sandbox.path(file).exists() {
        assert!(child.try_wait().unwrap().is_none(), "{args:?} ended before it created {file}");
        assert!(start.elapsed() < Duration::from_secs(60), "{args:?} did not create {file}");
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

fn is_done(path: &Path) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| text.contains("\"done\": true"))
}

#[test]
fn cv_reports_mean_and_std_of_each_metric() {
    let sandbox = Sandbox::new();
    let summary = sandbox.faknow(&args("cv", &["--folds", "4", "--out", "cv", "--json"])).json();
    assert_eq!(keys(&summary), ["dir", "ended", "n_folds", "folds", "metrics"]);
    assert_eq!(
        (&summary["dir"], &summary["ended"], &summary["n_folds"]),
        (&json!("cv"), &json!("completed"), &json!(4))
    );
    let folds = summary["folds"].as_array().unwrap();
    assert_eq!(keys(&folds[0]), ["run", "ended", "epochs", "best_epoch", "n_samples"]);
    assert_eq!((folds.len(), &folds[3]["run"], &folds[3]["n_samples"]), (4, &json!("cv/fold-4"), &json!(20)));
    let accuracy = &summary["metrics"]["accuracy"];
    assert_eq!(keys(accuracy), ["mean", "deviation", "values"]);
    let values: Vec<f64> =
        accuracy["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    let mean = values.iter().sum::<f64>() / 4.0;
    assert!((accuracy["mean"].as_f64().unwrap() - mean).abs() < 1e-12);
    for name in ["loss", "f1_macro", "roc_auc", "log_loss"] {
        assert!(summary["metrics"][name]["deviation"].is_number(), "{name}");
    }
    // The same command resumes, here with nothing left to do, and prints a table.
    let table = sandbox.faknow(&args("cv", &["--folds", "4", "--out", "cv"])).ok();
    for part in
        ["mean ± std", "accuracy ", " fold 4", "folds      4 of 4 completed", "report     cv/report.md"]
    {
        assert!(table.contains(part), "{table}\nlacks {part}");
    }
    let result = sandbox.faknow(&["test", "cv/fold-2", "--data", "test.csv", "--json"]).json();
    assert_eq!(result["test"]["n_samples"], 24);
}

#[test]
fn cv_rejects_invalid_options() {
    let sandbox = Sandbox::new();
    sandbox.check_error(&args("cv", &["--folds", "1", "--out", "cv"]), &["`folds`", "at least 2, got 1"]);
    sandbox.check_error(
        &args("cv", &["--folds", "41", "--out", "cv"]),
        &["`data.fold`", "2 to 40 folds", "got 41"],
    );
    sandbox.check_error(&args("cv", &["--test", "test.csv"]), &["--test"]);
    assert!(!sandbox.path("cv").exists());
    sandbox.faknow(&args("cv", &["--folds", "2", "--out", "cv"])).ok();
    sandbox.check_error(
        &args("cv", &["--folds", "2", "--out", "cv", "--seed", "1"]),
        &["`--seed`", "was started with 0, got 1"],
    );
    sandbox.check_error(&["cv", "--resume", "cv", "--folds", "3"], &["--resume", "--folds"]);
    sandbox.check_error(&["cv", "--resume", "cv", "--set", "seed=3"], &["--resume", "--set"]);
    sandbox.check_error(&["cv", "--resume", "none"], &["none/cv.json"]);
    sandbox.faknow(&["cv", "--resume", "cv"]).ok();
}

#[test]
fn search_ranks_trials_and_tests_the_best() {
    let sandbox = Sandbox::new();
    let grid = ["--grid", "optimizer.lr=0.0,0.05", "--grid", "model.dropout=0.2,2.0"];
    let more = [&grid[..], &["--test", "test.csv", "--valid", "valid.csv", "--out", "search"]].concat();
    let summary = sandbox.faknow(&args("search", &[&more[..], &["--json"]].concat())).json();
    let expected = ["dir", "ended", "monitor", "n_trials", "n_failed", "best", "test", "trials"];
    assert_eq!(keys(&summary), expected);
    assert_eq!(
        (&summary["n_trials"], &summary["n_failed"], &summary["monitor"]),
        (&json!(4), &json!(2), &json!("accuracy"))
    );
    let best = &summary["best"];
    assert_eq!(keys(best), ["number", "run", "settings", "status", "value", "epochs", "best_epoch", "error"]);
    assert_eq!(best["settings"], json!({ "optimizer.lr": 0.05, "model.dropout": 0.2 }));
    assert_eq!((&best["number"], &best["run"]), (&json!(3), &json!("search/trials/0003")));
    assert_eq!(summary["test"]["n_samples"], 24);
    for (number, expected) in [(1, "test: held back"), (3, "test: 24 texts")] {
        let log = sandbox.read(&format!("search/trials/{number:04}/run.log"));
        assert!(log.contains(expected), "trial {number}: {log}\nlacks {expected}");
    }
    let result = sandbox.faknow(&["test", "search/trials/0003", "--data", "test.csv", "--json"]).json();
    for name in ["loss", "accuracy", "roc_auc"] {
        assert_eq!(result["test"][name], summary["test"][name], "{name}");
    }
    let last = summary["trials"][3].clone();
    assert_eq!(last["status"], "failed");
    assert!(last["error"].as_str().unwrap().starts_with("`model.dropout`: expected"), "{last}");
    let table = sandbox.faknow(&args("search", &more)).ok();
    for part in [
        "rank trial  accuracy epochs",
        "best       trial 3: optimizer.lr=0.05 model.dropout=0.2",
        "run        search/trials/0003",
        "(24 samples)",
        "report     search/report.md",
    ] {
        assert!(table.contains(part), "{table}\nlacks {part}");
    }
}

#[test]
fn search_supports_random_and_halving() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "space.toml",
        "optimizer.lr = { low = 1e-3, high = 1e-1, log = true }\nmodel.dropout = [0.1, 0.4]\n",
    );
    let run_search = |method: &[&str]| -> Value {
        sandbox.faknow(&args("search", &[&["--space", "space.toml", "--json"], method].concat())).json()
    };
    let random = run_search(&["--method", "random", "--trials", "3"]);
    assert_eq!(random["n_trials"], 3);
    assert!(random["dir"].as_str().unwrap().starts_with("runs/search-textcnn-"), "{}", random["dir"]);
    let halving =
        run_search(&["--method", "halving", "--trials", "4", "--eta", "2", "--set", "trainer.epochs=4"]);
    let trials = halving["trials"].as_array().unwrap();
    let epochs: Vec<u64> = trials.iter().map(|trial| trial["epochs"].as_u64().unwrap()).collect();
    assert_eq!(epochs, [4, 2, 1, 1]);
    assert_eq!((&trials[0]["status"], &trials[3]["status"]), (&json!("completed"), &json!("paused")));
    // A paused trial is a run that can be resumed.
    let run = trials[3]["run"].as_str().unwrap();
    assert_eq!(sandbox.faknow(&["resume", run, "--json"]).json()["epochs"], 4);
}

#[test]
fn search_rejects_invalid_options() {
    let sandbox = Sandbox::new();
    let check = |more: &[&str], parts: &[&str]| {
        sandbox.check_error(&args("search", &[more, &["--out", "s"]].concat()), parts)
    };
    check(&[], &["--space"]);
    check(
        &["--grid", "optimizer.lr=0.1", "--trials", "3"],
        &["`--trials`", "a grid tries every combination"],
    );
    check(&["--grid", "optimizer.lr=0.1", "--method", "random", "--trials", "1", "--eta", "2"], &["`--eta`"]);
    check(&["--grid", "optimizer.lr"], &["`optimizer.lr`", "expected key=value,value"]);
    check(&["--grid", "optim.lr=0.1,0.2"], &["`optim.lr`: unknown field `optim`"]);
    check(&["--space", "none.toml"], &["none.toml"]);
    sandbox.write("space.toml", "optimizer.lr = 0.1");
    check(
        &["--space", "space.toml"],
        &["space.toml", "`optimizer.lr`", "expected a list of values, or a range"],
    );
    sandbox.check_error(&["search", "--resume", "none"], &["none/search.json"]);
    sandbox.check_error(&["search", "--resume", "s", "--method", "grid"], &["--resume"]);
    assert!(!sandbox.path("s").exists());
    let failed = sandbox.faknow(&args("search", &["--grid", "optimizer.lr=1e30", "--out", "failed"]));
    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    assert!(failed.error_line().contains("all trials failed; first error: "), "{}", failed.stderr);
}

/// Enough trials and steps to interrupt the program while it is running.
const LONG: [&str; 8] = [
    "--grid",
    "optimizer.lr=0.001,0.01,0.05",
    "--set",
    "trainer.epochs=6",
    "--set",
    "loader.batch_size=2",
    "--set",
    "checkpoint.every='3 steps'",
];

#[test]
fn killed_search_resumes_to_the_same_result() {
    let sandbox = Sandbox::new();
    sandbox.faknow(&args("search", &[&LONG[..], &["--out", "uninterrupted"]].concat())).ok();
    let killed = args("search", &[&LONG[..], &["--out", "killed"]].concat());
    let mut n_killed = 0;
    for file in [
        "killed/search.json",
        "killed/trials/0001/config.toml",
        "killed/trials/0001/checkpoints/last/manifest.json",
        "killed/trials/0002/vocab.txt",
        "killed/trials/0002/checkpoints/previous/manifest.json",
        "killed/trials/0003/checkpoints/last/manifest.json",
    ] {
        let mut child = start_until(&sandbox, &killed, file);
        child.kill().unwrap();
        n_killed += usize::from(!child.wait().unwrap().success());
    }
    assert!(n_killed >= 5, "{n_killed}");
    assert!(!is_done(&sandbox.path("killed/search.json")));
    sandbox.faknow(&["search", "--resume", "killed"]).ok();
    assert_eq!(sandbox.read("killed/search.json"), sandbox.read("uninterrupted/search.json"));
    assert_eq!(
        sandbox.read("killed/report.md").replace("# killed", "# uninterrupted"),
        sandbox.read("uninterrupted/report.md")
    );
}

#[test]
fn signal_stops_gracefully_and_prints_the_resume_command() {
    let sandbox = Sandbox::new();
    let interrupted = |name: &str, args: &[&str], file: &str| {
        let child = start_until(&sandbox, args, file);
        signal(&child, name);
        let done = CommandOutput::new(args, &child.wait_with_output().unwrap());
        assert_eq!(done.code, Some(130), "{}", done.stderr);
        done
    };
    let search = args("search", &[&LONG[..], &["--out", "search", "--json"]].concat());
    let done = interrupted("USR1", &search, "search/trials/0002/checkpoints/last/manifest.json");
    assert!(
        done.stderr.trim_end().ends_with(
            "interrupted in the search, 1 of 3 trials done; resume with: faknow search --resume search"
        ),
        "{}",
        done.stderr
    );
    let summary: Value = serde_json::from_str(done.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&summary["ended"], &summary["best"], &summary["test"]),
        (&json!("interrupted"), &Value::Null, &Value::Null)
    );
    sandbox.faknow(&["search", "--resume", "search"]).ok();
    assert!(is_done(&sandbox.path("search/search.json")));

    let cv = args(
        "cv",
        &["--folds", "3", "--out", "cv", "--set", "loader.batch_size=1", "--set", "trainer.epochs=20"],
    );
    let done = interrupted("INT", &cv, "cv/fold-2/config.toml");
    assert!(
        done.stderr.trim_end().ends_with("interrupted in fold 2 of 3; resume with: faknow cv --resume cv"),
        "{}",
        done.stderr
    );
    assert!(done.stdout.contains("folds      1 of 3 completed"), "{}", done.stdout);
    let table = sandbox.faknow(&["cv", "--resume", "cv"]).ok();
    assert!(table.contains("folds      3 of 3 completed"), "{table}");
}
