//! `faknow search`: searches hyperparameters.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use faknow::config::DataFiles;
use faknow::models::Registry;
use faknow::study::{SearchMethod, SearchOutcome, SearchSpace, Trial, search};
use faknow::trainer::RunDir;
use serde_json::{Value, json};

use crate::console::{Console, print};
use crate::interrupted::Interrupted;
use crate::training_options::TrainingOptions;

/// Search hyperparameters: train many detectors, rank them by validation, and test the best one
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  faknow search textcnn --grid optimizer.lr=0.01,0.001 --train posts/train.csv --epochs 3
  faknow search textcnn --grid optimizer.lr=0.001,0.0003 --grid model.dropout=0.3,0.5 --train posts.csv
  faknow search my.toml --space space.toml --method random --trials 30
  faknow search my.toml --space space.toml --method halving --trials 27 --eta 3 --epochs 27
  faknow search --resume runs/search-textcnn-…       # resume after Ctrl-C or a crash")]
#[command(
    after_help = "A search space is a TOML file with config keys, each with a list of values or a range to sample from:
  optimizer.lr = { low = 1e-5, high = 1e-2, log = true }
  model.n_filters = { low = 50, high = 200 }
  model.dropout = [0.3, 0.5]

Trials are ranked by `trainer.monitor`. The test records (--test, or a fraction of --train) are used only once, to
test the best trial at the end. The output directory contains a run directory per trial, `search.json` and
`report.md`; the same command with the same --out resumes the search."
)]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    training: TrainingOptions,
    /// Test records, used once for the best trial [default: as for `faknow train`]
    #[arg(long, value_name = "FILE,…", help_heading = "Records", value_parser = DataFiles::parse)]
    test: Option<DataFiles>,
    /// TOML file with the search space: lists of values and ranges
    #[arg(long, value_name = "FILE", help_heading = "Search", required_unless_present_any = ["grid", "resume"])]
    space: Option<PathBuf>,
    /// Setting and its values, as in optimizer.lr=0.001,0.0003; may be repeated
    #[arg(long, value_name = "KEY=A,B,…", help_heading = "Search")]
    grid: Vec<String>,
    /// Search method: grid, random, or halving (successive halving)
    #[arg(
        long,
        value_name = "METHOD",
        default_value = "grid",
        hide_possible_values = true,
        help_heading = "Search"
    )]
    method: Method,
    /// Number of trials of a random search, or of the first rung of halving [default: 20]
    #[arg(long, value_name = "N", help_heading = "Search")]
    trials: Option<usize>,
    /// Reduction factor of halving: one in N trials advances to the next rung [default: 3]
    #[arg(long, value_name = "N", help_heading = "Search")]
    eta: Option<usize>,
    /// Output directory: new, empty, or of the same command [default: a new one in `runs`]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Resume the search in this directory with its saved settings
    #[arg(long, value_name = "DIR", conflicts_with_all = [
        "test", "space", "grid", "method", "trials", "eta", "out",
        "TrainingOptions", "LabeledOptions", "ColumnOptions", "LeaveOutOptions", "RecordOptions", "ConfigOptions",
    ])]
    resume: Option<PathBuf>,
    /// Print the result as JSON: dir, ended, monitor, n_trials, n_failed, best, test, trials
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Method {
    Grid,
    Random,
    Halving,
}

impl SearchArgs {
    pub(crate) fn run(&self, registry: &Registry, console: &Console) -> Result<()> {
        let contexts = console.contexts()?;
        // Until the last line is printed.
        let _guard = contexts.interrupt.install();
        let outcome = match &self.resume {
            Some(dir) => registry.resume_search(dir, contexts)?,
            None => {
                let config = self.training.to_config(registry, self.test.as_ref())?;
                let name = format!("search-{}", config.model.name);
                let dir = self.out.clone().unwrap_or_else(|| RunDir::unused_path("runs", &name));
                search(&config, &self.space()?, &self.method()?, &dir, contexts)?
            }
        };
        let printed = print(&if self.json { summary(&outcome).to_string() } else { table(&outcome) });
        if outcome.is_interrupted {
            let n_done = outcome.trials.iter().filter(|trial| trial.status() != "waiting").count();
            let location = format!("the search, {n_done} of {} trials done", outcome.trials.len());
            return Err(Interrupted::new(location, "search --resume", &outcome.dir).into());
        }
        match outcome.trials.first().and_then(|trial| trial.error.as_ref()) {
            Some(error) => bail!("all trials failed; first error: {error}"),
            None => printed,
        }
    }

    fn space(&self) -> Result<SearchSpace> {
        let space = match &self.space {
            Some(file) => SearchSpace::from_file(file)?,
            None => SearchSpace::default(),
        };
        Ok(self.grid.iter().try_fold(space, |space, choices| space.with_choices(choices))?)
    }

    fn method(&self) -> Result<SearchMethod> {
        let unsupported = |option: &str, method: &str| {
            faknow::Error::config(option, format!("only supported with {method}"))
        };
        if let (Method::Grid, Some(_)) = (self.method, self.trials) {
            return Err(unsupported(
                "--trials",
                "--method random or halving; a grid tries every combination",
            )
            .into());
        }
        if let (Method::Grid | Method::Random, Some(_)) = (self.method, self.eta) {
            return Err(unsupported("--eta", "--method halving").into());
        }
        let trials = self.trials.unwrap_or(20);
        Ok(match self.method {
            Method::Grid => SearchMethod::Grid {},
            Method::Random => SearchMethod::Random { trials },
            Method::Halving => SearchMethod::Halving { trials, eta: self.eta.unwrap_or(3) },
        })
    }
}

fn summary(outcome: &SearchOutcome) -> Value {
    let trial = |trial: &Trial| {
        json!({
            "number": trial.number,
            "run": outcome.run(trial).to_string_lossy(),
            "settings": trial.settings,
            "status": trial.status(),
            "value": trial.value(),
            "epochs": trial.epochs,
            "best_epoch": trial.best_epoch,
            "error": trial.error,
        })
    };
    let test = outcome.test.as_ref().map(|test| {
        let mut fields = json!({ "n_samples": test.n_samples });
        for (name, score) in test.scores.iter() {
            fields[name] = json!(score);
        }
        fields
    });
    json!({
        "dir": outcome.dir.to_string_lossy(),
        "ended": if outcome.is_interrupted { "interrupted" } else { "completed" },
        "monitor": outcome.monitor.name,
        "n_trials": outcome.trials.len(),
        "n_failed": outcome.trials.iter().filter(|trial| trial.error.is_some()).count(),
        "best": outcome.best_trial().map(trial),
        "test": test,
        "trials": outcome.trials.iter().map(trial).collect::<Vec<_>>(),
    })
}

fn table(outcome: &SearchOutcome) -> String {
    let mut lines = vec![outcome.to_string(), String::new()];
    if let Some(best) = outcome.best_trial() {
        lines.push(format!("best       trial {}: {}", best.number, best.describe()));
        lines.push(format!("run        {}", outcome.run(best).display()));
    }
    if let Some(test) = &outcome.test {
        let names = ["loss", "accuracy", "precision", "recall", "f1", "f1_macro", "roc_auc"];
        let shown = names.iter().filter_map(|name| Some(format!("{name} {:.4}", test.scores.value(name)?)));
        lines.push(format!(
            "test       {} ({} samples)",
            shown.collect::<Vec<_>>().join("  "),
            test.n_samples
        ));
    }
    lines.push(format!("directory  {}", outcome.dir.display()));
    if !outcome.is_interrupted {
        lines.push(format!("report     {}", outcome.dir.join("report.md").display()));
    }
    lines.join("\n")
}
