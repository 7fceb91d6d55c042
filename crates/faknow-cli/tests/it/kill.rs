//! `kill -9` at random moments of a run, then `faknow resume`: the result equals that of an uninterrupted run.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use faknow::data::Rng;
use serde_json::Value;

use crate::same_run::{assert_same, content, without_times};
use crate::support::{CommandOutput, Sandbox};

/// A config that enables every component with state.
pub(crate) const CONFIG: &str = r#"
seed = 5
threads = 1
[data]
train = "train.csv"
valid = "valid.csv"
test = "test.csv"
text = "tweet"
[loader]
batch_size = 3
buckets = 4
workers = 1
[model]
name = "textcnn"
embedding_size = 8
n_filters = 4
dropout = 0.5
[optimizer]
name = "adamw"
lr = 0.01
amsgrad = true
[schedule]
name = "plateau"
patience = 0
factor = 0.7
[average]
name = "ema"
decay = 0.9
[trainer]
epochs = 6
accumulate = 2
clip_norm = 1.0
validate_every = "5 steps"
[early_stopping]
patience = 8
monitor = "loss"
[checkpoint]
every = "1 step"
keep = 2
best = 2
monitors = ["loss"]
"#;

/// Returns the number of kills; `FAKNOW_KILLS` sets another one.
fn n_kills() -> usize {
    std::env::var("FAKNOW_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(24)
}

/// Returns the JSON line of a finished run, without paths and times.
fn result(done: CommandOutput, run: &str) -> Value {
    let mut result = without_times(done.json());
    assert_eq!(result["run"], run);
    result["run"] = Value::Null;
    result
}

/// Returns the stage at which a run was killed, for the summary.
fn stage(run: &Path) -> &'static str {
    let checkpoints = run.join("checkpoints");
    let names: Vec<String> = fs::read_dir(&checkpoints)
        .map(|entries| entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    if names.iter().any(|name| name.starts_with('.')) {
        "during the writing of a checkpoint"
    } else if names.is_empty() {
        "before the first checkpoint"
    } else if run.join("report.html").exists() {
        "after the end"
    } else {
        "between two checkpoints"
    }
}

#[test]
fn run_killed_at_random_moments_ends_like_an_uninterrupted_one() {
    check(n_kills(), &[]);
}

#[test]
fn background_checkpoints_survive_kills() {
    check(n_kills().div_ceil(3), &["--set", "checkpoint.background=true"]);
}

#[expect(clippy::print_stdout, reason = "the summary of the kills")]
fn check(n_kills: usize, settings: &[&str]) {
    let sandbox = Sandbox::new();
    sandbox.write("config.toml", CONFIG);
    let train = |out: &str| {
        let args = ["train", "--config", "config.toml", "--json", "--out", out];
        args.iter().chain(settings).map(|arg| (*arg).to_owned()).collect::<Vec<_>>()
    };
    let resume = |run: &str| ["resume", run, "--json"].map(str::to_owned).to_vec();
    let start = Instant::now();
    let expected_result = result(
        sandbox.faknow(&train("uninterrupted").iter().map(String::as_str).collect::<Vec<_>>()),
        "uninterrupted",
    );
    let duration = start.elapsed().as_secs_f64();
    let expected = content(&sandbox.path("uninterrupted"));

    let mut rng = Rng::new(20);
    let (mut stages, mut n_runs) = (Vec::new(), 0);
    while stages.len() < n_kills {
        let run = format!("run-{n_runs}");
        let dir = sandbox.path(&run);
        let what = format!("run {n_runs}, killed {} times before", stages.len());
        loop {
            // A run that was killed before it wrote its settings is started again.
            let args = if dir.join("config.toml").exists() { resume(&run) } else { train(&run) };
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let mut child = sandbox.command(&args).spawn().unwrap();
            let moment = Duration::from_secs_f64(0.6 * rng.uniform() * duration);
            let started = Instant::now();
            while started.elapsed() < moment && child.try_wait().unwrap().is_none() {
                sleep(Duration::from_millis(1));
            }
            if stages.len() < n_kills && child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                child.wait().unwrap();
                stages.push(stage(&dir));
                if !dir.join("config.toml").exists() {
                    let _ = fs::remove_dir_all(&dir);
                }
                continue;
            }
            let output = child.wait_with_output().unwrap();
            assert_eq!(result(CommandOutput::new(&args, &output), &run), expected_result, "{what}: result");
            break;
        }
        assert_same(&content(&dir), &expected, &what);
        n_runs += 1;
    }
    stages.sort_unstable();
    for kind in stages.chunk_by(|a, b| a == b) {
        println!("killed {} times {}", kind.len(), kind[0]);
    }
    println!("{} kills of {n_runs} runs, each with the result of an uninterrupted run", stages.len());
}
