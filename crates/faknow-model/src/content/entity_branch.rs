//! The entity branch of ENDEF: a text model on the entities that a post mentions.

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::Path;

use super::text_layer::TextSettings;
use super::{TokenVectors, check, class_logits, n_outputs};
use crate::layers::{ConvolutionShape, Mlp, TextExpertSizes, TextExperts};
use crate::{Error, Loss, Mode, Result, loss};

/// Hyperparameters of ENDEF besides those of its base model; the defaults are the paper's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EntityConfig {
    /// Length of the word vectors, at least 1; ignored for pretrained vectors and encoders. Default 300.
    pub embedding_size: i64,
    /// Probability from 0 to below 1 that all occurrences of a word in a batch have the vector 0 in training; an encoder is frozen
    /// and has no dropout. Default 0.
    pub embedding_dropout: f64,
    /// Whether word vectors are excluded from training. Default false.
    pub freeze_embedding: bool,
    /// Number of filters per kernel size, at least 1. Default 64.
    pub n_filters: i64,
    /// Kernel sizes in tokens, each at least 1. Default 1, 2, 3, 5 and 10.
    pub kernel_sizes: Vec<i64>,
    /// Sizes of the hidden layers, each at least 1. Default 384.
    pub hidden_sizes: Vec<i64>,
    /// Dropout probability of the hidden layers, from 0 to below 1. Default 0.2.
    pub dropout: f64,
    /// Share of the entities in the combined logits, from 0 to 1. Default 0.1.
    pub entity_weight: f64,
    /// Weight of the loss of the entities alone, at least 0. Default 0.2.
    pub loss_weight: f64,
    /// Whether to reproduce FaKnow's bugs: the base's probability, not its logit, is combined with the entities' logit, the
    /// weight of the loss is squared, and padding is read as if it were tokens. Only for two classes. Default false.
    pub faithful: bool,
}

impl Default for EntityConfig {
    fn default() -> Self {
        Self {
            embedding_size: 300,
            embedding_dropout: 0.0,
            freeze_embedding: false,
            n_filters: 64,
            kernel_sizes: vec![1, 2, 3, 5, 10],
            hidden_sizes: vec![384],
            dropout: 0.2,
            entity_weight: 0.1,
            loss_weight: 0.2,
            faithful: false,
        }
    }
}

impl EntityConfig {
    pub(super) fn text_settings(&self) -> TextSettings {
        TextSettings {
            model: "ENDEF",
            embedding_dropout: self.embedding_dropout,
            freeze_embedding: self.freeze_embedding,
            train_encoder: false,
            faithful: self.faithful,
        }
    }

    fn validate(&self, n_classes: usize) -> Result<()> {
        let lists = [("kernel_sizes", &*self.kernel_sizes), ("hidden_sizes", &*self.hidden_sizes)];
        check("ENDEF", &[("n_filters", self.n_filters)], &lists, self.dropout, n_classes)?;
        let invalid = |name, expected: &str, got: String| {
            Err(Error::Config { model: "ENDEF", name, expected: expected.into(), got })
        };
        if !(0.0..=1.0).contains(&self.entity_weight) {
            return invalid("entity_weight", "from 0 to 1", self.entity_weight.to_string());
        }
        if !(self.loss_weight.is_finite() && self.loss_weight >= 0.0) {
            return invalid("loss_weight", "a number of at least 0", self.loss_weight.to_string());
        }
        if self.faithful && n_classes != 2 {
            return invalid("faithful", &format!("false with {n_classes} classes"), "true".into());
        }
        Ok(())
    }
}

/// Classifies posts by their entities alone, so that the base model need not learn what the entities alone predict.
///
/// Parameters: `entity_convs.convs.<i>.*`, `entity_mlp.mlp.*`.
#[derive(Debug)]
pub struct EntityBranch {
    convolutions: TextExperts,
    classifier: Mlp,
    config: EntityConfig,
}

impl EntityBranch {
    /// Creates the layers for token vectors of length `size`.
    ///
    /// # Errors
    /// [`Error::Config`] names the hyperparameter that is out of range.
    pub fn new(path: &Path<'_>, config: &EntityConfig, size: i64, n_classes: usize) -> Result<Self> {
        config.validate(n_classes)?;
        let sizes = TextExpertSizes { size, n_filters: config.n_filters, kernel_sizes: &config.kernel_sizes };
        Ok(Self {
            convolutions: TextExperts::new(
                &[path / "entity_convs"],
                sizes,
                ConvolutionShape::TwoDimensional,
            )?,
            classifier: Mlp::new(
                &(path / "entity_mlp"),
                sizes.n_features(),
                &config.hidden_sizes,
                Some(n_outputs(n_classes)),
                config.dropout,
            )?,
            config: config.clone(),
        })
    }

    /// Returns the logits `[n, n_classes]` of the tokens of entities.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn logits(&self, tokens: &TokenVectors, mode: Mode) -> Result<Tensor> {
        let features = tokens.features(&self.convolutions, self.config.faithful)?;
        class_logits(self.classifier.forward(&features.f_squeeze_dim(1)?, mode)?)
    }

    /// Combines the logits of the base model and of the entities.
    ///
    /// # Errors
    /// The shapes differ.
    pub fn combine(&self, base: &Tensor, entities: &Tensor) -> Result<Tensor> {
        let weight = self.config.entity_weight;
        let base = if self.config.faithful {
            class_logits(base.f_softmax(1, None::<tch::Kind>)?.f_narrow(1, 1, 1)?)?
        } else {
            base.shallow_clone()
        };
        Ok(base.f_mul_scalar(1.0 - weight)?.f_add(&entities.f_mul_scalar(weight)?)?)
    }

    /// Returns the training loss: the cross entropy of the combined logits, and that of the entities times its weight.
    ///
    /// # Errors
    /// A label is not a class.
    pub fn loss(&self, combined: &Tensor, entities: &Tensor, labels: &Tensor) -> Result<Loss> {
        let classification = loss::cross_entropy(combined, labels)?;
        let entities = loss::cross_entropy(entities, labels)?;
        let weight = self.config.loss_weight;
        let weight = if self.config.faithful { weight * weight } else { weight };
        let total = classification.f_add(&entities.f_mul_scalar(weight)?)?;
        Ok(Loss { total, parts: vec![(Loss::CLASSIFICATION, classification), ("entities", entities)] })
    }
}
