//! Layers with PyTorch's parameter names, shapes and initialisation.

mod embedding;
mod init;
mod linear;
mod text_cnn;

pub use embedding::Embedding;
pub use init::{bias_uniform, kaiming_uniform};
pub use linear::Linear;
pub use text_cnn::{Activation, TextCnnLayer};
