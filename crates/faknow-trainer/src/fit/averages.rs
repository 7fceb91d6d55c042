//! Averages of the weights over the steps of training, which often generalize better than the weights themselves.

use std::collections::BTreeMap;

use faknow_callbacks::{Interval, State, Timestamp};
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Tensor, no_grad};

use crate::Result;
use crate::checkpoint::part::{Checkpointable, from_state, to_state};
use crate::checkpoint::policy::check_interval;
use crate::error::setting;

/// Which average of the weights is validated, kept as the best, saved as the model, and left at the end.
///
/// Training itself continues with the weights as they are. What is not a trained parameter (running statistics) is not
/// averaged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
pub enum WeightAveraging {
    /// Exponential moving average: after each update `average = decay * average + (1 - decay) * weights`, from the
    /// initial weights on.
    Ema {
        /// From 0 to below 1. Default 0.999.
        #[serde(default = "default_decay")]
        decay: f64,
    },
    /// Stochastic weight averaging (Izmailov et al., 2018): the plain mean of the weights taken `every` so often
    /// from `start` on; until then the weights themselves.
    Swa {
        /// How long the run is when the first weights are taken.
        start: Interval,
        /// How often they are taken. Default `1 epoch`.
        #[serde(default = "default_every")]
        every: Interval,
    },
}

fn default_decay() -> f64 {
    0.999
}

fn default_every() -> Interval {
    Interval::epochs(1.0)
}

impl WeightAveraging {
    /// Checks every setting.
    ///
    /// # Errors
    /// Names the one that is outside its range.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Ema { decay } if !(0.0..1.0).contains(decay) => {
                Err(setting("average.decay", "a number from 0 to below 1", decay))
            }
            Self::Ema { .. } => Ok(()),
            Self::Swa { start, every } => {
                check_interval("average.start", *start)?;
                check_interval("average.every", *every)
            }
        }
    }
}

/// The average so far.
#[derive(Debug)]
pub(crate) struct WeightAverage {
    rule: WeightAveraging,
    /// The trained parameters, by name.
    weights: BTreeMap<String, Tensor>,
    average: BTreeMap<String, Tensor>,
    /// Weights taken so far; counted for [`WeightAveraging::Swa`] only.
    n_taken: u64,
}

impl WeightAverage {
    /// Creates an average that starts at the current weights.
    pub(crate) fn new(rule: WeightAveraging, vars: &VarStore) -> Result<Self> {
        let trained = |(_, tensor): &(String, Tensor)| tensor.requires_grad() && tensor.is_floating_point();
        let weights: BTreeMap<String, Tensor> = vars.variables().into_iter().filter(trained).collect();
        let copy = |(name, tensor): (&String, &Tensor)| Ok((name.clone(), tensor.f_detach()?.copy()));
        let average = no_grad(|| weights.iter().map(copy).collect::<Result<_>>())?;
        Ok(Self { rule, weights, average, n_taken: 0 })
    }

    /// Takes the weights after an update, if it is time.
    pub(crate) fn update(&mut self, before: &Timestamp, now: &Timestamp) -> Result<()> {
        let share = match &self.rule {
            WeightAveraging::Ema { decay } => 1.0 - decay,
            WeightAveraging::Swa { start, .. } if !start.is_reached(now) => 1.0,
            WeightAveraging::Swa { start, every }
                if every.is_due(before, now) || !start.is_reached(before) =>
            {
                self.n_taken += 1;
                1.0 / self.n_taken as f64
            }
            WeightAveraging::Swa { .. } => return Ok(()),
        };
        no_grad(|| {
            for (name, average) in &mut self.average {
                // A share of 1 takes the weights as they are, whatever rounding would make of the difference.
                let weight = &self.weights[name];
                if share == 1.0 {
                    average.f_copy_(weight)?;
                } else {
                    let _ = average.f_lerp_(weight, share)?;
                }
            }
            Ok(())
        })
    }

    /// Exchanges weights and average, without copying: once to use the average, once more to train on.
    pub(crate) fn swap(&mut self) -> Result<()> {
        no_grad(|| {
            for (name, average) in &mut self.average {
                let weight = self.weights.get_mut(name);
                let Some(weight) = weight else { continue };
                let present = weight.f_detach()?;
                weight.f_set_data(average)?;
                *average = present;
            }
            Ok(())
        })
    }

    /// Makes the average the weights, for good.
    pub(crate) fn apply(&self) -> Result<()> {
        no_grad(|| {
            for (name, average) in &self.average {
                self.weights[name].shallow_clone().f_copy_(average)?;
            }
            Ok(())
        })
    }

    /// Forgets what was taken, and starts at the current weights.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.n_taken = 0;
        no_grad(|| {
            for (name, average) in &mut self.average {
                average.f_copy_(&self.weights[name])?;
            }
            Ok(())
        })
    }

    /// The average by name, without a copy.
    pub(crate) fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.average
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    n_taken: u64,
}

/// In a checkpoint the model's weights are the average; the state has those that training continues with.
impl Checkpointable for WeightAverage {
    fn state(&self) -> Result<State> {
        let tensors = self.weights.iter().map(|(name, tensor)| Ok((name.clone(), tensor.f_detach()?)));
        let State { values, .. } = to_state("average", &Saved { n_taken: self.n_taken })?;
        Ok(State { values, tensors: tensors.collect::<Result<_>>()? })
    }

    /// Expects the average in the model's variables. Without a saved state, the average starts at the current weights.
    fn restore(&mut self, state: &State) -> Result<()> {
        self.restart()?;
        if state.is_empty() {
            return Ok(());
        }
        self.n_taken = from_state::<Saved>("average", state)?.n_taken;
        copy_into(self.weights.iter(), state)
    }
}

/// Restores the weights that training continues with, for a run that averaged them before and does not any more.
pub(crate) fn restore_training_weights(vars: &VarStore, state: &State) -> Result<()> {
    copy_into(vars.variables().iter(), state)
}

fn copy_into<'a>(weights: impl Iterator<Item = (&'a String, &'a Tensor)>, state: &State) -> Result<()> {
    no_grad(|| {
        for (name, weight) in weights {
            if let Some(saved) = state.tensors.get(name) {
                weight.shallow_clone().f_copy_(saved)?;
            }
        }
        Ok(())
    })
}
