//! The product of node features with a weight; zeros of sparse features cost nothing.

use faknow_data::graph::NodeFeatures;
use tch::Tensor;
use tch::nn::{Init, Path};

use super::{bias_uniform, glorot, kaiming_uniform};
use crate::Result;

/// x Wᵀ: the features of `n` nodes, each `n_in` wide, times `weight` `[n_out, n_in]`, to `[n, n_out]`.
///
/// # Errors
/// The features are not `n_in` wide.
pub fn node_linear(features: &NodeFeatures, weight: &Tensor) -> Result<Tensor> {
    match features {
        NodeFeatures::Dense(rows) => Ok(rows.f_to_kind(weight.kind())?.f_matmul(&weight.f_tr()?)?),
        NodeFeatures::Sparse(sparse) => {
            // A row is the sum of the weight's rows that belong to its entries, times their values.
            let (rows, _, _, _) = Tensor::f_embedding_bag_padding_idx(
                &weight.f_tr()?.f_contiguous()?,
                &sparse.columns,
                &sparse.offsets,
                false,
                0,
                false,
                Some(&sparse.values.f_to_kind(weight.kind())?),
                true,
                None::<i64>,
            )?;
            Ok(rows)
        }
    }
}

/// PyTorch's `nn.Linear` on node features: `weight` `[n_out, n_in]`, `bias` `[n_out]`.
#[derive(Debug)]
pub struct NodeLinear {
    weight: Tensor,
    bias: Tensor,
}

impl NodeLinear {
    /// A layer with PyTorch's initialisation.
    ///
    /// # Errors
    /// libtorch refuses the sizes.
    pub fn new(path: &Path<'_>, n_in: i64, n_out: i64) -> Result<Self> {
        let weight = kaiming_uniform(path, "weight", &[n_out, n_in])?;
        Ok(Self { weight, bias: bias_uniform(path, n_out, n_in)? })
    }

    /// A layer with Glorot's initialisation, and a bias of 0.
    ///
    /// # Errors
    /// libtorch refuses the sizes.
    pub fn glorot(path: &Path<'_>, n_in: i64, n_out: i64) -> Result<Self> {
        let bias = path.f_var("bias", &[n_out], Init::Const(0.0))?;
        Ok(Self { weight: glorot(path, "weight", &[n_out, n_in])?, bias })
    }

    /// The features of `n` nodes to `[n, n_out]`.
    ///
    /// # Errors
    /// The features are not `n_in` wide.
    pub fn forward(&self, features: &NodeFeatures) -> Result<Tensor> {
        Ok(node_linear(features, &self.weight)?.f_add(&self.bias)?)
    }
}
