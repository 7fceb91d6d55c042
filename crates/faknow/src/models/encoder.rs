//! The specification of the classifier on an encoder.

use faknow_model::Result;
use faknow_model::content::{EncoderClassifier, EncoderClassifierConfig, Tuning};
use faknow_trainer::OptimizerConfig;
use faknow_trainer::schedule::{ScheduleConfig, WarmupLinear};
use tch::nn::Path;

use super::{
    BoxedModel, EncoderUse, Fields, Hyperparameter, LayerTraining, ModelSpec, Shape, TrainingDefaults,
    WordField,
};
use crate::config::{EarlyStoppingConfig, LoaderConfig, TrainerConfig};

pub(super) struct EncoderSpec;

impl ModelSpec for EncoderSpec {
    const NAME: &'static str = "encoder";
    const TITLE: &'static str =
        "pretrained encoder such as BERT (text.encoder), or a small one from scratch, and a classifier";
    const PAPER: &'static str =
        "Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers, NAACL 2019";
    const HYPERPARAMETERS: &'static [Hyperparameter] = &[
        Hyperparameter::new("pooling", "`mean`, `cls`, `max`", "how the vectors of the tokens become one"),
        Hyperparameter::new("head", "`linear`, `mlp`", "layers on the vector of a text"),
        Hyperparameter::new("head_size", "at least 1", "hidden layer of the head `mlp`"),
        Hyperparameter::new("dropout", "0 to below 1", "dropout of the input of each layer of the head"),
        Hyperparameter::new(
            "tuning",
            "`full`, `frozen`, `lora`",
            "which weights of a pretrained encoder are trained: all, none, or low-rank adapters",
        ),
        Hyperparameter::new(
            "precision",
            "`f32`, `bf16`",
            "matrix products of a pretrained encoder: bfloat16 is faster on processors that support it",
        ),
        Hyperparameter::new(
            "layer_decay",
            "above 0 to 1",
            "factor of the learning rate of each layer of the encoder to that of the next one",
        ),
        Hyperparameter::new(
            "unfreeze_epochs",
            "epochs, at least 0",
            "gradual unfreezing: epochs after which the next layer of the encoder is trained too",
        ),
        Hyperparameter::new("lora_rank", "at least 1", "rank of the adapters"),
        Hyperparameter::new("lora_alpha", "above 0", "scale of the adapters, divided by the rank"),
        Hyperparameter::new("lora_dropout", "0 to below 1", "dropout of the input of the adapters"),
        Hyperparameter::new(
            "lora_targets",
            "list of `query`, `key`, `value`, `attention_output`, `intermediate`, `output`",
            "linear layers with adapters",
        ),
        Hyperparameter::new("hidden_size", "a multiple of `n_heads`", "hidden states, from scratch"),
        Hyperparameter::new("n_layers", "at least 1", "layers, from scratch"),
        Hyperparameter::new("n_heads", "at least 1", "attention heads, from scratch"),
        Hyperparameter::new("intermediate_size", "at least 1", "feed-forward layers, from scratch"),
        Hyperparameter::new("max_len", "tokens, at least 1", "maximum length of a text, from scratch"),
    ];

    type Config = EncoderClassifierConfig;

    fn fields(config: &EncoderClassifierConfig) -> Fields {
        Fields::default().with_words(WordField::default().or_encoder_that_is(match config.tuning {
            Tuning::Full => EncoderUse::Trained,
            Tuning::Frozen => EncoderUse::Pooled(config.pooling, config.precision),
            Tuning::Lora => EncoderUse::Adapted,
        }))
    }

    fn build(path: &Path<'_>, config: &EncoderClassifierConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
        let source = shape.text_source(config.hidden_size);
        Ok(Box::new(EncoderClassifier::new(path, config, &source, shape.n_classes)?))
    }

    /// Returns the settings of fine-tuning by the authors of BERT (appendix A.3), with batches by tokens.
    fn training_defaults() -> TrainingDefaults {
        TrainingDefaults {
            optimizer: OptimizerConfig::adamw(5e-5).weight_decay(0.01).into(),
            schedule: Some(ScheduleConfig::WarmupLinear(WarmupLinear::default())),
            loader: LoaderConfig { batch_size: 64, max_tokens: 1536, ..LoaderConfig::default() },
            trainer: TrainerConfig { epochs: 4, clip_norm: Some(1.0), ..TrainerConfig::default() },
            ..TrainingDefaults::default()
        }
    }

    fn training_defaults_for(config: &EncoderClassifierConfig, has_encoder: bool) -> TrainingDefaults {
        let full = Self::training_defaults();
        let lr = |lr: f64| OptimizerConfig::adamw(lr).weight_decay(0.01).into();
        match (has_encoder, config.tuning) {
            (true, Tuning::Full) => full,
            (true, Tuning::Lora) => TrainingDefaults { optimizer: lr(5e-4), ..full },
            (true, Tuning::Frozen) => TrainingDefaults {
                optimizer: lr(1e-3),
                schedule: Some(ScheduleConfig::Constant),
                loader: LoaderConfig { batch_size: 64, buckets: 0, ..LoaderConfig::default() },
                trainer: TrainerConfig { epochs: 100, ..full.trainer },
                early_stopping: EarlyStoppingConfig { patience: 10, ..EarlyStoppingConfig::default() },
                ..TrainingDefaults::default()
            },
            (false, _) => TrainingDefaults {
                optimizer: lr(5e-4),
                trainer: TrainerConfig { epochs: 10, ..full.trainer },
                ..full
            },
        }
    }

    fn layers(config: &EncoderClassifierConfig, shape: &Shape<'_>) -> Vec<LayerTraining> {
        let layers = config.layers(&shape.text_source(config.hidden_size)).into_iter();
        let layers = layers.map(|layer| LayerTraining {
            pattern: layer.pattern,
            lr_factor: config.layer_decay.powi(layer.depth as i32),
            frozen_epochs: config.unfreeze_epochs * layer.depth as f64,
        });
        layers.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deeper_layers_have_lower_learning_rates_and_are_trained_later() {
        let config = EncoderClassifierConfig {
            layer_decay: 0.5,
            unfreeze_epochs: 1.5,
            ..EncoderClassifierConfig::default()
        };
        let shape = Shape {
            vocab_size: 10,
            n_node_features: 0,
            n_classes: 2,
            word_vectors: None,
            encoder: None,
            image_encoder: None,
            n_ngrams: 0,
            n_domains: 0,
            feature_sizes: &[],
        };
        let layers = EncoderSpec::layers(&config, &shape);
        let of = |name: &str| layers.iter().find(|layer| layer.pattern.contains(name)).unwrap();
        let values = |name: &str| (of(name).lr_factor, of(name).frozen_epochs);
        assert_eq!(values("layer.1."), (0.5, 1.5));
        assert_eq!(values("layer.0."), (0.25, 3.0));
        assert_eq!(values("embeddings"), (0.125, 4.5));
    }
}
