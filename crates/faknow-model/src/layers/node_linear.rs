//! The product of node features with a weight; zeros of sparse features cost nothing.

use faknow_data::graph::NodeFeatures;
use tch::Tensor;
use tch::nn::{Init, Path, f_init};

use super::bias_uniform;
use super::init::{glorot_bound, kaiming_bound};
use crate::Result;

/// Returns x Wᵀ `[n, n_out]`: the features of `n` nodes, each `n_in` wide, times `weight` `[n_out, n_in]`.
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

/// How the weight of node features begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightInit {
    /// As [`glorot`](super::glorot).
    Glorot,
    /// As [`kaiming_uniform`](super::kaiming_uniform), PyTorch's linear layers.
    Kaiming,
}

/// Returns a weight `[n_out, n_in]` for [`node_linear`] that learns. It lies in memory column by column, as sparse features and the gradient
/// of their product want it, so that neither is copied around in each step; nothing else tells it from other weights.
///
/// # Errors
/// libtorch refuses the sizes.
pub fn node_weight(path: &Path<'_>, name: &str, dims: [i64; 2], start: WeightInit) -> Result<Tensor> {
    let bound = match start {
        WeightInit::Glorot => glorot_bound(&dims),
        WeightInit::Kaiming => kaiming_bound(dims[1]),
    };
    let uniform = Init::Uniform { lo: -bound, up: bound };
    let rows = f_init(uniform, &dims, path.device(), path.kind())?;
    Ok(path.add(name, rows.f_tr()?.f_contiguous()?.f_tr()?, true))
}

/// Several weights of the same features as one `[sum of n_out, n_in]`, so that they are passed over once.
///
/// # Errors
/// They are not equally wide.
pub(crate) fn stacked(weights: &[&Tensor]) -> Result<Tensor> {
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
    /// libtorch refuses the sizes.
    pub fn new(path: &Path<'_>, n_in: i64, n_out: i64) -> Result<Self> {
        let weight = node_weight(path, "weight", [n_out, n_in], WeightInit::Kaiming)?;
        Ok(Self { weight, bias: bias_uniform(path, n_out, n_in)? })
    }

    /// Creates a layer with Glorot's initialization, and a bias of 0.
    ///
    /// # Errors
    /// libtorch refuses the sizes.
    pub fn glorot(path: &Path<'_>, n_in: i64, n_out: i64) -> Result<Self> {
        let bias = path.f_var("bias", &[n_out], Init::Const(0.0))?;
        Ok(Self { weight: node_weight(path, "weight", [n_out, n_in], WeightInit::Glorot)?, bias })
    }

    /// Maps the features of `n` nodes to `[n, n_out]`.
    ///
    /// # Errors
    /// The features are not `n_in` wide.
    pub fn forward(&self, features: &NodeFeatures) -> Result<Tensor> {
        Ok(node_linear(features, &self.weight)?.f_add(&self.bias)?)
    }
}
