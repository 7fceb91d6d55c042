//! How the authors of a model trained it.

use faknow_trainer::OptimizerConfig;
use serde::Serialize;
use toml::{Table, Value};

use crate::config::{EarlyStoppingConfig, LoaderConfig, TrainerConfig};

/// The settings of the training where a config does not name them: those of the model's authors.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrainingDefaults {
    /// Where a config has no table `[optimizer]`.
    pub optimizer: OptimizerConfig,
    /// Each setting for itself.
    pub loader: LoaderConfig,
    /// Each setting for itself.
    pub trainer: TrainerConfig,
    /// Each setting for itself.
    pub early_stopping: EarlyStoppingConfig,
}

impl TrainingDefaults {
    /// Returns the settings that differ from those of every config, by table.
    pub(crate) fn to_table(&self) -> Table {
        let default = Self::default();
        let mut table = Table::new();
        if self.optimizer != default.optimizer {
            table.insert("optimizer".into(), Value::Table(optimizer_table(&self.optimizer)));
        }
        for (name, own, default) in [
            ("loader", to_table(&self.loader), to_table(&default.loader)),
            ("trainer", to_table(&self.trainer), to_table(&default.trainer)),
            ("early_stopping", to_table(&self.early_stopping), to_table(&default.early_stopping)),
        ] {
            let changed = difference(own, &default, &[]);
            if !changed.is_empty() {
                table.insert(name.into(), Value::Table(changed));
            }
        }
        table
    }
}

/// Name, learning rate, and what differs from the defaults of this optimizer.
fn optimizer_table(optimizer: &OptimizerConfig) -> Table {
    let name = Table::from_iter([("name".to_owned(), Value::String(optimizer.name().to_owned()))]);
    let default = name.try_into::<OptimizerConfig>().map(|default| to_table(&default)).unwrap_or_default();
    difference(to_table(optimizer), &default, &["name", "lr"])
}

/// The settings of `own` that `default` has not, and those that are always shown.
fn difference(own: Table, default: &Table, shown: &[&str]) -> Table {
    own.into_iter()
        .filter(|(key, value)| shown.contains(&key.as_str()) || default.get(key) != Some(value))
        .collect()
}

fn to_table(settings: &impl Serialize) -> Table {
    Table::try_from(settings).unwrap_or_default()
}
