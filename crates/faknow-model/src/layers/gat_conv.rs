//! Graph attention convolution.
//!
//! Veličković et al., *Graph Attention Networks*, ICLR 2018, equations 3 and 4 with one head.

use faknow_data::graph::NodeFeatures;
use tch::Tensor;
use tch::nn::{Init, Path};

use super::{Graph, WeightInit, glorot, node_linear, node_weight};
use crate::Result;

/// Negative slope of the leaky ReLU.
const SLOPE: f64 = 0.2;

/// PyTorch Geometric's `GATConv` with one head: `lin.weight` `[n_out, n_in]`, `att_src` and `att_dst` `[1, 1, n_out]`,
/// `bias` `[n_out]`. Each node attends to itself too.
#[derive(Debug)]
pub struct GatConv {
    weight: Tensor,
    source: Tensor,
    target: Tensor,
    bias: Tensor,
    n_out: i64,
}

impl GatConv {
    /// Creates a layer with PyTorch Geometric's initialization: Glorot for the weights, 0 for the bias.
    ///
    /// # Errors
    /// libtorch rejects the sizes.
    pub fn new(path: &Path<'_>, n_in: i64, n_out: i64) -> Result<Self> {
        Ok(Self {
            source: glorot(path, "att_src", &[1, 1, n_out])?,
            target: glorot(path, "att_dst", &[1, 1, n_out])?,
            bias: path.f_var("bias", &[n_out], Init::Const(0.0))?,
            weight: node_weight(&(path / "lin"), "weight", [n_out, n_in], WeightInit::Glorot)?,
            n_out,
        })
    }

    /// Maps the features of the nodes to `[n_nodes, n_out]`.
    ///
    /// # Errors
    /// The nodes do not have `n_in` features.
    pub fn forward(&self, features: &NodeFeatures, graph: &Graph) -> Result<Tensor> {
        let x = node_linear(features, &self.weight)?;
        let attention = Tensor::f_cat(&[&self.source, &self.target], 0)?.f_view([2, self.n_out])?.f_tr()?;
        let scores = x.f_matmul(&attention)?; // [n_nodes, 2]
        let (source, target) = (scores.f_select(1, 0)?, scores.f_select(1, 1)?);
        let weight = |at_source: &Tensor, at_target: &Tensor| -> Result<Tensor> {
            let sum = at_source.f_add(at_target)?;
            Ok(sum.f_maximum(&sum.f_mul_scalar(SLOPE)?)?)
        };
        let loop_weights = weight(&source, &target)?; // [n_nodes]
        let edge_weights =
            weight(&source.f_index_select(0, &graph.source)?, &target.f_index_select(0, &graph.target)?)?;
        // Softmax over the incoming edges of a node, with the maximum subtracted for stability.
        let largest = tch::no_grad(|| -> Result<_> {
            Ok(graph.scatter_max(&edge_weights)?.f_maximum(&loop_weights)?)
        })?;
        let loop_weights = loop_weights.f_sub(&largest)?.f_exp()?;
        let edge_weights = edge_weights.f_sub(&largest.f_index_select(0, &graph.target)?)?.f_exp()?;
        let sums = loop_weights.f_index_add(0, &graph.target, &edge_weights)?;
        // Divided before the sum of the messages, where each edge has only one value.
        let edge_weights = edge_weights.f_div(&sums.f_index_select(0, &graph.target)?)?;
        let loop_weights = loop_weights.f_div(&sums)?;
        let messages = x.f_index_select(0, &graph.source)?.f_mul(&edge_weights.f_unsqueeze(1)?)?;
        let total = self.bias.f_addcmul(&x, &loop_weights.f_unsqueeze(1)?)?.f_index_add(
            0,
            &graph.target,
            &messages,
        )?;
        Ok(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_scores_stay_finite() {
        let vars = tch::nn::VarStore::new(tch::Device::Cpu);
        let layer = GatConv::new(&vars.root(), 2, 3).unwrap();
        let features = NodeFeatures::Dense(Tensor::from_slice2(&[[1e4f32, -1e4], [3e4, 2e4]]));
        let edges = Tensor::from_slice2(&[[0i64], [1]]);
        let out = layer.forward(&features, &Graph::new(&edges, 2).unwrap()).unwrap();
        assert_eq!(out.kind(), tch::Kind::Float);
        assert!(out.isfinite().all().int64_value(&[]) == 1);
    }
}
