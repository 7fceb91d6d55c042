//! Cross-validation and search: their forms, their output, and that no end of the process loses anything.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Bench, Done, TINY, keys};

/// `faknow COMMAND textcnn --train train.csv …`, small.
fn args<'a>(command: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let train =
        [command, "textcnn", "--train", "train.csv", "--text", "tweet", "--epochs", "2", "--threads", "1"];
    [&train[..], &TINY, more].concat()
}

/// Starts the program and waits until there is such a file, for a minute at most.
fn started(bench: &Bench, args: &[&str], file: &str) -> Child {
    let mut child = bench.command(args).stdin(Stdio::null()).spawn().unwrap();
    let begin = Instant::now();
    while !bench.path(file).exists() {
        assert!(child.try_wait().unwrap().is_none(), "{args:?} ended before there was {file}");
        assert!(begin.elapsed() < Duration::from_secs(60), "{args:?} made no {file}");
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

fn is_done(path: &Path) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| text.contains("\"done\": true"))
}

#[test]
fn cv_tells_mean_and_deviation_of_every_metric() {
    let bench = Bench::new();
    let summary = bench.faknow(&args("cv", &["--folds", "4", "--out", "cv", "--json"])).json();
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
    // The same command goes on, here with nothing left to do, and says it in a table.
    let table = bench.faknow(&args("cv", &["--folds", "4", "--out", "cv"])).ok();
    for part in ["mean ± deviation", "accuracy ", " fold 4", "folds   4 of 4 done", "report  cv/report.md"] {
        assert!(table.contains(part), "{table}\nlacks {part}");
    }
    let tested = bench.faknow(&["test", "cv/fold-2", "--data", "test.csv", "--json"]).json();
    assert_eq!(tested["test"]["n_samples"], 24);
}

#[test]
fn cv_refuses_what_it_cannot_do() {
    let bench = Bench::new();
    bench.refuses(&args("cv", &["--folds", "1", "--out", "cv"]), &["`folds`", "at least 2, got 1"]);
    bench
        .refuses(&args("cv", &["--folds", "41", "--out", "cv"]), &["`data.fold`", "2 to 40 folds", "got 41"]);
    bench.refuses(&args("cv", &["--test", "test.csv"]), &["--test"]);
    assert!(!bench.path("cv").exists());
    bench.faknow(&args("cv", &["--folds", "2", "--out", "cv"])).ok();
    bench.refuses(
        &args("cv", &["--folds", "2", "--out", "cv", "--seed", "1"]),
        &["`--seed`", "was started with 0, got 1"],
    );
    bench.refuses(&["cv", "--resume", "cv", "--folds", "3"], &["--resume", "--folds"]);
    bench.refuses(&["cv", "--resume", "cv", "--set", "seed=3"], &["--resume", "--set"]);
    bench.refuses(&["cv", "--resume", "none"], &["none/cv.json"]);
    bench.faknow(&["cv", "--resume", "cv"]).ok();
}

#[test]
fn search_ranks_its_trials_and_tests_the_best() {
    let bench = Bench::new();
    let grid = ["--grid", "optimizer.lr=0.0,0.05", "--grid", "model.dropout=0.2,2.0"];
    let more = [&grid[..], &["--test", "test.csv", "--valid", "valid.csv", "--out", "search"]].concat();
    let summary = bench.faknow(&args("search", &[&more[..], &["--json"]].concat())).json();
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
    for (number, said) in [(1, "test: held back"), (3, "test: 24 texts")] {
        let log = bench.read(&format!("search/trials/{number:04}/run.log"));
        assert!(log.contains(said), "trial {number}: {log}\nlacks {said}");
    }
    let tested = bench.faknow(&["test", "search/trials/0003", "--data", "test.csv", "--json"]).json();
    for name in ["loss", "accuracy", "roc_auc"] {
        assert_eq!(tested["test"][name], summary["test"][name], "{name}");
    }
    let last = summary["trials"][3].clone();
    assert_eq!(last["status"], "failed");
    assert!(last["error"].as_str().unwrap().starts_with("`model.dropout`: expected"), "{last}");
    let table = bench.faknow(&args("search", &more)).ok();
    for part in [
        "rank trial  accuracy epochs",
        "best    trial 3: optimizer.lr=0.05 model.dropout=0.2",
        "run     search/trials/0003",
        "(24 samples)",
        "report  search/report.md",
    ] {
        assert!(table.contains(part), "{table}\nlacks {part}");
    }
}

#[test]
fn search_draws_from_a_space_and_halves() {
    let bench = Bench::new();
    bench.write(
        "space.toml",
        "optimizer.lr = { low = 1e-3, high = 1e-1, log = true }\nmodel.dropout = [0.1, 0.4]\n",
    );
    let of = |method: &[&str]| -> Value {
        bench.faknow(&args("search", &[&["--space", "space.toml", "--json"], method].concat())).json()
    };
    let random = of(&["--method", "random", "--trials", "3"]);
    assert_eq!(random["n_trials"], 3);
    assert!(random["dir"].as_str().unwrap().starts_with("runs/search-textcnn-"), "{}", random["dir"]);
    let halving = of(&["--method", "halving", "--trials", "4", "--eta", "2", "--set", "trainer.epochs=4"]);
    let trials = halving["trials"].as_array().unwrap();
    let epochs: Vec<u64> = trials.iter().map(|trial| trial["epochs"].as_u64().unwrap()).collect();
    assert_eq!(epochs, [4, 2, 1, 1]);
    assert_eq!((&trials[0]["status"], &trials[3]["status"]), (&json!("completed"), &json!("paused")));
    // What a rung left behind is a run that can go on.
    let run = trials[3]["run"].as_str().unwrap();
    assert_eq!(bench.faknow(&["resume", run, "--json"]).json()["epochs"], 4);
}

#[test]
fn search_refuses_what_it_cannot_do() {
    let bench = Bench::new();
    let says = |more: &[&str], parts: &[&str]| {
        bench.refuses(&args("search", &[more, &["--out", "s"]].concat()), parts)
    };
    says(&[], &["--space"]);
    says(&["--grid", "optimizer.lr=0.1", "--trials", "3"], &["`--trials`", "a grid tries every combination"]);
    says(&["--grid", "optimizer.lr=0.1", "--method", "random", "--trials", "1", "--eta", "2"], &["`--eta`"]);
    says(&["--grid", "optimizer.lr"], &["`optimizer.lr`", "expected key=value,value"]);
    says(&["--grid", "optmizer.lr=0.1,0.2"], &["`optmizer.lr`: unknown field `optmizer`"]);
    says(&["--space", "none.toml"], &["none.toml"]);
    bench.write("space.toml", "optimizer.lr = 0.1");
    says(
        &["--space", "space.toml"],
        &["space.toml", "`optimizer.lr`", "expected a list of values, or a range"],
    );
    bench.refuses(&["search", "--resume", "none"], &["none/search.json"]);
    bench.refuses(&["search", "--resume", "s", "--method", "grid"], &["--resume"]);
    assert!(!bench.path("s").exists());
    let failed = bench.faknow(&args("search", &["--grid", "optimizer.lr=1e30", "--out", "failed"]));
    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    assert!(failed.said().contains("all trials failed; the first: "), "{}", failed.stderr);
}

/// Enough trials and steps that the program is caught at work.
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
fn a_search_that_is_killed_again_and_again_comes_to_the_same_end() {
    let bench = Bench::new();
    bench.faknow(&args("search", &[&LONG[..], &["--out", "whole"]].concat())).ok();
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
        let mut child = started(&bench, &killed, file);
        child.kill().unwrap();
        n_killed += usize::from(!child.wait().unwrap().success());
    }
    assert!(n_killed >= 5, "{n_killed}");
    assert!(!is_done(&bench.path("killed/search.json")));
    bench.faknow(&["search", "--resume", "killed"]).ok();
    assert_eq!(bench.read("killed/search.json"), bench.read("whole/search.json"));
    assert_eq!(bench.read("killed/report.md").replace("# killed", "# whole"), bench.read("whole/report.md"));
}

#[test]
fn ctrl_c_ends_in_good_order_and_tells_how_to_go_on() {
    let bench = Bench::new();
    let interrupted = |args: &[&str], file: &str| {
        let child = started(&bench, args, file);
        let signal = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(signal.success());
        let done = Done::new(args, &child.wait_with_output().unwrap());
        assert_eq!(done.code, Some(130), "{}", done.stderr);
        done
    };
    let search = args("search", &[&LONG[..], &["--out", "search", "--json"]].concat());
    let done = interrupted(&search, "search/trials/0002/checkpoints/last/manifest.json");
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
    bench.faknow(&["search", "--resume", "search"]).ok();
    assert!(is_done(&bench.path("search/search.json")));

    let cv = args(
        "cv",
        &["--folds", "3", "--out", "cv", "--set", "loader.batch_size=1", "--set", "trainer.epochs=20"],
    );
    let done = interrupted(&cv, "cv/fold-2/config.toml");
    assert!(
        done.stderr.trim_end().ends_with("interrupted in fold 2 of 3; resume with: faknow cv --resume cv"),
        "{}",
        done.stderr
    );
    assert!(done.stdout.contains("folds   1 of 3 done"), "{}", done.stdout);
    let table = bench.faknow(&["cv", "--resume", "cv"]).ok();
    assert!(table.contains("folds   3 of 3 done"), "{table}");
}
