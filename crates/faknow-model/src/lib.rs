#![doc = include_str!("../README.md")]

mod class_weights;
mod criterion;
mod error;
mod explain;
mod integrated_gradients;
mod model;
mod summary;

pub mod content;
pub mod layers;
pub mod loss;
pub mod social;
pub mod weights;

pub use class_weights::ClassWeights;
pub use content::{TextCnn, TextCnnConfig};
pub use criterion::{Criterion, LossName};
pub use error::{Error, Result};
pub use explain::node_contributions;
pub use integrated_gradients::{WordContributions, integrated_gradients};
pub use model::{Loss, Mode, Model, OfWords, Output};
pub use social::{
    BiGcn, BiGcnConfig, ConvKind, Ebgcn, EbgcnConfig, Gcnfn, GcnfnConfig, Gnncl, GnnclConfig,
    GraphClassifier, GraphClassifierConfig, TrustRd, TrustRdConfig, TrustRdPretraining, Upfd, UpfdConfig,
    UpfdKind,
};
pub use summary::{ParameterSummary, Summary, TrainingMemory, format_bytes, summary};
