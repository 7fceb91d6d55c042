//! Which optimizer, and its hyper-parameters; the defaults are PyTorch's.

use serde::{Deserialize, Serialize};
use tch::nn::{self, OptimizerConfig as _, VarStore};

use crate::Result;
use crate::error::setting;

/// An optimizer by name, with its hyper-parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum OptimizerConfig {
    /// Stochastic gradient descent.
    Sgd(Sgd),
    /// Adam (Kingma and Ba, 2015); its weight decay is coupled, as PyTorch's.
    Adam(Adam),
    /// AdamW (Loshchilov and Hutter, 2019): Adam with decoupled weight decay.
    AdamW(AdamW),
    /// RMSprop (Hinton, 2012).
    RmsProp(RmsProp),
}

/// Hyper-parameters of stochastic gradient descent.
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
    /// Nesterov's momentum; needs a momentum and no dampening. Default false.
    pub nesterov: bool,
}

impl Default for Sgd {
    fn default() -> Self {
        Self { lr: 0.01, momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: false }
    }
}

/// Hyper-parameters of Adam.
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
    /// The AMSGrad variant. Default false.
    pub amsgrad: bool,
}

impl Default for Adam {
    fn default() -> Self {
        Self { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0, amsgrad: false }
    }
}

/// Hyper-parameters of AdamW.
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
    /// The AMSGrad variant. Default false.
    pub amsgrad: bool,
}

impl Default for AdamW {
    fn default() -> Self {
        Self { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.01, amsgrad: false }
    }
}

/// Hyper-parameters of RMSprop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RmsProp {
    /// Learning rate, at least 0. Default 0.01.
    pub lr: f64,
    /// Decay rate of the squared gradients' mean, from 0 to below 1. Default 0.99.
    pub alpha: f64,
    /// Added to the denominator, above 0. Default 1e-8.
    pub eps: f64,
    /// L2 penalty, at least 0. Default 0.
    pub weight_decay: f64,
    /// Momentum, from 0 to below 1. Default 0.
    pub momentum: f64,
    /// Whether gradients are normalised by their variance. Default false.
    pub centered: bool,
}

impl Default for RmsProp {
    fn default() -> Self {
        Self { lr: 0.01, alpha: 0.99, eps: 1e-8, weight_decay: 0.0, momentum: 0.0, centered: false }
    }
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self::Adam(Adam::default())
    }
}

impl OptimizerConfig {
    /// SGD with this learning rate and PyTorch's other defaults.
    pub fn sgd(lr: f64) -> Self {
        Self::Sgd(Sgd { lr, ..Sgd::default() })
    }

    /// Adam with this learning rate and PyTorch's other defaults.
    pub fn adam(lr: f64) -> Self {
        Self::Adam(Adam { lr, ..Adam::default() })
    }

    /// AdamW with this learning rate and PyTorch's other defaults.
    pub fn adamw(lr: f64) -> Self {
        Self::AdamW(AdamW { lr, ..AdamW::default() })
    }

    /// RMSprop with this learning rate and PyTorch's other defaults.
    pub fn rms_prop(lr: f64) -> Self {
        Self::RmsProp(RmsProp { lr, ..RmsProp::default() })
    }

    /// The name by which configuration files choose it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sgd(_) => "sgd",
            Self::Adam(_) => "adam",
            Self::AdamW(_) => "adamw",
            Self::RmsProp(_) => "rmsprop",
        }
    }

    /// The learning rate.
    pub fn lr(&self) -> f64 {
        match self {
            Self::Sgd(o) => o.lr,
            Self::Adam(o) => o.lr,
            Self::AdamW(o) => o.lr,
            Self::RmsProp(o) => o.lr,
        }
    }

    /// Checks every hyper-parameter.
    ///
    /// # Errors
    /// Names the first that is outside its range, NaN included.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Sgd(o) => {
                at_least_0("lr", o.lr)?;
                below_1("momentum", o.momentum)?;
                at_least_0("dampening", o.dampening)?;
                at_least_0("weight_decay", o.weight_decay)?;
                if o.nesterov && (o.momentum == 0.0 || o.dampening != 0.0) {
                    return Err(setting(
                        "optimizer.nesterov",
                        "a momentum above 0 and a dampening of 0 beside it",
                        format!("momentum {}, dampening {}", o.momentum, o.dampening),
                    ));
                }
                Ok(())
            }
            Self::Adam(Adam { lr, betas, eps, weight_decay, .. })
            | Self::AdamW(AdamW { lr, betas, eps, weight_decay, .. }) => {
                at_least_0("lr", *lr)?;
                betas.iter().try_for_each(|beta| below_1("betas", *beta))?;
                above_0("eps", *eps)?;
                at_least_0("weight_decay", *weight_decay)
            }
            Self::RmsProp(o) => {
                at_least_0("lr", o.lr)?;
                below_1("alpha", o.alpha)?;
                above_0("eps", o.eps)?;
                at_least_0("weight_decay", o.weight_decay)?;
                below_1("momentum", o.momentum)
            }
        }
    }

    pub(crate) fn build(&self, vars: &VarStore) -> Result<nn::Optimizer> {
        self.validate()?;
        Ok(match self {
            Self::Sgd(o) => {
                let sgd = nn::Sgd {
                    momentum: o.momentum,
                    dampening: o.dampening,
                    wd: o.weight_decay,
                    nesterov: o.nesterov,
                };
                sgd.build(vars, o.lr)
            }
            Self::Adam(o) => {
                let [beta1, beta2] = o.betas;
                nn::Adam { beta1, beta2, wd: o.weight_decay, eps: o.eps, amsgrad: o.amsgrad }
                    .build(vars, o.lr)
            }
            Self::AdamW(o) => {
                let [beta1, beta2] = o.betas;
                nn::AdamW { beta1, beta2, wd: o.weight_decay, eps: o.eps, amsgrad: o.amsgrad }
                    .build(vars, o.lr)
            }
            Self::RmsProp(o) => {
                let rms_prop = nn::RmsProp {
                    alpha: o.alpha,
                    eps: o.eps,
                    wd: o.weight_decay,
                    momentum: o.momentum,
                    centered: o.centered,
                };
                rms_prop.build(vars, o.lr)
            }
        }?)
    }
}

fn check(name: &str, value: f64, expected: &str, right: bool) -> Result<()> {
    if value.is_finite() && right {
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

    fn says(config: &OptimizerConfig, part: &str) {
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn settings_outside_their_range_are_named() {
        says(&OptimizerConfig::adam(f64::NAN), "optimizer.lr: expected a number of at least 0, got NaN");
        says(&OptimizerConfig::sgd(-1.0), "optimizer.lr");
        says(&OptimizerConfig::rms_prop(f64::INFINITY), "got inf");
        says(&OptimizerConfig::Adam(Adam { betas: [0.9, 1.0], ..Adam::default() }), "optimizer.betas");
        says(&OptimizerConfig::AdamW(AdamW { eps: 0.0, ..AdamW::default() }), "optimizer.eps");
        says(&OptimizerConfig::Sgd(Sgd { nesterov: true, ..Sgd::default() }), "optimizer.nesterov");
    }

    #[test]
    fn every_default_is_valid() {
        for config in [
            OptimizerConfig::default(),
            OptimizerConfig::sgd(0.1),
            OptimizerConfig::adam(0.1),
            OptimizerConfig::adamw(0.1),
            OptimizerConfig::rms_prop(0.1),
        ] {
            config.validate().unwrap();
        }
    }
}
