//! Deserialization of [`ScheduleConfig`] with errors that name the schedule and the key.
//!
//! It is written by hand, since serde's errors for tagged enums do not name the key of an invalid value.

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use toml::{Table, Value};

use super::ScheduleConfig;

impl<'de> Deserialize<'de> for ScheduleConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut settings = Table::deserialize(deserializer)?;
        match settings.remove("name") {
            Some(Value::String(name)) => parse(&name, settings),
            Some(other) => Err(D::Error::custom(format!("`name`: expected one of {KNOWN}, got {other}"))),
            None => Err(D::Error::custom(format!("missing field `name`, expected one of {KNOWN}"))),
        }
    }
}

const KNOWN: &str = "constant, step, multi_step, exponential, constant_factor, linear, polynomial, cosine, \
                     cosine_warm_restarts, one_cycle, warmup_linear, warmup_cosine, sequential, plateau";

fn parse<E: Error>(name: &str, settings: Table) -> Result<ScheduleConfig, E> {
    match name {
        "constant" => read(name, settings).map(|NoSettings {}| ScheduleConfig::Constant),
        "step" => read(name, settings).map(ScheduleConfig::Step),
        "multi_step" => read(name, settings).map(ScheduleConfig::MultiStep),
        "exponential" => read(name, settings).map(ScheduleConfig::Exponential),
        "constant_factor" => read(name, settings).map(ScheduleConfig::ConstantFactor),
        "linear" => read(name, settings).map(ScheduleConfig::Linear),
        "polynomial" => read(name, settings).map(ScheduleConfig::Polynomial),
        "cosine" => read(name, settings).map(ScheduleConfig::Cosine),
        "cosine_warm_restarts" => read(name, settings).map(ScheduleConfig::CosineWarmRestarts),
        "one_cycle" => read(name, settings).map(ScheduleConfig::OneCycle),
        "warmup_linear" => read(name, settings).map(ScheduleConfig::WarmupLinear),
        "warmup_cosine" => read(name, settings).map(ScheduleConfig::WarmupCosine),
        "sequential" => read(name, settings).map(ScheduleConfig::Sequential),
        "plateau" => read(name, settings).map(ScheduleConfig::Plateau),
        unknown => {
            let hint = name_for_scheduler(unknown).map(|name| format!("; did you mean `{name}`?"));
            let hint = hint.unwrap_or_default();
            Err(E::custom(format!("unknown schedule `{unknown}`, expected one of {KNOWN}{hint}")))
        }
    }
}

/// Returns the schedule that corresponds to a class of `torch.optim.lr_scheduler`.
fn name_for_scheduler(class: &str) -> Option<&'static str> {
    Some(match class {
        "StepLR" => "step",
        "MultiStepLR" => "multi_step",
        "ExponentialLR" => "exponential",
        "ConstantLR" => "constant_factor",
        "LinearLR" => "linear",
        "PolynomialLR" => "polynomial",
        "CosineAnnealingLR" => "cosine",
        "CosineAnnealingWarmRestarts" => "cosine_warm_restarts",
        "OneCycleLR" => "one_cycle",
        "SequentialLR" => "sequential",
        "ReduceLROnPlateau" => "plateau",
        _ => return None,
    })
}

fn read<T: DeserializeOwned, E: Error>(name: &str, settings: Table) -> Result<T, E> {
    settings.try_into().map_err(|e| {
        // toml writes the key on a separate line.
        let message = e.to_string().trim_end().replace('\n', " ");
        E::custom(format!("schedule `{name}`: {message}"))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoSettings {}
