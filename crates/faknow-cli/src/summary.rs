//! `faknow summary`: what a model consists of.

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

/// Show the parameters of a model, their number, and the memory that training needs for them
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  faknow summary textcnn --train train.csv --text tweet --classes real,fake
  faknow summary my.toml --set model.n_filters=50
  faknow summary runs/textcnn-20260801-120000-3f2a                              # of a trained detector

The model, the records and the settings are those of `faknow train`: how large a model is depends on the vocabulary
of the training texts.")]
pub(crate) struct SummaryArgs {
    #[command(flatten)]
    job: JobOptions,
    /// End the output with one JSON line: n_weights, n_trainable, memory, parameters
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
            // What is no model's name may be a run directory.
            Some(run) if registry.model(run).is_err() && Path::new(run).is_dir() => {
                let device = Config { device: "cpu".into(), ..Config::default() }.device()?;
                Ok(registry.load_detector(Path::new(run), device)?.summary())
            }
            _ => Ok(model_summary(&self.job.to_config(registry)?)?),
        }
    }
}
