//! The options of `faknow train` for model, records, test records and settings, shared by other commands.

use anyhow::Result;
use clap::Args;
use faknow::Config;
use faknow::config::DataFiles;
use faknow::models::Registry;

use crate::training_options::TrainingOptions;

/// Model, records and settings, as in `faknow train`.
#[derive(Debug, Args)]
pub(crate) struct JobOptions {
    #[command(flatten)]
    training: TrainingOptions,
    /// Test records, used once at the end [default: part of --train, or none with --valid]
    #[arg(long, value_name = "FILE,…", value_parser = DataFiles::parse, help_heading = "Records")]
    test: Option<DataFiles>,
}

impl JobOptions {
    /// Returns the first argument: a model or a file.
    pub(crate) fn model(&self) -> Option<&str> {
        self.training.model()
    }

    /// Returns the config of the file, the options and each `--set`, in this order of precedence.
    pub(crate) fn to_config(&self, registry: &Registry) -> Result<Config> {
        self.training.to_config(registry, self.test.as_ref())
    }
}
