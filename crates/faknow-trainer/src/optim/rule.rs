//! What each algorithm remembers of a parameter, and the numbers of one update.

use super::{Adam, AdamW, OptimizerConfig};

/// The most tensors that an algorithm remembers of a parameter.
pub(super) const MAX_SLOTS: usize = 3;

/// One update of one parameter `p` by its gradient `g`, in numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rule {
    /// What is added to the gradient for each unit of the parameter: formulas use `d = g + weight_decay p`.
    pub(super) weight_decay: f64,
    pub(super) formula: Formula,
}

/// How `d` becomes a change of `p`.
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

/// `b = momentum b + keep d`, then `p -= lr (of_gradient d + of_buffer b)`
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Momentum {
    pub(super) lr: f64,
    pub(super) momentum: f64,
    pub(super) keep: f64,
    pub(super) of_gradient: f64,
    pub(super) of_buffer: f64,
}

/// `p *= shrink`, then `m = beta1 m + (1 - beta1) d`, `v = beta2 v + (1 - beta2) d²`,
/// `p -= step_size m / (√v / root_correction + eps)`; with AMSGrad the largest `v` so far counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Moments {
    pub(super) step_size: f64,
    pub(super) shrink: f64,
    pub(super) betas: [f64; 2],
    pub(super) root_correction: f64,
    pub(super) eps: f64,
    pub(super) amsgrad: bool,
}

/// `s = alpha s + (1 - alpha) d²`, then `u = d / (√s + eps)`; centered, the root is that of `s - a²`, where
/// `a = alpha a + (1 - alpha) d`. With a momentum, `b = momentum b + u` takes the place of `u`. `p -= lr u`
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct MeanSquare {
    pub(super) lr: f64,
    pub(super) alpha: f64,
    pub(super) eps: f64,
    pub(super) momentum: f64,
    pub(super) centered: bool,
}

impl OptimizerConfig {
    /// PyTorch's names of what the algorithm remembers of each parameter, in the order in which updates take it.
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

    /// Tensors of the size of a parameter that the optimizer remembers of each: 2 for Adam, 0 for plain SGD.
    pub fn n_slots(&self) -> usize {
        self.slots().len()
    }

    /// What all slots begin with.
    pub(super) fn initial_value(&self) -> f64 {
        match self {
            Self::Adagrad(o) => o.initial_accumulator_value,
            _ => 0.0,
        }
    }

    /// The update of a parameter that had `n_before` updates, with its group's rate and decay.
    pub(super) fn rule(&self, lr: f64, weight_decay: f64, n_before: u64) -> Rule {
        let n = n_before as f64 + 1.0;
        let formula = match self {
            Self::Sgd(o) if o.momentum == 0.0 => Formula::Descent { lr },
            Self::Sgd(o) => Formula::Momentum(Momentum {
                lr,
                momentum: o.momentum,
                // The buffer begins as the first gradient, whatever the dampening.
                keep: if n_before == 0 { 1.0 } else { 1.0 - o.dampening },
                of_gradient: if o.nesterov { 1.0 } else { 0.0 },
                of_buffer: if o.nesterov { o.momentum } else { 1.0 },
            }),
            Self::Adam(Adam { betas, eps, amsgrad, .. }) | Self::AdamW(AdamW { betas, eps, amsgrad, .. }) => {
                let [correction1, correction2] = betas.map(|beta| 1.0 - beta.powf(n));
                Formula::Adam(Moments {
                    step_size: lr / correction1,
                    shrink: if self.is_decoupled() { 1.0 - lr * weight_decay } else { 1.0 },
                    betas: *betas,
                    root_correction: correction2.sqrt(),
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

    /// Whether weight decay shrinks the parameters themselves and is no part of the gradient.
    fn is_decoupled(&self) -> bool {
        matches!(self, Self::AdamW(_))
    }
}
