#![doc = include_str!("../README.md")]

mod adversarial;
mod attack;
mod average;
mod batch_size;
mod begin;
mod best;
mod builder;
pub mod checkpoint;
mod checkpoint_policy;
mod epoch_state;
mod error;
mod evaluate;
mod ewc;
mod fit;
mod gem;
mod guard;
mod interrupt;
mod limits;
mod lr_curve;
mod lr_plot;
mod lr_range;
mod memory;
mod non_finite;
mod optim;
mod profile;
mod report;
mod resume;
mod run_dir;
mod saving;
pub mod schedule;
mod seed;
mod settings;
mod step;
mod sums;
mod supervised;
mod threads;
mod trainer;
mod trial;
mod two_optimizers;
mod update;

pub use adversarial::Adversarial;
pub use attack::{Attack, Fgm, Pgd};
pub use average::Average;
pub use batch_size::{BatchSizeEnd, BatchSizeSearch, BatchSizeTrial, BatchSizes};
pub use builder::TrainerBuilder;
pub use checkpoint_policy::CheckpointPolicy;
pub use error::{Error, Place, Result};
pub use evaluate::{evaluate, predict, predict_batch};
pub use ewc::Ewc;
pub use faknow_callbacks::NamePattern;
pub use gem::Gem;
pub use interrupt::{Interrupt, Listening};
pub use lr_curve::{LrCurve, LrPoint, LrRangeEnd};
pub use lr_range::LrRange;
pub use memory::available_memory;
pub use non_finite::NonFinite;
pub use optim::{
    Adagrad, Adam, AdamW, Clip, Gradients, Group, Optimizer, OptimizerConfig, ParameterGroup, RmsProp, Sgd,
    Window,
};
pub use profile::Profile;
pub use report::{FitReport, Weights};
pub use resume::{Change, Resume};
pub use run_dir::RunDir;
pub use seed::{seed_model, seed_step, with_model_seed, with_seed};
pub use step::{StepContext, TrainStep};
pub use sums::{GradNorms, LossSums};
pub use supervised::Supervised;
pub use threads::let_threads_sleep;
pub use trainer::Trainer;
pub use two_optimizers::TwoOptimizers;

/// File name of the weights in a checkpoint folder.
pub const WEIGHTS_FILE: &str = "model.safetensors";
