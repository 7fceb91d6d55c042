//! Layers with PyTorch's parameter names, shapes and initialisation.

mod batch_norm;
mod dense_sage_conv;
mod diff_pool;
mod dropout;
mod embedding;
mod gat_conv;
mod gcn_conv;
mod graph;
mod init;
mod linear;
mod node_linear;
mod sage_conv;
mod text_cnn;

pub use batch_norm::BatchNorm;
pub use dense_sage_conv::DenseSageConv;
pub use diff_pool::{Pooled, diff_pool};
pub use dropout::dropout;
pub(crate) use dropout::{select_dropped, select_positive};
pub use embedding::Embedding;
pub use gat_conv::GatConv;
pub use gcn_conv::{GcnConv, GcnPropagation};
pub use graph::{Graph, max_pool, mean_pool};
pub use init::{bias_uniform, glorot, kaiming_uniform};
pub use linear::Linear;
pub use node_linear::{NodeLinear, node_linear};
pub use sage_conv::SageConv;
pub use text_cnn::{Activation, TextCnnLayer};
