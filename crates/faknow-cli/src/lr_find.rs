//! `faknow lr-find`: which learning rate a training can take.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use faknow::models::Registry;
use faknow::tools::lr_find;
use faknow::trainer::{LrCurve, LrRange};
use serde_json::json;

use crate::console::print;
use crate::job::JobOptions;

/// Find a learning rate: train for a moment while the rate grows, and look at the loss
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  faknow lr-find textcnn --train train.csv --text tweet --classes real,fake --out rates.svg
  faknow lr-find my.toml --min 1e-5 --max 1 --steps 200 --json

The model, the records and the settings are those of `faknow train`, so take the options that you will train with:
the suggestion is for this optimizer, this batch size and these data. The rate grows by the same factor from one
update to the next; the test ends when the loss is more than 4 times the best. Only the picture is saved.
The suggestion is a tenth of the rate at which the smoothed loss was lowest; where it falls most steeply is shown
next to it.")]
pub(crate) struct LrFindArgs {
    #[command(flatten)]
    job: JobOptions,
    /// The lowest rate, above 0 (default 1e-7)
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    min: Option<f64>,
    /// The highest rate (default 10)
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    max: Option<f64>,
    /// Updates of the weights, at least 10 (default 100)
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    steps: Option<usize>,
    /// Draw the loss over the rate into this SVG file
    #[arg(long, value_name = "FILE.svg")]
    out: Option<PathBuf>,
    /// End the output with one JSON line: suggestion, steepest, ended, points
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

    /// What was found, for people.
    fn table(&self, curve: &LrCurve) -> String {
        let mut lines = Vec::new();
        if let (Some(first), Some(last)) = (curve.points.first(), curve.points.last()) {
            let n = curve.points.len();
            lines.push(format!(
                "tried       {:.1e} to {:.1e} in {n} updates",
                first.learning_rate, last.learning_rate
            ));
        }
        lines.push(format!("ended       {}", curve.stop_reason));
        if let Some(rate) = curve.steepest() {
            lines.push(format!("steepest    {rate:.1e}, where the loss falls fastest"));
        }
        match curve.suggestion() {
            Some(rate) => lines.push(format!(
                "suggestion  {rate:.1e}, a tenth of where the loss was lowest: --set optimizer.lr={rate:.1e}"
            )),
            None => lines.push(
                "suggestion  none: the loss did not fall, or at once; try a lower --min or more --steps"
                    .to_owned(),
            ),
        }
        if let Some(path) = &self.out {
            lines.push(format!("picture     {}", path.display()));
        }
        lines.join("\n")
    }
}
