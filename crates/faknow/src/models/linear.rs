//! The specification of the linear classifier of n-grams.

use faknow_callbacks::Interval;
use faknow_model::{LinearClassifier, LinearConfig, Result};
use faknow_trainer::{CheckpointPolicy, DualCoordinateDescent, OptimizerConfig};
use tch::nn::Path;

use super::{BoxedModel, BoxedStep, Fields, Hyperparameter, ModelSpec, NGramField, Shape, TrainingDefaults};
use crate::config::{EarlyStoppingConfig, LoaderConfig, TextConfig, TrainerConfig};

pub(super) struct LinearSpec;

impl ModelSpec for LinearSpec {
    const NAME: &'static str = "linear";
    const TITLE: &'static str = "tf-idf of word 1-2-grams (characters 1-4 for Chinese), linear classifier";
    const PAPER: &'static str = "Fan et al., LIBLINEAR: A Library for Large Linear Classification, JMLR 2008";
    const HYPERPARAMETERS: &'static [Hyperparameter] = &[
        Hyperparameter::new(
            "loss",
            "`squared_hinge` (a support vector machine), `logistic`",
            "loss of a sample",
        ),
        Hyperparameter::new("c", "above 0", "weight of the losses relative to the L2 regularization"),
        Hyperparameter::new(
            "max_ngram",
            "tokens; 0: 4 characters or 2 words",
            "maximum number of tokens of an n-gram",
        ),
        Hyperparameter::new(
            "min_df",
            "at least 1",
            "minimum number of training texts that contain an n-gram",
        ),
    ];

    type Config = LinearConfig;

    fn fields(config: &LinearConfig) -> Fields {
        Fields::words().with_ngrams(NGramField::new(config.max_ngram, config.min_df))
    }

    fn build(path: &Path<'_>, config: &LinearConfig, shape: &Shape<'_>) -> Result<BoxedModel> {
        Ok(Box::new(LinearClassifier::new(path, config, shape.n_ngrams, shape.n_classes)?))
    }

    fn step(config: &LinearConfig) -> Option<BoxedStep> {
        let step = DualCoordinateDescent::new(config.loss, config.c).ok()?;
        Some(Box::new(step))
    }

    /// Returns large batches: one is a step over many samples, each of which is an update.
    fn training_defaults() -> TrainingDefaults {
        TrainingDefaults {
            // It is not used, and has no state.
            optimizer: OptimizerConfig::sgd(0.01).into(),
            loader: LoaderConfig {
                batch_size: 8192,
                eval_batch_size: 8192,
                buckets: 0,
                ..LoaderConfig::default()
            },
            trainer: TrainerConfig { epochs: 10, restore_best: false, ..TrainerConfig::default() },
            early_stopping: EarlyStoppingConfig { enabled: false, ..EarlyStoppingConfig::default() },
            text: TextConfig { max_length: 100_000, ..TextConfig::default() },
            // An epoch takes milliseconds, writing a checkpoint several times as long.
            checkpoint: CheckpointPolicy { every: Interval::seconds(10.0), ..CheckpointPolicy::default() },
            ..TrainingDefaults::default()
        }
    }
}
