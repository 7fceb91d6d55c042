//! Options that several commands share: where the records are and what their fields mean.

use std::path::PathBuf;

use clap::Args;
use faknow::Config;
use faknow::Result;
use faknow::config::DataConfig;

/// How records are read; the format follows the file's ending (.json, .jsonl, .csv, .tsv).
#[derive(Debug, Default, Args)]
pub(crate) struct RecordOptions {
    /// Field of the text (default `text`, or as in training); with --no-header its number from 1
    #[arg(long, value_name = "COLUMN", help_heading = "Records")]
    pub(crate) text: Option<String>,
    /// Format, where the file's ending does not say it: json, jsonl, csv, tsv
    #[arg(long, value_name = "FORMAT", help_heading = "Records")]
    format: Option<String>,
    /// The first line of CSV or TSV files is a record, not the columns' names
    #[arg(long, help_heading = "Records")]
    no_header: bool,
    /// Quotes in CSV or TSV files are plain characters
    #[arg(long, help_heading = "Records")]
    no_quotes: bool,
}

/// The same, for records with labels.
#[derive(Debug, Default, Args)]
pub(crate) struct LabeledOptions {
    #[command(flatten)]
    pub(crate) records: RecordOptions,
    /// Field of the label (default `label`, or as in training); values may be numbers or words
    #[arg(long, value_name = "COLUMN", help_heading = "Records")]
    pub(crate) label: Option<String>,
}

impl RecordOptions {
    /// Puts what was given into the `data` table of a config.
    pub(crate) fn apply(&self, mut config: Config) -> Result<Config> {
        for (key, value) in [("data.text", &self.text), ("data.format", &self.format)] {
            if let Some(value) = value {
                config = config.with(key, value.clone().into())?;
            }
        }
        config.data.header &= !self.no_header;
        config.data.quotes &= !self.no_quotes;
        Ok(config)
    }

    /// How a file is read for a detector that was trained by `config`; the format is the file's own.
    pub(crate) fn apply_to(&self, config: &Config) -> Result<DataConfig> {
        let mut config = config.clone();
        config.data.format = None;
        Ok(self.apply(config)?.data)
    }
}

impl LabeledOptions {
    /// Returns the first option that was given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let RecordOptions { text, format, no_header, no_quotes } = &self.records;
        let options = [
            ("--text", text.is_some()),
            ("--label", self.label.is_some()),
            ("--format", format.is_some()),
            ("--no-header", *no_header),
            ("--no-quotes", *no_quotes),
        ];
        options.into_iter().find(|(_, is_given)| *is_given).map(|(option, _)| option)
    }

    /// As [`RecordOptions::apply`].
    pub(crate) fn apply(&self, mut config: Config) -> Result<Config> {
        if let Some(label) = &self.label {
            config.data.label.clone_from(label);
        }
        self.records.apply(config)
    }

    /// As [`RecordOptions::apply_to`].
    pub(crate) fn apply_to(&self, config: &Config) -> Result<DataConfig> {
        let mut data = self.records.apply_to(config)?;
        if let Some(label) = &self.label {
            data.label.clone_from(label);
        }
        Ok(data)
    }
}

/// Puts `--classes` into a config: names in order, each perhaps with further label values (`fake=1|hoax`).
pub(crate) fn apply_classes(classes: &[String], data: &mut DataConfig) {
    data.classes.clear();
    data.values.clear();
    for class in classes {
        let (name, values) = class.split_once('=').unwrap_or((class, ""));
        data.classes.push(name.trim().to_owned());
        if class.contains('=') {
            let values = values.split('|').map(|value| value.trim().to_owned()).collect();
            data.values.insert(name.trim().to_owned(), values);
        }
    }
}

/// The settings of a run: a config file, and what overrides it.
#[derive(Debug, Default, Args)]
pub(crate) struct ConfigOptions {
    /// Config file: TOML, or YAML with FaKnow's keys; command-line options take precedence
    #[arg(long, value_name = "FILE", help_heading = "Settings")]
    pub(crate) config: Option<PathBuf>,
    /// Any setting by its dotted name, as in optimizer.lr=0.01; may be repeated; takes precedence
    #[arg(long = "set", value_name = "KEY=VALUE", help_heading = "Settings")]
    set: Vec<String>,
    /// Maximum number of epochs (default 20); early stopping may end before
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true, help_heading = "Settings")]
    epochs: Option<usize>,
    /// Seed of everything random: splits, order, weights, dropout (default 0)
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true, help_heading = "Settings")]
    seed: Option<usize>,
    /// auto, cpu, cuda or cuda:N (default auto: a CUDA device if there is one)
    #[arg(long, value_name = "DEVICE", help_heading = "Settings")]
    device: Option<String>,
    /// Threads to compute with (default 0: one per core)
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true, help_heading = "Settings")]
    threads: Option<usize>,
}

impl ConfigOptions {
    /// Puts the short options and then every `--set` into a config; the most particular wins.
    pub(crate) fn apply(&self, mut config: Config) -> Result<Config> {
        if let Some(epochs) = self.epochs {
            config.trainer.epochs = epochs;
        }
        if let Some(seed) = self.seed {
            config.seed = seed as u64;
        }
        if let Some(device) = &self.device {
            config.device.clone_from(device);
        }
        if let Some(threads) = self.threads {
            config.threads = threads;
        }
        config.set_all(&self.set)
    }
}

fn count(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "expected a whole number of at least 0".to_owned())
}
