//! Pretraining of TrustRD: self-supervised training of the encoder on two views of the trees.

use faknow_data::FieldBatch;
use faknow_data::graph::Trees;
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::{TrustRdConfig, TrustRdEncoder};
use crate::layers::{Graph, Linear, NodeLinear, mean_pool, node_linear};
use crate::{Loss, Mode, Model, Output, Result};

/// Margin of the distance between the two views.
const MARGIN: f64 = 2.0;
/// Weight of the divergence.
const DIVERGENCE_WEIGHT: f64 = 0.2;
/// Divisor of the divergence.
const DIVERGENCE_SCALE: f64 = 128.0;

/// The self-supervised stage of [`TrustRd`](super::TrustRd). It needs no labels and returns a loss for any batch; the `logits`
/// of its output are the representations of the trees.
///
/// A view keeps a random set of features of all nodes and replaces the others by those of a random node; it keeps each edge
/// with a probability inferred from its two nodes.
///
/// Parameters: `encoder.*`, `global_d.*`, `nn.*`.
#[derive(Debug)]
pub struct TrustRdPretraining {
    encoder: TrustRdEncoder,
    block: [Linear; 3],
    shortcut: Linear,
    edge_first: NodeLinear,
    edge_second: Linear,
    feature_keep_rate: f64,
}

/// Size of the node representations from which edge probabilities are inferred.
const EDGE_SIZE: i64 = 4;

impl TrustRdPretraining {
    /// Prefix of the names of this stage's parameters in [`TrustRd`](super::TrustRd).
    pub const PREFIX: &'static str = "pre_trained_model";

    /// Creates the stage for trees with `n_features` features per node.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the hyperparameter that is out of range.
    pub fn new(path: &Path<'_>, config: &TrustRdConfig, n_features: usize) -> Result<Self> {
        config.validate(2)?;
        let (n_features, hidden, width) = (n_features as i64, config.hidden_size, config.embedding_size());
        let (global, nn) = (path / "global_d", path / "nn");
        let linear = |index: i64| Linear::glorot(&(&global / "block" / index), width, width);
        Ok(Self {
            encoder: TrustRdEncoder::new(&(path / "encoder"), n_features, hidden, config.n_layers)?,
            block: [linear(0)?, linear(2)?, linear(4)?],
            shortcut: Linear::glorot(&(&global / "linear_shortcut"), width, width)?,
            edge_first: NodeLinear::glorot(&(&nn / "0"), n_features, hidden)?,
            edge_second: Linear::glorot(&(&nn / "2"), hidden, EDGE_SIZE)?,
            feature_keep_rate: config.feature_keep_rate,
        })
    }

    /// Returns the representation of each tree in a random view, `[n_trees, n]`; `relation` `[n_nodes, 4]` determines the edge
    /// probabilities.
    fn view(&self, trees: &Trees, relation: &Tensor) -> Result<Tensor> {
        let graph = Graph::top_down(trees)?;
        let weight = self.encoder.weight();
        let rates =
            Tensor::f_full([weight.size()[1]], self.feature_keep_rate, (weight.kind(), weight.device()))?;
        let mask = rates.f_bernoulli()?; // [n_features]
        // (x m + x_r (1 - m)) Wᵀ: the mask is applied to the weight, so the features stay sparse.
        let projected = node_linear(&trees.features, &weight.f_mul(&mask)?)?;
        let random_node = Tensor::f_randint(trees.n_nodes(), [1], (Kind::Int64, weight.device()))?;
        let replacement =
            node_linear(&trees.features.select(&random_node)?, &weight.f_mul(&mask.f_rsub_scalar(1.0)?)?)?;
        let edges = sample_edges(relation, &graph)?;
        let nodes = self.encoder.encode_projected(&projected.f_add(&replacement)?, &graph, Some(&edges))?;
        let trees = mean_pool(&nodes, trees)?;
        let mut x = trees.shallow_clone();
        for linear in &self.block {
            x = linear.forward(&x)?.f_relu()?;
        }
        Ok(x.f_add(&self.shortcut.forward(&trees)?)?)
    }
}

impl Model for TrustRdPretraining {
    type Batch = FieldBatch;

    fn forward(&self, batch: &FieldBatch, _: Mode) -> Result<Output> {
        let trees = batch.trees()?;
        let relation = self.edge_second.forward(&self.edge_first.forward(&trees.features)?.f_relu()?)?;
        let (first, second) = (self.view(trees, &relation)?, self.view(trees, &relation)?);
        let total = information_bottleneck_loss(&first, &second)?;
        Ok(Output { logits: first.f_add(&second)?.f_mul_scalar(0.5)?, loss: Some(Loss::single(total)) })
    }
}

/// Samples edges, `[n_edges]`: 1 with probability σ(z_u · z_v), else 0. The gradient is that of the relaxed sample (Maddison,
/// Mnih and Teh, *The Concrete Distribution*, ICLR 2017), so the probabilities are trained.
fn sample_edges(relation: &Tensor, graph: &Graph) -> Result<Tensor> {
    let rows = |ends: &Tensor| relation.f_index_select(0, ends);
    let logits = rows(&graph.source)?.f_mul(&rows(&graph.target)?)?.f_sum_dim_intlist(
        [1].as_slice(),
        false,
        None::<Kind>,
    )?;
    let uniform = logits.f_rand_like()?.f_clamp(1e-6, 1.0 - 1e-6)?;
    let noisy = logits.f_add(&uniform.f_logit(None::<f64>)?)?;
    let soft = noisy.f_sigmoid()?;
    let hard = noisy.f_gt(0.0)?.f_to_kind(soft.kind())?;
    Ok(hard.f_add(&soft.f_sub(&soft.f_detach()?)?)?)
}

/// Computes the loss of two views `[n_trees, n]` of the same trees: ½ max(0, 2 - ‖first - second‖)², plus 0.2 / 128 times the
/// Kullback-Leibler divergence in bits of their mean, as a normal distribution over the batch, from the standard normal.
///
/// # Errors
/// The views have different shapes.
pub fn information_bottleneck_loss(first: &Tensor, second: &Tensor) -> Result<Tensor> {
    let distance = first.f_sub(second)?.f_norm()?;
    let contrast = distance.f_rsub_scalar(MARGIN)?.f_relu()?.f_square()?.f_mul_scalar(0.5)?;
    let both = first.f_add(second)?.f_mul_scalar(0.5)?;
    let mean = both.f_mean_dim([0].as_slice(), false, None::<Kind>)?;
    // A single tree has no variance.
    let variance =
        if both.size()[0] > 1 { both.f_var_dim([0].as_slice(), true, false)? } else { mean.f_zeros_like()? };
    let variance = variance.f_softplus()?;
    // ½ Σ (σ² + μ² - 1 - ln σ²)
    let terms = variance.f_add(&mean.f_square()?)?.f_sub(&variance.f_log()?)?.f_sub_scalar(1.0)?;
    let divergence =
        terms.f_sum(None::<Kind>)?.f_mul_scalar(0.5 / std::f64::consts::LN_2 / DIVERGENCE_SCALE)?;
    Ok(contrast.f_add(&divergence.f_mul_scalar(DIVERGENCE_WEIGHT)?)?)
}
