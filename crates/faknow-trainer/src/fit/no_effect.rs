//! Settings that have no effect in a run of this length and with these data, which are logged as warnings at its start.

use faknow_callbacks::Interval;
use faknow_model::Model;

use crate::Trainer;
use crate::checkpoint::policy::CheckpointPolicy;
use crate::fit::averages::WeightAveraging;
use crate::fit::length::EpochSize;
use crate::fit::limits::FitData;
use crate::fit::settings::Settings;

/// What the rules know of a run.
pub(crate) struct Facts<'a> {
    settings: &'a Settings,
    checkpoints: &'a CheckpointPolicy,
    average: Option<&'a WeightAveraging>,
    epoch: EpochSize,
    max_epochs: usize,
    /// Maximum number of updates by all limits.
    n_steps: u64,
    has_validation: bool,
}

/// A rule: the key in a config, the option of the builder, and a function that returns the value and the reason with a remedy
/// if the setting has no effect.
struct Rule {
    key: &'static str,
    option: &'static str,
    check: fn(&Facts<'_>) -> Option<(String, String)>,
}

/// All rules. Those of schedules are in `schedule/unreached.rs`, those of callbacks known to configs only in `faknow`.
const RULES: [Rule; 7] = [
    Rule { key: "trainer.max_steps", option: "stop_after", check: stop_after },
    Rule { key: "trainer.validate_every", option: "validate_every", check: validate_every },
    Rule { key: "trainer.accumulate", option: "accumulate_grad_batches", check: accumulate },
    Rule { key: "checkpoint.every", option: "checkpoints", check: checkpoint_every },
    Rule { key: "checkpoint.best", option: "checkpoints", check: checkpoint_best },
    Rule { key: "average.start", option: "average", check: average_start },
    Rule { key: "average.every", option: "average", check: average_every },
];

const TRAIN_LONGER: &str = "set a lower value, or train longer";
const NO_VALIDATION: &str = "it has no effect without validation data";

impl Facts<'_> {
    /// Returns whether the run ends before an interval does; false for a time, whose number of updates is not known.
    fn is_beyond_end(&self, interval: &Interval) -> bool {
        self.epoch.steps_until(interval).is_some_and(|steps| steps > self.n_steps)
    }

    fn length(&self) -> String {
        format!("the run of {} updates", self.n_steps)
    }

    /// Returns the value with the reason that it is beyond the end of the run, if it is.
    fn beyond_end(&self, interval: &Interval, consequence: &str) -> Option<(String, String)> {
        let reason = format!("it is longer than {}, so {consequence}; {TRAIN_LONGER}", self.length());
        self.is_beyond_end(interval).then(|| (interval.to_string(), reason))
    }

    /// Returns a warning per setting without effect.
    fn warnings(&self) -> Vec<String> {
        let warning = |rule: &Rule| {
            let Rule { key, option, check } = rule;
            let (value, reason) = check(self)?;
            Some(format!("`{key}` (in Rust `{option}`) is {value}: {reason}"))
        };
        RULES.iter().filter_map(warning).collect()
    }
}

fn stop_after(facts: &Facts<'_>) -> Option<(String, String)> {
    let (max_epochs, n_all) =
        (facts.max_epochs, (facts.max_epochs as u64).saturating_mul(facts.epoch.n_steps()));
    let is_beyond = |limit: &&Interval| facts.epoch.steps_until(limit).is_some_and(|steps| steps > n_all);
    let limit = facts.settings.stop_after.iter().find(is_beyond)?;
    let reason = format!(
        "it has no effect, since the run ends after {max_epochs} epochs ({n_all} updates); raise `trainer.epochs` (`max_epochs`)"
    );
    Some((limit.to_string(), reason))
}

fn validate_every(facts: &Facts<'_>) -> Option<(String, String)> {
    let every = facts.settings.validate_every?;
    if !facts.has_validation {
        return Some((every.to_string(), NO_VALIDATION.to_owned()));
    }
    facts.beyond_end(&every, "only the end is validated")
}

fn accumulate(facts: &Facts<'_>) -> Option<(String, String)> {
    let (n, n_batches) = (facts.settings.accumulate_grad_batches, facts.epoch.n_batches);
    let reason =
        format!("an epoch has only {n_batches} batches, so there is one update per epoch; set a lower value");
    (n > n_batches && n_batches > 0).then(|| (n.to_string(), reason))
}

fn checkpoint_every(facts: &Facts<'_>) -> Option<(String, String)> {
    let every = &facts.checkpoints.every;
    let is_default = *every == CheckpointPolicy::default().every;
    let consequence = "the run is saved only at its best validations and at its end";
    facts.beyond_end(every, consequence).filter(|_| !is_default)
}

fn checkpoint_best(facts: &Facts<'_>) -> Option<(String, String)> {
    let best = facts.checkpoints.best;
    let has_no_effect = !facts.has_validation && best != CheckpointPolicy::default().best;
    has_no_effect.then(|| (best.to_string(), NO_VALIDATION.to_owned()))
}

fn average_start(facts: &Facts<'_>) -> Option<(String, String)> {
    let Some(WeightAveraging::Swa { start, .. }) = facts.average else { return None };
    facts.beyond_end(start, "the weights are never averaged")
}

fn average_every(facts: &Facts<'_>) -> Option<(String, String)> {
    let Some(WeightAveraging::Swa { start, every }) = facts.average else { return None };
    let is_started = !facts.is_beyond_end(start);
    facts.beyond_end(every, "the average has only the weights of one update").filter(|_| is_started)
}

impl<M: Model> Trainer<M> {
    /// Logs a warning for each setting that has no effect in this run.
    pub(crate) fn warn_about_settings_without_effect(&self, data: &FitData<'_, M::Batch>) {
        if self.settings.fast_dev_run {
            return;
        }
        let epoch = data.epoch_size(self.settings.accumulate_grad_batches, true);
        let n_all = (self.run.max_epochs() as u64).saturating_mul(epoch.n_steps());
        let n_steps = self.settings.max_steps(&epoch).map_or(n_all, |max| max.min(n_all));
        let facts = Facts {
            settings: &self.settings,
            checkpoints: self.checkpointer.policy(),
            average: self.optimization.average.as_ref().map(|average| average.rule()),
            epoch,
            max_epochs: self.run.max_epochs(),
            n_steps,
            has_validation: !self.run.monitors().is_empty(),
        };
        facts.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    }

    /// Logs a warning if the monitored value was undefined in every epoch, so that there is no best epoch.
    pub(crate) fn warn_about_undefined_monitor(&self) {
        let (Some(monitor), None) = (self.run.monitor(), self.run.best()) else { return };
        let due: Vec<_> = self.run.history().epochs.iter().filter(|record| monitor.is_due(record)).collect();
        let Some(last) = due.last().filter(|_| due.iter().all(|record| monitor.value(record).is_none()))
        else {
            return;
        };
        let reason = monitor.reason(last).unwrap_or("it is not finite");
        tracing::warn!(
            "monitor `{}` was undefined in every epoch ({reason}): there is no best epoch, and the last weights are used; \
             choose another value, as `loss`, or validation data in which it is defined",
            monitor.name
        );
    }
}
