//! How posts spread: propagation trees, their node features, and their batches.

mod drop_edge;
mod features;
mod td_rvnn;
mod tree;
mod tree_batch;
mod tree_dataset;
mod tree_lists;

pub use drop_edge::drop_edge;
pub use features::{NodeFeatures, SparseFeatures, SparseRows};
pub use td_rvnn::read_td_rvnn;
pub use tree::Tree;
pub use tree_batch::TreeBatch;
pub use tree_dataset::TreeDataset;
pub use tree_lists::{TreeLabel, label_trees, read_ids, read_tree_labels, select};
