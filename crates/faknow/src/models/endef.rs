//! The specification of ENDEF.

use faknow_model::{Endef, EntityConfig, Error, Mdfend, MdfendConfig, Result, TextCnn, TextCnnConfig};
use serde::{Deserialize, Serialize};
use tch::nn::Path;

use super::{BoxedModel, Fields, Hyperparameter, ModelSpec, Shape, TrainingDefaults, WordField, mdfend};

pub(super) struct EndefSpec;

/// Hyperparameters of ENDEF: its base model, and those of [`EntityConfig`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct EndefConfig {
    base: EndefBase,
    entity_weight: f64,
    loss_weight: f64,
    embedding_size: i64,
    embedding_dropout: f64,
    freeze_embedding: bool,
    n_filters: i64,
    kernel_sizes: Vec<i64>,
    hidden_sizes: Vec<i64>,
    dropout: f64,
    faithful: bool,
    mdfend: MdfendConfig,
    textcnn: TextCnnConfig,
}

impl Default for EndefConfig {
    fn default() -> Self {
        let EntityConfig {
            embedding_size,
            embedding_dropout,
            freeze_embedding,
            n_filters,
            kernel_sizes,
            hidden_sizes,
            dropout,
            entity_weight,
            loss_weight,
            faithful,
        } = EntityConfig::default();
        Self {
            base: EndefBase::default(),
            entity_weight,
            loss_weight,
            embedding_size,
            embedding_dropout,
            freeze_embedding,
            n_filters,
            kernel_sizes,
            hidden_sizes,
            dropout,
            faithful,
            mdfend: MdfendConfig::default(),
            textcnn: TextCnnConfig::default(),
        }
    }
}

impl EndefConfig {
    fn entities(&self) -> EntityConfig {
        EntityConfig {
            embedding_size: self.embedding_size,
            embedding_dropout: self.embedding_dropout,
            freeze_embedding: self.freeze_embedding,
            n_filters: self.n_filters,
            kernel_sizes: self.kernel_sizes.clone(),
            hidden_sizes: self.hidden_sizes.clone(),
            dropout: self.dropout,
            entity_weight: self.entity_weight,
            loss_weight: self.loss_weight,
            faithful: self.faithful,
        }
    }
}

/// The base models of ENDEF.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum EndefBase {
    #[default]
    Mdfend,
    TextCnn,
}

impl ModelSpec for EndefSpec {
    const NAME: &'static str = "endef";
    const TITLE: &'static str = "a text model, debiased by a model of the entities alone";
    const PAPER: &'static str =
        "Zhu et al., Generalizing to the Future: Mitigating Entity Bias in Fake News Detection, SIGIR 2022";
    const HYPERPARAMETERS: &'static [Hyperparameter] = &[
        Hyperparameter::new("base", "`mdfend`, `textcnn`", "the text model that is trained, and predicts"),
        Hyperparameter::new("entity_weight", "0 to 1", "share of the entities in the combined logits"),
        Hyperparameter::new("loss_weight", "at least 0", "weight of the loss of the entities alone"),
        Hyperparameter::new(
            "embedding_size",
            "at least 1",
            "dimension of the word vectors of entities; pretrained vectors and encoders bring their own",
        ),
        Hyperparameter::new(
            "embedding_dropout",
            "0 to below 1",
            "share of the words of entities without their vectors in a training step",
        ),
        Hyperparameter::new("freeze_embedding", "boolean", "do not train the word vectors of entities"),
        Hyperparameter::new("n_filters", "at least 1", "filters of the branch of entities per kernel size"),
        Hyperparameter::new(
            "kernel_sizes",
            "tokens, each at least 1",
            "kernel sizes of the branch of entities",
        ),
        Hyperparameter::new("hidden_sizes", "each at least 1", "hidden layers of the branch of entities"),
        Hyperparameter::new("dropout", "0 to below 1", "dropout of these hidden layers"),
        Hyperparameter::new("faithful", "boolean", "reproduce FaKnow's defects (docs/parity.md)"),
        Hyperparameter::new("mdfend", "a table", "hyperparameters of the base `mdfend`"),
        Hyperparameter::new("textcnn", "a table", "hyperparameters of the base `textcnn`"),
    ];

    type Config = EndefConfig;

    fn fields(config: &EndefConfig) -> Fields {
        let fields = match config.base {
            EndefBase::Mdfend => mdfend::fields(&config.mdfend),
            EndefBase::TextCnn => {
                let padding = config.textcnn.extra_padding();
                Fields::default().with_words(WordField::default().extra_padding(padding))
            }
        };
        fields.with_text(Endef::ENTITIES)
    }

    fn build(path: &Path<'_>, config: &EndefConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
        let base = base(&(path / Endef::BASE), config, shape).map_err(|error| in_base(config.base, error))?;
        let source = shape.text_source(config.embedding_size);
        Ok(Box::new(Endef::new(path, &config.entities(), base, &source, shape.n_classes)?))
    }

    fn training_defaults() -> TrainingDefaults {
        mdfend::training_defaults(0.0005)
    }

    fn use_word_vectors(config: &mut EndefConfig, size: i64) -> bool {
        config.mdfend.embedding_size = size;
        config.textcnn.embedding_size = size;
        config.embedding_size = size;
        true
    }
}

/// Builds the base model.
fn base(path: &Path<'_>, config: &EndefConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
    let EndefConfig { mdfend, textcnn, .. } = config;
    let Shape { n_domains, n_classes, .. } = *shape;
    Ok(match (config.base, shape.word_vectors) {
        (EndefBase::Mdfend, _) => {
            let source = shape.text_source(mdfend.embedding_size);
            Box::new(Mdfend::new(path, mdfend, &source, n_domains, n_classes)?)
        }
        (EndefBase::TextCnn, Some(vectors)) => {
            Box::new(TextCnn::with_vectors(path, textcnn, vectors, n_classes)?)
        }
        (EndefBase::TextCnn, None) => Box::new(TextCnn::new(path, textcnn, shape.vocab_size, n_classes)?),
    })
}

/// Adds the name of the table of the base model to an error of one of its hyperparameters.
fn in_base(base: EndefBase, error: Error) -> Error {
    let table = match base {
        EndefBase::Mdfend => "mdfend",
        EndefBase::TextCnn => "textcnn",
    };
    match error {
        Error::Config { model, name, expected, got } => {
            Error::Config { model, name: table, expected: format!("`{name}` {expected}"), got }
        }
        other => other,
    }
}
