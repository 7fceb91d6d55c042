//! Options of the commands that take all that `faknow train` takes: model, records, test records, settings.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use faknow::Config;
use faknow::models::Registry;

use crate::training_options::TrainingOptions;

/// What is trained and tested, as `faknow train` takes it.
#[derive(Debug, Args)]
pub(crate) struct JobOptions {
    #[command(flatten)]
    training: TrainingOptions,
    /// Test records, evaluated at the end (default: a share of --train, unless there is --valid)
    #[arg(long, value_name = "FILE", help_heading = "Records")]
    test: Option<PathBuf>,
}

impl JobOptions {
    /// The first argument: a model or a file.
    pub(crate) fn model(&self) -> Option<&str> {
        self.training.model()
    }

    /// The config that all of it makes: the file, the options, and then every `--set`.
    pub(crate) fn to_config(&self, registry: &Registry) -> Result<Config> {
        self.training.to_config(registry, self.test.as_deref())
    }
}
