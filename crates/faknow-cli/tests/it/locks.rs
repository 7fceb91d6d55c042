//! Two commands on one directory: one works, the other says who uses the directory.
#![cfg(unix)]

use std::process::Stdio;

use faknow::trainer::RunDir;

use crate::support::{CommandOutput, Sandbox, TINY, signal, wait_for};

/// Arguments of tiny runs.
const DATA: [&str; 6] = ["--train", "train.csv", "--text", "tweet", "--threads", "1"];
/// Settings of runs that do not end by themselves.
const ENDLESS: [&str; 4] = ["--epochs", "1000000", "--set", "early_stopping.enabled=false"];

fn args<'a>(command: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    match command {
        ["train" | "cv" | "search", ..] => [command, &DATA, &TINY, more].concat(),
        ["resume", ..] => [command, more].concat(),
        _ => command.to_vec(),
    }
}

/// A command that uses a directory for a long time.
struct Owner {
    args: &'static [&'static str],
    /// A file that it writes when it is at work.
    file: &'static str,
    /// Commands that need the directory for themselves.
    rejected: &'static [&'static [&'static str]],
    /// Commands that read it meanwhile.
    readers: &'static [&'static [&'static str]],
}

const TRAIN: Owner = Owner {
    args: &["train", "textcnn", "--out", "run"],
    file: "run/checkpoints/best/manifest.json",
    rejected: &[
        &["train", "textcnn", "--out", "run"],
        &["resume", "run"],
        &["report", "run"],
        &["cv", "textcnn", "--out", "run"],
        &["search", "textcnn", "--grid", "optimizer.lr=0.1,0.2", "--out", "run"],
    ],
    readers: &[
        &["predict", "run", "--input", "test.csv", "--output", "predictions.jsonl"],
        &["test", "run", "--data", "test.csv"],
        &["export", "run", "--out", "exported"],
        &["report", "run", "--out", "report.html"],
        &["report", "run", "done"],
    ],
};

const OWNERS: [Owner; 4] = [
    TRAIN,
    Owner {
        args: &["resume", "done"],
        file: "done/checkpoints/last/manifest.json",
        rejected: &[&["resume", "done"], &["train", "textcnn", "--out", "done"], &["report", "done"]],
        readers: &[&["test", "done", "--data", "test.csv"]],
    },
    Owner {
        args: &["cv", "textcnn", "--folds", "3", "--out", "cv"],
        file: "cv/fold-1/checkpoints/last/manifest.json",
        rejected: &[
            &["cv", "textcnn", "--folds", "3", "--out", "cv"],
            &["cv", "--resume", "cv"],
            &["search", "textcnn", "--grid", "optimizer.lr=0.1,0.2", "--out", "cv"],
            &["train", "textcnn", "--out", "cv"],
            &["resume", "cv/fold-1"],
            &["report", "cv/fold-1"],
        ],
        readers: &[],
    },
    Owner {
        args: &["search", "textcnn", "--grid", "optimizer.lr=0.1,0.2", "--out", "search"],
        file: "search/trials/0001/checkpoints/last/manifest.json",
        rejected: &[
            &["search", "textcnn", "--grid", "optimizer.lr=0.1,0.2", "--out", "search"],
            &["search", "--resume", "search"],
            &["cv", "textcnn", "--out", "search"],
            &["train", "textcnn", "--out", "search"],
            &["resume", "search/trials/0001"],
        ],
        readers: &[],
    },
];

#[test]
fn second_command_says_who_uses_the_directory() {
    let sandbox = Sandbox::new();
    sandbox.train(&["--valid", "valid.csv", "--out", "done"]);
    for owner in &OWNERS {
        let started = std::time::SystemTime::now();
        let mut child = sandbox.command(&args(owner.args, &ENDLESS)).stdin(Stdio::null()).spawn().unwrap();
        let file = sandbox.path(owner.file);
        wait_for(owner.file, || {
            file.metadata().and_then(|data| data.modified()).is_ok_and(|time| time >= started)
        });
        let holder = format!("process {} (faknow {}", child.id(), owner.args[0]);
        for rejected in owner.rejected {
            let rejected = match rejected {
                // With the same settings.
                ["cv" | "search", "--resume", ..] => rejected.to_vec(),
                _ if rejected[0] == owner.args[0] => args(rejected, &ENDLESS),
                _ => args(rejected, &[]),
            };
            sandbox.check_error(&rejected, &[&holder, ") since 2", "is using it; wait for it, or stop it"]);
        }
        for reader in owner.readers {
            sandbox.faknow(reader).ok();
        }
        assert!(child.try_wait().unwrap().is_none(), "{:?} ended", owner.args);
        // The lock of a killed process does not remain.
        signal(&child, "KILL");
        child.wait().unwrap();
        let dir = owner.file.split('/').next().unwrap();
        RunDir::open(sandbox.path(dir)).unwrap();
    }
}

#[test]
fn one_of_two_runs_that_start_together_wins() {
    let sandbox = Sandbox::new();
    sandbox.write("tiny.csv", crate::support::csv(12, 1));
    for attempt in 0..50 {
        let out = format!("run-{attempt}");
        let args = [
            &[
                "train",
                "textcnn",
                "--train",
                "tiny.csv",
                "--text",
                "tweet",
                "--threads",
                "1",
                "--epochs",
                "1",
            ],
            &TINY[..],
            &["--set", "data.split=[1.0,0.0,0.0]", "--quiet", "--out", &out],
        ]
        .concat();
        let both = [(); 2].map(|()| sandbox.command(&args).stdin(Stdio::null()).spawn().unwrap());
        let both = both.map(|child| CommandOutput::new(&args, &child.wait_with_output().unwrap()));
        let (winner, loser) = match both {
            [first, second] if first.code == Some(0) => (first, second),
            [first, second] => (second, first),
        };
        winner.ok();
        let line = loser.error_line().to_owned();
        assert_eq!(loser.code, Some(2), "{line}");
        // When the winner is done, its directory is not empty.
        let parts = ["is using it", "already contains a run", "not empty"];
        assert!(parts.iter().any(|part| line.contains(part)), "{line}");
    }
}
