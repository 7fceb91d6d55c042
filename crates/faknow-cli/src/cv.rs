//! `faknow cv`: cross-validates a model.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use faknow::models::Registry;
use faknow::study::{CrossValidation, cross_validate};
use faknow::trainer::RunDir;
use serde_json::{Map, Value, json};

use crate::console::{Console, print};
use crate::interrupted::Interrupted;
use crate::training_options::TrainingOptions;

/// Cross-validate a model, and report mean and standard deviation of each metric
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  faknow cv textcnn --folds 3 --train posts/train.csv --epochs 3     # posts: `faknow data example posts`
  faknow cv textcnn --folds 5 --train posts.csv --text tweet --label label --classes real,fake
  faknow cv my.toml --folds 10 --set data.split=[1.0,0.0,0.0]   # no validation: the last epoch is used
  faknow cv --resume runs/cv-textcnn-…                          # resume after Ctrl-C or a crash")]
#[command(
    after_help = "A detector is trained and tested per fold. The folds are stratified by class and depend only on the seed.
Without --valid, the validation records are a fraction (`data.split`) of the training folds. A `data.test` in the
config is not used: it is meant for the final detector. The output directory contains a run directory per fold,
`cv.json` and `report.md`; the same command with the same --out resumes the cross-validation."
)]
pub(crate) struct CvArgs {
    #[command(flatten)]
    training: TrainingOptions,
    /// Number of folds, from 2 to the number of samples of the rarest class
    #[arg(long, value_name = "K", default_value_t = 5)]
    folds: usize,
    /// Output directory: new, empty, or of the same command [default: a new one in `runs`]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Resume the cross-validation in this directory with its saved settings
    #[arg(long, value_name = "DIR", conflicts_with_all = [
        "folds", "out", "TrainingOptions", "TreeOptions", "LabeledOptions", "ColumnOptions", "LeaveOutOptions", "RecordOptions", "ConfigOptions",
    ])]
    resume: Option<PathBuf>,
    /// Print the result as JSON: dir, ended, n_folds, folds, metrics
    #[arg(long)]
    json: bool,
}

impl CvArgs {
    pub(crate) fn run(&self, registry: &Registry, console: &Console) -> Result<()> {
        let contexts = console.contexts()?;
        // Until the last line is printed.
        let _guard = contexts.interrupt.install();
        let outcome = match &self.resume {
            Some(dir) => registry.resume_cross_validation(dir, contexts)?,
            None => {
                let config = self.training.to_config(registry, None)?;
                let name = format!("cv-{}", config.model.name);
                let dir = self.out.clone().unwrap_or_else(|| RunDir::unused_path("runs", &name));
                cross_validate(&config, self.folds, &dir, contexts)?
            }
        };
        let printed = print(&if self.json { summary(&outcome).to_string() } else { table(&outcome) });
        if outcome.is_interrupted {
            let location = format!("fold {} of {}", outcome.folds.len() + 1, outcome.n_folds);
            return Err(Interrupted::new(location, "cv --resume", &outcome.dir).into());
        }
        printed
    }
}

fn summary(outcome: &CrossValidation) -> Value {
    let metrics = outcome.metrics().into_iter().map(|metric| {
        let mean = metric.summary.map(|summary| summary.mean);
        let deviation = metric.summary.and_then(|summary| summary.std);
        (metric.name, json!({ "mean": mean, "deviation": deviation, "values": metric.values }))
    });
    let folds = outcome.folds.iter().map(|fold| {
        json!({
            "run": outcome.run(fold).to_string_lossy(),
            "ended": fold.stop_reason,
            "epochs": fold.epochs,
            "best_epoch": fold.best_epoch,
            "n_samples": fold.test.n_samples,
        })
    });
    json!({
        "dir": outcome.dir.to_string_lossy(),
        "ended": if outcome.is_interrupted { "interrupted" } else { "completed" },
        "n_folds": outcome.n_folds,
        "folds": folds.collect::<Vec<_>>(),
        "metrics": metrics.collect::<Map<_, _>>(),
    })
}

fn table(outcome: &CrossValidation) -> String {
    let mut lines = vec![outcome.to_string(), String::new()];
    lines.push(format!("folds      {} of {} completed", outcome.folds.len(), outcome.n_folds));
    lines.push(format!("directory  {}", outcome.dir.display()));
    if !outcome.is_interrupted {
        lines.push(format!("report     {}", outcome.dir.join("report.md").display()));
    }
    lines.join("\n")
}
