//! The specification of MDFEND.

use faknow_model::{Mdfend, MdfendConfig, Result};
use faknow_trainer::OptimizerConfig;
use tch::nn::Path;

use super::{
    BoxedModel, DomainField, EncoderUse, Fields, Hyperparameter, ModelSpec, Shape, TrainingDefaults,
    WordField,
};
use crate::config::{EarlyStoppingConfig, LoaderConfig, TrainerConfig};

pub(super) struct MdfendSpec;

/// Returns the training settings of the authors of MDFEND, ENDEF and M3FEND, with this learning rate.
///
/// Batches of texts of similar length (`buckets`) would have other statistics than the running ones of batch normalization, which
/// evaluation uses.
pub(super) fn training_defaults(learning_rate: f64) -> TrainingDefaults {
    TrainingDefaults {
        optimizer: OptimizerConfig::adam(learning_rate).weight_decay(0.00005).into(),
        loader: LoaderConfig { batch_size: 64, buckets: 0, ..LoaderConfig::default() },
        trainer: TrainerConfig { epochs: 50, ..TrainerConfig::default() },
        early_stopping: EarlyStoppingConfig { patience: 5, ..EarlyStoppingConfig::default() },
        ..TrainingDefaults::default()
    }
}

/// Returns the input fields of MDFEND.
pub(super) fn fields(config: &MdfendConfig) -> Fields {
    fields_of_experts(&config.kernel_sizes, config.faithful, config.train_encoder)
}

/// Returns the input fields of convolution experts with these kernel sizes: text and domain.
pub(super) fn fields_of_experts(kernel_sizes: &[i64], faithful: bool, train_encoder: bool) -> Fields {
    // Padding is read as tokens in the faithful mode only, which needs a text as long as the widest kernel.
    let widest = kernel_sizes.iter().copied().max().and_then(|kernel| usize::try_from(kernel).ok());
    let padding = if faithful { widest.unwrap_or(0) } else { 0 };
    let encoder_use = EncoderUse::of(!train_encoder);
    let words = WordField::default().or_encoder_that_is(encoder_use).extra_padding(padding);
    Fields::default().with_words(words).with_domains(DomainField::required())
}

impl ModelSpec for MdfendSpec {
    const NAME: &'static str = "mdfend";
    const TITLE: &'static str = "convolution experts over token vectors, mixed by the domain of the post";
    const PAPER: &'static str = "Nan et al., MDFEND: Multi-domain Fake News Detection, CIKM 2021";
    const HYPERPARAMETERS: &'static [Hyperparameter] = &[
        Hyperparameter::new(
            "embedding_size",
            "at least 1",
            "dimension of the word vectors; pretrained vectors and encoders bring their own",
        ),
        Hyperparameter::new(
            "embedding_dropout",
            "0 to below 1",
            "share of the words without their vectors in a training step",
        ),
        Hyperparameter::new("freeze_embedding", "boolean", "do not train the word vectors"),
        Hyperparameter::new("train_encoder", "boolean", "train the encoder, too"),
        Hyperparameter::new("n_experts", "at least 1", "number of experts"),
        Hyperparameter::new("n_filters", "at least 1", "filters of an expert per kernel size"),
        Hyperparameter::new("kernel_sizes", "tokens, each at least 1", "kernel sizes of the experts"),
        Hyperparameter::new(
            "hidden_sizes",
            "each at least 1",
            "hidden layers of the classifier; the last size is also that of the gate",
        ),
        Hyperparameter::new("dropout", "0 to below 1", "dropout of the hidden layers"),
        Hyperparameter::new("faithful", "boolean", "read padding as tokens, as FaKnow does (docs/parity.md)"),
    ];

    type Config = MdfendConfig;

    fn fields(config: &MdfendConfig) -> Fields {
        fields(config)
    }

    fn build(path: &Path<'_>, config: &MdfendConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
        let source = shape.text_source(config.embedding_size);
        Ok(Box::new(Mdfend::new(path, config, &source, shape.n_domains, shape.n_classes)?))
    }

    fn training_defaults() -> TrainingDefaults {
        training_defaults(0.0005)
    }

    fn use_word_vectors(config: &mut MdfendConfig, size: i64) -> bool {
        config.embedding_size = size;
        true
    }
}
