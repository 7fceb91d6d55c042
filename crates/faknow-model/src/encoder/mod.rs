//! Transformer encoders of texts with the parameter names and files of Hugging Face, and low-rank adapters.

mod activation;
mod attention;
mod config;
mod config_json;
mod embeddings;
mod hidden;
mod layer_norm;
mod layout;
mod lora;
mod network;
mod params;
mod pooling;
mod post_norm;
mod pretrained;
mod projection;
mod weights;

pub use activation::HiddenActivation;
pub use config::{Architecture, EncoderConfig};
pub use hidden::Hidden;
pub use lora::{LoraConfig, LoraTarget};
pub use network::Encoder;
pub use pooling::Pooling;
pub use pretrained::PretrainedEncoder;
pub use weights::read_weights;
