//! Options that say what is trained: the model, the records, the settings.

use std::path::{Path, PathBuf};

use clap::Args;
use faknow::Result;
use faknow::recipe::Config;

use crate::options::{ConfigOptions, LabelledOptions, apply_classes};

/// What is trained, as `faknow train` takes it.
#[derive(Debug, Default, Args)]
pub(crate) struct JobOptions {
    /// Model (see `faknow models`), or a config file that names it
    #[arg(value_name = "MODEL|CONFIG")]
    model: Option<String>,
    /// Training records: .json, .jsonl, .csv or .tsv
    #[arg(long, value_name = "FILE", help_heading = "Records")]
    train: Option<PathBuf>,
    /// Validation records, which choose the best epoch (default: a share of --train)
    #[arg(long, value_name = "FILE", help_heading = "Records")]
    valid: Option<PathBuf>,
    /// Test records, judged at the end (default: a share of --train, unless there is --valid)
    #[arg(long, value_name = "FILE", help_heading = "Records")]
    test: Option<PathBuf>,
    #[command(flatten)]
    fields: LabelledOptions,
    /// The classes in order; with two, the second is the positive one (default real,fake)
    #[arg(long, value_name = "A,B,…", value_delimiter = ',', help_heading = "Records")]
    classes: Option<Vec<String>>,
    /// Language of the texts: en (Unicode words) or zh (Chinese, cut by jieba) (default en)
    #[arg(long, value_name = "LANGUAGE", help_heading = "Records")]
    language: Option<String>,
    #[command(flatten)]
    config: ConfigOptions,
}

impl JobOptions {
    /// The first argument: a model or a file.
    pub(crate) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The config that all of it makes: the file, the options, and then every `--set`.
    pub(crate) fn to_config(&self) -> Result<Config> {
        let is_file = |name: &str| {
            matches!(Path::new(name).extension().and_then(|e| e.to_str()), Some("toml" | "yaml" | "yml"))
        };
        let (model, file) = match (&self.model, &self.config.config) {
            (Some(name), None) if is_file(name) => (None, Some(PathBuf::from(name))),
            (model, file) => (model.clone(), file.clone()),
        };
        let mut config = match &file {
            Some(file) => Config::from_file(file)?,
            None => Config::default(),
        };
        if let Some(model) = model {
            config.model.name = model;
        }
        let paths = [
            (&self.train, &mut config.data.train),
            (&self.valid, &mut config.data.valid),
            (&self.test, &mut config.data.test),
        ];
        for (given, setting) in paths {
            if given.is_some() {
                setting.clone_from(given);
            }
        }
        if let Some(classes) = &self.classes {
            apply_classes(classes, &mut config.data);
        }
        if let Some(language) = &self.language {
            config.text.language.clone_from(language);
        }
        self.config.apply(self.fields.apply(config)?)
    }
}
