//! Self-supervised pretraining, for models that have such a stage.

use std::path::Path;

use faknow_callbacks::{Callback, Flow, HookResult, Run, StopReason};
use faknow_metrics::{EpochRecord, Metrics};
use faknow_model::weights::{restore_partial, snapshot};
use faknow_trainer::{FitReport, Interrupt, Resume, RunDir, Supervised, with_model_seed};
use tch::nn::VarStore;

use crate::config::Config;
use crate::config::dotted::by_dotted_name;
use crate::data::corpus::{Corpus, train_loader};
use crate::train::trainer_builder::builder;
use crate::{Error, Result};

/// The run directory of the pretraining, inside that of the model.
const DIR: &str = "pretraining";

/// Pretrains the model of `config`, whose weights are in `vars`, or resumes its pretraining. Returns the report if it was
/// interrupted.
///
/// The pretraining is a separate run in a subdirectory of `run`, with the training data, the optimizer of the config, and
/// the number of epochs of the model's hyperparameters.
pub(crate) fn pretrain(
    config: &Config,
    corpus: &Corpus,
    vars: &VarStore,
    run: &Path,
    interrupt: &Interrupt,
    from: Option<&Resume>,
) -> Result<Option<FitReport>> {
    let own_vars = VarStore::new(vars.device());
    let model = config.configured_model()?;
    let pretrained = corpus.encoders.pretrained()?;
    let shape = corpus.shape(None, &pretrained);
    let stage = with_model_seed(config.seed, || model.pretraining(&own_vars.root(), &shape))?;
    let Some(stage) = stage else { return Ok(None) };
    let dir = run.join(DIR);
    let run_dir = if dir.exists() { RunDir::open(&dir) } else { RunDir::create(&dir) }?;
    let mut settings = config.clone();
    settings.optimizer = config.optimizer.clone().without_groups();
    settings.trainer.epochs = stage.epochs;
    let train = train_loader(corpus.train.clone(), config)?;
    let step = Box::new(Supervised::default());
    let mut trainer = builder(&settings, stage.model, own_vars, Metrics::empty(), step)?
        .run_dir(run_dir)
        .interrupt(interrupt.clone())
        .hyperparameters(by_dotted_name(&settings))
        .callback(EpochLog { n_epochs: stage.epochs })
        .build()?;
    let from = Resume { from: Resume::default().from, ..from.cloned().unwrap_or_default() };
    let fit = trainer.resume_from(&from, &train, None)?;
    if fit.stop_reason == StopReason::Interrupted {
        return Ok(Some(fit));
    }
    let weights = snapshot(&trainer.run().vars);
    let weights = weights.into_iter().map(|(name, tensor)| (format!("{}.{name}", stage.prefix), tensor));
    restore_partial(vars, &weights.collect(), &dir).map_err(|e| Error::config("model", e.to_string()))?;
    Ok(None)
}

/// Logs each epoch.
struct EpochLog {
    n_epochs: usize,
}

impl Callback for EpochLog {
    fn on_epoch_end(&mut self, _: &mut Run, record: &EpochRecord) -> HookResult<Flow> {
        let loss = record.get("train/loss").and_then(|score| score.value()).unwrap_or(f64::NAN);
        tracing::info!("pretraining: epoch {} of {}, loss {loss:.4}", record.epoch, self.n_epochs);
        Ok(Flow::Continue)
    }
}
