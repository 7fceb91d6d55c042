//! The configuration of an optimizer: algorithm and hyperparameters, with PyTorch's defaults.

use serde::{Deserialize, Serialize};

use super::ParameterGroup;
use crate::Result;
use crate::error::setting;

/// An optimizer by name, with its hyperparameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum OptimizerConfig {
    /// Stochastic gradient descent.
    Sgd(Sgd),
    /// Adam (Kingma and Ba, 2015); as in PyTorch, its weight decay is an L2 penalty.
    Adam(Adam),
    /// AdamW (Loshchilov and Hutter, 2019): Adam with decoupled weight decay.
    AdamW(AdamW),
    /// RMSprop (Hinton, 2012).
    RmsProp(RmsProp),
    /// Adagrad (Duchi, Hazan and Singer, 2011).
    Adagrad(Adagrad),
}

/// Hyperparameters of stochastic gradient descent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    /// Learning rate, at least 0. Default 0.01.
    pub lr: f64,
    /// Momentum, from 0 to below 1. Default 0.
    pub momentum: f64,
    /// Dampening of the momentum, at least 0. Default 0.
    pub dampening: f64,
    /// L2 penalty, at least 0. Default 0.
    pub weight_decay: f64,
    /// Whether to use Nesterov momentum, which requires a momentum and no dampening. Default false.
    pub nesterov: bool,
    /// Groups of parameters with separate settings; the first group whose pattern matches applies. Default: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ParameterGroup>,
}

impl Default for Sgd {
    fn default() -> Self {
        Self {
            lr: 0.01,
            momentum: 0.0,
            dampening: 0.0,
            weight_decay: 0.0,
            nesterov: false,
            groups: Vec::new(),
        }
    }
}

/// Hyperparameters of Adam.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adam {
    /// Learning rate, at least 0. Default 0.001.
    pub lr: f64,
    /// Decay rates of the two moments, from 0 to below 1. Default 0.9 and 0.999.
    pub betas: [f64; 2],
    /// Added to the denominator, above 0. Default 1e-8.
    pub eps: f64,
    /// L2 penalty, at least 0. Default 0.
    pub weight_decay: f64,
    /// Whether to use the AMSGrad variant. Default false.
    pub amsgrad: bool,
    /// Groups of parameters with separate settings; the first group whose pattern matches applies. Default: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ParameterGroup>,
}

impl Default for Adam {
    fn default() -> Self {
        Self {
            lr: 1e-3,
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay: 0.0,
            amsgrad: false,
            groups: Vec::new(),
        }
    }
}

/// Hyperparameters of AdamW.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamW {
    /// Learning rate, at least 0. Default 0.001.
    pub lr: f64,
    /// Decay rates of the two moments, from 0 to below 1. Default 0.9 and 0.999.
    pub betas: [f64; 2],
    /// Added to the denominator, above 0. Default 1e-8.
    pub eps: f64,
    /// Decoupled weight decay, at least 0. Default 0.01.
    pub weight_decay: f64,
    /// Whether to use the AMSGrad variant. Default false.
    pub amsgrad: bool,
    /// Groups of parameters with separate settings; the first group whose pattern matches applies. Default: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ParameterGroup>,
}

impl Default for AdamW {
    fn default() -> Self {
        Self {
            lr: 1e-3,
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay: 0.01,
            amsgrad: false,
            groups: Vec::new(),
        }
    }
}

/// Hyperparameters of RMSprop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RmsProp {
    /// Learning rate, at least 0. Default 0.01.
    pub lr: f64,
    /// Decay rate of the mean of squared gradients, from 0 to below 1. Default 0.99.
    pub alpha: f64,
    /// Added to the denominator, above 0. Default 1e-8.
    pub eps: f64,
    /// L2 penalty, at least 0. Default 0.
    pub weight_decay: f64,
    /// Momentum, from 0 to below 1. Default 0.
    pub momentum: f64,
    /// Whether gradients are normalized by their variance. Default false.
    pub centered: bool,
    /// Groups of parameters with separate settings; the first group whose pattern matches applies. Default: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ParameterGroup>,
}

impl Default for RmsProp {
    fn default() -> Self {
        Self {
            lr: 0.01,
            alpha: 0.99,
            eps: 1e-8,
            weight_decay: 0.0,
            momentum: 0.0,
            centered: false,
            groups: Vec::new(),
        }
    }
}

/// Hyperparameters of Adagrad.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adagrad {
    /// Learning rate, at least 0. Default 0.01.
    pub lr: f64,
    /// Decay of the learning rate, at least 0: after n updates it is divided by 1 + n times this. Default 0.
    pub lr_decay: f64,
    /// Initial value of the sum of squared gradients, at least 0. Default 0.
    pub initial_accumulator_value: f64,
    /// Added to the denominator, above 0. Default 1e-10.
    pub eps: f64,
    /// L2 penalty, at least 0. Default 0.
    pub weight_decay: f64,
    /// Groups of parameters with separate settings; the first group whose pattern matches applies. Default: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ParameterGroup>,
}

impl Default for Adagrad {
    fn default() -> Self {
        Self {
            lr: 0.01,
            lr_decay: 0.0,
            initial_accumulator_value: 0.0,
            eps: 1e-10,
            weight_decay: 0.0,
            groups: Vec::new(),
        }
    }
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self::Adam(Adam::default())
    }
}

impl OptimizerConfig {
    /// Returns the name of the optimizer in configuration files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sgd(_) => "sgd",
            Self::Adam(_) => "adam",
            Self::AdamW(_) => "adamw",
            Self::RmsProp(_) => "rmsprop",
            Self::Adagrad(_) => "adagrad",
        }
    }

    /// Returns the learning rate of all parameters whose group does not set one.
    pub fn lr(&self) -> f64 {
        self.common().0
    }

    /// Returns the weight decay of all parameters whose group does not set one.
    pub fn weight_decay(&self) -> f64 {
        self.common().1
    }

    /// Returns the parameter groups.
    pub fn groups(&self) -> &[ParameterGroup] {
        self.common().2
    }

    /// Adds parameter groups after those that there are.
    #[must_use]
    pub fn with_groups(mut self, added: impl IntoIterator<Item = ParameterGroup>) -> Self {
        match &mut self {
            Self::Sgd(Sgd { groups, .. })
            | Self::Adam(Adam { groups, .. })
            | Self::AdamW(AdamW { groups, .. })
            | Self::RmsProp(RmsProp { groups, .. })
            | Self::Adagrad(Adagrad { groups, .. }) => groups.extend(added),
        }
        self
    }

    /// Removes the parameter groups, so that the same settings apply to all parameters.
    #[must_use]
    pub fn without_groups(mut self) -> Self {
        match &mut self {
            Self::Sgd(Sgd { groups, .. })
            | Self::Adam(Adam { groups, .. })
            | Self::AdamW(AdamW { groups, .. })
            | Self::RmsProp(RmsProp { groups, .. })
            | Self::Adagrad(Adagrad { groups, .. }) => groups.clear(),
        }
        self
    }

    /// Checks every hyperparameter.
    ///
    /// # Errors
    /// Names the first hyperparameter that is out of range or NaN.
    pub fn validate(&self) -> Result<()> {
        let (lr, weight_decay, groups) = self.common();
        at_least_0("lr", lr)?;
        at_least_0("weight_decay", weight_decay)?;
        for (index, group) in groups.iter().enumerate() {
            let name = |key| format!("groups[{index}].{key}");
            group.lr.map_or(Ok(()), |lr| at_least_0(&name("lr"), lr))?;
            group.weight_decay.map_or(Ok(()), |decay| at_least_0(&name("weight_decay"), decay))?;
        }
        match self {
            Self::Sgd(o) => {
                below_1("momentum", o.momentum)?;
                at_least_0("dampening", o.dampening)?;
                if o.nesterov && (o.momentum == 0.0 || o.dampening != 0.0) {
                    return Err(setting(
                        "optimizer.nesterov",
                        "a momentum above 0 and a dampening of 0",
                        format!("momentum {}, dampening {}", o.momentum, o.dampening),
                    ));
                }
                Ok(())
            }
            Self::Adam(Adam { betas, eps, .. }) | Self::AdamW(AdamW { betas, eps, .. }) => {
                betas.iter().try_for_each(|beta| below_1("betas", *beta))?;
                above_0("eps", *eps)
            }
            Self::RmsProp(o) => {
                below_1("alpha", o.alpha)?;
                above_0("eps", o.eps)?;
                below_1("momentum", o.momentum)
            }
            Self::Adagrad(o) => {
                at_least_0("lr_decay", o.lr_decay)?;
                at_least_0("initial_accumulator_value", o.initial_accumulator_value)?;
                above_0("eps", o.eps)
            }
        }
    }

    /// Returns the settings that all optimizers have: learning rate, weight decay, groups.
    fn common(&self) -> (f64, f64, &[ParameterGroup]) {
        match self {
            Self::Sgd(o) => (o.lr, o.weight_decay, &o.groups),
            Self::Adam(o) => (o.lr, o.weight_decay, &o.groups),
            Self::AdamW(o) => (o.lr, o.weight_decay, &o.groups),
            Self::RmsProp(o) => (o.lr, o.weight_decay, &o.groups),
            Self::Adagrad(o) => (o.lr, o.weight_decay, &o.groups),
        }
    }
}

fn check(name: &str, value: f64, expected: &str, is_valid: bool) -> Result<()> {
    if value.is_finite() && is_valid {
        Ok(())
    } else {
        Err(setting(&format!("optimizer.{name}"), expected, value))
    }
}

fn at_least_0(name: &str, value: f64) -> Result<()> {
    check(name, value, "a number of at least 0", value >= 0.0)
}

fn above_0(name: &str, value: f64) -> Result<()> {
    check(name, value, "a number above 0", value > 0.0)
}

fn below_1(name: &str, value: f64) -> Result<()> {
    check(name, value, "a number from 0 to below 1", (0.0..1.0).contains(&value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_error(config: impl Into<OptimizerConfig>, part: &str) {
        let error = config.into().validate().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn validate_names_setting_out_of_range() {
        check_error(
            OptimizerConfig::adam(f64::NAN),
            "optimizer.lr: expected a number of at least 0, got NaN",
        );
        check_error(OptimizerConfig::sgd(-1.0), "optimizer.lr");
        check_error(OptimizerConfig::rms_prop(f64::INFINITY), "got inf");
        check_error(OptimizerConfig::Adam(Adam { betas: [0.9, 1.0], ..Adam::default() }), "optimizer.betas");
        check_error(OptimizerConfig::AdamW(AdamW { eps: 0.0, ..AdamW::default() }), "optimizer.eps");
        let adagrad = Adagrad { lr_decay: -1.0, ..Adagrad::default() };
        check_error(OptimizerConfig::Adagrad(adagrad), "optimizer.lr_decay");
        let group = ParameterGroup { lr: Some(f64::NAN), ..ParameterGroup::new("fc.*") };
        let grouped = Adam { groups: vec![ParameterGroup::new("*"), group], ..Adam::default() };
        check_error(
            OptimizerConfig::Adam(grouped),
            "optimizer.groups[1].lr: expected a number of at least 0, got NaN",
        );
        check_error(OptimizerConfig::Sgd(Sgd { nesterov: true, ..Sgd::default() }), "optimizer.nesterov");
    }

    #[test]
    fn every_default_is_valid() {
        for config in [
            OptimizerConfig::default(),
            OptimizerConfig::sgd(0.1).into(),
            OptimizerConfig::adam(0.1).into(),
            OptimizerConfig::adamw(0.1).into(),
            OptimizerConfig::rms_prop(0.1).into(),
            OptimizerConfig::adagrad(0.1).into(),
        ] {
            config.validate().unwrap();
            assert_eq!(
                toml::from_str::<OptimizerConfig>(&toml::to_string(&config).unwrap()).unwrap(),
                config
            );
        }
    }

    #[test]
    fn groups_are_parsed_from_array_of_tables() {
        let text = "name = 'adamw'\nlr = 0.001\n[[groups]]\npattern = 'embedding.*'\nlr = 0.0001\n\
                    [[groups]]\npattern = '*.bias'\nweight_decay = 0\n";
        let config: OptimizerConfig = toml::from_str(text).unwrap();
        assert_eq!(
            config.groups(),
            [
                ParameterGroup { lr: Some(1e-4), ..ParameterGroup::new("embedding.*") },
                ParameterGroup { weight_decay: Some(0.0), ..ParameterGroup::new("*.bias") },
            ]
        );
        assert_eq!(toml::from_str::<OptimizerConfig>(&toml::to_string(&config).unwrap()).unwrap(), config);
        let error = toml::from_str::<OptimizerConfig>(&text.replace("weight_decay", "decay")).unwrap_err();
        assert!(error.to_string().contains("unknown field `decay`"), "{error}");
    }
}
