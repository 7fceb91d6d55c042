//! How posts spread: propagation trees, their node features, and their batches.

mod drop_edge;
mod features;
mod tree;
mod tree_batch;
mod tree_dataset;

pub use drop_edge::drop_edge;
pub use features::{NodeFeatures, SparseFeatures, SparseRows};
pub use tree::Tree;
pub use tree_batch::TreeBatch;
pub use tree_dataset::TreeDataset;
