#![doc = include_str!("../README.md")]

mod builder;
pub mod checkpoint;
mod error;
mod file_logs;
mod fit;
mod optim;
pub mod schedule;
mod step;
mod system;
mod trainer;
mod tune;

pub use builder::TrainerBuilder;
pub use checkpoint::changes::{ChangeKind, ResumePolicies, ResumePolicy, check_settings};
pub use checkpoint::options::{BUILDER_OPTIONS, BuilderOption};
pub use checkpoint::policy::CheckpointPolicy;
pub use checkpoint::resume::Resume;
pub use error::{Error, Location, Result};
pub use faknow_callbacks::NamePattern;
pub use fit::averages::WeightAveraging;
pub use fit::evaluation::{evaluate, evaluate_until, predict, predict_batch};
pub use fit::non_finite::NonFinitePolicy;
pub use fit::profile::Profile;
pub use fit::report::{FinalWeights, FitReport};
pub use fit::seeds::{seed_step, seeded_model, with_model_seed, with_seed};
pub use fit::sums::{GradNorms, LossSums};
pub use fit::train_metrics::TrainMetrics;
pub use optim::{
    AccumulationWindow, Adagrad, Adam, AdamW, Clip, Gradients, Group, Optimizer, OptimizerConfig,
    ParameterGroup, RmsProp, Sgd,
};
pub use step::adversarial::Adversarial;
pub use step::attack::{Attack, Fgm, Pgd};
pub use step::dual_coordinate_descent::DualCoordinateDescent;
pub use step::ewc::Ewc;
pub use step::gem::Gem;
pub use step::output::StepOutput;
pub use step::supervised::Supervised;
pub use step::two_optimizers::TwoOptimizers;
pub use step::{StepContext, TrainStep};
pub use system::interrupt::{Interrupt, InterruptGuard};
pub use system::memory::available_memory;
pub use system::run_dir::RunDir;
pub use system::signals::{STOP_SIGNALS, StopSignal};
pub use system::threads::let_threads_sleep;
pub use trainer::Trainer;
pub use tune::batch_size::{BatchSizeEnd, BatchSizeSearch, BatchSizeTrial, BatchSizes};
pub use tune::cross_validation::{FoldData, FoldEvaluations, cross_validate};
pub use tune::lr_curve::{LrCurve, LrPoint, LrRangeEnd};
pub use tune::lr_range::LrRange;

pub use serde_json;

/// Name of the weights file in a checkpoint directory.
pub const WEIGHTS_FILE: &str = "model.safetensors";
