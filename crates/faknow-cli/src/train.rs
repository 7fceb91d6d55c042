//! `faknow train`: trains a detector and saves it in a run directory.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use faknow::callbacks::{StopReason, format_duration};
use faknow::detector::DetectorEvaluation;
use faknow::models::Registry;
use faknow::train::Outcome;
use faknow::trainer::{InterruptGuard, RunDir};
use faknow::{Config, train};
use serde_json::{Value, json};

use crate::console::{Console, print};
use crate::interrupted::Interrupted;
use crate::job::JobOptions;

/// Train a detector, test it, and save it in a run directory
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  faknow train textcnn --train posts/train.csv --out runs/first      # posts: `faknow data example posts`
  faknow train textcnn --train train.csv --valid valid.csv --test test.csv \\
      --text tweet --label label --classes real,fake
  faknow train textcnn --train posts.jsonl --classes real,fake --language zh   # split 70/10/20
  faknow train my.toml --set optimizer.lr=0.0005 --seed 3
  faknow train textcnn --config faknow.yaml                                    # FaKnow's keys")]
#[command(
    after_help = "What is not given about files, columns and classes is recognized from --train and printed. Labels that are numbers keep
their names unless --classes names them: --classes real=0,fake=1, or for several values 'real=true|1,fake=false|0'.
Without --valid, a fraction of --train (`data.split`) is used for validation, stratified by class; without --valid
and --test, another fraction is used for testing. The run directory contains the detector, the logs, `report.html`
and `config.toml` with all settings: `faknow train RUN_DIR/config.toml` trains the same detector again, unless the run
was resumed with changed settings, which the file lists. Each setting
can be changed with --set; `faknow settings` lists them."
)]
pub(crate) struct TrainArgs {
    #[command(flatten)]
    job: JobOptions,
    /// Run directory; must be new or empty [default: a new directory in `runs`]
    #[arg(long, value_name = "RUN_DIR")]
    out: Option<PathBuf>,
    /// Do not train the model `linear` too, after the test, to compare with it
    #[arg(long, help_heading = "Settings")]
    no_baseline: bool,
    /// Show live curves, progress and log in the terminal; press q to stop gracefully
    #[arg(long)]
    pub(crate) tui: bool,
    /// Print the result as JSON: run, ended, best_epoch, epochs, epoch_seconds, valid, test, baseline
    #[arg(long)]
    json: bool,
}

impl TrainArgs {
    pub(crate) fn run(&self, registry: &Registry, console: &Console) -> Result<()> {
        let mut config = self.job.to_config(registry)?;
        if self.no_baseline {
            config.baseline = Some(false);
        }
        let (result, _guard) = match run_training(&config, self.out.as_deref(), console) {
            Ok((outcome, guard)) => (Ok(outcome), Some(guard)),
            Err(error) => (Err(error), None),
        };
        show_result(result, self.json)
    }
}

/// Prints the result of a run; also one whose files could not all be written, before that error is returned.
pub(crate) fn show_result(result: Result<Outcome>, json: bool) -> Result<()> {
    let error = match result {
        Ok(outcome) => return show(&outcome, json),
        Err(error) => error,
    };
    if let Some(faknow::Error::NotFinished { outcome: Some(outcome), .. }) = error.downcast_ref() {
        print_outcome(outcome, json)?;
    }
    Err(error)
}

/// Prints the result of a run; an interruption is an error with a separate exit code.
fn show(outcome: &Outcome, json: bool) -> Result<()> {
    let printed = print_outcome(outcome, json);
    check_interrupt(outcome)?;
    printed
}

fn print_outcome(outcome: &Outcome, json: bool) -> Result<()> {
    print(&if json { summary(outcome).to_string() } else { table(outcome) })
}

/// Returns an error if the run was interrupted.
pub(crate) fn check_interrupt(outcome: &Outcome) -> Result<()> {
    Interrupted::from_outcome(outcome).map_or(Ok(()), |interrupted| Err(interrupted.into()))
}

/// Trains into `out`, or into a new directory in `runs`. While the guard is alive, no first signal ends the program before
/// it has printed its last line.
pub(crate) fn run_training(
    config: &Config,
    out: Option<&Path>,
    console: &Console,
) -> Result<(Outcome, InterruptGuard)> {
    let context = console.context()?;
    let interrupt = context.interrupt.clone();
    let mut guard = None;
    let run_dir = || {
        guard = Some(interrupt.install());
        match out {
            Some(path) => RunDir::create(path),
            None => RunDir::unique("runs", &config.model.name),
        }
    };
    let outcome = train(config, run_dir, context)?;
    Ok((outcome, guard.unwrap_or_else(|| interrupt.install())))
}

/// Returns the result of a run as JSON.
fn summary(outcome: &Outcome) -> Value {
    let fit = &outcome.fit;
    json!({
        "run": outcome.run.to_string_lossy(),
        "ended": if outcome.is_interrupted { "interrupted" } else { fit.stop_reason.code() },
        "best_epoch": fit.best.as_ref().map(|b| b.epoch),
        "epochs": fit.history.epochs.len(),
        "epoch_seconds": fit.history.epochs.iter().map(|r| r.train_seconds).collect::<Vec<_>>(),
        "valid": outcome.valid.as_ref().map(all_scores),
        "test": outcome.test.as_ref().map(all_scores),
        "baseline": outcome.baseline,
    })
}

/// Returns all metrics, the loss, and the number of samples without known tokens.
pub(crate) fn all_scores(result: &DetectorEvaluation) -> Value {
    let DetectorEvaluation { evaluation, report, known_tokens, domains, inputs } = result;
    let mut scores = serde_json::to_value(report).unwrap_or_default();
    if let Some(fields) = scores.as_object_mut() {
        fields.insert("loss".into(), json!(evaluation.scores.value("loss")));
        fields.insert("n_without_known_tokens".into(), known_tokens.n_without.into());
        if !domains.is_empty() {
            fields.insert("domains".into(), json!(domains));
            fields.insert("n_without_known_domain".into(), domains.n_without.into());
        }
        if !inputs.is_empty() {
            fields.insert("inputs".into(), json!(inputs));
        }
    }
    scores
}

/// Returns the result of a run as text.
pub(crate) fn table(outcome: &Outcome) -> String {
    let fit = &outcome.fit;
    let n_epochs = fit.history.epochs.len();
    let seconds: f64 = fit.history.epochs.iter().map(|r| r.train_seconds).sum();
    let mut lines = Vec::new();
    if let Some(DetectorEvaluation { evaluation, report, domains, inputs, .. }) = &outcome.test {
        let loss = evaluation.scores.value("loss").unwrap_or(f64::NAN);
        lines.push(format!(
            "Test ({} samples, uncalibrated loss {loss:.4})\n\n{report}",
            evaluation.predictions.n_samples()
        ));
        for groups in [domains, inputs].into_iter().filter(|groups| !groups.is_empty()) {
            lines.push(format!("{groups}\n"));
        }
    }
    if let Some(baseline) = &outcome.baseline {
        lines.push(format!("{baseline}\n"));
    }
    let ended = match (outcome.is_interrupted, &fit.stop_reason) {
        (true, StopReason::Interrupted) => "interrupted".to_owned(),
        (true, reason) => format!("interrupted after training ({reason})"),
        (false, reason) => format!("{} ({reason})", reason.code()),
    };
    lines.push(format!("ended       {ended}"));
    if let Some(best) = &fit.best {
        lines.push(format!(
            "best epoch  {} of {n_epochs}, validation {} {:.6}",
            best.epoch, best.monitor, best.value
        ));
    }
    if let Some(DetectorEvaluation { evaluation, report, .. }) = &outcome.valid {
        let names = ["loss", "accuracy", "precision", "recall", "f1", "f1_macro", "roc_auc"];
        let value = |name| evaluation.scores.value(name).or_else(|| report.scores().value(name));
        let shown = names.iter().filter_map(|name| Some(format!("{name} {:.4}", value(name)?)));
        lines.push(format!("validation  {}", shown.collect::<Vec<_>>().join("  ")));
    }
    lines.push(format!(
        "training    {} in {n_epochs} {}, {:.2} s per epoch",
        format_duration(seconds),
        if n_epochs == 1 { "epoch" } else { "epochs" },
        seconds / n_epochs.max(1) as f64
    ));
    lines.push(format!("run         {}", outcome.run.display()));
    if !outcome.is_interrupted && outcome.run.join("report.html").exists() {
        lines.push(format!("report      {}", outcome.run.join("report.html").display()));
    }
    lines.join("\n")
}
