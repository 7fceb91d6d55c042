//! Settings of a config that cannot have an effect in a run, which are logged as warnings at its start.
//!
//! The trainer warns about its own settings and the lengths of schedules; these rules know early stopping, the plateau and
//! what the user has set.

use faknow_callbacks::{Callback, FitStart, HookResult, Interval, IntervalUnit, Run};
use faknow_trainer::schedule::ScheduleConfig;
use serde_json::{Map, Value};

use crate::Result;
use crate::config::Config;
use crate::config::dotted::by_dotted_name;
use crate::train::baseline::obstacle;

/// What the rules know of a run.
struct Facts<'a> {
    config: &'a Config,
    /// Settings that differ from the defaults of the model, by dotted name.
    changed: Map<String, Value>,
    n_samples: usize,
    steps_per_epoch: usize,
    has_validation: bool,
    has_test: bool,
}

/// A rule: the key of a setting, and a function that returns the reason with a remedy if it has no effect.
type Rule = (&'static str, fn(&Facts<'_>) -> Option<String>);

const RULES: &[Rule] = &[
    ("schedule.patience", plateau_after_early_stopping),
    ("schedule.patience", plateau_after_end),
    ("schedule.min_lr", plateau_minimum),
    ("early_stopping.patience", |facts| facts.without_validation("early_stopping.patience")),
    ("early_stopping.min_delta", |facts| facts.without_validation("early_stopping.min_delta")),
    ("early_stopping.monitor", |facts| facts.without_validation("early_stopping.monitor")),
    ("early_stopping.start_from_epoch", |facts| facts.without_validation("early_stopping.start_from_epoch")),
    ("early_stopping.stopping_threshold", |facts| {
        facts.without_validation("early_stopping.stopping_threshold")
    }),
    ("early_stopping.divergence_threshold", |facts| {
        facts.without_validation("early_stopping.divergence_threshold")
    }),
    ("trainer.monitor", |facts| facts.without_validation("trainer.monitor")),
    ("early_stopping.patience", patience_after_end),
    ("early_stopping.start_from_epoch", start_after_end),
    ("early_stopping.min_delta", impossible_improvement),
    ("early_stopping.stopping_threshold", impossible_threshold),
    ("freeze", unfrozen_after_end),
    ("trainer.histograms_every", histograms_after_end),
    ("baseline", baseline_without_comparison),
];

impl Facts<'_> {
    /// Returns whether the user has changed a setting of early stopping that is in use.
    fn is_stopping_changed(&self, key: &str) -> bool {
        self.has_validation && self.config.early_stopping.enabled && self.changed.contains_key(key)
    }

    fn n_steps(&self) -> u64 {
        let all = (self.config.trainer.epochs as u64).saturating_mul(self.steps_per_epoch as u64);
        self.config.trainer.max_steps.map_or(all, |max| max.min(all))
    }

    fn n_epochs(&self) -> usize {
        self.n_steps().div_ceil(self.steps_per_epoch.max(1) as u64) as usize
    }

    /// Returns the number of updates in an interval; `None` if it is a time.
    fn steps_in(&self, interval: &Interval) -> Option<u64> {
        let steps_per_epoch = self.steps_per_epoch as f64;
        let steps = match interval.unit() {
            IntervalUnit::Steps => interval.amount(),
            IntervalUnit::Epochs => interval.amount() * steps_per_epoch,
            IntervalUnit::Samples => interval.amount() * steps_per_epoch / self.n_samples.max(1) as f64,
            IntervalUnit::Seconds => return None,
        };
        Some((steps - 1e-6).ceil().max(1.0) as u64)
    }

    /// Returns the number of validations of a complete run; `None` if it depends on its speed.
    fn n_validations(&self) -> Option<u64> {
        match &self.config.trainer.validate_every {
            None => Some(self.n_epochs() as u64),
            Some(every) => Some(self.n_steps().div_ceil(self.steps_in(every)?)),
        }
    }

    fn without_validation(&self, key: &str) -> Option<String> {
        let is_unused = !self.has_validation && self.changed.contains_key(key);
        is_unused.then(|| {
            "it has no effect without validation records; set `data.valid` or `data.split`".to_owned()
        })
    }
}

/// Reports a plateau that early stopping always precedes: both count validations without improvement.
fn plateau_after_early_stopping(facts: &Facts<'_>) -> Option<String> {
    let Some(ScheduleConfig::Plateau(plateau)) = &facts.config.schedule else { return None };
    let (stopping, monitors) = (&facts.config.early_stopping, facts.config.monitors().ok()?);
    let is_same_monitor = monitors.1.is_none_or(|monitor| monitor == monitors.0);
    // Validations before `start_from_epoch` count for the plateau only.
    let patience = (stopping.patience + stopping.start_from_epoch.saturating_sub(1)) as u64;
    let is_preceded = stopping.enabled
        && facts.has_validation
        && is_same_monitor
        && plateau.patience >= patience.saturating_sub(1);
    is_preceded.then(|| {
        let stopping_patience = stopping.patience;
        format!(
            "early stopping ends the run before the learning rate is reduced; set it to less than `early_stopping.patience` \
             ({stopping_patience}) - 1, raise that, or set `early_stopping.enabled=false`"
        )
    })
}

fn plateau_after_end(facts: &Facts<'_>) -> Option<String> {
    let Some(ScheduleConfig::Plateau(plateau)) = &facts.config.schedule else { return None };
    let n = facts.n_validations()?;
    // The first validation is the first best, and a reduction after the last one is not used.
    (plateau.patience.saturating_add(2) >= n)
        .then(|| format!("the run has only {n} validations; set a lower value, or train longer"))
}

fn plateau_minimum(facts: &Facts<'_>) -> Option<String> {
    let Some(ScheduleConfig::Plateau(plateau)) = &facts.config.schedule else { return None };
    let lr = facts.config.optimizer.lr();
    (plateau.min_lr >= lr && lr > 0.0)
        .then(|| format!("the learning rate ({lr}) is never reduced; set a value below `optimizer.lr`"))
}

fn patience_after_end(facts: &Facts<'_>) -> Option<String> {
    let n = facts.n_validations()?;
    let is_unreached = facts.config.early_stopping.patience as u64 + 1 >= n;
    (facts.is_stopping_changed("early_stopping.patience") && is_unreached)
        .then(|| format!("a run of {n} validations ends before; set a lower value, or train longer"))
}

fn start_after_end(facts: &Facts<'_>) -> Option<String> {
    let n = facts.n_epochs();
    let is_unreached = facts.config.early_stopping.start_from_epoch > n;
    (facts.is_stopping_changed("early_stopping.start_from_epoch") && is_unreached)
        .then(|| format!("the run has only {n} epochs, so it is never stopped early; set a lower value"))
}

/// Returns the name of the monitored value of early stopping and the range of its values, if it is bounded.
fn range(facts: &Facts<'_>) -> Option<(String, [f64; 2])> {
    let (monitor, stopping) = facts.config.monitors().ok()?;
    let name = stopping.unwrap_or(monitor);
    match name.as_str() {
        "loss" | "log_loss" => None,
        "mcc" | "cohen_kappa" => Some((name, [-1.0, 1.0])),
        "brier_multiclass" => Some((name, [0.0, 2.0])),
        _ => Some((name, [0.0, 1.0])),
    }
}

fn impossible_improvement(facts: &Facts<'_>) -> Option<String> {
    let (name, [min, max]) = range(facts)?;
    let is_impossible = facts.config.early_stopping.min_delta >= max - min;
    (facts.is_stopping_changed("early_stopping.min_delta") && is_impossible).then(|| {
        format!(
            "`{name}` is between {min} and {max}, so nothing is an improvement; set a lower value, as 0.001"
        )
    })
}

fn impossible_threshold(facts: &Facts<'_>) -> Option<String> {
    let (name, [min, max]) = range(facts)?;
    let direction = faknow_metrics::metric_by_name(&name).ok()?.direction();
    let threshold = facts.config.early_stopping.stopping_threshold?;
    let is_impossible = match direction {
        faknow_metrics::Direction::Maximize => threshold > max,
        faknow_metrics::Direction::Minimize => threshold < min,
    };
    (facts.is_stopping_changed("early_stopping.stopping_threshold") && is_impossible)
        .then(|| format!("`{name}` is between {min} and {max}; set a value that it can reach"))
}

fn unfrozen_after_end(facts: &Facts<'_>) -> Option<String> {
    let n = facts.n_steps();
    let is_beyond = |until: &Interval| facts.steps_in(until).is_some_and(|steps| steps >= n);
    let until =
        facts.config.freeze.iter().filter_map(|rule| rule.until.as_ref()).find(|until| is_beyond(until))?;
    Some(format!(
        "`until` ({until}) is not reached in the run of {n} updates, so the weights stay frozen; set a lower value or none"
    ))
}

fn histograms_after_end(facts: &Facts<'_>) -> Option<String> {
    let (every, n) = (facts.config.trainer.histograms_every?, facts.n_epochs());
    (every > n).then(|| format!("the run has only {n} epochs, so there are no histograms; set a lower value"))
}

fn baseline_without_comparison(facts: &Facts<'_>) -> Option<String> {
    let nothing_to_compare = || {
        let is_evaluated = facts.has_validation || facts.has_test;
        (!is_evaluated).then(|| {
            "there are no test or validation records to compare on; set `data.test`, `data.valid` or `data.split`"
                .to_owned()
        })
    };
    let is_requested = facts.config.baseline == Some(true);
    let reason = is_requested.then(|| obstacle(facts.config).or_else(nothing_to_compare)).flatten()?;
    Some(format!("it has no effect: {reason}"))
}

/// Logs a warning for each setting without effect when the fit starts, so that it is also in the log of the run.
pub(crate) struct NoEffectWarnings(Vec<String>);

impl NoEffectWarnings {
    /// Compares a config with its data: the number of training samples and updates per epoch, and whether there are validation and
    /// test samples.
    ///
    /// # Errors
    /// The defaults of the model are invalid.
    pub(crate) fn new(
        config: &Config,
        (n_samples, steps_per_epoch): (usize, usize),
        (has_validation, has_test): (bool, bool),
    ) -> Result<Self> {
        if config.trainer.fast_dev_run {
            return Ok(Self(Vec::new()));
        }
        let defaults = config.with_defaults_only()?;
        let defaults = by_dotted_name(&defaults);
        let all = by_dotted_name(config);
        let changed = all.iter().filter(|(key, value)| defaults.get(*key) != Some(*value));
        let changed = changed.map(|(key, value)| (key.clone(), value.clone())).collect();
        let facts = Facts { config, changed, n_samples, steps_per_epoch, has_validation, has_test };
        let warning = |(key, check): &Rule| {
            let reason = check(&facts)?;
            let value = all.get(*key).filter(|value| !value.is_array());
            let value = value.map_or_else(String::new, |value| format!(" is {value}"));
            Some(format!("`{key}`{value}: {reason}"))
        };
        Ok(Self(RULES.iter().filter_map(warning).collect()))
    }
}

impl Callback for NoEffectWarnings {
    fn on_fit_start(&mut self, run: &mut Run) -> HookResult {
        if run.start() != FitStart::RolledBack {
            self.0.iter().for_each(|warning| tracing::warn!("{warning}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the warnings for a run with 28 updates per epoch.
    fn warnings(settings: &[&str], has_validation: bool) -> Vec<String> {
        let model = settings.iter().find_map(|setting| setting.strip_prefix("model.name="));
        let text = format!("[model]\nname = '{}'", model.unwrap_or("textcnn"));
        let config = Config::default().registry.config_from_table(text.parse().unwrap()).unwrap();
        let config = config.set_all(settings).unwrap();
        NoEffectWarnings::new(&config, (1400, 28), (has_validation, has_validation)).unwrap().0
    }

    #[test]
    fn settings_without_effect() {
        let check_with = |settings: &str, has_validation: bool, parts: &[&str]| {
            let settings: Vec<&str> = settings.split("; ").collect();
            let found = warnings(&settings, has_validation);
            assert_eq!(found.len(), usize::from(!parts.is_empty()), "{settings:?}: {found:#?}");
            assert!(parts.iter().all(|part| found[0].contains(part)), "{settings:?}: {found:#?}");
        };
        let check = |settings: &str, parts: &[&str]| check_with(settings, true, parts);
        let plateau = "schedule={name='plateau'}";
        check(plateau, &["`schedule.patience` is 10: early stopping", "`early_stopping.patience` (5)"]);
        check("schedule={name='plateau', patience=4}", &["`schedule.patience` is 4"]);
        check("schedule={name='plateau', patience=3}", &[]);
        check(&format!("{plateau}; early_stopping.patience=12"), &[]);
        check(&format!("{plateau}; early_stopping.enabled=false"), &[]);
        check(&format!("{plateau}; early_stopping.start_from_epoch=8"), &[]);
        check(&format!("{plateau}; early_stopping.monitor=loss"), &[]);
        check(
            &format!("{plateau}; early_stopping.enabled=false; trainer.epochs=12"),
            &["`schedule.patience` is 10", "only 12 validations"],
        );
        check(
            "schedule={name='plateau', patience=1, min_lr=0.1}",
            &["`schedule.min_lr` is 0.1", "below `optimizer.lr`"],
        );
        check("early_stopping.patience=19", &["`early_stopping.patience` is 19", "20 validations"]);
        check("early_stopping.patience=18", &[]);
        check("early_stopping.patience=19; trainer.validate_every='0.5 epochs'", &[]);
        check(
            "early_stopping.patience=9; trainer.max_steps=280",
            &["`early_stopping.patience`", "10 validations"],
        );
        check("early_stopping.patience=19; early_stopping.enabled=false", &[]);
        check(
            "early_stopping.start_from_epoch=21",
            &["`early_stopping.start_from_epoch` is 21", "only 20 epochs"],
        );
        check(
            "early_stopping.min_delta=1",
            &["`early_stopping.min_delta` is 1", "`accuracy` is between 0 and 1"],
        );
        check("early_stopping.min_delta=1; early_stopping.monitor=loss", &[]);
        check("early_stopping.min_delta=1; early_stopping.monitor=mcc", &[]);
        check(
            "early_stopping.stopping_threshold=90",
            &["`early_stopping.stopping_threshold` is 90", "can reach"],
        );
        check("early_stopping.stopping_threshold=0.9", &[]);
        check("early_stopping.stopping_threshold=-1; trainer.monitor=brier_binary", &["`brier_binary`"]);
        check(
            "freeze=[{pattern='convs.*', until='20 epochs'}]",
            &["`freeze`: `until` (20 epochs)", "560 updates"],
        );
        check("freeze=[{pattern='convs.*', until='19 epochs'}]", &[]);
        check("trainer.histograms_every=21", &["`trainer.histograms_every` is 21", "no histograms"]);
        check(&format!("{plateau}; trainer.fast_dev_run=true"), &[]);
        check("baseline=true", &[]);
        check("baseline=false; trainer.limit_batches=2", &[]);
        check(
            "baseline=true; trainer.limit_batches=2",
            &["`baseline` is true: it has no effect", "`trainer.limit_batches`"],
        );
        check("model.name=linear; baseline=true", &["`baseline` is true", "`linear` is the baseline itself"]);
        check("model.name=bigcn; baseline=true", &["`baseline` is true", "`bigcn` does not read the texts"]);
        check_with("baseline=true", false, &["`baseline` is true", "no test or validation records"]);
        let needed = ["has no effect without validation records", "`data.valid`"];
        for setting in [
            "early_stopping.patience=3",
            "early_stopping.min_delta=0.1",
            "early_stopping.monitor='loss'",
            "early_stopping.start_from_epoch=2",
            "early_stopping.stopping_threshold=0.9",
            "early_stopping.divergence_threshold=0.1",
            "trainer.monitor='f1'",
        ] {
            let key = setting.split('=').next().unwrap_or_default();
            check_with(setting, false, &[&format!("`{key}`"), needed[0], needed[1]]);
        }
    }

    #[test]
    fn defaults_of_all_models_are_silent() {
        for model in Config::default().registry.models() {
            let name = format!("model.name={}", model.name);
            for has_validation in [true, false] {
                for length in
                    ["trainer.accumulate=1", "trainer.epochs=1", "trainer.epochs=5", "trainer.max_steps=1"]
                {
                    let found = warnings(&[&name, length], has_validation);
                    assert_eq!(found, [""; 0], "{name} {length}");
                }
            }
        }
    }
}
