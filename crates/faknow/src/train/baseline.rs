//! The baseline of a run: the model `linear`, trained and evaluated on the same records after the test of the detector.
//!
//! It shows whether a network is better than the simplest model. It cannot change anything of the run: it is trained after
//! everything else, without a run directory, and an error is a warning.

use std::time::Instant;

use faknow_callbacks::StopReason;
use faknow_data::FieldDataset;
use faknow_metrics::{Metrics, Predictions};
use faknow_report::{Baseline, BaselinePart};
use faknow_trainer::{Interrupt, evaluate_until, with_model_seed};
use tch::Device;
use tch::nn::VarStore;
use tracing::subscriber::{NoSubscriber, with_default};

use crate::config::{Config, decision as decision_config};
use crate::data::corpus::{TestRecords, eval_loader, train_loader};
use crate::data::encoders::PretrainedEncoders;
use crate::data::records;
use crate::detector::evaluation::in_order;
use crate::files::report_error;
use crate::train::trainer_builder::builder;
use crate::{Error, Result};

/// Name of the model.
const MODEL: &str = "linear";

/// A rule: a function that returns why a run has no baseline.
type Rule = fn(&Config) -> Option<String>;

const RULES: &[Rule] = &[
    |config| (config.model.name == MODEL).then(|| format!("`{MODEL}` is the baseline itself")),
    |config| {
        let reads_texts = config.configured_model().is_ok_and(|model| model.fields().words.is_some());
        (!reads_texts).then(|| format!("`{}` does not read the texts of records", config.model.name))
    },
    |config| {
        let trainer = &config.trainer;
        let limits = [
            ("trainer.fast_dev_run", trainer.fast_dev_run),
            ("trainer.limit_batches", trainer.limit_batches.is_some()),
            ("trainer.overfit_batches", trainer.overfit_batches.is_some()),
        ];
        let (limit, _) = limits.into_iter().find(|(_, is_set)| *is_set)?;
        Some(format!("the run uses only a part of its batches (`{limit}`)"))
    },
];

/// Returns why a run of `config` has no baseline, if it cannot have one.
pub(super) fn obstacle(config: &Config) -> Option<String> {
    RULES.iter().find_map(|rule| rule(config))
}

/// Compares a detector with the baseline on the samples of `part`, for which it has these predictions; `None` if the run has no
/// baseline, if the baseline fails, which is a warning, or if it is interrupted.
pub(super) fn compare(
    config: &Config,
    (part, detector): (BaselinePart, &Predictions),
    interrupt: &Interrupt,
) -> Option<Baseline> {
    if config.baseline == Some(false) || obstacle(config).is_some() {
        return None;
    }
    let start = Instant::now();
    // Without logging, which is about the detector.
    let predictions = with_default(NoSubscriber::new(), || predict(config, part, interrupt));
    let baseline = predictions.and_then(|predictions| {
        let detector = (config.model.name.as_str(), detector);
        Baseline::new(detector, (MODEL, &predictions), part).map_err(report_error)
    });
    match baseline {
        Ok(baseline) => {
            let seconds = start.elapsed().as_secs_f64();
            tracing::info!("baseline: `{MODEL}` is trained and evaluated in {seconds:.2} s");
            Some(baseline)
        }
        Err(_) if interrupt.is_requested() => None,
        Err(error) => {
            tracing::warn!(
                "the baseline `{MODEL}` failed, which does not affect the detector: {error}; `--no-baseline` \
                 (`baseline = false`) trains without it"
            );
            None
        }
    }
}

/// Trains the baseline, and returns its predictions for the samples of `part` in the order of the records.
fn predict(config: &Config, part: BaselinePart, interrupt: &Interrupt) -> Result<Predictions> {
    let config = baseline_config(config)?;
    let configured = config.configured_model()?;
    let fields = configured.fields();
    let corpus = records::load_until(&config, &fields, None, TestRecords::Include, interrupt)?;
    let vars = VarStore::new(Device::Cpu);
    let pretrained = PretrainedEncoders::default();
    let shape = corpus.shape(None, &pretrained);
    let model = with_model_seed(config.seed, || configured.build(&vars.root(), &shape))?;
    let step = configured.step().ok_or_else(|| Error::config("model.name", "expected a training step"))?;
    let train = train_loader(corpus.train.clone(), &config)?;
    let mut trainer =
        builder(&config, model, vars, Metrics::empty(), step)?.interrupt(interrupt.clone()).build()?;
    let fit = trainer.fit(&train, None)?;
    if fit.stop_reason == StopReason::Interrupted {
        return Err(faknow_trainer::Error::Interrupted.into());
    }
    let evaluate = |data: &FieldDataset| -> Result<Predictions> {
        let loader = eval_loader(data.clone(), &config.loader)?;
        let none = Metrics::empty();
        let evaluation = evaluate_until(trainer.model(), &loader, &none, Device::Cpu, interrupt)?;
        Ok(in_order(evaluation, &loader)?.0.predictions)
    };
    let valid = corpus.valid.as_ref().map(evaluate).transpose()?;
    let decision = decision_config::calibrate(&config.decision, valid.as_ref())?.decision;
    let predictions = match part {
        BaselinePart::Test => corpus.test.as_ref().map(evaluate).transpose()?,
        BaselinePart::Valid => valid,
    };
    let missing = || Error::config("data", format!("the {part} records are gone"));
    Ok(decision.apply(&predictions.ok_or_else(missing)?)?)
}

/// Returns the config of the baseline: the defaults of its model, with the records, the language, the punctuation and the
/// decision rule of `config`.
fn baseline_config(config: &Config) -> Result<Config> {
    let mut baseline = config.registry.config_for(MODEL)?;
    baseline.seed = config.seed;
    baseline.data = config.data.clone();
    baseline.text.language.clone_from(&config.text.language);
    // A comparison of a model that reads punctuation with one that does not would be unfair.
    baseline.text.punctuation = Some(config.text.tokenizer_config()?.punctuation);
    baseline.text.memory = config.text.memory;
    baseline.loader.workers = config.loader.workers;
    baseline.decision = config.decision.clone();
    // They are not reported.
    baseline.trainer.train_metrics = Vec::new();
    Ok(baseline)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All models, with whether they have a baseline.
    const MODELS: [(&str, bool); 28] = [
        ("textcnn", true),
        ("linear", false),
        ("encoder", true),
        ("dudef", true),
        ("eddfn", true),
        ("mdfend", true),
        ("endef", true),
        ("m3fend", true),
        ("eann", true),
        ("spotfake", true),
        ("safe", true),
        ("mcan", true),
        ("hmcan", true),
        ("mfan", true),
        ("cafe", true),
        ("gcn", false),
        ("graphsage", false),
        ("gat", false),
        ("gcnfn", false),
        ("upfd-gcn", false),
        ("upfd-sage", false),
        ("upfd-gat", false),
        ("upfd-gcnfn", false),
        ("bigcn", false),
        ("ebgcn", false),
        ("gnncl", false),
        ("trustrd", false),
        ("fang", false),
    ];

    #[test]
    fn models_of_texts_have_a_baseline() {
        let registry = Config::default().registry;
        let found: Vec<(&str, bool)> = registry
            .models()
            .iter()
            .map(|it| (it.name, obstacle(&registry.config_for(it.name).unwrap()).is_none()))
            .collect();
        assert_eq!(found, MODELS);
    }

    #[test]
    fn runs_on_a_part_of_the_batches_have_none() {
        for (setting, expected) in [
            ("trainer.limit_batches=2", "`trainer.limit_batches`"),
            ("trainer.overfit_batches=2", "`trainer.overfit_batches`"),
            ("trainer.fast_dev_run=true", "`trainer.fast_dev_run`"),
            ("model.name=bigcn", "`bigcn` does not read the texts"),
        ] {
            let config = match setting.strip_prefix("model.name=") {
                Some(model) => Config::for_model(model),
                None => Config::default().set(setting),
            };
            let reason = obstacle(&config.unwrap()).unwrap();
            assert!(reason.contains(expected), "{setting}: {reason}");
        }
    }

    #[test]
    fn interrupt_ends_the_baseline_before_the_records_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("train.csv");
        let rows: String = (0..40).map(|i| format!("rain {i},{}\n", ["real", "fake"][i % 2])).collect();
        std::fs::write(&file, format!("text,label\n{rows}")).unwrap();
        let mut config = Config::default();
        config.data.train = Some(file.into());
        let config = config.recognize_and_log().unwrap().0;
        let interrupt = Interrupt::default();
        let predictions = predict(&config, BaselinePart::Test, &interrupt).unwrap();
        assert!(compare(&config, (BaselinePart::Test, &predictions), &interrupt).is_some());
        interrupt.request();
        assert!(compare(&config, (BaselinePart::Test, &predictions), &interrupt).is_none());
        let error = predict(&config, BaselinePart::Test, &interrupt).unwrap_err();
        assert!(matches!(error, Error::Trainer(faknow_trainer::Error::Interrupted)), "{error}");
    }
}
