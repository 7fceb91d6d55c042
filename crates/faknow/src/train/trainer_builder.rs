//! A trainer with the settings of a config.

use faknow_callbacks::Interval;
use faknow_metrics::Metrics;
use faknow_model::Model;
use faknow_trainer::{Trainer, TrainerBuilder};
use tch::nn::VarStore;

use crate::Result;
use crate::config::{Config, TrainerConfig};
use crate::models::{BoxedModel, BoxedStep};

/// Returns a trainer builder with the settings that affect updates of the weights.
pub(crate) fn builder(
    config: &Config,
    model: BoxedModel,
    vars: VarStore,
    metrics: Metrics,
    step: BoxedStep,
) -> Result<TrainerBuilder<BoxedModel>> {
    let builder = Trainer::builder(model, vars)
        .optimizer(config.optimizer.clone())
        .metrics(metrics)
        .clip(config.clip()?)
        .seed(config.seed)
        .step(step);
    Ok(with_trainer_config(builder, &config.trainer))
}

/// Applies the settings of the table `[trainer]`.
fn with_trainer_config<M: Model>(
    mut builder: TrainerBuilder<M>,
    config: &TrainerConfig,
) -> TrainerBuilder<M> {
    builder = builder
        .max_epochs(config.epochs)
        .accumulate_grad_batches(config.accumulate)
        .on_non_finite(config.on_non_finite)
        .num_sanity_val_batches(config.sanity_batches)
        .train_metrics(config.train_metrics.clone())
        .restore_best(config.restore_best);
    let limits = [config.max_steps.map(Interval::steps), config.max_time];
    for limit in limits.into_iter().flatten() {
        builder = builder.stop_after(limit);
    }
    if let Some(every) = config.validate_every {
        builder = builder.validate_every(every);
    }
    if let Some(n) = config.limit_batches {
        builder = builder.limit_batches(n);
    }
    if let Some(n) = config.overfit_batches {
        builder = builder.overfit_batches(n);
    }
    if config.fast_dev_run { builder.fast_dev_run() } else { builder }
}
