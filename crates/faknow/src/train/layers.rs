//! Layers of a model with their own learning rates, or that are trained later than the others.

use faknow_callbacks::{FreezeRule, Interval};
use faknow_trainer::ParameterGroup;

use crate::config::Config;
use crate::models::LayerTraining;

/// Returns the config with the learning rates of layers, which apply to parameters without a group of the config.
pub(crate) fn with_layers(config: &Config, layers: &[LayerTraining]) -> Config {
    let lr = config.optimizer.lr();
    let groups = layers.iter().filter(|layer| layer.lr_factor != 1.0);
    let groups = groups.map(|layer| ParameterGroup {
        lr: Some(lr * layer.lr_factor),
        ..ParameterGroup::new(layer.pattern.clone())
    });
    let optimizer = config.optimizer.clone().with_groups(groups);
    Config { optimizer, ..config.clone() }
}

/// Returns the rules of a config, and those of layers that are trained later.
pub(crate) fn freeze_rules(rules: &[FreezeRule], layers: &[LayerTraining]) -> Vec<FreezeRule> {
    let later = layers.iter().filter(|layer| layer.frozen_epochs > 0.0);
    let later = later.map(|layer| FreezeRule::until(&*layer.pattern, Interval::epochs(layer.frozen_epochs)));
    rules.iter().cloned().chain(later).collect()
}
