//! Validation of an entire config before any data is read; errors have the dotted name of the setting.

use faknow_callbacks::{IntervalUnit, canonical_monitor_name};
use faknow_data::Classes;
use faknow_metrics::{Metrics, metric_by_name, metric_names};
use faknow_trainer::Clip;

use crate::config::{Config, MetricSelection};
use crate::{Error, Result};

/// Maximum number of threads; a larger number is probably a typo.
const MAX_THREADS: usize = 1024;

/// Largest seed, since config files are TOML, which has 64-bit signed integers.
const MAX_SEED: u64 = i64::MAX as u64;

impl Config {
    /// Checks every setting that can be checked without the data, as [`train`](crate::train::train) does first.
    ///
    /// # Errors
    /// A setting is outside its range; the error has its name and the accepted values.
    pub fn validate(&self) -> Result<()> {
        self.check_seed()?;
        check("threads", self.threads, self.threads <= MAX_THREADS, &format!("at most {MAX_THREADS}"))?;
        self.device()?;
        self.check_files()?;
        // Classes that are not given are recognized from the training data, and then checked again.
        let classes = self.data.has_classes().then(|| self.data.to_classes()).transpose()?;
        self.check_split()?;
        self.check_fold()?;
        self.check_text()?;
        self.image.validate()?;
        let loader = &self.loader;
        at_least_1("loader.batch_size", loader.batch_size)?;
        at_least_1("loader.eval_batch_size", loader.eval_batch_size)?;
        for (key, is_set) in [("loader.balanced", loader.balanced), ("loader.drop_last", loader.drop_last)] {
            if is_set && loader.max_tokens > 0 {
                let message =
                    "expected false with batches by tokens, got true; remove it, or set loader.max_tokens=0";
                return Err(Error::config(key, message));
            }
        }
        check(
            "loader.workers",
            loader.workers,
            loader.workers <= MAX_THREADS,
            &format!("at most {MAX_THREADS}"),
        )?;
        let model = self.configured_model()?;
        // Hyperparameters are checked before the data is read; their ranges do not depend on the number of classes.
        model.validate(classes.as_ref().map_or(2, Classes::len))?;
        if let Some(loss) = &self.loss {
            let n_classes = classes.as_ref().map(Classes::len);
            let result = loss.validate().and_then(|()| n_classes.map_or(Ok(()), |n| loss.check_classes(n)));
            result.map_err(|error| Error::in_table("loss", error))?;
        }
        if let Some(attack) = &self.adversarial {
            attack.validate().map_err(Error::from_trainer)?;
        }
        self.optimizer.validate().map_err(Error::from_trainer)?;
        self.check_trainer()?;
        self.clip()?;
        self.check_effect_without_gradients()?;
        self.metrics()?;
        let train_metrics = &self.trainer.train_metrics;
        let of_training = Metrics::from_names(train_metrics)
            .map_err(|e| Error::config("trainer.train_metrics", e.to_string()))?;
        if !of_training.only_need_classes() {
            let got = train_metrics.join(", ");
            let message = format!("expected metrics of predicted classes, such as f1, got {got}");
            return Err(Error::config("trainer.train_metrics", message));
        }
        self.monitors()?;
        self.decision.check(classes.as_ref().map_or(2, Classes::len))?;
        let stopping = &self.early_stopping;
        at_least_1("early_stopping.patience", stopping.patience)?;
        let is_valid = stopping.min_delta.is_finite() && stopping.min_delta >= 0.0;
        check("early_stopping.min_delta", stopping.min_delta, is_valid, "a number of at least 0")?;
        at_least_1("early_stopping.start_from_epoch", stopping.start_from_epoch)?;
        let thresholds = [
            ("early_stopping.stopping_threshold", stopping.stopping_threshold),
            ("early_stopping.divergence_threshold", stopping.divergence_threshold),
        ];
        for (key, threshold) in thresholds {
            let threshold = threshold.unwrap_or(0.0);
            check(key, threshold, threshold.is_finite(), "a finite number")?;
        }
        Ok(())
    }

    pub(crate) fn check_seed(&self) -> Result<()> {
        check("seed", self.seed, self.seed <= MAX_SEED, &format!("at most {MAX_SEED}"))
    }

    fn check_trainer(&self) -> Result<()> {
        let trainer = &self.trainer;
        at_least_1("trainer.epochs", trainer.epochs)?;
        at_least_1("trainer.accumulate", trainer.accumulate)?;
        at_least_1("trainer.max_steps", trainer.max_steps.map_or(1, |n| n as usize))?;
        at_least_1("trainer.limit_batches", trainer.limit_batches.unwrap_or(1))?;
        at_least_1("trainer.overfit_batches", trainer.overfit_batches.unwrap_or(1))?;
        at_least_1("trainer.histograms_every", trainer.histograms_every.unwrap_or(1))?;
        if let Some(epochs) = trainer.histograms_every {
            let expected = "no value, or a build with the feature `tensorboard`";
            check("trainer.histograms_every", epochs, cfg!(feature = "tensorboard"), expected)?;
        }
        if let Some(time) = trainer.max_time {
            let is_duration = time.unit() == IntervalUnit::Seconds;
            check("trainer.max_time", time, is_duration, "a duration, as in `90 minutes`")?;
        }
        if let Some(average) = &self.average {
            average.validate().map_err(Error::from_trainer)?;
        }
        self.checkpoint.validate().map_err(Error::from_trainer)?;
        for name in &self.checkpoint.monitors {
            monitor_name("checkpoint.monitors", name)?;
        }
        Ok(())
    }

    fn check_files(&self) -> Result<()> {
        let parts = [
            ("data.train", &self.data.train),
            ("data.valid", &self.data.valid),
            ("data.test", &self.data.test),
        ];
        parts.into_iter().try_for_each(|(key, files)| files.as_ref().map_or(Ok(()), |files| files.check(key)))
    }

    fn check_split(&self) -> Result<()> {
        let split = self.data.split;
        let are_fractions = split.iter().all(|fraction| (0.0..=1.0).contains(fraction)) && split[0] > 0.0;
        let is_valid = are_fractions && (split.iter().sum::<f64>() - 1.0).abs() < 1e-6;
        let expected = "fractions for training, validation and test that add up to 1, the first above 0";
        check("data.split", format!("{split:?}"), is_valid, expected)
    }

    fn check_fold(&self) -> Result<()> {
        match (&self.data.fold, &self.data.test) {
            (Some(_), Some(_)) => {
                Err(Error::config("data.fold", "expected only one of `data.fold` and `data.test`, got both"))
            }
            (Some(fold), None) => fold.validate(),
            _ => Ok(()),
        }
    }

    fn check_text(&self) -> Result<()> {
        let text = &self.text;
        at_least_1("text.max_length", text.max_length)?;
        check("text.min_count", text.min_count, text.min_count >= 1, "at least 1")?;
        // Padding and the unknown word take two token ids.
        let is_valid = text.max_vocab == 0 || text.max_vocab >= 3;
        check("text.max_vocab", text.max_vocab, is_valid, "at least 3, or 0 for no limit")?;
        self.text.tokenizer_config().map(drop)
    }

    /// Returns the gradient clipping.
    pub(crate) fn clip(&self) -> Result<Clip> {
        let above_0 = |key: &str, max: f64| check(key, max, max.is_finite() && max > 0.0, "a number above 0");
        match (self.trainer.clip_norm, self.trainer.clip_value) {
            (None, None) => Ok(Clip::None),
            (Some(max), None) => above_0("trainer.clip_norm", max).map(|()| Clip::Norm(max)),
            (None, Some(max)) => above_0("trainer.clip_value", max).map(|()| Clip::Value(max)),
            (Some(_), Some(_)) => {
                let message = "expected only one of `trainer.clip_norm` and `trainer.clip_value`, got both";
                Err(Error::config("trainer.clip_value", message))
            }
        }
    }

    /// Returns the metrics of validation: those of `trainer.metrics` and all monitored values.
    pub(crate) fn metrics(&self) -> Result<Metrics> {
        let metrics_error = |e: faknow_metrics::Error| Error::config("trainer.metrics", e.to_string());
        let mut metrics = match &self.trainer.metrics {
            None => Metrics::common(),
            Some(MetricSelection::All) => Metrics::all(),
            Some(MetricSelection::Names(names)) => Metrics::from_names(names).map_err(metrics_error)?,
        };
        let (monitor, stopping) = self.monitors()?;
        let retained = self.checkpoint.monitors.iter().cloned();
        for name in std::iter::once(monitor).chain(stopping).chain(retained) {
            if name != "loss" && !metrics.names().contains(&name) {
                metrics.push(metric_by_name(&name).map_err(metrics_error)?).map_err(metrics_error)?;
            }
        }
        Ok(metrics)
    }

    /// Returns the recorded names of the monitor of the best epoch and of the separate monitor of early stopping, if any.
    pub(crate) fn monitors(&self) -> Result<(String, Option<String>)> {
        let stopping = self.early_stopping.monitor.as_deref();
        let stopping = stopping.map(|name| monitor_name("early_stopping.monitor", name)).transpose()?;
        Ok((monitor_name("trainer.monitor", &self.trainer.monitor)?, stopping))
    }
}

/// Returns the name under which a monitored value is recorded.
///
/// # Errors
/// The value is neither the loss nor a metric.
fn monitor_name(key: &str, name: &str) -> Result<String> {
    let name = canonical_monitor_name(name);
    if name == "loss" || metric_by_name(&name).is_ok() {
        return Ok(name);
    }
    let metrics: Vec<&str> = metric_names().collect();
    let message = format!("expected `loss` or a metric ({}), got `{name}`", metrics.join(", "));
    Err(Error::config(key, message))
}

fn at_least_1(key: &str, value: usize) -> Result<()> {
    check(key, value, value >= 1, "at least 1")
}

fn check(key: &str, value: impl std::fmt::Display, is_valid: bool, expected: &str) -> Result<()> {
    if is_valid { Ok(()) } else { Err(Error::config(key, format!("expected {expected}, got {value}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_settings_outside_their_range() {
        let check = |assignment: &str, expected: &str| {
            let config = Config::default().set("data.classes=['real', 'fake']").unwrap();
            let error = config.set(assignment).unwrap().validate().unwrap_err();
            assert!(error.is_input());
            assert_eq!(error.to_string(), expected, "{assignment}");
        };
        check("threads=2000", "`threads`: expected at most 1024, got 2000");
        check("device=tpu", "`device`: expected auto, cpu, cuda or cuda:N, got `tpu`; did you mean `cpu`?");
        check("data.classes=['a']", "`data.classes`: expected at least 2 class names, got 1 (`a`)");
        check("data.values.hoax=['1']", "`data.values`: expected one of `real`, `fake`, got `hoax`");
        let split =
            "expected fractions for training, validation and test that add up to 1, the first above 0";
        check("data.split=[0.5, 0.5, 0.5]", &format!("`data.split`: {split}, got [0.5, 0.5, 0.5]"));
        check("data.split=[0.0, 0.5, 0.5]", &format!("`data.split`: {split}, got [0.0, 0.5, 0.5]"));
        check("data.split=[1.5, -0.5, 0.0]", &format!("`data.split`: {split}, got [1.5, -0.5, 0.0]"));
        check("data.split=[nan, 0.5, 0.5]", &format!("`data.split`: {split}, got [NaN, 0.5, 0.5]"));
        let fold = "expected one of at least 2 folds, numbered from 1, as in `2 of 5`";
        check("data.fold='6 of 5'", &format!("`data.fold`: {fold}, got `6 of 5`"));
        check("data.fold='0 of 5'", &format!("`data.fold`: {fold}, got `0 of 5`"));
        check("data.fold='1 of 1'", &format!("`data.fold`: {fold}, got `1 of 1`"));
        check("text.language=fr", "`text.language`: expected `en` or `zh`, got `fr`");
        check("text.max_length=0", "`text.max_length`: expected at least 1, got 0");
        check("text.min_count=0", "`text.min_count`: expected at least 1, got 0");
        check("text.max_vocab=2", "`text.max_vocab`: expected at least 3, or 0 for no limit, got 2");
        check("loader.batch_size=0", "`loader.batch_size`: expected at least 1, got 0");
        check("loader.eval_batch_size=0", "`loader.eval_batch_size`: expected at least 1, got 0");
        let config = Config::for_model("encoder").unwrap().set("data.classes=['real', 'fake']").unwrap();
        let error = config.set("loader.balanced=true").unwrap().validate().unwrap_err().to_string();
        assert!(error.contains("`loader.balanced`") && error.contains("loader.max_tokens=0"), "{error}");
        check("loader.workers=5000", "`loader.workers`: expected at most 1024, got 5000");
        let models = crate::models::Registry::builtin().models();
        let models = models.iter().map(|model| model.name).collect::<Vec<_>>().join(", ");
        check("model.name=bert", &format!("`model.name`: unknown model `bert`, expected one of {models}"));
        check("model.dropout=1.0", "`model.dropout`: expected from 0 to below 1, got 1");
        check("model.embedding_size=0", "`model.embedding_size`: expected at least 1, got 0");
        check("model.n_filters=0", "`model.n_filters`: expected at least 1, got 0");
        check("model.kernel_sizes=[3, 0]", "`model.kernel_sizes`: expected at least 1, got 0");
        check("loss.label_smoothing=1", "`loss.label_smoothing`: expected from 0 to below 1, got 1");
        check("loss.gamma=2", "`loss.gamma`: expected no value unless `name` is `focal`, got 2");
        check("loss={ name = 'focal', gamma = -1 }", "`loss.gamma`: expected a number of at least 0, got -1");
        check("loss.class_weights=[1, 0]", "`loss.class_weights`: expected numbers above 0, got 0");
        check(
            "loss.class_weights=[1, 2, 3]",
            "`loss.class_weights`: expected one weight per class (2), got 3",
        );
        check(
            "adversarial={ name = 'pgd', epsilon = 0 }",
            "`adversarial.epsilon`: expected a number above 0, got 0",
        );
        check("adversarial={ name = 'pgd', steps = 0 }", "`adversarial.steps`: expected at least 1, got 0");
        check("optimizer.lr=nan", "`optimizer.lr`: expected a number of at least 0, got NaN");
        check("optimizer.betas=[0.9, 1.0]", "`optimizer.betas`: expected a number from 0 to below 1, got 1");
        check("trainer.epochs=0", "`trainer.epochs`: expected at least 1, got 0");
        check("trainer.clip_norm=0.0", "`trainer.clip_norm`: expected a number above 0, got 0");
        check("trainer.clip_value=inf", "`trainer.clip_value`: expected a number above 0, got inf");
        check("early_stopping.patience=0", "`early_stopping.patience`: expected at least 1, got 0");
        check(
            "early_stopping.min_delta=nan",
            "`early_stopping.min_delta`: expected a number of at least 0, got NaN",
        );
        check(
            "early_stopping.start_from_epoch=0",
            "`early_stopping.start_from_epoch`: expected at least 1, got 0",
        );
        check(
            "early_stopping.stopping_threshold=nan",
            "`early_stopping.stopping_threshold`: expected a finite number, got NaN",
        );
        check(
            "early_stopping.divergence_threshold=-inf",
            "`early_stopping.divergence_threshold`: expected a finite number, got -inf",
        );
        let both = Config::default().set("trainer.clip_norm=1").unwrap().set("trainer.clip_value=1").unwrap();
        assert!(
            both.validate().unwrap_err().to_string().contains("expected only one of `trainer.clip_norm`")
        );
        let seed = Config { seed: u64::MAX, ..Config::default() };
        assert!(
            seed.validate()
                .unwrap_err()
                .to_string()
                .starts_with("`seed`: expected at most 9223372036854775807")
        );
    }

    #[test]
    fn errors_of_unknown_metrics_list_the_known_ones() {
        let check = |assignment: &str, key: &str| {
            let error = Config::default().set(assignment).unwrap().validate().unwrap_err().to_string();
            let parts = [key, "`nope`", "accuracy, precision", "roc_auc"];
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        };
        check("trainer.metrics=['f1', 'nope']", "`trainer.metrics`: ");
        check("trainer.train_metrics=['nope']", "`trainer.train_metrics`: ");
        check("trainer.monitor=nope", "`trainer.monitor`: ");
        check("early_stopping.monitor=nope", "`early_stopping.monitor`: ");
    }

    #[test]
    fn metrics_include_monitored_values() {
        let metrics = |assignments: &[&str]| {
            let config = Config::default().set_all(assignments).unwrap();
            config.metrics().unwrap().names()
        };
        assert_eq!(metrics(&["trainer.metrics=['f1']"]), ["f1", "accuracy"]);
        assert_eq!(metrics(&["trainer.metrics=['auc']", "trainer.monitor=valid/AUC"]), ["roc_auc"]);
        assert_eq!(metrics(&[]), Metrics::common().names());
        assert_eq!(metrics(&["trainer.metrics=all"]), Metrics::all().names());
        assert_eq!(metrics(&["trainer.monitor=kappa"]).last().unwrap(), "cohen_kappa");
        assert_eq!(metrics(&["trainer.metrics=[]", "trainer.monitor=loss"]), [""; 0]);
        let both = ["trainer.metrics=['f1']", "trainer.monitor=loss", "early_stopping.monitor=kappa"];
        assert_eq!(metrics(&both), ["f1", "cohen_kappa"]);
    }

    #[test]
    fn defaults_are_valid() {
        Config::default().validate().unwrap();
    }
}
