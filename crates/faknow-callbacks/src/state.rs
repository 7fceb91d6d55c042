//! The state of a part of a run in a checkpoint.

use std::collections::BTreeMap;

use serde_json::Value;
use tch::Tensor;

/// The state of a part of a run (an optimizer, a callback, a training step) between two batches.
///
/// Settings are not part of the state: to restore it, build the part from the same settings first.
///
/// ```
/// use faknow_callbacks::State;
/// use serde_json::json;
///
/// let state = State::from(json!({ "n_bad": 2 }));
/// assert!(state.tensors.is_empty() && !state.is_empty());
/// ```
#[derive(Debug, Default)]
pub struct State {
    /// All values that are not tensors, as JSON. Numbers are restored exactly; NaN and infinities become null.
    pub values: Value,
    /// Tensors by name.
    pub tensors: BTreeMap<String, Tensor>,
}

impl State {
    /// Returns whether there are neither values nor tensors.
    pub fn is_empty(&self) -> bool {
        self.values.is_null() && self.tensors.is_empty()
    }
}

impl From<Value> for State {
    fn from(values: Value) -> Self {
        Self { values, tensors: BTreeMap::new() }
    }
}
