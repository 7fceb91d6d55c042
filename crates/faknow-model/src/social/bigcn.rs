//! BiGCN: top-down and bottom-up graph convolutions, with the features of the root added to every node.
//!
//! Bian et al., *Rumor Detection on Social Media with Bi-Directional Graph Convolutional Networks*, AAAI 2020.

use faknow_data::FieldBatch;
use faknow_data::graph::{NodeFeatures, Trees, drop_edge};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use super::check;
use crate::layers::{
    GcnConv, GcnPropagation, Graph, Linear, concat_weights, dropout, mean_pool, node_linear, select_relu,
    select_relu_dropout,
};
use crate::{Error, Mode, Model, Output, Result, loss};

/// Hyperparameters of [`BiGcn`]; the defaults are the paper's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BiGcnConfig {
    /// Output size of the first convolution, at least 1. Default 64.
    pub hidden_size: i64,
    /// Output size of the second convolution, at least 1. Default 64.
    pub out_size: i64,
    /// Dropout probability of node features before the second convolution, from 0 to below 1. Default 0.5.
    pub dropout: f64,
    /// Fraction of the edges dropped in each training step, independently per direction, from 0 to 1. Default 0.2.
    pub drop_edge: f64,
    /// Whether the root's features after the first convolution are detached from the gradient, as in the code of the authors
    /// and of FaKnow, which copy the tensor. Default false.
    pub detach_root: bool,
}

impl Default for BiGcnConfig {
    fn default() -> Self {
        Self { hidden_size: 64, out_size: 64, dropout: 0.5, drop_edge: 0.2, detach_root: false }
    }
}

/// The BiGCN classifier.
///
/// Parameters: `TDRumorGCN.conv1.*`, `TDRumorGCN.conv2.*` (top-down), `BURumorGCN.*` (bottom-up), `fc.*`.
#[derive(Debug)]
pub struct BiGcn {
    down: Branch,
    up: Branch,
    classifier: Linear,
    config: BiGcnConfig,
}

/// The two convolutions of one direction.
#[derive(Debug)]
struct Branch {
    first: GcnConv,
    second: GcnConv,
}

impl BiGcn {
    /// Creates a model for trees with `n_features` features per node.
    ///
    /// # Errors
    /// [`Error::Config`] names the hyperparameter that is out of range.
    pub fn new(path: &Path<'_>, config: &BiGcnConfig, n_features: usize, n_classes: usize) -> Result<Self> {
        let sizes = [("hidden_size", config.hidden_size), ("out_size", config.out_size)];
        check("BiGCN", &sizes, config.dropout, n_classes)?;
        if !(0.0..=1.0).contains(&config.drop_edge) {
            let (name, expected) = ("drop_edge", "from 0 to 1".into());
            return Err(Error::Config { model: "BiGCN", name, expected, got: config.drop_edge.to_string() });
        }
        let branch = |path: Path<'_>| -> Result<Branch> {
            let (n_features, hidden) = (n_features as i64, config.hidden_size);
            Ok(Branch {
                first: GcnConv::new(&(&path / "conv1"), n_features, hidden)?,
                second: GcnConv::new(&(&path / "conv2"), hidden + n_features, config.out_size)?,
            })
        };
        Ok(Self {
            down: branch(path / "TDRumorGCN")?,
            up: branch(path / "BURumorGCN")?,
            classifier: Linear::new(
                &(path / "fc"),
                2 * (config.hidden_size + config.out_size),
                n_classes as i64,
            )?,
            config: config.clone(),
        })
    }

    /// Encodes the trees as `[n_trees, out_size + hidden_size]`; `x` is the features of the nodes times the first weight.
    fn encode(
        &self,
        branch: &Branch,
        graph: &Graph,
        x: &Tensor,
        trees: &Trees,
        mode: Mode,
    ) -> Result<Tensor> {
        let (hidden, rate) = (self.config.hidden_size, self.config.dropout);
        let propagation = GcnPropagation::new(graph, x.kind())?;
        let first = branch.first.propagate(x, &propagation)?;
        // The input of the second convolution is [first, root]; the product is split, so the root's features stay sparse.
        let weight = branch.second.weight();
        let parts = weight.f_split_with_sizes([hidden, weight.size()[1] - hidden], 1)?;
        let (first_weight, root_weight) = (&parts[0], &parts[1]);
        let own = dropout(&first.f_relu()?, rate, mode)?.f_matmul(&first_weight.f_tr()?)?;
        let root = match mode {
            Mode::Train => {
                // Dropout of the root's features is independent per node.
                let roots_of_nodes = trees.roots.f_index_select(0, &trees.tree_ids)?;
                node_linear(&select_relu_dropout(&trees.features, &roots_of_nodes, rate)?, root_weight)?
            }
            Mode::Eval => {
                let roots = select_relu(&trees.features, &trees.roots)?;
                node_linear(&roots, root_weight)?.f_index_select(0, &trees.tree_ids)?
            }
        };
        let second = branch.second.propagate(&own.f_add(&root)?, &propagation)?.f_relu()?;
        // The root's features are the same at all nodes of a tree, so they need no mean.
        let roots = first.f_index_select(0, &trees.roots)?;
        let roots = if self.config.detach_root { roots.f_detach()? } else { roots };
        Ok(Tensor::f_cat(&[mean_pool(&second, trees)?, roots], 1)?)
    }
}

impl Model for BiGcn {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, mode: Mode) -> Result<Output> {
        let trees = batch.trees()?;
        let weights = concat_weights(&[self.down.first.weight(), self.up.first.weight()])?;
        let x = node_linear(&trees.features, &weights)?; // for both directions in one pass
        let hidden = self.config.hidden_size;
        let x = x.f_split(hidden, 1)?;
        let edges = || match mode {
            Mode::Train => drop_edge(&trees.edges, self.config.drop_edge),
            Mode::Eval => Ok(trees.edges.shallow_clone()),
        };
        let down = Graph::new(&edges()?, trees.n_nodes())?;
        let up = Graph::new(&edges()?, trees.n_nodes())?.reversed();
        let down = self.encode(&self.down, &down, &x[0], trees, mode)?;
        let up = self.encode(&self.up, &up, &x[1], trees, mode)?;
        loss::classify(self.classifier.forward(&Tensor::f_cat(&[down, up], 1)?)?, batch)
    }

    fn node_features<'a>(&self, batch: &'a FieldBatch) -> Option<&'a NodeFeatures> {
        batch.trees.as_ref().map(|trees| &trees.features)
    }
}
