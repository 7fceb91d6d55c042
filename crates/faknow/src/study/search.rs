//! Search for hyperparameters: many short runs, ranked by their validation.

use std::path::Path;

use faknow_callbacks::{Monitor, StopReason};
use faknow_trainer::Interrupt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use toml::Table;

use crate::config::Config;
use crate::data::corpus::TestRecords;
use crate::models::Registry;
use crate::study::pause::Pause;
use crate::study::search_method::Rung;
use crate::study::search_outcome::{SearchOutcome, markdown};
use crate::study::state::{Common, Study, StudyState, TestScores, corpus, read};
use crate::study::trial::{Trial, compare};
use crate::study::{SearchMethod, SearchSpace};
use crate::train::{ContextFactory, Outcome};
use crate::{Error, Result};

/// Searches for the settings whose detector validates best, and tests that one alone.
///
/// Each trial is `config` with some settings of `space`, trained in its own run directory (`trials/0001`, … below
/// `dir`), and ranked by `trainer.monitor` on the validation records. Test records are held back from all trials; when
/// they are done, the best one is tested on them, once. A trial that fails (a setting out of range, a loss that is NaN)
/// is recorded with its reason, and the search continues.
///
/// Which trials there are depends on `config.seed` alone. `search.json` says how far the search is, `report.md` what it
/// came to; if `dir` holds this very search already, it is resumed, with the same result.
///
/// # Errors
/// Config, space, method or a file of records is wrong, there are no validation records, no trial has settings that
/// are in range, `dir` holds something else or was started with other settings or records, or the disk fails.
pub fn search(
    config: &Config,
    space: &SearchSpace,
    method: &SearchMethod,
    dir: &Path,
    contexts: ContextFactory<'_>,
) -> Result<SearchOutcome> {
    let _guard = contexts.interrupt.install();
    method.validate()?;
    check_space(space, method)?;
    let trials = method.trials(space, config.seed)?;
    let rungs = method.rungs(trials.len(), config.trainer.epochs);
    check_trials(config, &trials)?;
    let corpus = corpus(config, TestRecords::HeldBack)?;
    if corpus.valid.is_none() {
        let message =
            "trials are ranked by their validation: name a file, or give it a share of `data.split`";
        return Err(Error::config("data.valid", message));
    }
    let trials = trials.into_iter().enumerate().map(|(index, settings)| Trial::new(index + 1, settings));
    let state = SavedSearch {
        method: method.clone(),
        space: space.clone(),
        common: Common::new(config, &corpus)?,
        monitor: monitor(config)?,
        trials: trials.collect(),
        done: false,
        best: None,
        test: None,
    };
    drop(corpus);
    let (study, state) = Study::open(dir, state)?;
    Search { study, config, rungs, contexts, state }.run()
}

/// Resumes the search for a builtin model in the directory `dir`, with its saved settings.
///
/// # Errors
/// `dir` holds no search; else as [`search`].
pub fn resume_search(dir: &Path, contexts: ContextFactory<'_>) -> Result<SearchOutcome> {
    Registry::builtin().resume_search(dir, contexts)
}

impl Registry {
    /// Resumes the search for one of these models in the directory `dir`, with its saved settings.
    ///
    /// # Errors
    /// `dir` holds no search; else as [`search`].
    pub fn resume_search(&self, dir: &Path, contexts: ContextFactory<'_>) -> Result<SearchOutcome> {
        let state: SavedSearch = read(dir)?;
        search(&state.common.config(self)?, &state.space, &state.method, dir, contexts)
    }
}

/// What stands in `search.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedSearch {
    pub(crate) method: SearchMethod,
    pub(crate) space: SearchSpace,
    pub(crate) common: Common,
    pub(crate) monitor: Monitor,
    pub(crate) trials: Vec<Trial>,
    pub(crate) done: bool,
    /// Number of the best trial.
    pub(crate) best: Option<usize>,
    /// What the best trial scores on the test records.
    pub(crate) test: Option<TestScores>,
}

impl StudyState for SavedSearch {
    const FILE: &'static str = "search.json";

    fn common(&self) -> &Common {
        &self.common
    }

    fn plan(&self) -> Value {
        json!({ "method": self.method, "space": self.space })
    }
}

/// A search under way.
struct Search<'a> {
    study: Study,
    config: &'a Config,
    rungs: Vec<Rung>,
    contexts: ContextFactory<'a>,
    state: SavedSearch,
}

impl Search<'_> {
    fn run(mut self) -> Result<SearchOutcome> {
        for index in 0..self.rungs.len() {
            if self.state.done {
                break;
            }
            if !self.climb(index)? {
                return Ok(SearchOutcome::new(self.study.path(), self.state, true));
            }
        }
        if !self.state.done {
            self.finish()?;
        }
        Ok(SearchOutcome::new(self.study.path(), self.state, false))
    }

    /// Trains the trials of a rung: the best of the one before, and the next best in the place of those that fail.
    /// Answers false if someone asked for the end.
    fn climb(&mut self, index: usize) -> Result<bool> {
        let Rung { n_trials, pause_after } = self.rungs[index];
        if let Some(epoch) = pause_after {
            tracing::info!(
                "rung {} of {}: {n_trials} trials up to epoch {epoch}",
                index + 1,
                self.rungs.len()
            );
        }
        let mut n_done = 0;
        for number in self.candidates(index) {
            if n_done == n_trials {
                break;
            }
            let trial = &self.state.trials[number - 1];
            if trial.values.len() == index && trial.error.is_none() {
                if self.contexts.interrupt.is_requested() || !self.attempt(number, pause_after)? {
                    return Ok(false);
                }
                self.study.save(&self.state)?;
            }
            n_done += usize::from(self.state.trials[number - 1].values.len() > index);
        }
        Ok(true)
    }

    /// The trials that may take part in a rung, the best of the one before first.
    fn candidates(&self, index: usize) -> Vec<usize> {
        let mut trials: Vec<&Trial> =
            self.state.trials.iter().filter(|trial| trial.values.len() >= index).collect();
        if let Some(before) = index.checked_sub(1) {
            let direction = self.state.monitor.direction;
            // The sort is stable: the earlier of equals comes first.
            trials.sort_by(|a, b| compare(a.values[before], b.values[before], direction));
        }
        trials.into_iter().map(|trial| trial.number).collect()
    }

    /// Trains a trial up to the end of a rung and records what came of it; answers false if it was interrupted.
    fn attempt(&mut self, number: usize, pause_after: Option<usize>) -> Result<bool> {
        let trial = &mut self.state.trials[number - 1];
        if trial.stop_reason.is_some() {
            // Its own rule ended it: it will not become better than it is.
            trial.values.push(trial.value());
            return Ok(true);
        }
        tracing::info!(
            "trial {number} of {}: {}",
            self.state.trials.len(),
            self.state.trials[number - 1].describe()
        );
        let trained = match with_settings(self.config, &self.state.trials[number - 1].settings) {
            Ok(config) => self.train(number, &config, pause_after).map(|outcome| (config, outcome)),
            Err(error) => Err(error),
        };
        let trial = &mut self.state.trials[number - 1];
        match trained {
            Ok((config, Outcome { fit, .. })) => {
                let paused = pause_after.is_some_and(|epoch| fit.history.epochs.len() >= epoch);
                if fit.stop_reason == StopReason::Interrupted && !paused {
                    return Ok(false);
                }
                trial.record(&fit, &self.state.monitor, config.trainer.restore_best);
            }
            Err(Error::Trainer(faknow_trainer::Error::Interrupted)) => return Ok(false),
            Err(error) if stops_all(&error) => return Err(error),
            Err(error) => {
                tracing::warn!("trial {number} failed: {error}");
                trial.error = Some(error.to_string());
            }
        }
        Ok(true)
    }

    fn train(&mut self, number: usize, config: &Config, pause_after: Option<usize>) -> Result<Outcome> {
        let mut context = self.contexts.next();
        if let Some(epoch) = pause_after {
            let own = Interrupt::default();
            context.callbacks.push(Pause::new(epoch, own.clone(), context.interrupt));
            context.interrupt = own;
        }
        let dir = self.state.trials[number - 1].dir();
        self.study.run(&dir, config, TestRecords::HeldBack, context)
    }

    /// Names the best trial and tests it.
    fn finish(&mut self) -> Result<()> {
        let direction = self.state.monitor.direction;
        let best = self.state.trials.iter().min_by(|a, b| a.compare(b, direction));
        if let Some(best) = best.filter(|best| best.error.is_none() && best.value().is_some()) {
            let (number, dir) = (best.number, best.dir());
            tracing::info!("trial {number} is the best: {}", best.describe());
            if has_test(self.config) {
                let config = with_settings(self.config, &best.settings)?;
                let outcome = self.study.run(&dir, &config, TestRecords::Used, self.contexts.next())?;
                self.state.test = TestScores::of(&outcome);
            }
            self.state.best = Some(number);
        }
        self.state.done = true;
        self.study.save(&self.state)?;
        self.study.save_report(&markdown(self.config, self.study.path(), &self.state))
    }
}

/// The config of a trial.
fn with_settings(config: &Config, settings: &Table) -> Result<Config> {
    let settings = settings.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let config = config.with_all(settings)?;
    config.validate()?;
    Ok(config)
}

/// What the trials are ranked by.
fn monitor(config: &Config) -> Result<Monitor> {
    let (name, _) = config.monitors()?;
    let known = Monitor::all(&config.metrics()?).into_iter().find(|monitor| monitor.name == name);
    Ok(known.unwrap_or_else(|| Monitor::min(name)))
}

/// Whether there are records to test on.
fn has_test(config: &Config) -> bool {
    let data = &config.data;
    data.test.is_some() || data.fold.is_some() || (data.valid.is_none() && data.split[2] > 0.0)
}

/// Refuses settings by which trials could not be compared.
fn check_space(space: &SearchSpace, method: &SearchMethod) -> Result<()> {
    let halving = matches!(method, SearchMethod::Halving { .. });
    for name in space.names() {
        let message = match name {
            "seed" => "all trials have the same seed, else luck would win: leave it out of the space",
            "trainer.monitor" => "trials are ranked by one value: leave it out of the space",
            "trainer.epochs" if halving => "halving gives the epochs: leave it out of the space",
            name if name == "data" || name.starts_with("data.") => {
                "trials are compared on the same records: leave it out of the space"
            }
            _ => continue,
        };
        return Err(Error::config(name, message));
    }
    if space.names().next().is_none() {
        return Err(Error::config("space", "expected at least one setting with its values, got none"));
    }
    Ok(())
}

/// Refuses a search of which no trial could even begin: a name is misspelt, rather than a value too bold.
fn check_trials(config: &Config, trials: &[Table]) -> Result<()> {
    let mut first = None;
    for settings in trials {
        match with_settings(config, settings) {
            Ok(_) => return Ok(()),
            Err(error) => drop(first.get_or_insert(error)),
        }
    }
    first.map_or(Ok(()), Err)
}

/// Whether an error is none of the trial's: every other trial would meet it too, or it needs a person.
fn stops_all(error: &Error) -> bool {
    use faknow_trainer::Error as T;
    match error {
        Error::Io { .. } | Error::NotARun { .. } | Error::Data(faknow_data::Error::Io { .. }) => true,
        Error::Trainer(T::Callback(error)) => matches!(error, faknow_callbacks::Error::Io { .. }),
        Error::Trainer(error) => {
            matches!(
                error,
                T::Io { .. } | T::RunDir { .. } | T::Checkpoint(_) | T::Changed { .. } | T::State { .. }
            )
        }
        _ => false,
    }
}
