//! The result of a search, as data, as a table and as a report.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use faknow_callbacks::Monitor;

use crate::config::Config;
use crate::study::search::SavedSearch;
use crate::study::{TestScores, Trial};

/// Maximum number of trials in the table.
const MAX_SHOWN: usize = 20;

/// The result of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchOutcome {
    /// Directory of the search.
    pub dir: PathBuf,
    /// Value by which trials are ranked.
    pub monitor: Monitor,
    /// All trials, sorted from best to worst.
    pub trials: Vec<Trial>,
    /// Number of the best trial; `None` if no trial has a value or the search is not complete.
    pub best: Option<usize>,
    /// Test scores of the best trial, if there are test records.
    pub test: Option<TestScores>,
    /// Whether it was interrupted; [`resume_search`](crate::study::resume_search) continues it.
    pub is_interrupted: bool,
}

impl SearchOutcome {
    pub(crate) fn new(dir: &Path, state: SavedSearch, is_interrupted: bool) -> Self {
        let SavedSearch { mut trials, monitor, best, test, .. } = state;
        trials.sort_by(|a, b| a.compare(b, monitor.direction));
        Self { dir: dir.to_path_buf(), monitor, trials, best, test, is_interrupted }
    }

    /// Returns the best trial, if the search is complete.
    pub fn best_trial(&self) -> Option<&Trial> {
        self.trials.iter().find(|trial| Some(trial.number) == self.best)
    }

    /// Returns the run directory of a trial.
    pub fn run(&self, trial: &Trial) -> PathBuf {
        self.dir.join(trial.dir())
    }
}

/// Formats the best trials as a table.
impl fmt::Display for SearchOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.monitor.name;
        let width = name.len().max(9);
        write!(f, "rank trial {name:>width$} epochs {:<14} settings", "status")?;
        for (index, trial) in self.trials.iter().take(MAX_SHOWN).enumerate() {
            let (rank, number, value) = (index + 1, trial.number, format_value(trial));
            let (epochs, status, settings) = (trial.epochs, trial.status(), trial.describe());
            write!(f, "\n{rank:>4} {number:>5} {value:>width$} {epochs:>6} {status:<14} {settings}")?;
        }
        match self.trials.len().saturating_sub(MAX_SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n… and {more} more"),
        }
    }
}

fn format_value(trial: &Trial) -> String {
    trial.value().map_or_else(|| "-".to_owned(), |value| format!("{value:.6}"))
}

/// Formats the result as Markdown.
pub(crate) fn markdown(config: &Config, dir: &Path, state: &SavedSearch) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = render(&mut text, config, dir, state);
    text
}

fn render(text: &mut String, config: &Config, dir: &Path, state: &SavedSearch) -> fmt::Result {
    let SavedSearch { monitor, best, test, .. } = state;
    writeln!(text, "# {}\n", dir.file_name().unwrap_or_default().to_string_lossy())?;
    writeln!(
        text,
        "- hyperparameter search for {}: {} trials, seed {}",
        config.model.name,
        state.trials.len(),
        config.seed
    )?;
    writeln!(text, "- ranked by validation {} ({})", monitor.name, monitor.direction)?;
    match best {
        Some(best) => writeln!(text, "- best: trial {best}")?,
        None => writeln!(text, "- best: no trial has a defined value")?,
    }
    if let Some(test) = test {
        writeln!(
            text,
            "\n## Test results of the best trial\n\n{} samples\n\n| metric | value |\n|---|---|",
            test.n_samples
        )?;
        test.scores.iter().try_for_each(|(name, score)| writeln!(text, "| {name} | {score} |"))?;
    }
    writeln!(
        text,
        "\n## Trials\n\n| rank | trial | {} | epochs | best epoch | status | settings |",
        monitor.name
    )?;
    writeln!(text, "|---|---|---|---|---|---|---|")?;
    let mut trials: Vec<&Trial> = state.trials.iter().collect();
    trials.sort_by(|a, b| a.compare(b, monitor.direction));
    for (index, trial) in trials.iter().enumerate() {
        let best_epoch = trial.best_epoch.map_or_else(|| "-".to_owned(), |epoch| epoch.to_string());
        let (rank, number, value, epochs) = (index + 1, trial.number, format_value(trial), trial.epochs);
        let status = match &trial.error {
            Some(error) => format!("failed: {}", error.replace('|', "\\|")),
            None => trial.status().to_owned(),
        };
        let settings = trial.describe().replace('|', "\\|");
        writeln!(text, "| {rank} | {number} | {value} | {epochs} | {best_epoch} | {status} | {settings} |")?;
    }
    writeln!(text, "\n## Base config\n\n```toml\n{}```", toml::to_string(config).unwrap_or_default())
}
