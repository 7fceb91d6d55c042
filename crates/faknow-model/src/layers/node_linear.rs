//! A linear layer for dense or sparse node features.

use faknow_data::graph::NodeFeatures;
use tch::Tensor;
use tch::nn::{Init, Path, f_init};

use super::bias_uniform;
use super::init::{glorot_bound, kaiming_bound};
use crate::Result;

/// Returns x Wᵀ `[n, n_out]`: the features `[n, n_in]` of `n` nodes times `weight` `[n_out, n_in]`.
///
/// # Errors
/// The nodes do not have `n_in` features.
pub fn node_linear(features: &NodeFeatures, weight: &Tensor) -> Result<Tensor> {
    match features {
        NodeFeatures::Dense(rows) => Ok(rows.f_to_kind(weight.kind())?.f_matmul(&weight.f_tr()?)?),
        NodeFeatures::Sparse(sparse) => {
            // Each row is the weighted sum of the columns of the weight at its nonzero entries.
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

/// Initialization of a weight for node features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightInit {
    /// That of [`glorot`](super::glorot).
    Glorot,
    /// That of [`kaiming_uniform`](super::kaiming_uniform), as PyTorch's linear layers.
    Kaiming,
}

/// Creates a trainable weight `[n_out, n_in]` for [`node_linear`], stored in column-major order: products with sparse features
/// and their gradients then need no copies.
///
/// # Errors
/// libtorch rejects the sizes.
pub fn node_weight(path: &Path<'_>, name: &str, dims: [i64; 2], init: WeightInit) -> Result<Tensor> {
    let bound = match init {
        WeightInit::Glorot => glorot_bound(&dims),
        WeightInit::Kaiming => kaiming_bound(dims[1]),
    };
    let uniform = Init::Uniform { lo: -bound, up: bound };
    let rows = f_init(uniform, &dims, path.device(), path.kind())?;
    Ok(path.add(name, rows.f_tr()?.f_contiguous()?.f_tr()?, true))
}

/// Concatenates several weights of the same features to `[sum of n_out, n_in]`, for a single pass over the features.
///
/// # Errors
/// The weights have different `n_in`.
pub(crate) fn concat_weights(weights: &[&Tensor]) -> Result<Tensor> {
    let columns: Vec<Tensor> =
        weights.iter().map(|weight| weight.f_tr()).collect::<std::result::Result<_, _>>()?;
    Ok(Tensor::f_cat(&columns, 1)?.f_tr()?)
}

/// PyTorch's `nn.Linear` on node features: `weight` `[n_out, n_in]`, `bias` `[n_out]`.
#[derive(Debug)]
pub struct NodeLinear {
    weight: Tensor,
    bias: Tensor,
}

impl NodeLinear {
    /// Creates a layer with PyTorch's initialization.
    ///
    /// # Errors
    /// libtorch rejects the sizes.
    pub fn new(path: &Path<'_>, n_in: i64, n_out: i64) -> Result<Self> {
        let weight = node_weight(path, "weight", [n_out, n_in], WeightInit::Kaiming)?;
        Ok(Self { weight, bias: bias_uniform(path, n_out, n_in)? })
    }

    /// Creates a layer with Glorot initialization and bias 0.
    ///
    /// # Errors
    /// libtorch rejects the sizes.
    pub fn glorot(path: &Path<'_>, n_in: i64, n_out: i64) -> Result<Self> {
        let bias = path.f_var("bias", &[n_out], Init::Const(0.0))?;
        Ok(Self { weight: node_weight(path, "weight", [n_out, n_in], WeightInit::Glorot)?, bias })
    }

    /// Maps the features of `n` nodes to `[n, n_out]`.
    ///
    /// # Errors
    /// The nodes do not have `n_in` features.
    pub fn forward(&self, features: &NodeFeatures) -> Result<Tensor> {
        Ok(node_linear(features, &self.weight)?.f_add(&self.bias)?)
    }
}
