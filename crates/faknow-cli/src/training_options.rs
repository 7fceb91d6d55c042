//! Options of all commands that train: model, records, settings.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use faknow::Config;
use faknow::config::DataFiles;
use faknow::models::Registry;

use crate::column_options::ColumnOptions;
use crate::options::{ConfigOptions, LabeledOptions, LeaveOutOptions, apply_classes};
use crate::tree_options::TreeOptions;

/// Model, records and settings.
#[derive(Debug, Args)]
pub(crate) struct TrainingOptions {
    /// Model name (see `faknow models`), or config file that names the model [default: textcnn]
    #[arg(value_name = "MODEL|CONFIG")]
    model: Option<String>,
    /// Training records or trees; several as a.csv,b.csv, or by label: real=a.csv,fake=b.csv
    #[arg(long, value_name = "FILE,…", value_parser = DataFiles::parse, help_heading = "Records")]
    train: Option<DataFiles>,
    /// Validation records, which select the best epoch [default: a fraction of --train]
    #[arg(long, value_name = "FILE,…", value_parser = DataFiles::parse, help_heading = "Records")]
    valid: Option<DataFiles>,
    #[command(flatten)]
    trees: TreeOptions,
    #[command(flatten)]
    fields: LabeledOptions,
    #[command(flatten)]
    leave_out: LeaveOutOptions,
    /// Class names in order; the second of two is the positive class [default: recognized]
    #[arg(long, value_name = "A,B,…", value_delimiter = ',', help_heading = "Records")]
    classes: Option<Vec<String>>,
    /// Language of the texts: en (Unicode words) or zh (Chinese, by jieba) [default: en]
    #[arg(long, value_name = "LANGUAGE", help_heading = "Records")]
    language: Option<String>,
    #[command(flatten)]
    columns: ColumnOptions,
    /// Field of the entities of the text, for models that read them
    #[arg(long, value_name = "COLUMN", help_heading = "Records")]
    entities: Option<String>,
    /// Directory of a pretrained encoder such as BERT, in the format of Hugging Face
    #[arg(long, value_name = "DIR", help_heading = "Records")]
    encoder: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigOptions,
}

impl TrainingOptions {
    /// Returns the first argument: a model or a file.
    pub(crate) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Returns the config, with test records if given.
    pub(crate) fn to_config(&self, registry: &Registry, test: Option<&DataFiles>) -> Result<Config> {
        let is_file = |name: &str| {
            matches!(Path::new(name).extension().and_then(|e| e.to_str()), Some("toml" | "yaml" | "yml"))
        };
        let (model, file) = match (&self.model, &self.config.config) {
            (Some(name), None) if is_file(name) => (None, Some(PathBuf::from(name))),
            (model, file) => (model.clone(), file.clone()),
        };
        let mut config = match (&file, &model) {
            (Some(file), _) => registry.config_from_file(file)?,
            (None, Some(model)) => registry.config_for(model)?,
            (None, None) => Config { registry: registry.clone(), ..Config::default() },
        };
        if let Some(model) = model {
            registry.model(&model)?.name.clone_into(&mut config.model.name);
        }
        self.trees.apply(&mut config.data);
        let paths = [
            (self.train.as_ref(), &mut config.data.train),
            (self.valid.as_ref(), &mut config.data.valid),
            (test, &mut config.data.test),
        ];
        for (given, setting) in paths {
            if given.is_some() {
                *setting = given.cloned();
            }
        }
        if let Some(classes) = &self.classes {
            apply_classes(classes, &mut config.data);
        }
        self.leave_out.apply(&mut config.data);
        if let Some(language) = &self.language {
            config.text.language = language.to_lowercase();
        }
        self.columns.apply(&mut config.data);
        if self.entities.is_some() {
            config.data.entities.clone_from(&self.entities);
        }
        if self.encoder.is_some() {
            config.text.encoder.clone_from(&self.encoder);
        }
        Ok(self.config.apply(self.fields.apply(config)?)?)
    }
}
