//! From a config to a trained, tested and saved detector, and from a run folder to predictions.
//!
//! ```no_run
//! use faknow::callbacks::Callbacks;
//! use faknow::recipe::{Config, Detector, train};
//! use faknow::trainer::RunDir;
//!
//! let config = Config::from_file("textcnn.toml".as_ref())?.set("trainer.epochs=3")?;
//! let outcome = train(&config, || RunDir::unique("runs", &config.model.name), Callbacks::default())?;
//! println!("{}", outcome.fit.ended);
//!
//! let detector = Detector::load(&outcome.run, config.device()?)?;
//! for prediction in detector.predict(&["Aliens endorse the mayor"])? {
//!     println!("{} {:.3}", prediction.label, prediction.score);
//! }
//! # Ok::<(), faknow::Error>(())
//! ```

mod batch_size;
mod candidates;
mod check;
mod config;
mod corpus;
mod cross_validation;
mod data_config;
mod decision_config;
mod detector;
mod explanation;
mod export;
mod faknow_yaml;
mod finish;
mod fold;
mod guess;
mod input;
mod inputs;
mod lr_find;
mod mistakes;
mod models;
mod pause;
mod pretraining;
mod resume;
mod search;
mod search_method;
mod search_outcome;
mod search_space;
mod session;
mod settings;
mod stream;
mod study;
mod summary;
mod text_cache;
mod text_corpus;
mod train;
mod trainer_config;
mod tree_corpus;
mod trial;

pub use batch_size::find_batch_size;
pub use config::{Config, LoaderConfig, ModelConfig, TextConfig};
pub use cross_validation::{
    CrossValidation, FoldMetric, FoldResult, cross_validate, resume_cross_validation,
};
pub use data_config::{DataConfig, Weighting};
pub use decision_config::{DecisionConfig, Threshold, ThresholdRule};
pub use detector::{Detector, Prediction};
pub use explanation::{Explanation, Part};
pub use export::Exported;
pub use fold::Fold;
pub use guess::{GuessedColumns, guess_columns, guess_data, guess_language};
pub use input::{InputBatch, InputModel};
pub use lr_find::lr_find;
pub use models::{ModelInfo, model_info, models};
pub use resume::{ResumeOptions, resume};
pub use search::{resume_search, search};
pub use search_method::SearchMethod;
pub use search_outcome::SearchOutcome;
pub use search_space::SearchSpace;
pub use session::{Session, Sessions};
pub use stream::Judged;
pub use study::TestScores;
pub use summary::model_summary;
pub use train::{Outcome, train};
pub use trainer_config::{EarlyStoppingConfig, TrainerConfig};
pub use trial::Trial;
