//! `cargo xtask real`: the program on real data sets, posts and propagation trees, from the files to predictions of a
//! moved run folder.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::process::Usage;
use crate::program::Program;
use crate::summary::Summary;
use crate::workspace::Workspace;

/// Two epochs reach 0.93 on this set; a linear model reaches 0.946, the larger class 0.523.
const LEAST_ACCURACY: f64 = 0.90;

/// Sixty epochs reach 0.84 on this fold; logistic regression on all folds reaches 0.822, the largest class 0.252.
const LEAST_ACCURACY_OF_TREES: f64 = 0.75;

/// Runs `cargo xtask real`.
pub fn run(workspace: &mut Workspace, args: &[String]) -> Result<()> {
    if !args.is_empty() {
        return Err(Usage("real takes no arguments".into()).into());
    }
    let Some(shared) = workspace.shared() else {
        println!(
            "SKIPPED: no data sets; set FAKNOW_SHARED to the folder that holds data/, or put shared/ beside the workspace"
        );
        return Summary::default().conclude();
    };
    let faknow = Program::build(workspace)?;
    let outcomes = [
        check_posts(&faknow, &shared.join("data/covid")),
        check_trees(&faknow, &shared.join("data/twitter16")),
    ];
    let mut summary = Summary::default();
    for outcome in &outcomes {
        if let Err(error) = outcome {
            eprintln!("error: {error:#}");
        }
        summary.add(Summary::of_check(outcome.is_ok()));
    }
    summary.conclude()
}

fn check_posts(faknow: &Program, data: &Path) -> Result<()> {
    let folder = faknow.folder();
    let file = |name: &str| data.join(name).to_string_lossy().into_owned();
    let (train, valid, test) = (file("train.csv"), file("valid.csv"), file("test.csv"));
    let trained = faknow.run(&[
        "train",
        "textcnn",
        "--train",
        &train,
        "--valid",
        &valid,
        "--test",
        &test,
        "--text",
        "tweet",
        "--label",
        "label",
        "--classes",
        "real,fake",
        "--epochs",
        "2",
        "--seed",
        "1",
        "--out",
        "run",
        "--json",
    ])?;
    let report = last_json(&trained)?;
    let accuracy = number(&report, "test", "accuracy")?;
    let seconds =
        report["epoch_seconds"].as_array().into_iter().flatten().filter_map(Value::as_f64).sum::<f64>();
    println!("covid, TextCNN, 2 epochs: test accuracy {accuracy:.4}, {seconds:.1} s of training");
    ensure!(
        accuracy > LEAST_ACCURACY,
        "the test accuracy is {accuracy:.4}; it must be above {LEAST_ACCURACY}"
    );

    // A run folder holds all that prediction needs, wherever it lies.
    fs::rename(folder.join("run"), folder.join("moved")).context("the run folder is not where --out says")?;
    let tested = last_json(&faknow.run(&["test", "moved", "--data", &test, "--json"])?)?;
    let again = number(&tested, "test", "accuracy")?;
    ensure!(again == accuracy, "`faknow test` says accuracy {again}, the training said {accuracy}");
    let predicted = faknow.run(&["predict", "moved", "--input", &test])?;
    let lines = predicted.lines().filter(|line| line.starts_with('{')).count();
    ensure!(lines == 2_140, "`faknow predict` wrote {lines} lines for 2,140 posts");
    let first: Value = serde_json::from_str(predicted.lines().next().unwrap_or_default())?;
    ensure!(first["scores"].is_array() || first["scores"].is_object(), "a prediction has no scores: {first}");
    Ok(())
}

fn check_trees(faknow: &Program, data: &Path) -> Result<()> {
    let folder = faknow.folder();
    let file = |name: &str| data.join(name).to_string_lossy().into_owned();
    let (trees, labels) = (file("data.TD_RvNN.vol_5000.txt"), file("Twitter16_label_All.txt"));
    let (train, test) = (file("folds/fold0.train.txt"), file("folds/fold0.test.txt"));
    let files = ["--trees", &trees, "--labels", &labels];
    let training = ["--train-ids", &train, "--test-ids", &test, "--valid-fraction", "0"];
    let rest = [
        "--classes",
        "non-rumor,false,true,unverified",
        "--epochs",
        "60",
        "--seed",
        "1",
        "--out",
        "trees",
        "--json",
    ];
    let settings = ["--set", "optimizer.lr=0.001", "--set", "optimizer.groups=[]"];
    let report =
        last_json(&faknow.run(&[&["train", "bigcn"], &files[..], &training, &rest, &settings].concat())?)?;
    let accuracy = number(&report, "test", "accuracy")?;
    let epochs: Vec<f64> =
        report["epoch_seconds"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    let seconds = epochs.iter().sum::<f64>() / epochs.len().max(1) as f64;
    println!("Twitter16, BiGCN, 60 epochs: test accuracy {accuracy:.4}, {seconds:.2} s an epoch");
    ensure!(
        accuracy > LEAST_ACCURACY_OF_TREES,
        "the test accuracy is {accuracy:.4}; it must be above {LEAST_ACCURACY_OF_TREES}"
    );
    fs::rename(folder.join("trees"), folder.join("elsewhere"))
        .context("the run folder is not where --out says")?;
    let same = ["--ids", &test];
    let tested = last_json(&faknow.run(&[&["test", "elsewhere", "--json"], &files[..], &same].concat())?)?;
    let again = number(&tested, "test", "accuracy")?;
    ensure!(again == accuracy, "`faknow test` says accuracy {again}, the training said {accuracy}");
    let judged = faknow.run(&["predict", "elsewhere", "--trees", &trees, "--ids", &test, "--explain"])?;
    let lines = judged.lines().filter(|line| line.contains("contribution")).count();
    ensure!(lines == 163, "`faknow predict --explain` wrote {lines} lines for 163 trees");
    Ok(())
}

/// The JSON object on the last line of an output.
fn last_json(output: &str) -> Result<Value> {
    let line = output.trim_end().lines().last().unwrap_or_default();
    serde_json::from_str(line).with_context(|| format!("the last line is no JSON: {line}"))
}

fn number(report: &Value, part: &str, name: &str) -> Result<f64> {
    report[part][name].as_f64().with_context(|| format!("the report has no {part}.{name}: {report}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_the_last_line() {
        let report = last_json("epoch 1\n{\"a\": 1}\n{\"test\": {\"accuracy\": 0.9}}\n").unwrap();
        assert_eq!(number(&report, "test", "accuracy").unwrap(), 0.9);
        assert!(number(&report, "valid", "accuracy").unwrap_err().to_string().contains("no valid.accuracy"));
        assert!(last_json("no json\n").is_err());
        assert!(last_json("").is_err());
    }
}
