//! Layers with PyTorch's parameter names, shapes and initialization.

mod batch_norm;
mod bayesian_linear;
mod dense_sage_conv;
mod diff_pool;
mod dropout;
mod embedding;
mod gat_conv;
mod gcn_conv;
mod gin_conv;
mod graph;
mod init;
mod linear;
mod node_linear;
mod product_cache;
mod sage_conv;
mod text_cnn;
mod windows;

pub use batch_norm::{BatchNorm, with_cumulative_statistics};
pub use bayesian_linear::{BayesianLinear, SampledLinear};
pub(crate) use bayesian_linear::{Noise, Perturbation};
pub use dense_sage_conv::DenseSageConv;
pub use diff_pool::{PooledGraphs, diff_pool};
pub use dropout::dropout;
pub(crate) use dropout::{select_relu, select_relu_dropout};
pub use embedding::{Embedding, with_sparse_gradients};
pub use gat_conv::GatConv;
pub use gcn_conv::{GcnConv, GcnPropagation};
pub use gin_conv::GinConv;
pub use graph::{Graph, max_pool, mean_pool};
pub use init::{bias_uniform, glorot, kaiming_uniform};
pub use linear::Linear;
pub(crate) use node_linear::concat_weights;
pub use node_linear::{NodeLinear, WeightInit, node_linear, node_weight};
pub use sage_conv::SageConv;
pub use text_cnn::{Activation, TextCnnLayer};
