//! Transformer encoders of texts with the parameter names and files of Hugging Face, and low-rank adapters.

mod activation;
mod attention;
mod bert;
mod config;
mod config_json;
mod deberta;
mod deberta_conv;
mod embeddings;
mod hidden;
mod layer_norm;
mod layout;
mod lora;
mod modernbert;
mod network;
mod params;
mod pooling;
mod post_norm;
mod precision;
mod pretrained;
mod projection;
mod relative_positions;
mod weights;

pub use activation::HiddenActivation;
pub use config::{Architecture, EncoderConfig};
pub use deberta::{DebertaConfig, RelativeConfig};
pub use hidden::Hidden;
pub use lora::{LoraConfig, LoraTarget};
pub use modernbert::ModernBertConfig;
pub use network::Encoder;
pub use pooling::Pooling;
pub use precision::Precision;
pub use pretrained::PretrainedEncoder;
pub use weights::read_weights;
