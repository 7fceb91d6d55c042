//! What an optimizer remembers, to be saved and put back.

use std::collections::BTreeMap;

use faknow_callbacks::State;
use serde::{Deserialize, Serialize};
use tch::{Tensor, no_grad};

use super::Optimizer;
use crate::{Error, Result};

/// Everything of the state that is no tensor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Values {
    algorithm: String,
    groups: Vec<GroupValues>,
    /// Updates of each parameter.
    steps: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupValues {
    name: String,
    learning_rate: f64,
    weight_decay: f64,
}

impl Optimizer {
    /// All that the optimizer remembers between two updates: learning rates, weight decays, update counts, and the
    /// tensors of PyTorch's names, `exp_avg.fc.weight` and the like. The tensors are copies.
    ///
    /// # Errors
    /// libtorch cannot copy a tensor.
    pub fn state(&self) -> Result<State> {
        let slots = self.config.slots();
        let mut tensors = BTreeMap::new();
        let mut steps = BTreeMap::new();
        for parameter in &self.parameters {
            steps.insert(parameter.name.clone(), parameter.n_updates);
            for (slot, tensor) in slots.iter().zip(&parameter.slots).filter(|_| parameter.n_updates > 0) {
                tensors.insert(format!("{slot}.{}", parameter.name), copy(tensor)?);
            }
        }
        let groups = self.groups().iter().map(GroupValues::of).collect();
        let values = Values { algorithm: self.config.name().to_owned(), groups, steps };
        let values = serde_json::to_value(values).map_err(|e| unfit(e.to_string()))?;
        Ok(State { values, tensors })
    }

    /// Puts back what [`Optimizer::state`] gave; updates then go on bit by bit as they would have.
    ///
    /// # Errors
    /// [`Error::State`]: another algorithm, other groups or parameters, tensors that are missing, too many, or of
    /// another shape or kind. The optimizer then stays as it is.
    pub fn restore(&mut self, state: &State) -> Result<()> {
        let values: Values =
            Values::deserialize(&state.values).map_err(|e| unfit(format!("it cannot be read: {e}")))?;
        self.check_values(&values)?;
        let names = self.config.slots();
        let mut expected = 0;
        let mut all_slots = Vec::with_capacity(self.parameters.len());
        for parameter in &self.parameters {
            let n_updates = values.steps[&parameter.name];
            let mut slots = Vec::new();
            for slot in names.iter().filter(|_| n_updates > 0) {
                let name = format!("{slot}.{}", parameter.name);
                let tensor = state.tensors.get(&name).ok_or_else(|| unfit(format!("it lacks `{name}`")))?;
                slots.push(taken(&name, tensor, &parameter.tensor)?);
                expected += 1;
            }
            all_slots.push((n_updates, slots));
        }
        if state.tensors.len() != expected {
            return Err(unfit(format!("it has tensors of no use here: {}", self.surplus(state).join(", "))));
        }
        for (parameter, (n_updates, slots)) in self.parameters.iter_mut().zip(all_slots) {
            (parameter.n_updates, parameter.slots) = (n_updates, slots);
        }
        for (index, group) in values.groups.iter().enumerate() {
            self.learning_rates[index] = group.learning_rate;
            self.groups[index].weight_decay = group.weight_decay;
        }
        Ok(())
    }

    /// Gives the groups the weight decays of the settings, in place of those of a restored state.
    pub(crate) fn apply_weight_decays(&mut self) -> Result<()> {
        self.groups = self.fresh()?.groups;
        Ok(())
    }

    fn check_values(&self, values: &Values) -> Result<()> {
        let algorithm = self.config.name();
        if values.algorithm != algorithm {
            return Err(unfit(format!("it is that of `{}`, not of `{algorithm}`", values.algorithm)));
        }
        let ours: Vec<&str> = self.groups.iter().map(|group| group.name.as_str()).collect();
        let theirs: Vec<&str> = values.groups.iter().map(|group| group.name.as_str()).collect();
        if ours != theirs {
            return Err(unfit(format!("its groups are {}, not {}", theirs.join(", "), ours.join(", "))));
        }
        let is_ours = |name: &str| self.parameters.iter().any(|parameter| parameter.name == name);
        if let Some(name) = values.steps.keys().find(|name| !is_ours(name)) {
            return Err(unfit(format!("it has a parameter `{name}`, which this optimizer has not")));
        }
        match self.parameters.iter().find(|parameter| !values.steps.contains_key(&parameter.name)) {
            Some(parameter) => Err(unfit(format!("it lacks the parameter `{}`", parameter.name))),
            None => Ok(()),
        }
    }

    /// The names of tensors that no parameter has a slot for.
    fn surplus<'a>(&self, state: &'a State) -> Vec<&'a str> {
        let slots = self.config.slots();
        let is_known = |name: &str| {
            slots.iter().any(|slot| {
                let parameter = name.strip_prefix(slot).and_then(|rest| rest.strip_prefix('.'));
                parameter.is_some_and(|name| self.parameters.iter().any(|p| p.name == name))
            })
        };
        let names = state.tensors.keys().map(String::as_str);
        let unknown: Vec<&str> = names.clone().filter(|name| !is_known(name)).collect();
        // All are known: some belong to parameters that are said to have had no update.
        if unknown.is_empty() { names.collect() } else { unknown }
    }
}

impl GroupValues {
    fn of(group: &super::Group<'_>) -> Self {
        Self { name: group.name.to_owned(), learning_rate: group.lr, weight_decay: group.weight_decay }
    }
}

/// A copy of a saved tensor, which must be like the parameter it belongs to.
fn taken(name: &str, saved: &Tensor, parameter: &Tensor) -> Result<Tensor> {
    let (shape, expected) = (saved.size(), parameter.size());
    if shape != expected {
        return Err(unfit(format!("`{name}` has the shape {shape:?}, not {expected:?}")));
    }
    let (kind, expected) = (saved.f_kind()?, parameter.f_kind()?);
    if kind != expected {
        return Err(unfit(format!("`{name}` is of {kind:?}, not of {expected:?}")));
    }
    copy(&saved.f_to_device(parameter.device())?)
}

/// A copy with memory of its own, in order.
pub(crate) fn copy(t: &Tensor) -> Result<Tensor> {
    no_grad(|| {
        let mut copy = t.f_contiguous()?.f_empty_like()?;
        copy.f_copy_(t)?;
        Ok(copy)
    })
}

fn unfit(message: String) -> Error {
    Error::State { part: "optimizer", message }
}
