//! A full disk in the middle of a run: a typed error, and a run directory from which the run resumes bit-exactly.
//!
//! The full disk is simulated in a child process with a limit on the size of files.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use faknow_callbacks::{Callback, JsonlLog, Run, State};
use faknow_data::{DataLoader, Dataset};
use faknow_trainer::checkpoint::{CheckpointError, CheckpointStore};
use faknow_trainer::{Error, RunDir, Trainer};
use tch::{Device, Kind, Tensor};

use crate::interrupted_runs::{ALL_FEATURES, RunOutcome, Setup, valid_data};
use crate::toy::{POINTS, Points, Toy};

/// Variables with the directory of the child process, and the kind of file that exceeds the limit.
const DIR: &str = "FAKNOW_TEST_FULL_DISK_RUN";
const WHAT: &str = "FAKNOW_TEST_FULL_DISK_WHAT";

/// A run that is long enough for its log of steps to exceed the limit.
const LONG: Setup =
    Setup { epochs: 1, accumulate: 1, every: "20 steps", keep: 0, freeze: &[], poison: &[], ..ALL_FEATURES };

/// The points repeated.
struct RepeatedPoints;

impl Dataset for RepeatedPoints {
    type Batch = Points;

    fn n_samples(&self) -> usize {
        1000
    }

    fn batch(&self, indices: &[usize]) -> faknow_data::Result<Points> {
        Ok(Points::new(&indices.iter().map(|&i| POINTS[i % POINTS.len()]).collect::<Vec<_>>()))
    }
}

/// A callback whose state grows with every step.
struct Growing {
    step: u64,
    growth: i64,
}

impl Callback for Growing {
    fn key(&self) -> Option<&str> {
        Some("growing")
    }

    fn on_batch_start(&mut self, run: &mut Run) -> faknow_callbacks::HookResult {
        self.step = run.step() + 1;
        Ok(())
    }

    fn state(&self) -> faknow_callbacks::HookResult<State> {
        let values = Tensor::ones([self.step as i64 * self.growth], (Kind::Float, Device::Cpu));
        Ok(State { tensors: [("values".to_owned(), values)].into(), ..State::default() })
    }
}

fn trainer(dir: RunDir, what: &str) -> Trainer<Toy> {
    // With 2 KB per step, the state exceeds the limit of 100 KB at step 50.
    let growth = if what == "log" { 0 } else { 500 };
    let steps = JsonlLog::with_path(dir.path().join("steps.jsonl")).log_every(1);
    let setup = Setup { background: what == "background", ..LONG };
    let builder = setup.builder(dir).callback(Growing { step: 0, growth });
    let builder = if what == "log" { builder.callback(steps) } else { builder };
    builder.build().unwrap()
}

fn train_data() -> DataLoader<RepeatedPoints> {
    DataLoader::builder(RepeatedPoints).batch_size(1).shuffle(3).build().unwrap()
}

#[test]
fn child_of_the_full_disk() {
    let (Some(dir), Ok(what)) = (std::env::var_os(DIR).map(PathBuf::from), std::env::var(WHAT)) else {
        return;
    };
    let mut trainer = trainer(RunDir::create(dir.join("run")).unwrap(), &what);
    let error = trainer.fit(&train_data(), Some(&valid_data())).unwrap_err();
    let path = match &error {
        Error::Checkpoint(CheckpointError::Io { path, .. }) if what != "log" => path,
        Error::Callback(faknow_callbacks::Error::Io { path, .. }) if what == "log" => path,
        other => panic!("{other:?}"),
    };
    fs::write(dir.join("failed_file"), path.file_name().unwrap().to_str().unwrap()).unwrap();
}

fn check(what: &str, failed_file: &str) {
    tch::set_num_threads(1);
    let temp = tempfile::tempdir().unwrap();
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 200; exec \"$0\" --exact full_disk::child_of_the_full_disk"])
        .arg(std::env::current_exe().unwrap())
        .env(DIR, temp.path())
        .env(WHAT, what)
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert_eq!(fs::read_to_string(temp.path().join("failed_file")).unwrap(), failed_file);
    // The last checkpoint before the error is complete.
    let dir = temp.path().join("run");
    let info = CheckpointStore::new(&dir).verify("last").unwrap();
    assert!(info.step >= 20 && info.step < 1000 && info.stop_reason.is_none(), "{info:?}");

    let end = |dir: &Path, resume: bool| {
        let run_dir = if resume { RunDir::open(dir) } else { RunDir::create(dir) };
        let mut trainer = trainer(run_dir.unwrap(), what);
        let (train, valid) = (train_data(), valid_data());
        let report =
            if resume { trainer.resume(&train, Some(&valid)) } else { trainer.fit(&train, Some(&valid)) };
        let steps = fs::read_to_string(dir.join("steps.jsonl")).unwrap_or_default();
        (RunOutcome::new(report.unwrap(), &trainer, dir), steps)
    };
    let (uninterrupted, steps) = end(&temp.path().join("uninterrupted"), false);
    let (resumed, resumed_steps) = end(&dir, true);
    resumed.assert_eq(&uninterrupted, what);
    // Only the line that could not be written is missing, and no line is repeated.
    let n_steps = |text: &str| text.lines().filter(|line| line.contains("\"type\":\"step\"")).count();
    let n_missing = usize::from(what == "log");
    assert_eq!(n_steps(&resumed_steps), n_steps(&steps) - n_missing, "{what}: steps.jsonl");
}

#[test]
fn run_resumes_after_checkpoint_exceeded_disk() {
    check("checkpoint", "callbacks.safetensors");
}

#[test]
fn run_resumes_after_background_checkpoint_exceeded_disk() {
    check("background", "callbacks.safetensors");
}

#[test]
fn run_resumes_after_log_exceeded_disk() {
    check("log", "steps.jsonl");
}
