//! The state tensors of each algorithm, and the coefficients of an update.

use super::{Adam, AdamW, OptimizerConfig};

/// Maximum number of state tensors per parameter.
pub(super) const MAX_SLOTS: usize = 3;

/// The coefficients of an update of a parameter `p` by its gradient `g`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rule {
    /// L2 penalty: the formulas use `d = g + weight_decay p`.
    pub(super) weight_decay: f64,
    pub(super) formula: Formula,
}

/// The formula of the update of `p` by `d`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Formula {
    /// `p -= lr d`
    Descent {
        lr: f64,
    },
    Momentum(Momentum),
    Adam(Moments),
    RmsProp(MeanSquare),
    /// `s += d²`, then `p -= lr d / (√s + eps)`
    Adagrad {
        lr: f64,
        eps: f64,
    },
}

/// `b = momentum b + input_weight d`, then `p -= lr (gradient_weight d + buffer_weight b)`
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Momentum {
    pub(super) lr: f64,
    pub(super) momentum: f64,
    pub(super) input_weight: f64,
    pub(super) gradient_weight: f64,
    pub(super) buffer_weight: f64,
}

/// `p *= decay_factor`, then `m = beta1 m + (1 - beta1) d`, `v = beta2 v + (1 - beta2) d²`,
/// `p -= step_size m / (√v / bias_correction2_sqrt + eps)`; AMSGrad uses the largest `v` so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Moments {
    pub(super) step_size: f64,
    pub(super) decay_factor: f64,
    pub(super) betas: [f64; 2],
    pub(super) bias_correction2_sqrt: f64,
    pub(super) eps: f64,
    pub(super) amsgrad: bool,
}

/// `s = alpha s + (1 - alpha) d²`, then `u = d / (√s + eps)`; if centered, `s - a²` replaces `s` in the root, where
/// `a = alpha a + (1 - alpha) d`. With a momentum, `b = momentum b + u` replaces `u`. `p -= lr u`
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct MeanSquare {
    pub(super) lr: f64,
    pub(super) alpha: f64,
    pub(super) eps: f64,
    pub(super) momentum: f64,
    pub(super) centered: bool,
}

impl OptimizerConfig {
    /// Returns PyTorch's names of the state tensors of each parameter, in the order of the slots.
    pub(super) fn slots(&self) -> Vec<&'static str> {
        match self {
            Self::Sgd(o) if o.momentum == 0.0 => vec![],
            Self::Sgd(_) => vec!["momentum_buffer"],
            Self::Adam(Adam { amsgrad, .. }) | Self::AdamW(AdamW { amsgrad, .. }) => {
                let mut slots = vec!["exp_avg", "exp_avg_sq"];
                slots.extend(amsgrad.then_some("max_exp_avg_sq"));
                slots
            }
            Self::RmsProp(o) => {
                let mut slots = vec!["square_avg"];
                slots.extend(o.centered.then_some("grad_avg"));
                slots.extend((o.momentum > 0.0).then_some("momentum_buffer"));
                slots
            }
            Self::Adagrad(_) => vec!["sum"],
        }
    }

    /// Returns the number of state tensors per parameter, each of its size: 2 for Adam, 0 for plain SGD.
    pub fn n_slots(&self) -> usize {
        self.slots().len()
    }

    /// Returns the initial value of all slots.
    pub(super) fn initial_value(&self) -> f64 {
        match self {
            Self::Adagrad(o) => o.initial_accumulator_value,
            _ => 0.0,
        }
    }

    /// Returns the rule of the next update of a parameter that had `n_before` updates, with the learning rate and weight
    /// decay of its group.
    pub(super) fn rule(&self, lr: f64, weight_decay: f64, n_before: u64) -> Rule {
        let n = n_before as f64 + 1.0;
        let formula = match self {
            Self::Sgd(o) if o.momentum == 0.0 => Formula::Descent { lr },
            Self::Sgd(o) => Formula::Momentum(Momentum {
                lr,
                momentum: o.momentum,
                // The buffer is initialized with the first gradient, without dampening.
                input_weight: if n_before == 0 { 1.0 } else { 1.0 - o.dampening },
                gradient_weight: if o.nesterov { 1.0 } else { 0.0 },
                buffer_weight: if o.nesterov { o.momentum } else { 1.0 },
            }),
            Self::Adam(Adam { betas, eps, amsgrad, .. }) | Self::AdamW(AdamW { betas, eps, amsgrad, .. }) => {
                let [correction1, correction2] = betas.map(|beta| 1.0 - beta.powf(n));
                Formula::Adam(Moments {
                    step_size: lr / correction1,
                    decay_factor: if self.is_decoupled() { 1.0 - lr * weight_decay } else { 1.0 },
                    betas: *betas,
                    bias_correction2_sqrt: correction2.sqrt(),
                    eps: *eps,
                    amsgrad: *amsgrad,
                })
            }
            Self::RmsProp(o) => Formula::RmsProp(MeanSquare {
                lr,
                alpha: o.alpha,
                eps: o.eps,
                momentum: o.momentum,
                centered: o.centered,
            }),
            Self::Adagrad(o) => Formula::Adagrad { lr: lr / (1.0 + (n - 1.0) * o.lr_decay), eps: o.eps },
        };
        Rule { weight_decay: if self.is_decoupled() { 0.0 } else { weight_decay }, formula }
    }

    /// Returns whether weight decay is decoupled from the gradient.
    fn is_decoupled(&self) -> bool {
        matches!(self, Self::AdamW(_))
    }
}
