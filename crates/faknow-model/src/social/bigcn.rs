//! BiGCN: graph convolutions down the tree and up the tree, with the root's features at every node.
//!
//! Bian et al., *Rumor Detection on Social Media with Bi-Directional Graph Convolutional Networks*, AAAI 2020.

use faknow_data::FieldBatch;
use faknow_data::graph::{NodeFeatures, Trees, drop_edge};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use super::check;
use crate::layers::{
    GcnConv, GcnPropagation, Graph, Linear, dropout, mean_pool, node_linear, select_dropped, select_positive,
    stacked,
};
use crate::{Error, Mode, Model, Output, Result, loss};

/// Hyperparameters of [`BiGcn`]; the defaults are the paper's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BiGcnConfig {
    /// Features of a node after the first convolution, at least 1. Default 64.
    pub hidden_size: i64,
    /// Features of a node after the second convolution, at least 1. Default 64.
    pub out_size: i64,
    /// Share of a node's features dropped before the second convolution in training, from 0 to below 1. Default 0.5.
    pub dropout: f64,
    /// Share of the edges left out in each training step, of each direction by itself, from 0 to 1. Default 0.2.
    pub drop_edge: f64,
    /// Whether no gradient goes through the root's features after the first convolution, as in the authors' code and in
    /// FaKnow, which copy that tensor. Default false.
    pub detach_root: bool,
}

impl Default for BiGcnConfig {
    fn default() -> Self {
        Self { hidden_size: 64, out_size: 64, dropout: 0.5, drop_edge: 0.2, detach_root: false }
    }
}

/// The BiGCN classifier.
///
/// Parameters: `TDRumorGCN.conv1.*`, `TDRumorGCN.conv2.*` down the tree, `BURumorGCN.*` up the tree, `fc.*`.
#[derive(Debug)]
pub struct BiGcn {
    down: Way,
    up: Way,
    classifier: Linear,
    config: BiGcnConfig,
}

/// The two convolutions of a direction.
#[derive(Debug)]
struct Way {
    first: GcnConv,
    second: GcnConv,
}

impl BiGcn {
    /// Creates a model of nodes with `n_features` each.
    ///
    /// # Errors
    /// [`Error::Config`] names the hyperparameter that is outside its range.
    pub fn new(path: &Path<'_>, config: &BiGcnConfig, n_features: usize, n_classes: usize) -> Result<Self> {
        let sizes = [("hidden_size", config.hidden_size), ("out_size", config.out_size)];
        check("BiGCN", &sizes, config.dropout, n_classes)?;
        if !(0.0..=1.0).contains(&config.drop_edge) {
            let (name, expected) = ("drop_edge", "from 0 to 1".into());
            return Err(Error::Config { model: "BiGCN", name, expected, got: config.drop_edge.to_string() });
        }
        let way = |path: Path<'_>| -> Result<Way> {
            let (n_features, hidden) = (n_features as i64, config.hidden_size);
            Ok(Way {
                first: GcnConv::new(&(&path / "conv1"), n_features, hidden)?,
                second: GcnConv::new(&(&path / "conv2"), hidden + n_features, config.out_size)?,
            })
        };
        Ok(Self {
            down: way(path / "TDRumorGCN")?,
            up: way(path / "BURumorGCN")?,
            classifier: Linear::new(
                &(path / "fc"),
                2 * (config.hidden_size + config.out_size),
                n_classes as i64,
            )?,
            config: config.clone(),
        })
    }

    /// Trees as `[n_trees, out_size + hidden_size]`, from the nodes' features times the first weight.
    fn direction(&self, way: &Way, graph: &Graph, x: &Tensor, trees: &Trees, mode: Mode) -> Result<Tensor> {
        let (hidden, rate) = (self.config.hidden_size, self.config.dropout);
        let propagation = GcnPropagation::new(graph, x.kind())?;
        let first = way.first.propagate(x, &propagation)?;
        // The second convolution reads [first, root]: the product is the sum of two, so that the root's stays sparse.
        let weight = way.second.weight();
        let parts = weight.f_split_with_sizes([hidden, weight.size()[1] - hidden], 1)?;
        let (for_first, for_root) = (&parts[0], &parts[1]);
        let own = dropout(&first.f_relu()?, rate, mode)?.f_matmul(&for_first.f_tr()?)?;
        let root = match mode {
            Mode::Train => {
                // Each node drops other features of its root.
                let root_of_each = trees.roots.f_index_select(0, &trees.tree_ids)?;
                node_linear(&select_dropped(&trees.features, &root_of_each, rate)?, for_root)?
            }
            Mode::Eval => {
                let roots = select_positive(&trees.features, &trees.roots)?;
                node_linear(&roots, for_root)?.f_index_select(0, &trees.tree_ids)?
            }
        };
        let second = way.second.propagate(&own.f_add(&root)?, &propagation)?.f_relu()?;
        // The mean over a tree of what is the same at all its nodes is that.
        let roots = first.f_index_select(0, &trees.roots)?;
        let roots = if self.config.detach_root { roots.f_detach()? } else { roots };
        Ok(Tensor::f_cat(&[mean_pool(&second, trees)?, roots], 1)?)
    }
}

impl Model for BiGcn {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, mode: Mode) -> Result<Output> {
        let trees = batch.trees()?;
        let weights = stacked(&[self.down.first.weight(), self.up.first.weight()])?;
        let x = node_linear(&trees.features, &weights)?; // for both directions in one pass
        let hidden = self.config.hidden_size;
        let x = x.f_split(hidden, 1)?;
        let edges = || match mode {
            Mode::Train => drop_edge(&trees.edges, self.config.drop_edge),
            Mode::Eval => Ok(trees.edges.shallow_clone()),
        };
        let down = Graph::new(&edges()?, trees.n_nodes())?;
        let up = Graph::new(&edges()?, trees.n_nodes())?.reversed();
        let down = self.direction(&self.down, &down, &x[0], trees, mode)?;
        let up = self.direction(&self.up, &up, &x[1], trees, mode)?;
        loss::classify(self.classifier.forward(&Tensor::f_cat(&[down, up], 1)?)?, batch)
    }

    fn node_features<'a>(&self, batch: &'a FieldBatch) -> Option<&'a NodeFeatures> {
        batch.trees.as_ref().map(|trees| &trees.features)
    }
}
