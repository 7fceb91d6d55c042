//! `faknow summary`: shows the parameters of a model.

use std::path::Path;

use anyhow::Result;
use clap::Args;
use faknow::Config;
use faknow::model::Summary;
use faknow::models::Registry;
use faknow::tools::model_summary;
use serde_json::json;

use crate::console::print;
use crate::job::JobOptions;

/// Show the parameters of a model and the memory needed to train it
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  faknow summary textcnn --train posts/train.csv
  faknow summary textcnn --train train.csv --text tweet --classes real,fake
  faknow summary my.toml --set model.n_filters=50
  faknow summary runs/textcnn-20260801-120000-3f2a           # of a trained detector")]
#[command(
    after_help = "The options are those of `faknow train`: the size of a model depends on the vocabulary of the training texts."
)]
pub(crate) struct SummaryArgs {
    #[command(flatten)]
    job: JobOptions,
    /// Print the result as JSON: n_weights, n_trainable, memory, parameters
    #[arg(long)]
    json: bool,
}

impl SummaryArgs {
    pub(crate) fn run(&self, registry: &Registry) -> Result<()> {
        let summary = self.summary(registry)?;
        if self.json {
            let all = json!({
                "n_weights": summary.n_weights(),
                "n_trainable": summary.n_trainable(),
                "memory": summary.memory(),
                "parameters": summary.parameters,
            });
            return print(&all.to_string());
        }
        print(&summary.to_string())
    }

    fn summary(&self, registry: &Registry) -> Result<Summary> {
        match self.job.model() {
            // An argument that is not the name of a model may be a run directory.
            Some(run) if registry.model(run).is_err() && Path::new(run).is_dir() => {
                let device = Config { device: "cpu".into(), ..Config::default() }.device()?;
                Ok(registry.load_detector(Path::new(run), device)?.summary())
            }
            _ => Ok(model_summary(&self.job.to_config(registry)?)?),
        }
    }
}
