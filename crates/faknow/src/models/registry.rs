//! The models that a config can name.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::IntoDeserializer;
use tch::Device;
use tch::nn::{Path, VarStore};
use toml::Table;

use super::bigcn::BiGcnSpec;
use super::ebgcn::EbgcnSpec;
use super::gcnfn::GcnfnSpec;
use super::gnncl::GnnclSpec;
use super::graph_classifier::{GatSpec, GcnSpec, GraphSageSpec};
use super::textcnn::TextCnnSpec;
use super::trustrd::TrustRdSpec;
use super::upfd::{UpfdGatSpec, UpfdGcnSpec, UpfdGcnfnSpec, UpfdSageSpec};
use super::{BoxedModel, BoxedStep, Fields, Hyperparameter, ModelSpec, Pretraining, Shape};
use crate::config::messages::in_plain_words;
use crate::{Error, Result};

/// Keys of the table `[model]` that are not hyperparameters.
const RESERVED: [&str; 2] = ["name", "weights"];

/// The models that a config can name, in the order in which they were registered. Cheap to clone.
///
/// A [`Config`](crate::Config) knows its registry, so whatever takes a config needs no other; what starts from a directory
/// instead ([`Registry::load_detector`], [`Registry::resume`], …) is a method, with a function of the same purpose for the builtin
/// models.
#[derive(Clone)]
pub struct Registry {
    specs: Arc<Vec<Arc<dyn AnySpec>>>,
}

/// What is known about a registered model, for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ModelInfo {
    /// Name in configs.
    pub name: &'static str,
    /// Description in one line.
    pub title: &'static str,
    /// Paper or other source.
    pub source: &'static str,
    /// The fields that it reads with its default hyperparameters.
    #[serde(rename = "reads")]
    pub fields: Fields,
    /// Its hyperparameters and their defaults.
    pub hyperparameters: Table,
    /// Range and meaning of each hyperparameter, as far as the model describes them.
    pub documentation: &'static [Hyperparameter],
    /// Settings of the training that differ from those of every config, where a config does not name them.
    pub training: Table,
}

impl Default for Registry {
    fn default() -> Self {
        Self::builtin()
    }
}

impl Registry {
    /// Returns the models of this crate.
    pub fn builtin() -> Self {
        let specs: Vec<Arc<dyn AnySpec>> = vec![
            spec::<TextCnnSpec>(),
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
        ];
        Self { specs: Arc::new(specs) }
    }

    /// Adds a model.
    ///
    /// # Errors
    /// The name is ill-formed or taken, or a hyperparameter has the name of another key of the table `[model]`.
    pub fn register<S: ModelSpec>(&mut self) -> Result<()> {
        let name = S::NAME;
        let wrong = |message: String| Err(Error::config("model.name", message));
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(fits) {
            return wrong(format!(
                "expected a name of lowercase letters, digits, `-` and `_` that starts with a letter, got `{name}`"
            ));
        }
        if self.find(name).is_some() {
            return wrong(format!("a model `{name}` is registered already: expected another name"));
        }
        let hyperparameters = Table::try_from(S::Config::default()).map_err(|error| {
            Error::config("model", format!("the default config of `{name}` has no form in TOML: {error}"))
        })?;
        if let Some(key) = RESERVED.iter().find(|key| hyperparameters.contains_key(**key)) {
            let message = format!("`{name}` has a hyperparameter of this name, which is reserved: rename it");
            return Err(Error::config(format!("model.{key}"), message));
        }
        Arc::make_mut(&mut self.specs).push(spec::<S>());
        Ok(())
    }

    /// Returns all models.
    pub fn models(&self) -> Vec<ModelInfo> {
        self.specs.iter().map(|spec| spec.info()).collect()
    }

    /// Returns the model of this name.
    ///
    /// # Errors
    /// No model has this name; the message has the known ones.
    pub fn model(&self, name: &str) -> Result<ModelInfo> {
        Ok(self.spec(name)?.info())
    }

    /// Reads the hyperparameters of a model; unknown ones are refused by name.
    pub(crate) fn configure(&self, name: &str, hyperparameters: &Table) -> Result<Box<dyn ConfiguredModel>> {
        self.spec(name)?.configure(hyperparameters)
    }

    fn spec(&self, name: &str) -> Result<&dyn AnySpec> {
        self.find(name).ok_or_else(|| {
            let known: Vec<&str> = self.specs.iter().map(|spec| spec.name()).collect();
            Error::config("model.name", format!("unknown model `{name}`; known: {}", known.join(", ")))
        })
    }

    fn find(&self, name: &str) -> Option<&dyn AnySpec> {
        self.specs.iter().map(AsRef::as_ref).find(|spec| spec.name() == name)
    }
}

/// Registries with the same models are equal.
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

/// A [`ModelSpec`] whose type is forgotten.
trait AnySpec: Send + Sync {
    fn name(&self) -> &'static str;
    fn info(&self) -> ModelInfo;
    fn configure(&self, hyperparameters: &Table) -> Result<Box<dyn ConfiguredModel>>;
}

/// A model with its hyperparameters, ready to be built.
pub(crate) trait ConfiguredModel: fmt::Debug {
    /// The fields that the model reads.
    fn fields(&self) -> Fields;
    /// Every hyperparameter, defaults included.
    fn to_table(&self) -> Table;
    /// Adapts the model to pretrained vectors of this size; false if it cannot use any.
    fn use_word_vectors(&mut self, size: i64) -> bool;
    fn build(&self, path: &Path<'_>, shape: &Shape<'_>) -> Result<BoxedModel>;
    /// The model's own training step, if it has one.
    fn step(&self) -> Option<BoxedStep>;
    /// The stage before the training, if the model has one.
    fn pretraining(&self, path: &Path<'_>, shape: &Shape<'_>) -> Result<Option<Pretraining>>;
}

impl dyn ConfiguredModel {
    /// Checks all hyperparameters by building the smallest model that they allow.
    pub(crate) fn validate(&self, n_classes: usize) -> Result<()> {
        let shape = Shape { vocab_size: 2, n_node_features: 2, n_classes, word_vectors: None };
        // With a seed, though any will do, so that the noise of runs in other threads is left alone.
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
            hyperparameters: Table::try_from(config).unwrap_or_default(),
            documentation: S::HYPERPARAMETERS,
            training: S::training_defaults().to_table(),
        }
    }

    fn configure(&self, hyperparameters: &Table) -> Result<Box<dyn ConfiguredModel>> {
        let table = toml::Value::Table(hyperparameters.clone()).into_deserializer();
        let config: S::Config = serde_path_to_error::deserialize(table).map_err(|error| {
            let path = error.path().to_string();
            let key = if path == "." { "model".to_owned() } else { format!("model.{path}") };
            Error::config(key, in_plain_words(error.into_inner().message()))
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

    fn step(&self) -> Option<BoxedStep> {
        S::step(&self.0)
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
