#![doc = include_str!("../README.md")]

mod error;
mod explain;
mod model;
mod summary;

pub mod content;
pub mod encoder;
pub mod image;
pub mod layers;
pub mod loss;
pub mod social;
pub mod weights;

pub use content::{
    Dudef, DudefConfig, Eddfn, EddfnConfig, EddfnInput, EddfnOutput, Endef, EntityConfig, LinearClassifier,
    LinearConfig, LinearLoss, M3fend, M3fendConfig, Mdfend, MdfendConfig, TextCnn, TextCnnConfig,
};
pub use error::{Error, Result};
pub use explain::{
    NGramContributions, PixelContributions, WordContributions, integrated_gradients,
    integrated_gradients_in_parts, ngram_contributions, node_contributions, pixel_contributions,
};
pub use loss::{ClassWeights, Criterion, LossName};
pub use model::{EmbeddingModel, ImageModel, Loss, Mode, Model, NGramWeights, Output, TrainingDataPass};
pub use social::{
    BiGcn, BiGcnConfig, ConvKind, Ebgcn, EbgcnConfig, Fang, FangConfig, Gcnfn, GcnfnConfig, Gnncl,
    GnnclConfig, GraphClassifier, GraphClassifierConfig, TrustRd, TrustRdConfig, TrustRdPretraining, Upfd,
    UpfdConfig, UpfdKind,
};
pub use summary::{ParameterSummary, Summary, TrainingMemory, format_bytes, summary};
