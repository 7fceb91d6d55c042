//! The models of the pipeline: a [`Registry`] of [`ModelSpec`]s.
//!
//! A registered custom model works with every command and function of the pipeline:
//!
//! ```
//! use faknow::models::Registry;
//!
//! let mut registry = Registry::builtin();
//! // registry.register::<MyModel>()?;
//! let config = registry.config_for("textcnn")?;
//! assert_eq!(config.model.name, "textcnn");
//! # Ok::<(), faknow::Error>(())
//! ```

mod bigcn;
mod cafe;
mod dudef;
mod eann;
mod ebgcn;
mod eddfn;
mod encoder;
mod endef;
mod fang;
mod fields;
mod gcnfn;
mod gnncl;
mod graph_classifier;
mod hmcan;
mod linear;
mod m3fend;
mod mcan;
mod mdfend;
mod mfan;
mod multimodal;
mod registry;
mod safe;
mod spec;
mod spotfake;
mod textcnn;
mod training_defaults;
mod trustrd;
mod upfd;

pub use fields::{
    DomainField, EncoderUse, FeatureField, Fields, ImageField, NGramField, NewsField, TextField, TreeField,
    WordField,
};
pub(crate) use registry::ConfiguredModel;
pub use registry::{ModelInfo, Registry};
pub use spec::{
    Auxiliary, BoxedModel, BoxedStep, Hyperparameter, LayerTraining, ModelSpec, Pretraining, Shape,
};
pub use training_defaults::TrainingDefaults;
