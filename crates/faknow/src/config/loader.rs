//! The table `[loader]` of a config: how samples become batches.

use serde::{Deserialize, Serialize};

/// How samples become batches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoaderConfig {
    /// Samples of a training batch, at least 1. Default 50, FaKnow's for TextCNN.
    pub batch_size: usize,
    /// Samples of a batch in validation, test and prediction, at least 1; no result depends on it. Default 256.
    pub eval_batch_size: usize,
    /// Batches in a pool whose samples are sorted by length, which saves padding; 0 for none. Default 50.
    pub buckets: usize,
    /// Whether a last training batch that is not full is left out. Default false.
    pub drop_last: bool,
    /// Whether all classes are drawn equally often, with replacement. Default false.
    pub balanced: bool,
    /// Threads that assemble batches ahead of need; 0 for none. Changes no batch and no order. Default 1.
    pub workers: usize,
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self {
            batch_size: 50,
            eval_batch_size: 256,
            buckets: 50,
            drop_last: false,
            balanced: false,
            workers: 1,
        }
    }
}
