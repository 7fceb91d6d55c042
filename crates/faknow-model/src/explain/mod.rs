//! Explanations of predictions: the contribution of each word or node.

mod ngrams;
mod nodes;
mod words;

pub use ngrams::{NGramContributions, ngram_contributions};
pub use nodes::node_contributions;
pub use words::{WordContributions, integrated_gradients, integrated_gradients_in_parts};
