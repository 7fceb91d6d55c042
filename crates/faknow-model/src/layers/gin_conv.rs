//! Graph isomorphism network (GIN) convolution.
//!
//! Xu et al., *How Powerful are Graph Neural Networks?*, ICLR 2019, equation 4.1.

use faknow_data::graph::NodeFeatures;
use tch::Tensor;
use tch::nn::{Init, Path};

use super::{Graph, Linear, WeightInit, node_linear, node_weight};
use crate::Result;

/// PyTorch Geometric's `GINConv` with the network Linear, ReLU, Linear: `nn.0.*`, `nn.2.*`, and `eps`, fixed to 0.
///
/// The output is nn((1 + eps) x_i + Σ w_ji x_j) over the neighbors j.
#[derive(Debug)]
pub struct GinConv {
    eps: Tensor,
    weight: Tensor,
    bias: Tensor,
    out: Linear,
}

impl GinConv {
    /// Creates a layer with TrustRD's initialization: Glorot for the weights, 0 for the biases.
    ///
    /// # Errors
    /// libtorch rejects the sizes.
    pub fn new(path: &Path<'_>, n_in: i64, n_out: i64) -> Result<Self> {
        let (nn, options) = (path / "nn", (path.kind(), path.device()));
        Ok(Self {
            eps: path.add("eps", Tensor::f_zeros([1], options)?, false),
            weight: node_weight(&(&nn / "0"), "weight", [n_out, n_in], WeightInit::Glorot)?,
            bias: (&nn / "0").f_var("bias", &[n_out], Init::Const(0.0))?,
            out: Linear::glorot(&(nn / "2"), n_out, n_out)?,
        })
    }

    /// Excludes the layer from training.
    #[must_use]
    pub fn freeze(self) -> Self {
        let freeze = |tensor: Tensor| tensor.set_requires_grad(false);
        Self { weight: freeze(self.weight), bias: freeze(self.bias), out: self.out.freeze(), ..self }
    }

    /// Applies the first weight of the network, without the bias: the sum over neighbors can follow the product.
    ///
    /// # Errors
    /// The nodes do not have `n_in` features.
    pub fn project(&self, features: &NodeFeatures) -> Result<Tensor> {
        node_linear(features, &self.weight)
    }

    /// Returns the first weight of the network, `[n_out, n_in]`.
    pub(crate) fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// Propagates the projected features `[n_nodes, n_out]` over the edges and applies the rest of the network;
    /// `edge_weights` `[n_edges]` are 1 by default.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn propagate(
        &self,
        projected: &Tensor,
        graph: &Graph,
        edge_weights: Option<&Tensor>,
    ) -> Result<Tensor> {
        let messages = projected.f_index_select(0, &graph.source)?;
        let messages = match edge_weights {
            Some(weights) => messages.f_mul(&weights.f_unsqueeze(1)?)?,
            None => messages,
        };
        let own = projected.f_mul(&self.eps.f_add_scalar(1.0)?)?;
        self.out.forward(&graph.scatter_sum(&messages)?.f_add(&own)?.f_add(&self.bias)?.f_relu()?)
    }

    /// Maps the features of the nodes to `[n_nodes, n_out]`.
    ///
    /// # Errors
    /// The nodes do not have `n_in` features.
    pub fn forward(&self, features: &NodeFeatures, graph: &Graph) -> Result<Tensor> {
        self.propagate(&self.project(features)?, graph, None)
    }
}
