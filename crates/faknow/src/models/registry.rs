//! The registry of models.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use faknow_model::image::PretrainedImageEncoder;
use serde::Serialize;
use serde::de::IntoDeserializer;
use tch::Device;
use tch::nn::{Path, VarStore};
use toml::Table;

use super::bigcn::BiGcnSpec;
use super::cafe::CafeSpec;
use super::dudef::DudefSpec;
use super::eann::EannSpec;
use super::ebgcn::EbgcnSpec;
use super::eddfn::EddfnSpec;
use super::encoder::EncoderSpec;
use super::endef::EndefSpec;
use super::fang::FangSpec;
use super::gcnfn::GcnfnSpec;
use super::gnncl::GnnclSpec;
use super::graph_classifier::{GatSpec, GcnSpec, GraphSageSpec};
use super::hmcan::HmcanSpec;
use super::linear::LinearSpec;
use super::m3fend::M3fendSpec;
use super::mcan::McanSpec;
use super::mdfend::MdfendSpec;
use super::mfan::MfanSpec;
use super::safe::SafeSpec;
use super::spotfake::SpotFakeSpec;
use super::textcnn::TextCnnSpec;
use super::trustrd::TrustRdSpec;
use super::upfd::{UpfdGatSpec, UpfdGcnSpec, UpfdGcnfnSpec, UpfdSageSpec};
use super::{
    Auxiliary, BoxedModel, BoxedStep, Fields, Hyperparameter, LayerTraining, ModelSpec, Pretraining, Shape,
};
use crate::config::messages::{config_message, did_you_mean};
use crate::{Error, Result};

/// Keys of the table `[model]` that are not hyperparameters.
const RESERVED: [&str; 2] = ["name", "weights"];

/// The available models of configs, in the order of their registration. Cheap to clone.
///
/// A [`Config`](crate::Config) contains its registry. Functions that take a directory instead of a config are methods of the
/// registry ([`Registry::load_detector`], [`Registry::resume`], …), with equivalent functions for the builtin models.
#[derive(Clone)]
pub struct Registry {
    specs: Arc<Vec<Arc<dyn AnySpec>>>,
}

/// The description of a registered model.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ModelInfo {
    /// Name in configs.
    pub name: &'static str,
    /// Description in one line.
    pub title: &'static str,
    /// Paper or other source.
    pub source: &'static str,
    /// Input fields, with the default hyperparameters.
    #[serde(rename = "reads")]
    pub fields: Fields,
    /// Hyperparameters with their defaults.
    pub hyperparameters: Table,
    /// Range and meaning of each hyperparameter, as far as the model describes them.
    pub documentation: &'static [Hyperparameter],
    /// Training settings of the model that differ from the general defaults, with the default hyperparameters and without an
    /// encoder of texts.
    pub training: Table,
}

impl Default for Registry {
    fn default() -> Self {
        Self::builtin()
    }
}

impl Registry {
    /// Returns a registry of the builtin models.
    pub fn builtin() -> Self {
        let specs: Vec<Arc<dyn AnySpec>> = vec![
            spec::<TextCnnSpec>(),
            spec::<LinearSpec>(),
            spec::<EncoderSpec>(),
            spec::<DudefSpec>(),
            spec::<EddfnSpec>(),
            spec::<MdfendSpec>(),
            spec::<EndefSpec>(),
            spec::<M3fendSpec>(),
            spec::<EannSpec>(),
            spec::<SpotFakeSpec>(),
            spec::<SafeSpec>(),
            spec::<McanSpec>(),
            spec::<HmcanSpec>(),
            spec::<MfanSpec>(),
            spec::<CafeSpec>(),
            spec::<GcnSpec>(),
            spec::<GraphSageSpec>(),
            spec::<GatSpec>(),
            spec::<GcnfnSpec>(),
            spec::<UpfdGcnSpec>(),
            spec::<UpfdSageSpec>(),
            spec::<UpfdGatSpec>(),
            spec::<UpfdGcnfnSpec>(),
            spec::<BiGcnSpec>(),
            spec::<EbgcnSpec>(),
            spec::<GnnclSpec>(),
            spec::<TrustRdSpec>(),
            spec::<FangSpec>(),
        ];
        Self { specs: Arc::new(specs) }
    }

    /// Adds a model.
    ///
    /// # Errors
    /// The name is invalid or taken, or a hyperparameter has the name of another key of the table `[model]`.
    pub fn register<S: ModelSpec>(&mut self) -> Result<()> {
        let name = S::NAME;
        let name_error = |message: String| Err(Error::config("model.name", message));
        let is_valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(is_valid) {
            return name_error(format!(
                "expected a name of lowercase letters, digits, `-` and `_` that starts with a letter, got `{name}`"
            ));
        }
        if self.specs.iter().any(|spec| spec.name() == name) {
            return name_error(format!("expected a unique name, got `{name}`, which is already registered"));
        }
        let hyperparameters = Table::try_from(S::Config::default()).map_err(|error| {
            Error::config("model", format!("cannot convert the default config of `{name}` to TOML: {error}"))
        })?;
        if let Some(key) = RESERVED.iter().find(|key| hyperparameters.contains_key(**key)) {
            let message = format!("`{name}` has a hyperparameter with this reserved name; rename it");
            return Err(Error::config(format!("model.{key}"), message));
        }
        Arc::make_mut(&mut self.specs).push(spec::<S>());
        Ok(())
    }

    /// Returns the descriptions of all models.
    pub fn models(&self) -> Vec<ModelInfo> {
        self.specs.iter().map(|spec| spec.info()).collect()
    }

    /// Returns the description of a model.
    ///
    /// # Errors
    /// No model has this name; the error lists the available ones.
    pub fn model(&self, name: &str) -> Result<ModelInfo> {
        Ok(self.spec(name)?.info())
    }

    /// Returns the model with its hyperparameters.
    ///
    /// # Errors
    /// No model has this name, or a hyperparameter is unknown or of the wrong type.
    pub(crate) fn configure(&self, name: &str, hyperparameters: &Table) -> Result<Box<dyn ConfiguredModel>> {
        self.spec(name)?.configure(hyperparameters)
    }

    /// Returns the training settings of a table `[model]` that differ from the general defaults, with or without an encoder of
    /// texts. Invalid hyperparameters, which are reported later, have those of the default ones.
    ///
    /// # Errors
    /// No model has this name.
    pub(crate) fn training_defaults(&self, name: &str, model: &Table, has_encoder: bool) -> Result<Table> {
        let mut hyperparameters = model.clone();
        hyperparameters.retain(|key, _| !RESERVED.contains(&key));
        let spec = self.spec(name)?;
        let configured = spec.configure(&hyperparameters).or_else(|_| spec.configure(&Table::new()));
        Ok(configured?.training_defaults(has_encoder))
    }

    fn spec(&self, name: &str) -> Result<&dyn AnySpec> {
        self.find(name).ok_or_else(|| {
            let names: Vec<&str> = self.specs.iter().map(|spec| spec.name()).collect();
            let hint = did_you_mean(&name.to_lowercase(), names.iter().copied());
            Error::config(
                "model.name",
                format!("unknown model `{name}`, expected one of {}{hint}", names.join(", ")),
            )
        })
    }

    /// Returns the model with this name, else the only one whose name differs from it in case, dashes and spaces only.
    fn find(&self, name: &str) -> Option<&dyn AnySpec> {
        let mut specs = self.specs.iter().map(AsRef::as_ref);
        specs.clone().find(|spec| spec.name() == name).or_else(|| {
            let mut similar = specs.by_ref().filter(|spec| plain(spec.name()) == plain(name));
            similar.next().filter(|_| similar.next().is_none())
        })
    }
}

/// Returns the letters and digits of a name, in lowercase.
fn plain(name: &str) -> String {
    name.chars().filter(|it| !matches!(it, '-' | '_' | ' ')).flat_map(char::to_lowercase).collect()
}

/// Compares the names of the models.
impl PartialEq for Registry {
    fn eq(&self, other: &Self) -> bool {
        let names = |registry: &Self| registry.specs.iter().map(|spec| spec.name()).collect::<Vec<_>>();
        names(self) == names(other)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.specs.iter().map(|spec| spec.name())).finish()
    }
}

/// A type-erased [`ModelSpec`].
trait AnySpec: Send + Sync {
    fn name(&self) -> &'static str;
    fn info(&self) -> ModelInfo;
    fn configure(&self, hyperparameters: &Table) -> Result<Box<dyn ConfiguredModel>>;
}

/// A type-erased model with its hyperparameters.
pub(crate) trait ConfiguredModel: fmt::Debug {
    /// Returns the input fields of the model.
    fn fields(&self) -> Fields;
    /// Returns all hyperparameters, including defaults.
    fn to_table(&self) -> Table;
    /// Adapts the model to pretrained vectors of this size; returns false if it does not support any.
    fn use_word_vectors(&mut self, size: i64) -> bool;
    fn build(&self, path: &Path<'_>, shape: &Shape<'_>) -> Result<BoxedModel>;
    /// Returns the training settings for the hyperparameters of the model, with or without an encoder of texts.
    fn training_defaults(&self, has_encoder: bool) -> Table;
    /// Returns how the layers of the model are trained that differ from the others.
    fn layers(&self, shape: &Shape<'_>) -> Vec<LayerTraining>;
    /// Returns the custom training step of the model, if it has one.
    fn step(&self) -> Option<BoxedStep>;
    /// Returns the optimizer of a part of the model with a separate loss, if there is one.
    fn auxiliary(&self, shape: &Shape<'_>) -> Option<Auxiliary>;
    /// Returns the share of the training samples that is selected, if not all are used.
    fn lsh_share(&self) -> Option<f64>;
    /// Returns the pretraining of the model, if it has one.
    fn pretraining(&self, path: &Path<'_>, shape: &Shape<'_>) -> Result<Option<Pretraining>>;
}

impl dyn ConfiguredModel {
    /// Checks all hyperparameters by building the smallest model that they allow.
    pub(crate) fn validate(&self, n_classes: usize) -> Result<()> {
        let fields = self.fields();
        let features = fields.features.iter().filter(|it| it.is_required);
        let feature_sizes: Vec<(String, usize)> = features.map(|it| (it.name.to_owned(), 2)).collect();
        let image_encoder = fields.images.as_ref().map(|_| PretrainedImageEncoder::small());
        let shape = Shape {
            vocab_size: 2,
            n_node_features: 2,
            n_classes,
            word_vectors: None,
            encoder: None,
            image_encoder: image_encoder.as_ref(),
            n_ngrams: 2,
            n_domains: 2,
            feature_sizes: &feature_sizes,
        };
        // Seeded, so that the random numbers of runs in other threads are not affected.
        faknow_trainer::with_model_seed(0, || {
            self.build(&VarStore::new(Device::Cpu).root(), &shape).map(drop)
        })
    }
}

fn spec<S: ModelSpec>() -> Arc<dyn AnySpec> {
    Arc::new(Typed::<S>(PhantomData))
}

struct Typed<S>(PhantomData<fn() -> S>);

impl<S: ModelSpec> AnySpec for Typed<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn info(&self) -> ModelInfo {
        let config = S::Config::default();
        ModelInfo {
            name: S::NAME,
            title: S::TITLE,
            source: S::PAPER,
            fields: S::fields(&config),
            training: S::training_defaults_for(&config, false).to_table(),
            hyperparameters: Table::try_from(config).unwrap_or_default(),
            documentation: S::HYPERPARAMETERS,
        }
    }

    fn configure(&self, hyperparameters: &Table) -> Result<Box<dyn ConfiguredModel>> {
        let table = toml::Value::Table(hyperparameters.clone()).into_deserializer();
        let config: S::Config = serde_path_to_error::deserialize(table).map_err(|error| {
            let path = error.path().to_string();
            let key = if path == "." { "model".to_owned() } else { format!("model.{path}") };
            let message = config_message(error.into_inner().message());
            let hint = if message.starts_with("unknown field") {
                let known = Table::try_from(S::Config::default()).unwrap_or_default();
                did_you_mean(&path, known.keys().map(String::as_str))
            } else {
                String::new()
            };
            Error::config(key, message + &hint)
        })?;
        Ok(Box::new(Configured::<S>(config)))
    }
}

struct Configured<S: ModelSpec>(S::Config);

impl<S: ModelSpec> ConfiguredModel for Configured<S> {
    fn fields(&self) -> Fields {
        S::fields(&self.0)
    }

    fn to_table(&self) -> Table {
        Table::try_from(&self.0).unwrap_or_default()
    }

    fn use_word_vectors(&mut self, size: i64) -> bool {
        S::use_word_vectors(&mut self.0, size)
    }

    fn build(&self, path: &Path<'_>, shape: &Shape<'_>) -> Result<BoxedModel> {
        S::build(path, &self.0, shape).map_err(|error| Error::in_table("model", error))
    }

    fn training_defaults(&self, has_encoder: bool) -> Table {
        S::training_defaults_for(&self.0, has_encoder).to_table()
    }

    fn layers(&self, shape: &Shape<'_>) -> Vec<LayerTraining> {
        S::layers(&self.0, shape)
    }

    fn step(&self) -> Option<BoxedStep> {
        S::step(&self.0)
    }

    fn auxiliary(&self, shape: &Shape<'_>) -> Option<Auxiliary> {
        S::auxiliary(&self.0, shape)
    }

    fn lsh_share(&self) -> Option<f64> {
        S::lsh_share(&self.0)
    }

    fn pretraining(&self, path: &Path<'_>, shape: &Shape<'_>) -> Result<Option<Pretraining>> {
        S::pretraining(path, &self.0, shape).map_err(|error| Error::in_table("model", error))
    }
}

impl<S: ModelSpec> fmt::Debug for Configured<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple(S::NAME).field(&self.0).finish()
    }
}
