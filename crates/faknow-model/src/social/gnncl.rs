//! GNNCL: two levels of differentiable pooling.
//!
//! Han, Karunasekera and Leckie, *Graph Neural Networks with Continual Learning for Fake News Detection from Social Media*,
//! 2020: the detector of the paper, which is DiffPool (Ying et al., NeurIPS 2018). Edges are undirected.

use faknow_data::FieldBatch;
use faknow_data::graph::{NodeFeatures, Trees};
use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::check;
use crate::layers::{BatchNorm, DenseSageConv, Linear, diff_pool};
use crate::{Error, Loss, Mode, Model, Output, Result, loss};

/// Hyperparameters of [`Gnncl`]; the defaults are FaKnow's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GnnclConfig {
    /// Maximum number of nodes of a tree, at least 1; each pooling has a quarter as many clusters. Default 500.
    pub max_nodes: i64,
    /// Output size of each convolution, at least 1. Default 64.
    pub hidden_size: i64,
    /// Weight of the auxiliary losses of pooling (link prediction and entropy), at least 0. Default 0.
    pub aux_weight: f64,
    /// Whether trees are padded to `max_nodes` and batch normalization includes the padding, as in FaKnow; results then depend
    /// on `max_nodes`. Default false.
    pub pad_to_max: bool,
}

impl Default for GnnclConfig {
    fn default() -> Self {
        Self { max_nodes: 500, hidden_size: 64, aux_weight: 0.0, pad_to_max: false }
    }
}

/// The GNNCL classifier.
///
/// Parameters: `gnn1_pool.*`, `gnn1_embed.*`, `gnn2_pool.*`, `gnn2_embed.*`, `gnn3_embed.*`, `fc1.*`, `fc2.*`.
#[derive(Debug)]
pub struct Gnncl {
    pools: [Block; 2],
    embeds: [Block; 3],
    linear: Linear,
    classifier: Linear,
    config: GnnclConfig,
}

/// The result of [`Gnncl::forward_dense`].
#[derive(Debug)]
pub struct DenseOutput {
    /// Class logits, `[n_graphs, n_classes]`.
    pub logits: Tensor,
    /// Sum of the link prediction losses of both poolings, a scalar.
    pub link_loss: Tensor,
    /// Sum of the entropy losses of both poolings, a scalar.
    pub entropy: Tensor,
}

impl Gnncl {
    /// Creates a model for trees with `n_features` features per node.
    ///
    /// # Errors
    /// [`Error::Config`] names the hyperparameter that is out of range.
    pub fn new(path: &Path<'_>, config: &GnnclConfig, n_features: usize, n_classes: usize) -> Result<Self> {
        let sizes = [("max_nodes", config.max_nodes), ("hidden_size", config.hidden_size)];
        check("GNNCL", &sizes, 0.0, n_classes)?;
        if !(config.aux_weight >= 0.0 && config.aux_weight.is_finite()) {
            let (name, expected) = ("aux_weight", "a number of at least 0".into());
            return Err(Error::Config { model: "GNNCL", name, expected, got: config.aux_weight.to_string() });
        }
        let (n_features, hidden) = (n_features as i64, config.hidden_size);
        let quarter = |n: i64| (n + 3) / 4;
        let first = quarter(config.max_nodes);
        let second = quarter(first);
        let pool = |name: &str, n_in, n_out| Block::new(&(path / name), n_in, hidden, n_out, true);
        let embed = |name: &str, n_in| Block::new(&(path / name), n_in, hidden, hidden, false);
        Ok(Self {
            pools: [pool("gnn1_pool", n_features, first)?, pool("gnn2_pool", 3 * hidden, second)?],
            embeds: [
                embed("gnn1_embed", n_features)?,
                embed("gnn2_embed", 3 * hidden)?,
                embed("gnn3_embed", 3 * hidden)?,
            ],
            linear: Linear::new(&(path / "fc1"), 3 * hidden, hidden)?,
            classifier: Linear::new(&(path / "fc2"), hidden, n_classes as i64)?,
            config: config.clone(),
        })
    }

    /// Runs the model on dense graphs: features `x` `[n_graphs, n, n_features]`, `adjacency` `[n_graphs, n, n]`, `mask` bool
    /// `[n_graphs, n]`, false for padding rows. Batch normalization includes the padding.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn forward_dense(
        &self,
        x: &Tensor,
        adjacency: &Tensor,
        mask: &Tensor,
        mode: Mode,
    ) -> Result<DenseOutput> {
        let size = x.size();
        let rows = NodeFeatures::Dense(x.f_reshape([size[0] * size[1], size[2]])?);
        let graphs = DenseGraphs {
            indices: None,
            shape: [size[0], size[1]],
            adjacency: adjacency.shallow_clone(),
            mask: Some(mask.f_unsqueeze(-1)?.f_to_kind(x.kind())?),
        };
        self.run(&rows, &graphs, mode)
    }

    fn run(&self, features: &NodeFeatures, graphs: &DenseGraphs, mode: Mode) -> Result<DenseOutput> {
        let assignment = self.pools[0].forward(features, graphs, mode)?;
        let x = self.embeds[0].forward(features, graphs, mode)?;
        let first = diff_pool(&x, &graphs.adjacency, &assignment, graphs.mask.as_ref())?;
        let (rows, graphs) = DenseGraphs::from_clusters(&first.x, &first.adjacency)?;
        let assignment = self.pools[1].forward(&rows, &graphs, mode)?;
        let x = self.embeds[1].forward(&rows, &graphs, mode)?;
        let second = diff_pool(&x, &graphs.adjacency, &assignment, None)?;
        let (rows, graphs) = DenseGraphs::from_clusters(&second.x, &second.adjacency)?;
        let x = self.embeds[2].forward(&rows, &graphs, mode)?;
        let trees = self.linear.forward(&x.f_mean_dim([1].as_slice(), false, None::<Kind>)?)?.f_relu()?;
        Ok(DenseOutput {
            logits: self.classifier.forward(&trees)?,
            link_loss: first.link_loss.f_add(&second.link_loss)?,
            entropy: first.entropy.f_add(&second.entropy)?,
        })
    }

    /// Converts the trees of a batch to dense graphs.
    fn dense_graphs(&self, trees: &Trees, kind: Kind) -> Result<DenseGraphs> {
        let largest = trees.sizes.f_max()?.f_int64_value(&[])?;
        if largest > self.config.max_nodes {
            let expected = format!("trees of at most {} nodes (`max_nodes`)", self.config.max_nodes);
            return Err(Error::Batch { model: "GNNCL", expected, got: format!("a tree of {largest} nodes") });
        }
        let (n_trees, n) =
            (trees.n_trees(), if self.config.pad_to_max { self.config.max_nodes } else { largest });
        let device = trees.tree_ids.device();
        // The row of a node: the rows of tree t start at t · n.
        let firsts = trees.sizes.f_cumsum(0, Kind::Int64)?.f_sub(&trees.sizes)?;
        let offsets = Tensor::f_arange(n_trees, (Kind::Int64, device))?.f_mul_scalar(n)?.f_sub(&firsts)?;
        let indices = Tensor::f_arange(trees.n_nodes(), (Kind::Int64, device))?
            .f_add(&offsets.f_index_select(0, &trees.tree_ids)?)?;
        let (source, target) = (trees.edges.f_select(0, 0)?, trees.edges.f_select(0, 1)?);
        let (source, target) = (indices.f_index_select(0, &source)?, indices.f_index_select(0, &target)?);
        // The flat index of an edge: its row, times n, plus its column within the tree.
        let entry = |row: &Tensor, column: &Tensor| -> Result<Tensor> {
            Ok(row.f_mul_scalar(n)?.f_add(&column.f_remainder(n)?)?)
        };
        let entries = Tensor::f_cat(&[entry(&source, &target)?, entry(&target, &source)?], 0)?;
        let adjacency = Tensor::f_zeros([n_trees * n * n], (kind, device))?.f_index_fill(0, &entries, 1.0)?;
        let mask = Tensor::f_zeros([n_trees * n], (kind, device))?.f_index_fill(0, &indices, 1.0)?;
        Ok(DenseGraphs {
            indices: Some(indices),
            shape: [n_trees, n],
            adjacency: adjacency.f_view([n_trees, n, n])?,
            mask: Some(mask.f_view([n_trees, n, 1])?),
        })
    }
}

impl Model for Gnncl {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, mode: Mode) -> Result<Output> {
        let trees = batch.trees()?;
        let mut graphs = self.dense_graphs(trees, self.classifier.kind())?;
        let mut padded = None;
        if self.config.pad_to_max {
            // Padding rows are treated as nodes, except in pooling.
            padded = Some(graphs.pad(&trees.features.to_dense()?.f_to_kind(self.classifier.kind())?)?);
            graphs.indices = None;
        }
        let features = padded.map(|rows| rows.f_flatten(0, 1).map(NodeFeatures::Dense)).transpose()?;
        let output = self.run(features.as_ref().unwrap_or(&trees.features), &graphs, mode)?;
        let Output { logits, loss } = loss::classify(output.logits, batch)?;
        let with_auxiliary = |loss: Loss| -> Result<Loss> {
            let auxiliary = output.link_loss.f_add(&output.entropy)?.f_mul_scalar(self.config.aux_weight)?;
            let total = if self.config.aux_weight == 0.0 {
                loss.total.shallow_clone()
            } else {
                loss.total.f_add(&auxiliary)?
            };
            let parts = vec![
                (Loss::CLASSIFICATION, loss.total),
                ("link", output.link_loss),
                ("entropy", output.entropy),
            ];
            Ok(Loss { total, parts })
        };
        Ok(Output { logits, loss: loss.map(with_auxiliary).transpose()? })
    }

    fn node_features<'a>(&self, batch: &'a FieldBatch) -> Option<&'a NodeFeatures> {
        batch.trees.as_ref().map(|trees| &trees.features)
    }
}

/// Graphs with dense adjacency matrices.
struct DenseGraphs {
    /// Row of each node; `None` if every row is a node.
    indices: Option<Tensor>,
    /// Number of graphs, and number of rows per graph.
    shape: [i64; 2],
    /// Adjacency matrices, `[n_graphs, n, n]`.
    adjacency: Tensor,
    /// Mask, `[n_graphs, n, 1]`, 0 for padding rows; `None` without padding.
    mask: Option<Tensor>,
}

impl DenseGraphs {
    /// Converts the clusters of a pooling, without padding.
    fn from_clusters(x: &Tensor, adjacency: &Tensor) -> Result<(NodeFeatures, Self)> {
        let size = x.size();
        let rows = NodeFeatures::Dense(x.f_reshape([size[0] * size[1], size[2]])?);
        let adjacency = adjacency.shallow_clone();
        Ok((rows, Self { indices: None, shape: [size[0], size[1]], adjacency, mask: None }))
    }

    /// Pads nodes `[n_nodes, k]` to rows `[n_graphs, n, k]`.
    fn pad(&self, nodes: &Tensor) -> Result<Tensor> {
        let ([n_graphs, n], k) = (self.shape, nodes.size()[1]);
        let rows = match &self.indices {
            Some(indices) => {
                let zeros = Tensor::f_zeros([n_graphs * n, k], (nodes.kind(), nodes.device()))?;
                zeros.f_index_copy(0, indices, nodes)?
            }
            None => nodes.shallow_clone(),
        };
        Ok(rows.f_view([n_graphs, n, k])?)
    }

    /// Selects the nodes of rows `[n_graphs, n, k]`, `[n_nodes, k]`.
    fn nodes(&self, rows: &Tensor) -> Result<Tensor> {
        let rows = rows.f_flatten(0, 1)?;
        match &self.indices {
            Some(indices) => Ok(rows.f_index_select(0, indices)?),
            None => Ok(rows),
        }
    }
}

/// Three convolutions with concatenated outputs.
#[derive(Debug)]
struct Block {
    convs: [DenseSageConv; 3],
    norms: [BatchNorm; 3],
    linear: Option<Linear>,
}

impl Block {
    fn new(path: &Path<'_>, n_in: i64, hidden: i64, n_out: i64, linear: bool) -> Result<Self> {
        let conv =
            |number: usize, n_in, n_out| DenseSageConv::new(&(path / format!("conv{number}")), n_in, n_out);
        let norm = |number: usize, n| BatchNorm::new(&(path / format!("bn{number}")), n);
        Ok(Self {
            convs: [conv(1, n_in, hidden)?, conv(2, hidden, hidden)?, conv(3, hidden, n_out)?],
            norms: [norm(1, hidden)?, norm(2, hidden)?, norm(3, n_out)?],
            linear: linear.then(|| Linear::new(&(path / "fc"), 2 * hidden + n_out, n_out)).transpose()?,
        })
    }

    /// Returns `[n_graphs, n, 2 · hidden + n_out]`, or `[n_graphs, n, n_out]` with the linear layer.
    fn forward(&self, features: &NodeFeatures, graphs: &DenseGraphs, mode: Mode) -> Result<Tensor> {
        let mut outputs = Vec::with_capacity(3);
        let mut nodes = features.to_device(features.device());
        for (conv, norm) in self.convs.iter().zip(&self.norms) {
            let (neighbors, own) = conv.project(&nodes)?;
            let rows = conv.propagate(
                &graphs.pad(&neighbors)?,
                &graphs.pad(&own)?,
                &graphs.adjacency,
                graphs.mask.as_ref(),
            )?;
            let normalized = norm.forward(&graphs.nodes(&rows.f_relu()?)?, mode)?;
            outputs.push(graphs.pad(&normalized)?);
            nodes = NodeFeatures::Dense(normalized);
        }
        let all = Tensor::f_cat(&outputs, -1)?;
        match &self.linear {
            Some(linear) => Ok(linear.forward(&all)?.f_relu()?),
            None => Ok(all),
        }
    }
}
