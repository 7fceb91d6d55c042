//! Hyperparameter search: trials ranked by a validation value.

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
use crate::study::state::{Common, Study, StudyState, TestScores, corpus, read, recognized};
use crate::study::trial::{Trial, compare};
use crate::study::{SearchMethod, SearchSpace};
use crate::train::{ContextFactory, Outcome};
use crate::{Error, Result};

/// Searches for the settings with the best validation results, and tests the best detector.
///
/// Each trial is `config` with settings from `space`, trained in a separate run directory (`trials/0001`, … in `dir`) and
/// ranked by `trainer.monitor` on the validation records. Trials do not use test records; at the end, only the best trial
/// is tested. A trial that fails (a setting out of range, a NaN loss) is recorded with its error, and the search continues.
///
/// The trials are determined by `config.seed`. `search.json` is the state of the search, `report.md` its result. If `dir`
/// already contains the same search, it is resumed with the same result.
///
/// # Errors
/// The config, the space, the method or a data file is invalid, there are no validation records, no trial has valid
/// settings, `dir` has other content or was started with other settings or records, or writing fails.
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
    let config = &recognized(config)?;
    let corpus = corpus(config, TestRecords::Exclude)?;
    if corpus.valid.is_none() {
        let message = "trials are ranked by their validation: set a validation file, or a validation fraction in `data.split`";
        return Err(Error::config("data.valid", message));
    }
    let trials = trials.into_iter().enumerate().map(|(index, settings)| Trial::new(index + 1, settings));
    let state = SavedSearch {
        method: method.clone(),
        space: space.clone(),
        common: Common::new(config, &corpus)?,
        monitor: monitor(config)?,
        trials: trials.collect(),
        is_done: false,
        best: None,
        test: None,
    };
    drop(corpus);
    let (study, state) = Study::open(dir, state)?;
    let config = &state.common.with_given(config.clone());
    Search { study, config, rungs, contexts, state }.run()
}

/// Resumes the search for a builtin model in the directory `dir`, with its saved settings.
///
/// # Errors
/// `dir` contains no search; else as [`search`].
pub fn resume_search(dir: &Path, contexts: ContextFactory<'_>) -> Result<SearchOutcome> {
    Registry::builtin().resume_search(dir, contexts)
}

impl Registry {
    /// Resumes the search for one of these models in the directory `dir`, with its saved settings.
    ///
    /// # Errors
    /// `dir` contains no search; else as [`search`].
    pub fn resume_search(&self, dir: &Path, contexts: ContextFactory<'_>) -> Result<SearchOutcome> {
        let state: SavedSearch = read(dir)?;
        search(&state.common.config(self)?, &state.space, &state.method, dir, contexts)
    }
}

/// The content of `search.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedSearch {
    pub(crate) method: SearchMethod,
    pub(crate) space: SearchSpace,
    pub(crate) common: Common,
    pub(crate) monitor: Monitor,
    pub(crate) trials: Vec<Trial>,
    #[serde(rename = "done")]
    pub(crate) is_done: bool,
    /// Number of the best trial, if the search is complete.
    pub(crate) best: Option<usize>,
    /// Test scores of the best trial.
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

/// A running search.
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
            if self.state.is_done {
                break;
            }
            if !self.run_rung(index)? {
                return Ok(SearchOutcome::new(self.study.path(), self.state, true));
            }
        }
        let is_interrupted = !self.state.is_done && !self.finish()?;
        Ok(SearchOutcome::new(self.study.path(), self.state, is_interrupted))
    }

    /// Trains the trials of a rung: the best of the previous rung, and the next best for those that fail. Returns false if
    /// the search was interrupted.
    fn run_rung(&mut self, index: usize) -> Result<bool> {
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
                if self.contexts.interrupt.is_requested() || !self.run_trial(number, pause_after)? {
                    return Ok(false);
                }
                self.study.save(&self.state)?;
            }
            n_done += usize::from(self.state.trials[number - 1].values.len() > index);
        }
        Ok(true)
    }

    /// Returns the candidates for a rung, sorted by their results in the previous rung.
    fn candidates(&self, index: usize) -> Vec<usize> {
        let mut trials: Vec<&Trial> =
            self.state.trials.iter().filter(|trial| trial.values.len() >= index).collect();
        if let Some(previous) = index.checked_sub(1) {
            let direction = self.state.monitor.direction;
            // The sort is stable: of equal trials, the earlier one comes first.
            trials.sort_by(|a, b| compare(a.values[previous], b.values[previous], direction));
        }
        trials.into_iter().map(|trial| trial.number).collect()
    }

    /// Trains a trial up to the end of a rung and records its result; returns false if it was interrupted.
    fn run_trial(&mut self, number: usize, pause_after: Option<usize>) -> Result<bool> {
        let trial = &mut self.state.trials[number - 1];
        if trial.stop_reason.is_some() {
            // Its training has ended, so its value does not change.
            trial.values.push(trial.value());
            return Ok(true);
        }
        tracing::info!(
            "trial {number} of {}: {}",
            self.state.trials.len(),
            self.state.trials[number - 1].describe()
        );
        let result = match with_settings(self.config, &self.state.trials[number - 1].settings) {
            Ok(config) => self.train(number, &config, pause_after).map(|outcome| (config, outcome)),
            Err(error) => Err(error),
        };
        let trial = &mut self.state.trials[number - 1];
        match result {
            Ok((config, Outcome { fit, is_interrupted, .. })) => {
                let is_paused = fit.stop_reason == StopReason::Interrupted
                    && pause_after.is_some_and(|epoch| fit.history.epochs.len() >= epoch);
                if is_interrupted && !is_paused {
                    return Ok(false);
                }
                trial.record(&fit, &self.state.monitor, config.trainer.restore_best);
            }
            Err(Error::Trainer(faknow_trainer::Error::Interrupted)) => return Ok(false),
            Err(error) if is_fatal(&error) => return Err(error),
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
            let interrupt = Interrupt::default();
            context.callbacks.push(Pause::new(epoch, interrupt.clone(), context.interrupt));
            context.interrupt = interrupt;
        }
        let dir = self.state.trials[number - 1].dir();
        self.study.run(&dir, config, TestRecords::Exclude, context)
    }

    /// Determines the best trial and tests it; returns false if it was interrupted.
    fn finish(&mut self) -> Result<bool> {
        let direction = self.state.monitor.direction;
        let best = self.state.trials.iter().min_by(|a, b| a.compare(b, direction));
        if let Some(best) = best.filter(|best| best.error.is_none() && best.value().is_some()) {
            let (number, dir) = (best.number, best.dir());
            tracing::info!("best trial: {number} ({})", best.describe());
            if has_test(self.config) {
                let config = with_settings(self.config, &best.settings)?;
                let outcome = self.study.run(&dir, &config, TestRecords::Include, self.contexts.next())?;
                if outcome.is_interrupted {
                    return Ok(false);
                }
                self.state.test = TestScores::from_outcome(&outcome);
            }
            self.state.best = Some(number);
        }
        self.state.is_done = true;
        self.study.save(&self.state)?;
        self.study.save_report(&markdown(self.config, self.study.path(), &self.state))?;
        Ok(true)
    }
}

/// Returns the config of a trial.
fn with_settings(config: &Config, settings: &Table) -> Result<Config> {
    let settings = settings.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let config = config.with_all(settings)?;
    config.validate()?;
    Ok(config)
}

/// Returns the value by which trials are ranked.
fn monitor(config: &Config) -> Result<Monitor> {
    let (name, _) = config.monitors()?;
    let recorded = Monitor::all(&config.metrics()?).into_iter().find(|monitor| monitor.name == name);
    Ok(recorded.unwrap_or_else(|| Monitor::min(name)))
}

/// Returns whether there are test records.
fn has_test(config: &Config) -> bool {
    let data = &config.data;
    data.test.is_some() || data.fold.is_some() || (data.valid.is_none() && data.split[2] > 0.0)
}

/// Rejects settings that would make trials incomparable.
fn check_space(space: &SearchSpace, method: &SearchMethod) -> Result<()> {
    let halving = matches!(method, SearchMethod::Halving { .. });
    for name in space.names() {
        let message = match name {
            "seed" => "all trials use the same seed, to be comparable; remove it from the space",
            "trainer.monitor" => "all trials are ranked by the same value; remove it from the space",
            "trainer.epochs" if halving => "halving sets the number of epochs; remove it from the space",
            name if name == "data" || name.starts_with("data.") => {
                "trials are compared on the same records; remove it from the space"
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

/// Rejects a search without any valid trial, for example because of a misspelled name.
fn check_trials(config: &Config, trials: &[Table]) -> Result<()> {
    let mut first_error = None;
    for settings in trials {
        match with_settings(config, settings) {
            Ok(_) => return Ok(()),
            Err(error) => drop(first_error.get_or_insert(error)),
        }
    }
    first_error.map_or(Ok(()), Err)
}

/// Returns whether an error would occur in every other trial too, or requires user action.
fn is_fatal(error: &Error) -> bool {
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
