//! Settings that have no effect on models whose training step does not use gradients.

use serde_json::{Map, Value};

use crate::config::Config;
use crate::config::dotted::by_dotted_name;
use crate::{Error, Result};

/// Settings or tables without effect, and what to do instead.
const RULES: &[(&str, &str)] = &[
    ("optimizer", "remove it; there is no learning rate, `model.c` sets the regularization"),
    ("schedule", "remove it; there is no learning rate"),
    (
        "loss.class_weights",
        "remove it; to favor a rare class, set `decision.threshold=f1`, or train a model with gradients",
    ),
    ("loss", "remove it; `model.loss` is the loss, and `decision.threshold` can favor a rare class"),
    ("adversarial", "remove it, or train a model with word vectors, such as `textcnn`"),
    ("freeze", "remove it; all weights are trained"),
    ("trainer.accumulate", "remove it; `loader.batch_size` does not affect the number of updates either"),
    ("trainer.clip_norm", "remove it"),
    ("trainer.clip_value", "remove it"),
    ("trainer.on_non_finite", "remove it; updates are always finite"),
    (
        "loader.balanced",
        "remove it: a sample counts once however often it is drawn; `decision.threshold` can favor a rare class",
    ),
];

impl Config {
    /// Returns whether the model is trained by gradients.
    ///
    /// # Errors
    /// The registry has no such model, or a hyperparameter is unknown or of the wrong type.
    pub(crate) fn uses_gradients(&self) -> Result<bool> {
        Ok(self.configured_model()?.step().is_none_or(|step| step.uses_optimizer()))
    }

    /// Rejects settings that differ from the defaults of the model but have no effect on its training.
    pub(crate) fn check_effect_without_gradients(&self) -> Result<()> {
        if self.uses_gradients()? {
            return Ok(());
        }
        let (settings, defaults) = (by_dotted_name(self), by_dotted_name(&self.with_defaults_only()?));
        for (rule, remedy) in RULES {
            if let Some(key) = changed(rule, &settings, &defaults) {
                let name = &self.model.name;
                let message = format!(
                    "it has no effect on model `{name}`, which is trained without gradients; {remedy}"
                );
                return Err(Error::config(key, message));
            }
        }
        Ok(())
    }
}

/// Returns the first setting of a rule that differs from its default.
fn changed(rule: &str, settings: &Map<String, Value>, defaults: &Map<String, Value>) -> Option<String> {
    let mut keys =
        settings.iter().filter(|(key, value)| is_of(rule, key) && defaults.get(*key) != Some(*value));
    keys.next().map(|(key, _)| key.clone())
}

fn is_of(rule: &str, key: &str) -> bool {
    key.strip_prefix(rule).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Registry;
    use crate::settings::reference;

    /// The other settings of the tables of training, which have an effect.
    const EFFECTIVE: &[&str] = &[
        "average.",
        "checkpoint.",
        "early_stopping.",
        "loader.batch_size",
        "loader.max_tokens",
        "loader.eval_batch_size",
        "loader.buckets",
        "loader.drop_last",
        "loader.workers",
        "trainer.epochs",
        "trainer.max_steps",
        "trainer.max_time",
        "trainer.validate_every",
        "trainer.sanity_batches",
        "trainer.monitor",
        "trainer.restore_best",
        "trainer.metrics",
        "trainer.train_metrics",
        "trainer.limit_batches",
        "trainer.overfit_batches",
        "trainer.histograms_every",
        "trainer.fast_dev_run",
    ];

    const TABLES: [&str; 9] = [
        "loader",
        "loss",
        "adversarial",
        "optimizer",
        "schedule",
        "trainer",
        "early_stopping",
        "average",
        "checkpoint",
    ];

    #[test]
    fn each_setting_of_the_training_has_an_effect_or_a_rule() {
        let registry = Registry::builtin();
        for table in reference(&registry).into_iter().filter(|table| TABLES.contains(&table.name)) {
            for setting in table.settings {
                let key = setting.key.as_str();
                let has_rule = RULES.iter().any(|(rule, _)| is_of(rule, key));
                let is_effective =
                    EFFECTIVE.iter().any(|it| key == *it || (it.ends_with('.') && key.starts_with(it)));
                assert!(has_rule != is_effective, "{key}");
            }
        }
    }

    #[test]
    fn settings_without_effect_are_rejected_by_name() {
        let linear = Config::for_model("linear").unwrap();
        linear.validate().unwrap();
        Config::from_table(linear.to_table().unwrap()).unwrap().validate().unwrap();
        for (assignment, key) in [
            ("optimizer.lr=0.1", "optimizer.lr"),
            ("optimizer.weight_decay=0.1", "optimizer.weight_decay"),
            ("optimizer.momentum=0.9", "optimizer.momentum"),
            ("optimizer.name=adamw", "optimizer.name"),
            ("optimizer.groups=[{ pattern = 'weight', lr = 1 }]", "optimizer.groups"),
            ("schedule.name=cosine", "schedule.name"),
            ("schedule.name=constant", "schedule.name"),
            ("loss.name=cross_entropy", "loss.name"),
            ("loss={ name = 'cross_entropy', class_weights = 'balanced' }", "loss.class_weights"),
            ("adversarial.name=fgm", "adversarial.name"),
            ("freeze=[{ pattern = 'weight' }]", "freeze"),
            ("trainer.accumulate=2", "trainer.accumulate"),
            ("trainer.clip_norm=1", "trainer.clip_norm"),
            ("trainer.clip_value=1", "trainer.clip_value"),
            ("trainer.on_non_finite=skip", "trainer.on_non_finite"),
            ("loader.balanced=true", "loader.balanced"),
        ] {
            let error = linear.set(assignment).unwrap().validate().unwrap_err().to_string();
            let expected = format!("`{key}`: it has no effect on model `linear`");
            assert!(error.starts_with(&expected), "{assignment}: {error}");
        }
    }

    #[test]
    fn only_linear_is_trained_without_gradients() {
        for model in Registry::builtin().models() {
            let config = Config::for_model(model.name).unwrap();
            assert_eq!(config.uses_gradients().unwrap(), model.name != "linear", "{}", model.name);
        }
    }
}
