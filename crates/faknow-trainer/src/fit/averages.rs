//! Weight averaging over the steps of training, which often generalizes better than the final weights.

use std::collections::{BTreeMap, BTreeSet};

use faknow_callbacks::{Interval, State, Timestamp};
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Tensor, no_grad};

use crate::Result;
use crate::checkpoint::part::{Checkpointable, from_state, to_state};
use crate::checkpoint::policy::check_interval;
use crate::error::setting;

/// The average of the weights that is validated, saved and returned in place of the weights themselves.
///
/// Training continues with the unaveraged weights. Frozen parameters are not averaged. Running statistics of batch
/// normalization (buffers named `running_mean` and `running_var`) are those of training with [`Ema`](Self::Ema), whose average
/// is close to the weights; with [`Swa`](Self::Swa) they are recomputed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
pub enum WeightAveraging {
    /// Exponential moving average: after each update `average = decay * average + (1 - decay) * weights`, from the
    /// initial weights on.
    Ema {
        /// Decay, from 0 to below 1. Default: 0.999.
        #[serde(default = "default_decay")]
        decay: f64,
    },
    /// Stochastic weight averaging (Izmailov et al., 2018): the mean of snapshots of the weights, taken in intervals of
    /// `every` from `start` on; before that, the weights themselves.
    ///
    /// If the model has batch normalization, its statistics for the average are recomputed after each snapshot, before the
    /// next validation or checkpoint: a pass over the training data without gradients, as PyTorch's `update_bn`. A
    /// checkpoint that is saved because of an interruption has the statistics of the snapshot before.
    Swa {
        /// Length of the run at the first snapshot.
        start: Interval,
        /// Interval between snapshots. Default: `1 epoch`.
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
    /// Validates all settings.
    ///
    /// # Errors
    /// A setting is outside its range: the error names it.
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

/// The running average of the weights.
#[derive(Debug)]
pub(crate) struct WeightAverage {
    rule: WeightAveraging,
    /// The trained parameters and, for [`WeightAveraging::Swa`], the running statistics, by name.
    weights: BTreeMap<String, Tensor>,
    /// Their averages, and the statistics that belong to the averaged weights.
    average: BTreeMap<String, Tensor>,
    /// Names of the running statistics among them.
    statistics: BTreeSet<String>,
    /// Number of snapshots for which the statistics were computed.
    n_up_to_date: u64,
    /// Number of snapshots so far, for [`WeightAveraging::Swa`] only.
    n_snapshots: u64,
}

impl WeightAverage {
    /// Creates an average that starts at the current weights.
    pub(crate) fn new(rule: WeightAveraging, vars: &VarStore) -> Result<Self> {
        let trained = |(_, tensor): &(String, Tensor)| tensor.requires_grad() && tensor.is_floating_point();
        let is_statistic = |(name, tensor): &(String, Tensor)| {
            let name = name.rsplit('.').next().unwrap_or_default();
            matches!(name, "running_mean" | "running_var") && !tensor.requires_grad()
        };
        let is_swa = matches!(rule, WeightAveraging::Swa { .. });
        let statistics = vars.variables().into_iter().filter(|variable| is_swa && is_statistic(variable));
        let statistics: BTreeMap<String, Tensor> = statistics.collect();
        let mut weights: BTreeMap<String, Tensor> = vars.variables().into_iter().filter(trained).collect();
        weights.extend(statistics.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())));
        let statistics: BTreeSet<String> = statistics.into_keys().collect();
        let copy = |(name, tensor): (&String, &Tensor)| Ok((name.clone(), tensor.f_detach()?.copy()));
        let average = no_grad(|| weights.iter().map(copy).collect::<Result<_>>())?;
        Ok(Self { rule, weights, average, statistics, n_snapshots: 0, n_up_to_date: 0 })
    }

    /// Returns whether the running statistics for the average have to be recomputed.
    pub(crate) fn is_outdated(&self) -> bool {
        !self.statistics.is_empty() && self.n_up_to_date != self.n_snapshots
    }

    /// Marks the running statistics for the average as recomputed.
    pub(crate) fn set_up_to_date(&mut self) {
        self.n_up_to_date = self.n_snapshots;
    }

    pub(crate) fn rule(&self) -> &WeightAveraging {
        &self.rule
    }

    /// Updates the average after a training step, if it is due.
    pub(crate) fn update(&mut self, before: &Timestamp, now: &Timestamp) -> Result<()> {
        let share = match &self.rule {
            WeightAveraging::Ema { decay } => 1.0 - decay,
            WeightAveraging::Swa { start, .. } if !start.is_reached(now) => 1.0,
            WeightAveraging::Swa { start, every }
                if every.is_due(before, now) || !start.is_reached(before) =>
            {
                self.n_snapshots += 1;
                1.0 / self.n_snapshots as f64
            }
            WeightAveraging::Swa { .. } => return Ok(()),
        };
        no_grad(|| {
            for (name, average) in &mut self.average {
                // With a share of 1, the weights are copied, which avoids rounding.
                let weight = &self.weights[name];
                if share == 1.0 {
                    average.f_copy_(weight)?;
                } else if !self.statistics.contains(name) {
                    let _ = average.f_lerp_(weight, share)?;
                }
            }
            Ok(())
        })
    }

    /// Swaps weights and average without copying: once to use the average, a second time to continue training.
    pub(crate) fn swap(&mut self) -> Result<()> {
        no_grad(|| {
            for (name, average) in &mut self.average {
                let weight = self.weights.get_mut(name);
                let Some(weight) = weight else { continue };
                let current = weight.f_detach()?;
                weight.f_set_data(average)?;
                *average = current;
            }
            Ok(())
        })
    }

    /// Copies the average into the weights.
    pub(crate) fn apply(&self) -> Result<()> {
        no_grad(|| {
            for (name, average) in &self.average {
                self.weights[name].shallow_clone().f_copy_(average)?;
            }
            Ok(())
        })
    }

    /// Resets the average to the current weights.
    pub(crate) fn reset(&mut self) -> Result<()> {
        (self.n_snapshots, self.n_up_to_date) = (0, 0);
        no_grad(|| {
            for (name, average) in &mut self.average {
                average.f_copy_(&self.weights[name])?;
            }
            Ok(())
        })
    }

    /// Returns the averaged tensors by name, without copying.
    pub(crate) fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.average
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedAverage {
    #[serde(rename = "n_taken")]
    n_snapshots: u64,
    #[serde(default)]
    n_up_to_date: u64,
}

/// In a checkpoint, the weights of the model are the average; the state holds those that training continues with.
impl Checkpointable for WeightAverage {
    fn state(&self) -> Result<State> {
        let tensors = self.weights.iter().map(|(name, tensor)| Ok((name.clone(), tensor.f_detach()?)));
        let saved = SavedAverage { n_snapshots: self.n_snapshots, n_up_to_date: self.n_up_to_date };
        let State { values, .. } = to_state("average", &saved)?;
        Ok(State { values, tensors: tensors.collect::<Result<_>>()? })
    }

    /// Expects the average in the variables of the model. Without a saved state, the average starts at the current weights.
    fn restore(&mut self, state: &State) -> Result<()> {
        self.reset()?;
        if state.is_empty() {
            return Ok(());
        }
        let saved: SavedAverage = from_state("average", state)?;
        (self.n_snapshots, self.n_up_to_date) = (saved.n_snapshots, saved.n_up_to_date);
        copy_into(self.weights.iter(), state)
    }
}

/// Restores the weights that training continues with, for a run that no longer averages them.
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
