//! The training step of a config.

use faknow_data::{Dataset as _, FieldBatch, FieldDataset};
use faknow_model::Model as _;
use faknow_trainer::{Adversarial, Optimizer, Supervised, TwoOptimizers};
use tch::nn::VarStore;

use crate::config::Config;
use crate::models::{Auxiliary, BoxedModel, BoxedStep};
use crate::{Error, Result};

/// Returns the training step of a config: that of its model, or a supervised or adversarial one. `auxiliary` is the optimizer of a part
/// of the model with a separate loss; the class weights of the loss follow from the labels of `train`.
pub(super) fn training_step(
    config: &Config,
    vars: &VarStore,
    auxiliary: Option<&Auxiliary>,
    train: &FieldDataset,
) -> Result<BoxedStep> {
    let Some(step) = config.configured_model()?.step() else {
        let supervised = supervised(config, train)?;
        if let Some(auxiliary) = auxiliary {
            return two_optimizers(config, vars, auxiliary, supervised);
        }
        let attack = config.adversarial.clone().map(|attack| Adversarial::new(attack, vars));
        return Ok(match attack.transpose().map_err(Error::from_trainer)? {
            Some(adversarial) => Box::new(adversarial.supervised(supervised)),
            None => Box::new(supervised),
        });
    };
    let settings = [("loss", config.loss.is_some()), ("adversarial", config.adversarial.is_some())];
    match settings.into_iter().find(|(_, is_set)| *is_set) {
        Some((key, _)) => {
            let message =
                format!("model `{}` has its own training step; remove this setting", config.model.name);
            Err(Error::config(key, message))
        }
        None => Ok(step),
    }
}

/// Returns the step of a model of which a part has a separate loss and optimizer.
fn two_optimizers(
    config: &Config,
    vars: &VarStore,
    auxiliary: &Auxiliary,
    supervised: Supervised,
) -> Result<BoxedStep> {
    if config.adversarial.is_some() {
        let name = &config.model.name;
        let message = format!("model `{name}` trains with two optimizers; remove this setting");
        return Err(Error::config("adversarial", message));
    }
    let Auxiliary { name, parameters, optimizer } = auxiliary.clone();
    let (clip, patterns) = (config.clip()?, [parameters.into()]);
    let optimizer = Optimizer::for_parameters(optimizer, vars, clip, &patterns);
    let optimizer = optimizer.map_err(Error::from_trainer)?;
    let loss = |model: &BoxedModel, batch: &FieldBatch| model.auxiliary_loss(batch);
    Ok(Box::new(TwoOptimizers::new(name, optimizer, loss).supervised(supervised)))
}

/// Returns the supervised step with the config's loss; balanced class weights are computed from the training labels.
fn supervised(config: &Config, train: &FieldDataset) -> Result<Supervised> {
    let Some(loss) = config.loss.clone() else { return Ok(Supervised::default()) };
    let loss = loss.with_class_counts(&train.class_counts());
    loss.and_then(Supervised::new).map_err(|error| Error::in_table("loss", error))
}
