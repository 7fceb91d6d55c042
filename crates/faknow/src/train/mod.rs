//! Training of detectors from a config.
//!
//! ```no_run
//! use faknow::callbacks::Callbacks;
//! use faknow::trainer::RunDir;
//! use faknow::{Config, Detector, train};
//!
//! let config = Config::from_file("textcnn.toml".as_ref())?.set("trainer.epochs=3")?;
//! let outcome = train(&config, || RunDir::unique("runs", &config.model.name), Callbacks::default())?;
//! println!("{}", outcome.fit.stop_reason);
//!
//! let detector = Detector::load(&outcome.run, config.device()?)?;
//! for prediction in detector.predict(&["Aliens endorse the mayor"])? {
//!     println!("{prediction}, {} known tokens", prediction.known_tokens);
//! }
//! # Ok::<(), faknow::Error>(())
//! ```

mod baseline;
mod context;
mod early_stopping;
mod features;
pub(crate) mod finish;
mod image_features;
pub(crate) mod job;
mod layers;
mod mistakes;
mod no_effect;
mod pretraining;
pub(crate) mod resume;
mod run_files;
mod summaries;
mod trainer_builder;
mod training_step;

pub use context::{ContextFactory, RunContext};
pub use job::{Outcome, train};
pub use resume::{ResumeOptions, resume};
pub use run_files::{Effect, RUN_FILES, RunFile};
