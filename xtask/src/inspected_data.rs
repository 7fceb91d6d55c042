//! Real datasets as a new user trains on them: `faknow data inspect`, and then exactly the command that it prints.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use xshell::cmd;

use crate::process;
use crate::program::Program;
use crate::summary::Summary;

/// A dataset and what its printed command must reach.
struct Dataset {
    /// Directory of its files in `data/`.
    name: &'static str,
    /// Arguments of `faknow data inspect`; those with a dot or slash are files of the dataset.
    inspect: &'static [&'static str],
    /// Arguments that make the training short.
    train: &'static str,
    metric: &'static str,
    /// Between the value of the larger class or of chance and that of the documented results.
    min: f64,
}

const DATASETS: [Dataset; 7] = [
    Dataset {
        name: "covid",
        inspect: &["train.csv", "valid.csv", "test.csv"],
        train: "--epochs 2",
        metric: "accuracy",
        min: 0.90,
    },
    Dataset {
        name: "liar",
        inspect: &["train.tsv", "valid.tsv", "test.tsv"],
        train: "--epochs 4",
        metric: "accuracy",
        min: 0.22,
    },
    Dataset {
        name: "weibo21",
        inspect: &["train.jsonl", "valid.jsonl", "test.jsonl"],
        train: "--epochs 2",
        metric: "accuracy",
        min: 0.84,
    },
    Dataset {
        name: "mediaeval",
        inspect: &["train.jsonl", "test.jsonl"],
        train: "--epochs 2",
        metric: "f1_macro",
        min: 0.5,
    },
    Dataset {
        name: "twitter15",
        inspect: &["data.TD_RvNN.vol_5000.txt", "--labels", "Twitter15_label_All.txt"],
        train: "--epochs 10",
        metric: "accuracy",
        min: 0.6,
    },
    Dataset {
        name: "twitter16",
        inspect: &["data.TD_RvNN.vol_5000.txt", "--labels", "Twitter16_label_All.txt"],
        train: "--epochs 10",
        metric: "accuracy",
        min: 0.6,
    },
    Dataset {
        name: "upfd-politifact",
        inspect: &["./raw"],
        train: "--epochs 40",
        metric: "accuracy",
        min: 0.6,
    },
];

/// Inspects every dataset and trains with the printed command; each is one check.
pub fn check(faknow: &Program, data: &Path) -> Summary {
    let mut summary = Summary::default();
    for dataset in &DATASETS {
        let name = format!("inspected {}", dataset.name);
        summary.add(Summary::of_check(&name, check_dataset(faknow, dataset, &data.join(dataset.name))));
    }
    summary
}

fn check_dataset(faknow: &Program, dataset: &Dataset, dir: &Path) -> Result<()> {
    let sh = &faknow.sh;
    let file = |argument: &&str| match argument.contains(['.', '/']) {
        true => dir.join(argument.trim_start_matches("./")).into_os_string(),
        false => argument.into(),
    };
    let arguments: Vec<_> = dataset.inspect.iter().map(file).collect();
    // Exit code 1 means findings, as near-duplicates between the splits; the command is printed all the same.
    let output = cmd!(sh, "faknow data inspect {arguments...}").ignore_status().read()?;
    let command = output.trim_end().lines().last().map(str::trim).unwrap_or_default();
    ensure!(command.starts_with("faknow train "), "the last line is not a command: `{command}`");
    println!("{}: {command}", dataset.name);
    let (run, options) = (dataset.name, dataset.train);
    let command = format!("{command} {options} --seed 1 --out {run} --json");
    let report = process::capture(cmd!(sh, "bash -c {command}"))?;
    let report: Value = serde_json::from_str(report.trim_end().lines().last().unwrap_or_default())
        .context("the last line is not JSON")?;
    let metric = dataset.metric;
    let value = report["test"][metric].as_f64().with_context(|| format!("no test.{metric}: {report}"))?;
    println!("{}, {options}: test {metric} {value:.4}", dataset.name);
    ensure!(value > dataset.min, "test {metric}: expected more than {}, got {value:.4}", dataset.min);
    Ok(())
}
