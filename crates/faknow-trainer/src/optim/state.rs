//! Saving and restoring the state of an optimizer.

use std::collections::BTreeMap;

use faknow_callbacks::State;
use serde::{Deserialize, Serialize};
use tch::{Tensor, no_grad};

use super::Optimizer;
use crate::{Error, Result};

/// The part of the state that is not tensors.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Values {
    algorithm: String,
    groups: Vec<GroupValues>,
    /// Number of updates of each parameter.
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
    /// Returns the state of the optimizer: learning rates, weight decays, update counts, and copies of the state tensors
    /// with PyTorch's names, such as `exp_avg.fc.weight`.
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
        let groups = self.groups().iter().map(GroupValues::new).collect();
        let values = Values { algorithm: self.config.name().to_owned(), groups, steps };
        let values = serde_json::to_value(values).map_err(|e| mismatch(e.to_string()))?;
        Ok(State { values, tensors })
    }

    /// Restores a state that [`Optimizer::state`] returned; the next updates are bit-exactly the same as without
    /// interruption.
    ///
    /// # Errors
    /// [`Error::State`]: the algorithm, groups or parameters differ, tensors are missing or unexpected, or have another
    /// shape or kind. The optimizer is not changed then.
    pub fn restore(&mut self, state: &State) -> Result<()> {
        let values: Values =
            Values::deserialize(&state.values).map_err(|e| mismatch(format!("values: {e}")))?;
        self.check_values(&values)?;
        let names = self.config.slots();
        let mut expected = 0;
        let mut all_slots = Vec::with_capacity(self.parameters.len());
        for parameter in &self.parameters {
            let n_updates = values.steps[&parameter.name];
            let mut slots = Vec::new();
            for slot in names.iter().filter(|_| n_updates > 0) {
                let name = format!("{slot}.{}", parameter.name);
                let missing = || mismatch(format!("tensor `{name}` is missing"));
                let tensor = state.tensors.get(&name).ok_or_else(missing)?;
                slots.push(checked_copy(&name, tensor, &parameter.tensor)?);
                expected += 1;
            }
            all_slots.push((n_updates, slots));
        }
        if state.tensors.len() != expected {
            return Err(mismatch(format!("unexpected tensors: {}", self.unexpected(state).join(", "))));
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

    /// Sets the weight decays of all groups to the configured ones, in place of those of a restored state.
    pub(crate) fn apply_weight_decays(&mut self) -> Result<()> {
        self.groups = self.without_state()?.groups;
        Ok(())
    }

    fn check_values(&self, values: &Values) -> Result<()> {
        let algorithm = self.config.name();
        if values.algorithm != algorithm {
            return Err(mismatch(format!("algorithm: expected `{algorithm}`, got `{}`", values.algorithm)));
        }
        let expected: Vec<&str> = self.groups.iter().map(|group| group.name.as_str()).collect();
        let got: Vec<&str> = values.groups.iter().map(|group| group.name.as_str()).collect();
        if expected != got {
            return Err(mismatch(format!(
                "groups: expected {}, got {}",
                expected.join(", "),
                got.join(", ")
            )));
        }
        let is_known = |name: &str| self.parameters.iter().any(|parameter| parameter.name == name);
        if let Some(name) = values.steps.keys().find(|name| !is_known(name)) {
            return Err(mismatch(format!("unexpected parameter `{name}`")));
        }
        match self.parameters.iter().find(|parameter| !values.steps.contains_key(&parameter.name)) {
            Some(parameter) => Err(mismatch(format!("parameter `{}` is missing", parameter.name))),
            None => Ok(()),
        }
    }

    /// Returns the names of tensors that belong to no slot of a parameter.
    fn unexpected<'a>(&self, state: &'a State) -> Vec<&'a str> {
        let slots = self.config.slots();
        let is_known = |name: &str| {
            slots.iter().any(|slot| {
                let parameter = name.strip_prefix(slot).and_then(|rest| rest.strip_prefix('.'));
                parameter.is_some_and(|name| self.parameters.iter().any(|p| p.name == name))
            })
        };
        let names = state.tensors.keys().map(String::as_str);
        let unknown: Vec<&str> = names.clone().filter(|name| !is_known(name)).collect();
        // All are known: some belong to parameters without updates.
        if unknown.is_empty() { names.collect() } else { unknown }
    }
}

impl GroupValues {
    fn new(group: &super::Group<'_>) -> Self {
        Self { name: group.name.to_owned(), learning_rate: group.lr, weight_decay: group.weight_decay }
    }
}

/// Returns a copy of a saved tensor; its shape and kind must be those of the parameter.
fn checked_copy(name: &str, saved: &Tensor, parameter: &Tensor) -> Result<Tensor> {
    let (shape, expected) = (saved.size(), parameter.size());
    if shape != expected {
        return Err(mismatch(format!("tensor `{name}`: expected shape {expected:?}, got {shape:?}")));
    }
    let (kind, expected) = (saved.f_kind()?, parameter.f_kind()?);
    if kind != expected {
        return Err(mismatch(format!("tensor `{name}`: expected kind {expected:?}, got {kind:?}")));
    }
    copy(&saved.f_to_device(parameter.device())?)
}

/// Returns a contiguous copy.
pub(crate) fn copy(t: &Tensor) -> Result<Tensor> {
    no_grad(|| {
        let mut copy = t.f_contiguous()?.f_empty_like()?;
        copy.f_copy_(t)?;
        Ok(copy)
    })
}

fn mismatch(message: String) -> Error {
    Error::State { part: "optimizer", message }
}
