//! Options that several commands share: where the records are and what their fields mean.

use std::path::PathBuf;

use clap::Args;
use faknow::Result;
use faknow::recipe::{Config, DataConfig};

/// What the fields of the records mean; the format follows the file's ending (.json, .jsonl, .csv, .tsv).
#[derive(Debug, Default, Args)]
pub(crate) struct FieldOptions {
    /// Field of the text (default `text`); a column number from 1 with --no-header
    #[arg(long, value_name = "COLUMN")]
    pub(crate) text: Option<String>,
    /// Field of the label (default `label`); its values may be numbers or words
    #[arg(long, value_name = "COLUMN")]
    pub(crate) label: Option<String>,
    /// Format, where the file's ending does not say it: json, jsonl, csv, tsv
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
    /// The first line of CSV or TSV files is a record, not the columns' names
    #[arg(long)]
    pub(crate) no_header: bool,
    /// Quotes in CSV or TSV files are plain characters
    #[arg(long)]
    pub(crate) no_quotes: bool,
}

impl FieldOptions {
    /// Puts what was given into the `data` table of a config.
    pub(crate) fn apply(&self, mut config: Config) -> Result<Config> {
        for (key, value) in [("data.text", &self.text), ("data.label", &self.label), ("data.format", &self.format)] {
            if let Some(value) = value {
                config = config.with(key, value.clone().into())?;
            }
        }
        if self.no_header {
            config.data.header = false;
        }
        if self.no_quotes {
            config.data.quotes = false;
        }
        Ok(config)
    }

    /// The same, on the data settings alone.
    pub(crate) fn apply_to(&self, config: &Config) -> Result<DataConfig> {
        Ok(self.apply(config.clone())?.data)
    }
}

/// The settings of a run: a config file, and what overrides it.
#[derive(Debug, Default, Args)]
pub(crate) struct ConfigOptions {
    /// Config file: TOML, or YAML with FaKnow's keys
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Any setting by its dotted name, as in `--set optimizer.lr=0.01`; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Epochs at most (default 20)
    #[arg(long, value_name = "N")]
    pub(crate) epochs: Option<usize>,
    /// Seed of everything random (default 0)
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// auto, cpu, cuda or cuda:N (default auto: a CUDA device if there is one)
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// Threads to compute with (default: one a core)
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
}

impl ConfigOptions {
    /// Puts the short options and then every `--set` into a config; the most particular wins.
    pub(crate) fn apply(&self, mut config: Config) -> Result<Config> {
        if let Some(epochs) = self.epochs {
            config.trainer.epochs = epochs;
        }
        if let Some(seed) = self.seed {
            config.seed = seed;
        }
        if let Some(device) = &self.device {
            config.device.clone_from(device);
        }
        if let Some(threads) = self.threads {
            config.threads = threads;
        }
        self.set.iter().try_fold(config, |config, assignment| config.set(assignment))
    }
}
