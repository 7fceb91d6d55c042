//! `faknow batch-size`: measures speed and memory of batch sizes.

use anyhow::Result;
use clap::Args;
use faknow::model::format_bytes;
use faknow::models::Registry;
use faknow::tools::find_batch_size;
use faknow::trainer::{BatchSizeSearch, BatchSizes};
use serde_json::json;

use crate::console::print;
use crate::job::JobOptions;

/// Find a batch size: measure speed and memory of training with batches of 8, 16, 32, …
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  faknow batch-size textcnn --train posts/train.csv
  faknow batch-size textcnn --train train.csv --text tweet --classes real,fake
  faknow batch-size my.toml --min 32 --max 1024 --memory-limit 8")]
#[command(
    after_help = "The options are those of `faknow train`. Each batch size is measured in a few steps on the longest texts, which take
the most time and memory. The search ends when a batch size does not fit into memory or is predicted not to, or when
larger batches are not faster. The suggestion is the smallest batch size within 5 % of the fastest: larger batches
mean fewer steps per epoch, and often need another learning rate (see `faknow lr-find`). Times depend on the current
load of the machine. Nothing is saved."
)]
pub(crate) struct BatchSizeArgs {
    #[command(flatten)]
    job: JobOptions,
    /// First batch size, at least 1; each further one is twice as large [default: 8]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    min: Option<usize>,
    /// Largest batch size, at least --min; limited by the number of texts [default: 4096]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    max: Option<usize>,
    /// Number of steps per batch size; the fastest one is used [default: 5]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    steps: Option<usize>,
    /// Maximum memory of the program in GiB, above 0 [default: 90 % of the available memory]
    #[arg(long, value_name = "GIB", value_parser = gibibytes, allow_negative_numbers = true)]
    memory_limit: Option<u64>,
    /// Print the result as JSON: suggestion, ended, trials
    #[arg(long)]
    json: bool,
}

impl BatchSizeArgs {
    pub(crate) fn run(&self, registry: &Registry) -> Result<()> {
        let default = BatchSizeSearch::default();
        let search = BatchSizeSearch {
            min: self.min.unwrap_or(default.min),
            max: self.max.unwrap_or(default.max),
            steps: self.steps.unwrap_or(default.steps),
            memory_limit: self.memory_limit,
        };
        let sizes = find_batch_size(&self.job.to_config(registry)?, &search)?;
        if self.json {
            let suggestion = sizes.suggestion();
            let all = json!({ "suggestion": suggestion, "ended": sizes.stop_reason, "trials": sizes.trials });
            return print(&all.to_string());
        }
        print(&table(&sizes))
    }
}

/// Returns the result as text.
fn table(sizes: &BatchSizes) -> String {
    let mut lines = vec![format!("{:>10}  {:>12}  {:>11}", "batch size", "samples/s", "peak memory")];
    for trial in &sizes.trials {
        let memory = trial.peak_memory.map_or_else(|| "-".to_owned(), format_bytes);
        lines.push(format!("{:>10}  {:>12.1}  {memory:>11}", trial.batch_size, trial.samples_per_second));
    }
    lines.push(format!("\nended       {}", sizes.stop_reason));
    lines.push(match sizes.suggestion() {
        Some(size) => format!(
            "suggestion  {size}, the smallest within 5 % of the fastest: --set loader.batch_size={size}"
        ),
        None => {
            "suggestion  none: the first batch size does not fit into memory; try a lower --min".to_owned()
        }
    });
    lines.join("\n")
}

fn gibibytes(text: &str) -> Result<u64, String> {
    let gibibytes = text.parse::<f64>().ok().filter(|size| size.is_finite() && *size > 0.0);
    let bytes = |size: f64| (size * 1024.0 * 1024.0 * 1024.0) as u64;
    gibibytes.map(bytes).ok_or_else(|| "expected a number of GiB above 0".to_owned())
}
