//! Propagation trees, their node features, and their batches; graphs of news articles.

mod drop_edge;
mod event_split;
mod features;
mod news_column;
mod news_graph;
mod news_reader;
mod npy;
mod npz;
mod npz_trees;
mod td_rvnn;
mod tf_idf;
mod tree;
mod tree_column;
mod tree_json;
mod tree_lists;
mod tree_stats;
mod trees;
mod upfd;

pub use drop_edge::drop_edge;
pub use event_split::{event_k_fold, event_split};
pub use features::{NodeFeatures, SparseFeatures, SparseRows};
pub use news_column::NewsBatch;
pub use news_graph::{
    Engagement, MAX_SECONDS, NewsArticle, NewsGraph, NewsNode, NewsSplit, NodeBlocks, STANCES,
};
pub use npz_trees::read_npz_trees;
pub use td_rvnn::read_td_rvnn;
pub use tf_idf::TfIdf;
pub use tree::Tree;
pub use tree_json::{RawTree, TreeJsonReader, n_raw_features, raw_to_trees, tree_vocab};
pub use tree_lists::{
    TreeLabel, UnmatchedLabels, label_trees, positions_by_id, read_tree_ids, read_tree_labels,
};
pub use tree_stats::TreeStats;
pub use trees::Trees;
pub use upfd::{Upfd, read_upfd};

pub(crate) use news_column::NewsColumn;
pub(crate) use tree_column::TreeColumn;
