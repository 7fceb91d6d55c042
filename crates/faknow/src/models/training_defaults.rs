//! The training settings of a model's authors.

use faknow_trainer::schedule::ScheduleConfig;
use faknow_trainer::{Attack, CheckpointPolicy, OptimizerConfig};
use serde::Serialize;
use toml::{Table, Value};

use crate::config::{EarlyStoppingConfig, ImageConfig, LoaderConfig, TextConfig, TrainerConfig};

/// The training settings that apply if a config does not set them: those of the model's authors.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrainingDefaults {
    /// Optimizer; each setting applies if a config does not set it and names no optimizer, the learning rate also if it does.
    pub optimizer: OptimizerConfig,
    /// Learning-rate schedule; each setting applies if a config does not set it and names no schedule. Default: none.
    pub schedule: Option<ScheduleConfig>,
    /// Batching; each setting applies if a config does not set it.
    pub loader: LoaderConfig,
    /// Training; each setting applies if a config does not set it, `clip_norm` only without `clip_value`.
    pub trainer: TrainerConfig,
    /// Early stopping; each setting applies if a config does not set it.
    pub early_stopping: EarlyStoppingConfig,
    /// Tokenization; each setting applies if a config does not set it.
    pub text: TextConfig,
    /// Images; each setting applies if a config does not set it.
    pub image: ImageConfig,
    /// Adversarial training; each setting applies if a config does not set it and names no attack. Default: none.
    pub adversarial: Option<Attack>,
    /// Checkpoints; each setting applies if a config does not set it.
    pub checkpoint: CheckpointPolicy,
}

impl TrainingDefaults {
    /// Returns the settings that differ from the general defaults, by table.
    pub(crate) fn to_table(&self) -> Table {
        let default = Self::default();
        let mut table = Table::new();
        if self.optimizer != default.optimizer {
            table.insert("optimizer".into(), Value::Table(optimizer_table(&self.optimizer)));
        }
        if let Some(schedule) = &self.schedule {
            table.insert("schedule".into(), Value::Table(to_table(schedule)));
        }
        if let Some(attack) = &self.adversarial {
            table.insert("adversarial".into(), Value::Table(to_table(attack)));
        }
        for (name, settings, default) in [
            ("loader", to_table(&self.loader), to_table(&default.loader)),
            ("trainer", to_table(&self.trainer), to_table(&default.trainer)),
            ("early_stopping", to_table(&self.early_stopping), to_table(&default.early_stopping)),
            ("text", to_table(&self.text), to_table(&default.text)),
            ("image", to_table(&self.image), to_table(&default.image)),
            ("checkpoint", to_table(&self.checkpoint), to_table(&default.checkpoint)),
        ] {
            let changed = difference(settings, &default, &[]);
            if !changed.is_empty() {
                table.insert(name.into(), Value::Table(changed));
            }
        }
        table
    }
}

/// Returns name, learning rate, and the settings that differ from the defaults of this optimizer.
fn optimizer_table(optimizer: &OptimizerConfig) -> Table {
    let name = Table::from_iter([("name".to_owned(), Value::String(optimizer.name().to_owned()))]);
    let default = name.try_into::<OptimizerConfig>().map(|default| to_table(&default)).unwrap_or_default();
    difference(to_table(optimizer), &default, &["name", "lr"])
}

/// Returns the settings that differ from `default`, and those in `always`.
fn difference(settings: Table, default: &Table, always: &[&str]) -> Table {
    settings
        .into_iter()
        .filter(|(key, value)| always.contains(&key.as_str()) || default.get(key) != Some(value))
        .collect()
}

fn to_table(settings: &impl Serialize) -> Table {
    Table::try_from(settings).unwrap_or_default()
}
