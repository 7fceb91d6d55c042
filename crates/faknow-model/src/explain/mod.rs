//! Explanations of predictions: the contribution of each word, pixel or node.

mod ngrams;
mod nodes;
mod pixels;
mod words;

pub use ngrams::{NGramContributions, ngram_contributions};
pub use nodes::node_contributions;
pub use pixels::{PixelContributions, pixel_contributions};
pub use words::{WordContributions, integrated_gradients, integrated_gradients_in_parts};
