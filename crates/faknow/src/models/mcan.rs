//! The specification of MCAN.

use faknow_model::content::Modalities;
use faknow_model::image::ImageOutput;
use faknow_model::{Mcan, McanConfig, Result};
use faknow_trainer::OptimizerConfig;
use faknow_trainer::schedule::{ScheduleConfig, WarmupLinear};
use tch::nn::Path;

use super::multimodal::fields;
use super::{
    BoxedModel, EncoderUse, Fields, Hyperparameter, ImageField, LayerTraining, ModelSpec, Shape,
    TrainingDefaults, WordField,
};
use crate::config::{LoaderConfig, TrainerConfig};

pub(super) struct McanSpec;

impl ModelSpec for McanSpec {
    const NAME: &'static str = "mcan";
    const TITLE: &'static str = "co-attention of a text, an image and the frequencies of the image";
    const PAPER: &'static str = "Wu et al., Multimodal Fusion with Co-Attention Networks for Fake News Detection, Findings of ACL 2021";
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
        Hyperparameter::new("train_image_encoder", "boolean", "train the image encoder, too"),
        Hyperparameter::new("modalities", "both, text, image", "what is read of a post"),
        Hyperparameter::new("pooling", "cls, mean, max", "vector of a text from those of its tokens"),
        Hyperparameter::new(
            "encoder_lr_factor",
            "above 0",
            "learning rate of encoders and frequencies, as a factor of that of the other layers",
        ),
        Hyperparameter::new("model_size", "a multiple of n_heads", "length of the fused vectors"),
        Hyperparameter::new("n_heads", "at least 1", "attention heads"),
        Hyperparameter::new("ffn_size", "at least 1", "hidden layer of the feed-forward layers"),
        Hyperparameter::new("n_layers", "at least 1", "fusion layers"),
        Hyperparameter::new("hidden_size", "at least 1", "hidden layer of the classifier"),
        Hyperparameter::new("dropout", "0 to below 1", "dropout of the fusion layers and the classifier"),
        Hyperparameter::new(
            "feature_dropout",
            "0 to below 1",
            "dropout of the features of text, image and frequencies",
        ),
        Hyperparameter::new("batch_norm", "boolean", "batch normalization of these features"),
        Hyperparameter::new(
            "frequencies",
            "dct, gray",
            "cosine transform of the blocks of an image, or the gray values that FaKnow takes for it",
        ),
        Hyperparameter::new(
            "dct_channels",
            "each at least 1",
            "channels of the first convolutions over frequencies",
        ),
        Hyperparameter::new("dct_kernel_sizes", "one per channel, each at least 1", "their kernel sizes"),
        Hyperparameter::new("dct_branch1_channels", "one, at least 1", "first branch of the inception block"),
        Hyperparameter::new("dct_branch2_channels", "two, each at least 1", "second branch"),
        Hyperparameter::new("dct_branch3_channels", "three, each at least 1", "third branch"),
        Hyperparameter::new("dct_branch4_channels", "one, at least 1", "fourth branch"),
        Hyperparameter::new("dct_out_channels", "at least 1", "features of the frequencies per block"),
        Hyperparameter::new("faithful", "boolean", "FaKnow's attention (docs/parity.md)"),
    ];

    type Config = McanConfig;

    fn fields(config: &McanConfig) -> Fields {
        let words = WordField::default().or_encoder_that_is(EncoderUse::of(!config.train_encoder));
        // The frequencies are those of the pixels.
        let images = ImageField::of(ImageOutput::SecondHidden, !config.train_image_encoder).with_pixels();
        fields(config.modalities, words, images)
    }

    fn build(path: &Path<'_>, config: &McanConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
        let source = shape.text_source(config.embedding_size);
        Ok(Box::new(Mcan::new(path, config, &source, shape.image_encoder, shape.n_classes)?))
    }

    /// Returns the settings of the authors; the schedule is stepped per batch, where FaKnow's is stepped per epoch.
    fn training_defaults() -> TrainingDefaults {
        Self::training_defaults_for(&McanConfig::default(), true)
    }

    fn training_defaults_for(config: &McanConfig, _: bool) -> TrainingDefaults {
        let mut optimizer = OptimizerConfig::adamw(0.01).weight_decay(0.15);
        let without_decay = ["fusion_layers.*.bias", "fusion_layers.*norm*.weight", "linear*.bias"];
        let norms = config.batch_norm.then_some("bn_*");
        for pattern in without_decay.into_iter().chain(norms) {
            optimizer = optimizer.group(pattern, |group| group.weight_decay(0.0));
        }
        TrainingDefaults {
            optimizer: optimizer.into(),
            schedule: Some(ScheduleConfig::WarmupLinear(WarmupLinear::default())),
            loader: LoaderConfig { batch_size: 16, buckets: 0, ..LoaderConfig::default() },
            trainer: TrainerConfig { epochs: 100, clip_norm: Some(1.0), ..TrainerConfig::default() },
            ..TrainingDefaults::default()
        }
    }

    fn layers(config: &McanConfig, shape: &Shape<'_>) -> Vec<LayerTraining> {
        let has_text = config.modalities != Modalities::Image;
        let has_image = config.modalities != Modalities::Text && shape.image_encoder.is_some();
        let slow = [
            ("bert.*", has_text && shape.encoder.is_some() && config.train_encoder),
            ("image_encoder.*", has_image && config.train_image_encoder),
            ("dct_img.*", has_image),
        ];
        let slow = slow.into_iter().filter(|(_, exists)| *exists).map(|(pattern, _)| LayerTraining {
            pattern: pattern.to_owned(),
            lr_factor: config.encoder_lr_factor,
            frozen_epochs: 0.0,
        });
        slow.collect()
    }

    fn use_word_vectors(config: &mut McanConfig, size: i64) -> bool {
        config.embedding_size = size;
        true
    }
}
