//! The state of one part of a run, as it goes into a checkpoint.

use std::collections::BTreeMap;

use serde_json::Value;
use tch::Tensor;

/// All that a part of a run (an optimizer, a callback, a step) has to remember between two batches.
///
/// Settings are not state: to restore it, build the part from the same settings first.
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
    /// Everything that is not a tensor, as JSON; numbers come back to the last bit, NaN and infinities become null.
    pub values: Value,
    /// Tensors by name.
    pub tensors: BTreeMap<String, Tensor>,
}

impl State {
    /// Whether there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        self.values.is_null() && self.tensors.is_empty()
    }
}

impl From<Value> for State {
    fn from(values: Value) -> Self {
        Self { values, tensors: BTreeMap::new() }
    }
}
