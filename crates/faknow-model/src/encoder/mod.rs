//! Transformer encoders of texts: BERT, RoBERTa and DistilBERT, with the parameter names and files of Hugging Face.

mod activation;
mod attention;
mod config;
mod config_json;
mod embeddings;
mod hidden;
mod layer_norm;
mod layout;
mod network;
mod params;
mod post_norm;
mod pretrained;
mod projection;
mod weights;

pub use activation::HiddenActivation;
pub use config::{Architecture, EncoderConfig};
pub use hidden::Hidden;
pub use network::Encoder;
pub use pretrained::PretrainedEncoder;
pub use weights::read_weights;
