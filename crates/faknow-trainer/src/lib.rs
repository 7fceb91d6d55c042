#![doc = include_str!("../README.md")]

mod best_weights;
mod builder;
mod error;
mod evaluate;
mod guard;
mod optim;
mod report;
mod run_dir;
pub mod schedule;
mod seed;
mod step;
mod sums;
mod trainer;

pub use best_weights::WEIGHTS_FILE;
pub use builder::TrainerBuilder;
pub use error::{Error, Place, Result};
pub use evaluate::{evaluate, predict, predict_batch};
pub use optim::{
    Adagrad, Adam, AdamW, Clip, Group, NamePattern, Optimizer, OptimizerConfig, ParameterGroup, RmsProp, Sgd,
    Window,
};
pub use report::{FitReport, Weights};
pub use run_dir::RunDir;
pub use seed::{seed_model, seed_step};
pub use step::{StepContext, Supervised, TrainStep};
pub use sums::{GradNorms, LossSums};
pub use trainer::Trainer;
