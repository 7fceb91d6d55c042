//! News articles of a graph: those of a batch, and those of a dataset.

use std::sync::Arc;

use super::NewsGraph;
use crate::column::Column;
use crate::fingerprint::Fingerprint;

/// The articles of a batch, with the graph that they belong to.
#[derive(Debug, Clone)]
pub struct NewsBatch {
    /// The graph, which all batches share.
    pub graph: Arc<NewsGraph>,
    /// Positions of the articles in [`NewsGraph::articles`].
    pub articles: Vec<usize>,
}

/// The articles of a dataset: all those of a graph.
#[derive(Debug)]
pub(crate) struct NewsColumn(pub(crate) Arc<NewsGraph>);

impl NewsColumn {
    pub(crate) fn collate(&self, rows: &[usize]) -> NewsBatch {
        NewsBatch { graph: Arc::clone(&self.0), articles: rows.to_vec() }
    }
}

impl Column for NewsColumn {
    fn n_rows(&self) -> usize {
        self.0.articles().len()
    }

    fn add_to(&self, fingerprint: &mut Fingerprint) {
        self.0.add_to(fingerprint);
    }
}
