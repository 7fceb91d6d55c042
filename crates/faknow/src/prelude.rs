//! The most common items: `use faknow::prelude::*;`.

pub use faknow_callbacks::{
    Callback, Callbacks, EarlyStopping, Flow, Freeze, FreezeRule, HookResult, Interval, Monitor, Phase,
    Progress, Run, StopReason, on_batch_end, on_epoch_end,
};
pub use faknow_data::text::{Tokenizer, TokenizerConfig, Vocab, VocabOptions};
pub use faknow_data::{
    Batch, Classes, ColumnMap, DataLoader, Dataset, FieldBatch, FieldDataset, Folds, Loader, ReadOptions,
    Record, RecordReader, Subset, TensorDataset,
};
pub use faknow_metrics::{
    ClassificationReport, Decision, Direction, EpochRecord, Evaluation, Metric, Metrics, Predictions, Score,
    metric_fn,
};
pub use faknow_model::{Criterion, Loss, Mode, Model, Output, TextCnn, TextCnnConfig};
pub use faknow_trainer::schedule::ScheduleConfig;
pub use faknow_trainer::{
    Adversarial, Attack, Clip, FitReport, Interrupt, Optimizer, OptimizerConfig, RunDir, StepContext,
    StepOutput, Supervised, TrainStep, Trainer, TwoOptimizers, seeded_model,
};
pub use tch::{Device, Kind, Tensor, nn};

pub use crate::{Config, Detector};
