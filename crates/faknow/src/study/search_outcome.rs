//! What a search came to, as data, as a table and as a page.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use faknow_callbacks::Monitor;

use crate::config::Config;
use crate::study::search::SavedSearch;
use crate::study::{TestScores, Trial};

/// Trials that a table shows.
const MAX_SHOWN: usize = 20;

/// What a search came to.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchOutcome {
    /// The directory of the search.
    pub dir: PathBuf,
    /// What the trials are ranked by.
    pub monitor: Monitor,
    /// All trials, the best first.
    pub trials: Vec<Trial>,
    /// The number of the best trial; `None` if none is done, or the search is not.
    pub best: Option<usize>,
    /// What the best trial scores on the test records, if there are any.
    pub test: Option<TestScores>,
    /// Whether someone asked for the end before it was done; [`resume_search`](crate::study::resume_search) continues it.
    pub is_interrupted: bool,
}

impl SearchOutcome {
    pub(crate) fn new(dir: &Path, state: SavedSearch, is_interrupted: bool) -> Self {
        let SavedSearch { mut trials, monitor, best, test, .. } = state;
        trials.sort_by(|a, b| a.compare(b, monitor.direction));
        Self { dir: dir.to_path_buf(), monitor, trials, best, test, is_interrupted }
    }

    /// The best trial, if the search is done.
    pub fn best_trial(&self) -> Option<&Trial> {
        self.trials.iter().find(|trial| Some(trial.number) == self.best)
    }

    /// The run directory of a trial.
    pub fn run(&self, trial: &Trial) -> PathBuf {
        self.dir.join(trial.dir())
    }
}

/// The best trials as a table.
impl fmt::Display for SearchOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.monitor.name;
        let width = name.len().max(9);
        write!(f, "rank trial {name:>width$} epochs {:<14} settings", "status")?;
        for (index, trial) in self.trials.iter().take(MAX_SHOWN).enumerate() {
            let (rank, number, value) = (index + 1, trial.number, shown(trial));
            let (epochs, status, settings) = (trial.epochs, trial.status(), trial.describe());
            write!(f, "\n{rank:>4} {number:>5} {value:>width$} {epochs:>6} {status:<14} {settings}")?;
        }
        match self.trials.len().saturating_sub(MAX_SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n… and {more} more"),
        }
    }
}

fn shown(trial: &Trial) -> String {
    trial.value().map_or_else(|| "-".to_owned(), |value| format!("{value:.6}"))
}

/// The result as a page.
pub(crate) fn markdown(config: &Config, dir: &Path, state: &SavedSearch) -> String {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = render(&mut page, config, dir, state);
    page
}

fn render(page: &mut String, config: &Config, dir: &Path, state: &SavedSearch) -> fmt::Result {
    let SavedSearch { monitor, best, test, .. } = state;
    writeln!(page, "# {}\n", dir.file_name().unwrap_or_default().to_string_lossy())?;
    writeln!(
        page,
        "- search over {} with {} trials, seed {}",
        config.model.name,
        state.trials.len(),
        config.seed
    )?;
    writeln!(page, "- ranked by {} of the validation ({})", monitor.name, monitor.direction)?;
    match best {
        Some(best) => writeln!(page, "- best: trial {best}")?,
        None => writeln!(page, "- best: none, since no trial has a value")?,
    }
    if let Some(test) = test {
        writeln!(
            page,
            "\n## Test of the best trial\n\n{} samples\n\n| metric | value |\n|---|---|",
            test.n_samples
        )?;
        test.scores.iter().try_for_each(|(name, score)| writeln!(page, "| {name} | {score} |"))?;
    }
    writeln!(
        page,
        "\n## Trials\n\n| rank | trial | {} | epochs | best epoch | status | settings |",
        monitor.name
    )?;
    writeln!(page, "|---|---|---|---|---|---|---|")?;
    let mut trials: Vec<&Trial> = state.trials.iter().collect();
    trials.sort_by(|a, b| a.compare(b, monitor.direction));
    for (index, trial) in trials.iter().enumerate() {
        let best_epoch = trial.best_epoch.map_or_else(|| "-".to_owned(), |epoch| epoch.to_string());
        let (rank, number, value, epochs) = (index + 1, trial.number, shown(trial), trial.epochs);
        let status = match &trial.error {
            Some(error) => format!("failed: {}", error.replace('|', "\\|")),
            None => trial.status().to_owned(),
        };
        let settings = trial.describe().replace('|', "\\|");
        writeln!(page, "| {rank} | {number} | {value} | {epochs} | {best_epoch} | {status} | {settings} |")?;
    }
    writeln!(page, "\n## Config of all trials\n\n```toml\n{}```", toml::to_string(config).unwrap_or_default())
}
