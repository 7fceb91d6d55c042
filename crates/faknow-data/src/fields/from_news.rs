//! Datasets of the news articles of a graph.

use std::sync::Arc;

use super::dataset::{Columns, FieldDataset};
use crate::graph::{NewsArticle, NewsColumn, NewsGraph};

impl FieldDataset {
    /// Creates a dataset of all articles of a graph, in its order, with their names as ids. The classes are known if all articles
    /// are labeled; take a [`subset`](Self::subset) for a part of them.
    ///
    /// Articles without a label count as those of class 0 if others are labeled, so that only subsets of labeled articles are to
    /// be used for training and testing.
    pub fn from_news(graph: Arc<NewsGraph>) -> Self {
        let articles = graph.articles();
        let is_labeled = articles.iter().any(|article| article.label.is_some());
        let labels = articles.iter().map(|article| article.label.unwrap_or(0) as u32).filter(|_| is_labeled);
        Self::new(Columns {
            n_rows: articles.len(),
            labels: Arc::new(labels.collect()),
            ids: Arc::new(articles.iter().map(|article| graph.name(article.node).to_owned()).collect()),
            news: Some(Arc::new(NewsColumn(Arc::clone(&graph)))),
            ..Columns::default()
        })
    }

    /// Returns the graph of the articles, if the samples are articles.
    pub fn news_graph(&self) -> Option<&NewsGraph> {
        self.columns.news.as_ref().map(|news| &*news.0)
    }

    /// Returns the article of a sample, if the samples are articles.
    pub fn article(&self, index: usize) -> Option<&NewsArticle> {
        self.news_graph()?.articles().get(self.row(index)?)
    }
}
