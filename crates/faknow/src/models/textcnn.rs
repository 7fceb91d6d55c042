//! The specification of TextCNN.

use faknow_model::{Result, TextCnn, TextCnnConfig};
use tch::nn::Path;

use super::{BoxedModel, Fields, Hyperparameter, ModelSpec, Shape, WordField};

pub(super) struct TextCnnSpec;

impl ModelSpec for TextCnnSpec {
    const NAME: &'static str = "textcnn";
    const TITLE: &'static str = "convolutions over word vectors, max pooling over time, linear layer";
    const PAPER: &'static str = "Kim, Convolutional Neural Networks for Sentence Classification, EMNLP 2014";
    const HYPERPARAMETERS: &'static [Hyperparameter] = &[
        Hyperparameter::new(
            "embedding_size",
            "at least 1",
            "dimension of the word vectors; pretrained vectors bring their own",
        ),
        Hyperparameter::new("n_filters", "at least 1", "filters per kernel size"),
        Hyperparameter::new("kernel_sizes", "tokens, each at least 1", "kernel sizes of the convolutions"),
        Hyperparameter::new("activation", "`relu`, `leaky_relu`, `none`", "activation of the convolutions"),
        Hyperparameter::new("dropout", "0 to below 1", "dropout of the features"),
        Hyperparameter::new("freeze_embedding", "boolean", "do not train the word vectors"),
    ];

    type Config = TextCnnConfig;

    fn fields(config: &TextCnnConfig) -> Fields {
        Fields::default().with_words(WordField::default().extra_padding(config.extra_padding()))
    }

    fn build(path: &Path<'_>, config: &TextCnnConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
        let model = match shape.word_vectors {
            Some(vectors) => TextCnn::with_vectors(path, config, vectors, shape.n_classes)?,
            None => TextCnn::new(path, config, shape.vocab_size, shape.n_classes)?,
        };
        Ok(Box::new(model))
    }

    fn use_word_vectors(config: &mut TextCnnConfig, size: i64) -> bool {
        config.embedding_size = size;
        true
    }
}
