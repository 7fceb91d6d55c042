//! `faknow lr-find`: runs a learning-rate range test.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use faknow::models::Registry;
use faknow::tools::lr_find;
use faknow::trainer::{LrCurve, LrRange};
use serde_json::json;

use crate::console::print;
use crate::job::JobOptions;

/// Run a learning-rate range test, and suggest a learning rate
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  faknow lr-find textcnn --train posts/train.csv
  faknow lr-find textcnn --train train.csv --text tweet --classes real,fake --out rates.svg
  faknow lr-find my.toml --min 1e-5 --max 1 --steps 200 --json")]
#[command(
    after_help = "The options are those of `faknow train`; use the ones you will train with, as the suggestion depends on optimizer,
batch size and data. The learning rate grows by a constant factor per step, and the test ends when the loss exceeds
4 times the lowest one. The suggestion is a tenth of the learning rate with the lowest smoothed loss; the one where
the loss decreases most steeply is shown as well. Nothing is saved except the plot
and, in `text.cache` if it is set, tokens and the output of a frozen encoder."
)]
pub(crate) struct LrFindArgs {
    #[command(flatten)]
    job: JobOptions,
    /// Lowest learning rate, above 0 [default: 1e-7]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    min: Option<f64>,
    /// Highest learning rate, above --min [default: 10]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    max: Option<f64>,
    /// Number of steps (optimizer updates), at least 10 [default: 100]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    steps: Option<usize>,
    /// Save a plot of the loss against the learning rate to this SVG file
    #[arg(long, value_name = "FILE.svg")]
    out: Option<PathBuf>,
    /// Print the result as JSON: suggestion, steepest, ended, points
    #[arg(long)]
    json: bool,
}

impl LrFindArgs {
    pub(crate) fn run(&self, registry: &Registry) -> Result<()> {
        let default = LrRange::default();
        let range = LrRange {
            min: self.min.unwrap_or(default.min),
            max: self.max.unwrap_or(default.max),
            steps: self.steps.unwrap_or(default.steps),
        };
        let curve = lr_find(&self.job.to_config(registry)?, &range)?;
        if let Some(path) = &self.out {
            curve.write_svg(path).map_err(faknow::Error::from)?;
        }
        if self.json {
            let (suggestion, steepest) = (curve.suggestion(), curve.steepest());
            let all = json!({
                "suggestion": suggestion, "steepest": steepest, "ended": curve.stop_reason, "points": curve.points,
            });
            return print(&all.to_string());
        }
        print(&self.table(&curve))
    }

    /// Returns the result as text.
    fn table(&self, curve: &LrCurve) -> String {
        let mut lines = Vec::new();
        if let (Some(first), Some(last)) = (curve.points.first(), curve.points.last()) {
            let n = curve.points.len();
            lines.push(format!(
                "tested      {:.1e} to {:.1e} in {n} steps",
                first.learning_rate, last.learning_rate
            ));
        }
        lines.push(format!("ended       {}", curve.stop_reason));
        if let Some(rate) = curve.steepest() {
            lines.push(format!("steepest    {rate:.1e}, where the loss decreases fastest"));
        }
        match curve.suggestion() {
            Some(rate) => lines.push(format!(
                "suggestion  {rate:.1e}, a tenth of the rate with the lowest loss: --set optimizer.lr={rate:.1e}"
            )),
            None => lines.push(
                "suggestion  none: the loss did not decrease, or increased from the start; try a lower --min or more --steps"
                    .to_owned(),
            ),
        }
        if let Some(path) = &self.out {
            lines.push(format!("plot        {}", path.display()));
        }
        lines.join("\n")
    }
}
