//! EBGCN: BiGCN with inferred edge weights, since not every reply is a relation.
//!
//! Wei et al., *Towards Propagation Uncertainty: Edge-enhanced Bayesian Graph Convolutional Networks for Rumor Detection*,
//! ACL 2021. As in the paper, the target of an edge is sampled from a distribution inferred from its two nodes, and an
//! auxiliary loss pulls the edge weights towards it.

use faknow_data::FieldBatch;
use faknow_data::graph::{NodeFeatures, Trees, drop_edge};
use serde::{Deserialize, Serialize};
use tch::nn::{Init, Path};
use tch::{Kind, Reduction, Tensor};

use super::check;
use crate::layers::{BatchNorm, GcnConv, GcnPropagation, Graph, Linear, dropout, kaiming_uniform, mean_pool};
use crate::{Error, Loss, Mode, Model, Output, Result, loss};

/// Negative slope of the leaky ReLU.
const SLOPE: f64 = 0.01;

/// Hyperparameters of [`Ebgcn`]; the defaults are the paper's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EbgcnConfig {
    /// Output size of the first convolution, at least 1. Default 64.
    pub hidden_size: i64,
    /// Output size of the second convolution, at least 1. Default 64.
    pub out_size: i64,
    /// Number of latent relations of an edge, at least 1. Default 2.
    pub n_relations: i64,
    /// Weight of the edge consistency loss, at least 0. Default 0.2.
    pub edge_loss_weight: f64,
    /// Dropout probability of node features before the second convolution, from 0 to below 1. Default 0.5.
    pub dropout: f64,
    /// Fraction of the edges dropped in each training step, independently per direction, from 0 to 1. Default 0.2.
    pub drop_edge: f64,
    /// Whether to reproduce FaKnow's bugs: edges are inferred from the nodes preceding their own, the distributions are not
    /// trained, there is no dropout, and a sigmoid precedes the softmax of the relations. Default false.
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
/// Parameters: `TDRumorGCN.*` (top-down), `BURumorGCN.*` (bottom-up), `fc.*`.
#[derive(Debug)]
pub struct Ebgcn {
    down: Branch,
    up: Branch,
    classifier: Linear,
    config: EbgcnConfig,
}

impl Ebgcn {
    /// Creates a model for trees with `n_features` features per node.
    ///
    /// # Errors
    /// [`Error::Config`] names the hyperparameter that is out of range.
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
        if let Some((name, got, _, expected)) = ranges.into_iter().find(|(_, _, is_valid, _)| !is_valid) {
            return Err(Error::Config {
                model: "EBGCN",
                name,
                expected: expected.into(),
                got: got.to_string(),
            });
        }
        let width = 2 * (config.hidden_size + config.out_size);
        Ok(Self {
            down: Branch::new(&(path / "TDRumorGCN"), config, n_features as i64)?,
            up: Branch::new(&(path / "BURumorGCN"), config, n_features as i64)?,
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

/// The layers of one direction.
#[derive(Debug)]
struct Branch {
    first: GcnConv,
    second: GcnConv,
    norm: BatchNorm,
    /// Infers the similarity of the two nodes of an edge.
    similarity: EdgeNet,
    /// Infer the distribution of an edge: mean and log variance of a factor and of a summand.
    distributions: [EdgeNet; 4],
    /// Weight from similarity to relations, `[n_relations, hidden]`.
    relations: Tensor,
    /// Weight from the sampled target to relations, `[n_relations, hidden]`.
    target_relations: Tensor,
}

impl Branch {
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
            target_relations: relations("fc2")?,
        })
    }

    /// Encodes the trees as `[n_trees, out + hidden]`, and computes the edge loss, a scalar.
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
        // Batch normalization, ReLU and the product with the weight, for the input [first, root]. The second half is the same
        // at all nodes of a tree, so it is computed once per tree.
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
        let hidden_roots = first.f_index_select(0, &trees.roots)?;
        let hidden_roots = if config.faithful { hidden_roots.f_detach()? } else { hidden_roots };
        Ok((Tensor::f_cat(&[mean_pool(&second, trees)?, hidden_roots], 1)?, edge_loss))
    }

    /// Returns the weight of each edge, `[n_edges]`, and the edge loss, a scalar: the divergence from the sampled targets.
    fn edges(
        &self,
        nodes: &Tensor,
        graph: &Graph,
        config: &EbgcnConfig,
        mode: Mode,
    ) -> Result<(Tensor, Tensor)> {
        let n_edges = graph.source.size()[0];
        if n_edges == 0 {
            let no_weights = Tensor::f_zeros([0], (nodes.kind(), nodes.device()))?;
            let loss = no_weights.f_sum(nodes.kind())?;
            return Ok((no_weights, loss));
        }
        let rows = |ends: &Tensor| -> Result<Tensor> {
            let ends = if config.faithful {
                ends.f_sub_scalar(1)?.f_remainder(graph.n_nodes)?
            } else {
                ends.shallow_clone()
            };
            Ok(nodes.f_index_select(0, &ends)?)
        };
        // Pairwise differences of the features of both ends: [n_edges, hidden, hidden].
        let (source, target) = (rows(&graph.source)?.f_unsqueeze(2)?, rows(&graph.target)?.f_unsqueeze(1)?);
        let differences = source.f_sub(&target)?.f_abs()?;
        let similarity = self.similarity.forward(&differences, mode)?; // [n_edges, hidden]
        let relations = similarity.f_matmul(&self.relations.f_tr()?)?; // [n_edges, n_relations]
        let probabilities = relations.f_sigmoid()?;
        let weights = probabilities.f_mean_dim([1].as_slice(), false, None::<Kind>)?;
        let infer = |index: usize| self.distributions[index].forward(&differences, mode);
        let (factor, factor_variance, summand, summand_variance) =
            (infer(0)?, infer(1)?, infer(2)?, infer(3)?);
        let mean = factor.f_mul(&similarity)?.f_add(&summand)?;
        let sample = if config.faithful {
            mean.f_detach()?
        } else if mode.is_train() {
            let variance =
                similarity.f_square()?.f_mul(&factor_variance.f_exp()?)?.f_add(&summand_variance.f_exp()?)?;
            mean.f_add(&variance.f_sqrt()?.f_mul(&mean.f_randn_like()?)?)?
        } else {
            mean
        };
        let target =
            sample.f_sigmoid()?.f_matmul(&self.target_relations.f_tr()?)?.f_softmax(-1, None::<Kind>)?;
        let log_probabilities =
            if config.faithful { probabilities } else { relations }.f_log_softmax(-1, None::<Kind>)?;
        let edge_loss =
            log_probabilities.f_kl_div(&target, Reduction::Sum, false)?.f_div_scalar(n_edges as f64)?;
        Ok((weights, edge_loss))
    }
}

/// A network on the differences of two nodes: linear, batch normalization, leaky ReLU, weighted sum.
#[derive(Debug)]
struct EdgeNet {
    weight: Tensor,
    norm: BatchNorm,
    out_weight: Tensor,
    out_bias: Tensor,
}

impl EdgeNet {
    fn new(path: &Path<'_>, prefix: &str, hidden: i64) -> Result<Self> {
        let module = |name: &str| path / format!("{prefix}{name}");
        let bound = 1.0 / (hidden as f64).sqrt();
        Ok(Self {
            weight: kaiming_uniform(&module("conv"), "weight", &[hidden, hidden, 1])?,
            norm: BatchNorm::new(&module("norm"), hidden)?,
            out_weight: kaiming_uniform(&module("conv_out"), "weight", &[1, hidden, 1])?,
            out_bias: module("conv_out").f_var("bias", &[1], Init::Uniform { lo: -bound, up: bound })?,
        })
    }

    /// Maps `[n_edges, hidden, hidden]` to `[n_edges, hidden]`.
    fn forward(&self, differences: &Tensor, mode: Mode) -> Result<Tensor> {
        let x = self.weight.f_squeeze_dim(2)?.f_matmul(differences)?;
        let x = self.norm.forward(&x, mode)?;
        let x = x.f_maximum(&x.f_mul_scalar(SLOPE)?)?;
        Ok(self.out_weight.f_view([1, -1])?.f_matmul(&x)?.f_squeeze_dim(1)?.f_add(&self.out_bias)?)
    }
}
