//! Explanations of predictions: the contribution of each word or node.

mod nodes;
mod words;

pub use nodes::node_contributions;
pub use words::{WordContributions, integrated_gradients, integrated_gradients_in_parts};
