//! The table `[loader]` of a config: batching of samples.

use serde::{Deserialize, Serialize};

/// Batching of samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoaderConfig {
    /// Training batch size, at least 1; with `max_tokens` the maximum. Default 50, as in FaKnow for TextCNN.
    pub batch_size: usize,
    /// Maximum number of tokens of a batch, padding included: each batch has as many texts of similar length as fit,
    /// in training, validation, test and prediction; 0 for no limit, so that all training batches have `batch_size` samples.
    /// Default 0.
    pub max_tokens: usize,
    /// Batch size of validation, test and prediction, at least 1; does not change results. Default 256.
    pub eval_batch_size: usize,
    /// Number of batches whose samples are sorted by length together, to reduce padding; 0 disables sorting. Default 50.
    pub buckets: usize,
    /// Whether an incomplete last training batch is dropped. Default false.
    pub drop_last: bool,
    /// Whether training samples are drawn with replacement, so that all classes are equally frequent. Default false.
    pub balanced: bool,
    /// Number of threads that prepare batches in advance; 0 for none. Does not change batches or their order. Default 1.
    pub workers: usize,
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self {
            batch_size: 50,
            max_tokens: 0,
            eval_batch_size: 256,
            buckets: 50,
            drop_last: false,
            balanced: false,
            workers: 1,
        }
    }
}
