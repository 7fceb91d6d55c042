//! EBGCN: BiGCN whose edges have weights that are inferred, since not every reply is a relation.
//!
//! Wei et al., *Towards Propagation Uncertainty: Edge-enhanced Bayesian Graph Convolutional Networks for Rumor Detection*,
//! ACL 2021. As in the paper, what an edge should be is drawn from a distribution that networks infer from its two nodes,
//! and the weights of the edges are drawn towards it.

use faknow_data::FieldBatch;
use faknow_data::graph::{NodeFeatures, Trees, drop_edge};
use serde::{Deserialize, Serialize};
use tch::nn::{Init, Path};
use tch::{Kind, Reduction, Tensor};

use super::check;
use crate::layers::{BatchNorm, GcnConv, GcnPropagation, Graph, Linear, dropout, kaiming_uniform, mean_pool};
use crate::{Error, Loss, Mode, Model, Output, Result, loss};

/// The slope of the leaky ReLU for what is below 0.
const SLOPE: f64 = 0.01;

/// Hyperparameters of [`Ebgcn`]; the defaults are the paper's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EbgcnConfig {
    /// Features of a node after the first convolution, at least 1. Default 64.
    pub hidden_size: i64,
    /// Features of a node after the second convolution, at least 1. Default 64.
    pub out_size: i64,
    /// Kinds of relations that an edge may be of, at least 1. Default 2.
    pub n_relations: i64,
    /// How much the consistency of the edges counts in addition to the cross entropy, at least 0. Default 0.2.
    pub edge_loss_weight: f64,
    /// Share of a node's features dropped before the second convolution in training, from 0 to below 1. Default 0.5.
    pub dropout: f64,
    /// Share of the edges left out in each training step, of each direction by itself, from 0 to 1. Default 0.2.
    pub drop_edge: f64,
    /// Whether FaKnow's mistakes are made: an edge is classified by the nodes before its own, nothing is learned of the
    /// distributions, there is no dropout, and a sigmoid stands before the softmax of the relations. Default false.
    pub faithful: bool,
}

impl Default for EbgcnConfig {
    fn default() -> Self {
        Self {
            hidden_size: 64,
            out_size: 64,
            n_relations: 2,
            edge_loss_weight: 0.2,
            dropout: 0.5,
            drop_edge: 0.2,
            faithful: false,
        }
    }
}

/// The EBGCN classifier.
///
/// Parameters: `TDRumorGCN.*` down the tree, `BURumorGCN.*` up the tree, `fc.*`.
#[derive(Debug)]
pub struct Ebgcn {
    down: Way,
    up: Way,
    classifier: Linear,
    config: EbgcnConfig,
}

impl Ebgcn {
    /// Creates a model of nodes with `n_features` each.
    ///
    /// # Errors
    /// [`Error::Config`] names the hyperparameter that is outside its range.
    pub fn new(path: &Path<'_>, config: &EbgcnConfig, n_features: usize, n_classes: usize) -> Result<Self> {
        let sizes = [
            ("hidden_size", config.hidden_size),
            ("out_size", config.out_size),
            ("n_relations", config.n_relations),
        ];
        check("EBGCN", &sizes, config.dropout, n_classes)?;
        let ranges = [
            ("drop_edge", config.drop_edge, (0.0..=1.0).contains(&config.drop_edge), "from 0 to 1"),
            (
                "edge_loss_weight",
                config.edge_loss_weight,
                config.edge_loss_weight >= 0.0 && config.edge_loss_weight.is_finite(),
                "a number of at least 0",
            ),
        ];
        if let Some((name, got, _, expected)) = ranges.into_iter().find(|(_, _, fits, _)| !fits) {
            return Err(Error::Config {
                model: "EBGCN",
                name,
                expected: expected.into(),
                got: got.to_string(),
            });
        }
        let width = 2 * (config.hidden_size + config.out_size);
        Ok(Self {
            down: Way::new(&(path / "TDRumorGCN"), config, n_features as i64)?,
            up: Way::new(&(path / "BURumorGCN"), config, n_features as i64)?,
            classifier: Linear::new(&(path / "fc"), width, n_classes as i64)?,
            config: config.clone(),
        })
    }
}

impl Model for Ebgcn {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, mode: Mode) -> Result<Output> {
        let trees = batch.trees()?;
        let edges = || match mode {
            Mode::Train => drop_edge(&trees.edges, self.config.drop_edge),
            Mode::Eval => Ok(trees.edges.shallow_clone()),
        };
        let down = Graph::new(&edges()?, trees.n_nodes())?;
        let up = Graph::new(&edges()?, trees.n_nodes())?.reversed();
        let (down, down_loss) = self.down.forward(&down, trees, &self.config, mode)?;
        let (up, up_loss) = self.up.forward(&up, trees, &self.config, mode)?;
        let logits = self.classifier.forward(&Tensor::f_cat(&[up, down], 1)?)?;
        let Output { logits, loss } = loss::classify(logits, batch)?;
        let with_edges = |classification: Loss| -> Result<Loss> {
            let edges = down_loss.f_add(&up_loss)?;
            let total = classification.total.f_add(&edges.f_mul_scalar(self.config.edge_loss_weight)?)?;
            Ok(Loss { total, parts: vec![(Loss::CLASSIFICATION, classification.total), ("edge", edges)] })
        };
        Ok(Output { logits, loss: loss.map(with_edges).transpose()? })
    }

    fn node_features<'a>(&self, batch: &'a FieldBatch) -> Option<&'a NodeFeatures> {
        batch.trees.as_ref().map(|trees| &trees.features)
    }
}

/// The layers of a direction.
#[derive(Debug)]
struct Way {
    first: GcnConv,
    second: GcnConv,
    norm: BatchNorm,
    /// How alike the two nodes of an edge are.
    similarity: EdgeNet,
    /// What the distribution of an edge is inferred by: mean and log variance of a factor, and of a summand.
    distributions: [EdgeNet; 4],
    /// From similarity to relations, `[n_relations, hidden]`.
    relations: Tensor,
    /// From what was drawn to relations, `[n_relations, hidden]`.
    drawn_relations: Tensor,
}

impl Way {
    fn new(path: &Path<'_>, config: &EbgcnConfig, n_features: i64) -> Result<Self> {
        let hidden = config.hidden_size;
        let net = |name: &str| EdgeNet::new(&(path / name), name, hidden);
        let relations = |name: &str| kaiming_uniform(&(path / name), "weight", &[config.n_relations, hidden]);
        Ok(Self {
            first: GcnConv::new(&(path / "conv1"), n_features, hidden)?,
            second: GcnConv::new(&(path / "conv2"), hidden + n_features, config.out_size)?,
            norm: BatchNorm::new(&(path / "bn1"), hidden + n_features)?,
            similarity: EdgeNet::new(&(path / "sim_network"), "sim_val", hidden)?,
            distributions: [net("W_mean")?, net("W_bias")?, net("B_mean")?, net("B_bias")?],
            relations: relations("fc1")?,
            drawn_relations: relations("fc2")?,
        })
    }

    /// Trees as `[n_trees, out + hidden]`, and the loss of their edges.
    fn forward(
        &self,
        graph: &Graph,
        trees: &Trees,
        config: &EbgcnConfig,
        mode: Mode,
    ) -> Result<(Tensor, Tensor)> {
        let kind = self.relations.kind();
        let first = self.first.forward(&trees.features, &GcnPropagation::new(graph, kind)?)?;
        let (weights, edge_loss) = self.edges(&first, graph, config, mode)?;
        // Batch normalization, ReLU and the product with the weight of [first, root], of which the second half is the same
        // at all nodes of a tree: it is done once a tree.
        let hidden = config.hidden_size;
        let own = self.norm.forward_columns(&first, 0, None, mode)?.f_relu()?;
        let roots = trees.features.select(&trees.roots)?.to_dense()?.f_to_kind(kind)?; // [n_trees, n_features]
        let roots = self.norm.forward_columns(&roots, hidden, Some(&trees.sizes), mode)?.f_relu()?;
        let rate = if config.faithful { 0.0 } else { config.dropout };
        let weight = self.second.weight();
        let parts = weight.f_split_with_sizes([hidden, weight.size()[1] - hidden], 1)?;
        let own = dropout(&own, rate, mode)?.f_matmul(&parts[0].f_tr()?)?;
        let roots =
            dropout(&roots, rate, mode)?.f_matmul(&parts[1].f_tr()?)?.f_index_select(0, &trees.tree_ids)?;
        let propagation = GcnPropagation::weighted(graph, weights)?;
        let second = self.second.propagate(&own.f_add(&roots)?, &propagation)?.f_relu()?;
        let of_roots = first.f_index_select(0, &trees.roots)?;
        let of_roots = if config.faithful { of_roots.f_detach()? } else { of_roots };
        Ok((Tensor::f_cat(&[mean_pool(&second, trees)?, of_roots], 1)?, edge_loss))
    }

    /// The weight of each edge, `[n_edges]`, and how far the edges are from what was drawn for them, a scalar.
    fn edges(
        &self,
        nodes: &Tensor,
        graph: &Graph,
        config: &EbgcnConfig,
        mode: Mode,
    ) -> Result<(Tensor, Tensor)> {
        let n_edges = graph.source.size()[0];
        if n_edges == 0 {
            let none = Tensor::f_zeros([0], (nodes.kind(), nodes.device()))?;
            let loss = none.f_sum(nodes.kind())?;
            return Ok((none, loss));
        }
        let rows = |ends: &Tensor| -> Result<Tensor> {
            let ends = if config.faithful {
                ends.f_sub_scalar(1)?.f_remainder(graph.n_nodes)?
            } else {
                ends.shallow_clone()
            };
            Ok(nodes.f_index_select(0, &ends)?)
        };
        // Every feature of the one end against every feature of the other: [n_edges, hidden, hidden].
        let (from, to) = (rows(&graph.source)?.f_unsqueeze(2)?, rows(&graph.target)?.f_unsqueeze(1)?);
        let differences = from.f_sub(&to)?.f_abs()?;
        let similarity = self.similarity.forward(&differences, mode)?; // [n_edges, hidden]
        let relations = similarity.f_matmul(&self.relations.f_tr()?)?; // [n_edges, n_relations]
        let shares = relations.f_sigmoid()?;
        let weights = shares.f_mean_dim([1].as_slice(), false, None::<Kind>)?;
        let infer = |net: usize| self.distributions[net].forward(&differences, mode);
        let (factor, factor_variance, summand, summand_variance) =
            (infer(0)?, infer(1)?, infer(2)?, infer(3)?);
        let mean = factor.f_mul(&similarity)?.f_add(&summand)?;
        let drawn = if config.faithful {
            mean.f_detach()?
        } else if mode.is_train() {
            let variance =
                similarity.f_square()?.f_mul(&factor_variance.f_exp()?)?.f_add(&summand_variance.f_exp()?)?;
            mean.f_add(&variance.f_sqrt()?.f_mul(&mean.f_randn_like()?)?)?
        } else {
            mean
        };
        let target =
            drawn.f_sigmoid()?.f_matmul(&self.drawn_relations.f_tr()?)?.f_softmax(-1, None::<Kind>)?;
        let log_shares = if config.faithful { shares } else { relations }.f_log_softmax(-1, None::<Kind>)?;
        let edge_loss = log_shares.f_kl_div(&target, Reduction::Sum, false)?.f_div_scalar(n_edges as f64)?;
        Ok((weights, edge_loss))
    }
}

/// A small network on what two nodes differ in: a product, batch normalization, leaky ReLU, a weighted sum.
#[derive(Debug)]
struct EdgeNet {
    weight: Tensor,
    norm: BatchNorm,
    out_weight: Tensor,
    out_bias: Tensor,
}

impl EdgeNet {
    fn new(path: &Path<'_>, prefix: &str, hidden: i64) -> Result<Self> {
        let part = |name: &str| path / format!("{prefix}{name}");
        let bound = 1.0 / (hidden as f64).sqrt();
        Ok(Self {
            weight: kaiming_uniform(&part("conv"), "weight", &[hidden, hidden, 1])?,
            norm: BatchNorm::new(&part("norm"), hidden)?,
            out_weight: kaiming_uniform(&part("conv_out"), "weight", &[1, hidden, 1])?,
            out_bias: part("conv_out").f_var("bias", &[1], Init::Uniform { lo: -bound, up: bound })?,
        })
    }

    /// `[n_edges, hidden, hidden]` to `[n_edges, hidden]`.
    fn forward(&self, differences: &Tensor, mode: Mode) -> Result<Tensor> {
        let x = self.weight.f_squeeze_dim(2)?.f_matmul(differences)?;
        let x = self.norm.forward(&x, mode)?;
        let x = x.f_maximum(&x.f_mul_scalar(SLOPE)?)?;
        Ok(self.out_weight.f_view([1, -1])?.f_matmul(&x)?.f_squeeze_dim(1)?.f_add(&self.out_bias)?)
    }
}
