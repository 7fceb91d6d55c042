//! Options shared by several commands: format and fields of records, and settings.

use std::path::PathBuf;

use clap::Args;
use faknow::Config;
use faknow::Result;
use faknow::config::DataConfig;
use faknow::data::SkipBroken;

/// Format and text field of record files.
#[derive(Debug, Default, Args)]
pub(crate) struct RecordOptions {
    /// Field of the text: NAME, A,B, nested a.b; number with --no-header [default: recognized]
    #[arg(long, value_name = "COLUMN,…", help_heading = "Records")]
    pub(crate) text: Option<String>,
    /// File format: json, jsonl, csv, tsv, excel or parquet [default: from the file extension]
    #[arg(long, value_name = "FORMAT", help_heading = "Records")]
    format: Option<String>,
    /// Character encoding, such as windows-1252 or gbk [default: UTF-8, or by its mark]
    #[arg(long, value_name = "NAME", help_heading = "Records")]
    encoding: Option<String>,
    /// Separator of CSV and TSV files: a character, tab, semicolon or pipe [default: recognized]
    #[arg(long, value_name = "CHAR", allow_hyphen_values = true, help_heading = "Records")]
    delimiter: Option<String>,
    /// CSV and TSV files have no header line [default: recognized]
    #[arg(long, help_heading = "Records")]
    no_header: bool,
    /// Treat quotes in CSV and TSV files as ordinary characters [default: recognized]
    #[arg(long, help_heading = "Records")]
    no_quotes: bool,
}

/// Format, text field and label field of labeled record files.
#[derive(Debug, Default, Args)]
pub(crate) struct LabeledOptions {
    #[command(flatten)]
    pub(crate) records: RecordOptions,
    /// Field of the label, or its path, as in meta.label [default: recognized or as trained]
    #[arg(long, value_name = "COLUMN", help_heading = "Records")]
    pub(crate) label: Option<String>,
}

impl RecordOptions {
    /// Applies the options to the `data` table of a config.
    pub(crate) fn apply(&self, mut config: Config) -> Result<Config> {
        let values = [
            ("data.text", &self.text),
            ("data.format", &self.format),
            ("data.encoding", &self.encoding),
            ("data.delimiter", &self.delimiter),
        ];
        for (key, value) in values {
            if let Some(value) = value {
                config = config.with(key, value.clone().into())?;
            }
        }
        if self.no_header {
            config.data.header = Some(false);
        }
        if self.no_quotes {
            config.data.quotes = Some(false);
        }
        Ok(config)
    }

    /// Returns the data settings for a detector trained with `config`; the layout is recognized per file.
    pub(crate) fn apply_to(&self, config: &Config) -> Result<DataConfig> {
        let mut config = config.clone();
        config.data = DataConfig {
            format: None,
            encoding: None,
            delimiter: None,
            header: None,
            quotes: None,
            ..config.data
        };
        Ok(self.apply(config)?.data)
    }
}

impl LabeledOptions {
    /// Returns the name of the first given option.
    pub(crate) fn first_given(&self) -> Option<&'static str> {
        let RecordOptions { text, format, encoding, delimiter, no_header, no_quotes } = &self.records;
        let options = [
            ("--text", text.is_some()),
            ("--label", self.label.is_some()),
            ("--format", format.is_some()),
            ("--encoding", encoding.is_some()),
            ("--delimiter", delimiter.is_some()),
            ("--no-header", *no_header),
            ("--no-quotes", *no_quotes),
        ];
        options.into_iter().find(|(_, is_given)| *is_given).map(|(option, _)| option)
    }

    /// Applies the options to the `data` table of a config.
    pub(crate) fn apply(&self, mut config: Config) -> Result<Config> {
        if let Some(label) = &self.label {
            config.data.label = Some(label.clone());
        }
        self.records.apply(config)
    }

    /// Returns the data settings for a detector trained with `config`; the layout is recognized per file.
    pub(crate) fn apply_to(&self, config: &Config) -> Result<DataConfig> {
        let mut data = self.records.apply_to(config)?;
        if let Some(label) = &self.label {
            data.label = Some(label.clone());
        }
        Ok(data)
    }
}

/// Records to leave out.
#[derive(Debug, Default, Args)]
pub(crate) struct LeaveOutOptions {
    /// Labels whose records are left out, ignoring case [default: none, or as in training]
    #[arg(long, value_name = "A,B,…", value_delimiter = ',', help_heading = "Records")]
    drop_classes: Vec<String>,
    /// Skip up to N broken records per file, or P% of them [default: 0]
    #[arg(long, value_name = "N|P%", help_heading = "Records")]
    skip_broken: Option<SkipBroken>,
}

impl LeaveOutOptions {
    /// Applies the options to the `data` table of a config.
    pub(crate) fn apply(&self, data: &mut DataConfig) {
        if !self.drop_classes.is_empty() {
            data.drop_classes = self.drop_classes.iter().map(|label| label.trim().to_owned()).collect();
        }
        if let Some(limit) = self.skip_broken {
            data.skip_broken = limit;
        }
    }
}

/// Applies `--classes` to a config: names in order, each with optional label values (`fake=1|hoax`).
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

/// The settings of a run: a config file, and the options that override it.
#[derive(Debug, Default, Args)]
pub(crate) struct ConfigOptions {
    /// Config file: TOML, or YAML with FaKnow's keys; command-line options take precedence
    #[arg(long, value_name = "FILE", help_heading = "Settings")]
    pub(crate) config: Option<PathBuf>,
    /// Set a config key, as in optimizer.lr=0.01; may be repeated; overrides other options
    #[arg(long = "set", value_name = "KEY=VALUE", help_heading = "Settings")]
    set: Vec<String>,
    /// Maximum number of epochs, at least 1; early stopping may use fewer [default: 20]
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true, help_heading = "Settings")]
    epochs: Option<usize>,
    /// Random seed for splits, sample order, initial weights and dropout [default: 0]
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true, help_heading = "Settings")]
    seed: Option<usize>,
    /// Device: cpu, cuda, cuda:N, or auto for CUDA if available [default: auto]
    #[arg(long, value_name = "DEVICE", help_heading = "Settings")]
    device: Option<String>,
    /// Number of CPU threads; 0 uses one per core [default: 0]
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true, help_heading = "Settings")]
    threads: Option<usize>,
}

impl ConfigOptions {
    /// Applies the options, and then each `--set`, to a config.
    pub(crate) fn apply(&self, mut config: Config) -> Result<Config> {
        if let Some(epochs) = self.epochs {
            config = config.set(&format!("trainer.epochs={epochs}"))?;
        }
        if let Some(seed) = self.seed {
            config.seed = seed as u64;
        }
        if let Some(device) = &self.device {
            config.device = device.to_lowercase();
        }
        if let Some(threads) = self.threads {
            config.threads = threads;
        }
        config.set_all(&self.set)
    }
}

fn count(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "expected an integer of at least 0".to_owned())
}
