//! Options of all commands that train: model, records, settings.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use faknow::config::DataFiles;
use faknow::models::Registry;
use faknow::{Config, Error};

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
    /// Weights of a pretrained image encoder: VGG, ResNet (torchvision) or EfficientNet-Lite0
    #[arg(long, value_name = "FILE", help_heading = "Records")]
    image_encoder: Option<PathBuf>,
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
        if let (Some(_), Some(model)) = (&file, model) {
            config = config.with("model.name", registry.model(&model)?.name.into())?;
        }
        for (key, path) in [("text.encoder", &self.encoder), ("image.encoder", &self.image_encoder)] {
            if let Some(path) = path {
                let value = toml::Value::try_from(path);
                config = config.with(key, value.map_err(|error| Error::config(key, error.to_string()))?)?;
            }
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
        Ok(self.config.apply(self.fields.apply(config)?)?)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Options {
        #[command(flatten)]
        training: TrainingOptions,
    }

    fn config(args: &str) -> Config {
        let args = ["faknow"].into_iter().chain(args.split_whitespace());
        let options = Options::try_parse_from(args).unwrap();
        options.training.to_config(&Registry::builtin(), None).unwrap()
    }

    #[test]
    fn given_options_win_over_the_defaults_of_the_variant_of_a_model() {
        let check = |args: &str, epochs: usize, lr: f64| {
            let config = config(args);
            assert_eq!((config.trainer.epochs, config.optimizer.lr()), (epochs, lr), "{args}");
        };
        let frozen = "encoder --encoder DIR --set model.tuning=frozen";
        check("encoder --encoder DIR", 4, 5e-5);
        check(frozen, 100, 1e-3);
        check(&format!("{frozen} --epochs 4"), 4, 1e-3);
        check(&format!("{frozen} --set trainer.epochs=4"), 4, 1e-3);
        check(&format!("{frozen} --set optimizer.lr=5e-5"), 100, 5e-5);
        check("encoder", 10, 5e-4);
        check("encoder --epochs 4 --set optimizer.lr=5e-5", 4, 5e-5);
        check("encoder --encoder DIR --epochs 10", 10, 5e-5);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file.toml");
        std::fs::write(&file, "[trainer]\nepochs = 4\n").unwrap();
        let file = file.display();
        check(&format!("{frozen} --config {file}"), 4, 1e-3);
        check(&format!("{frozen} --config {file} --epochs 10"), 10, 1e-3);
        check(&format!("encoder --config {file}"), 4, 5e-4);
        check(&format!("bigcn --config {file}"), 4, 5e-4);
    }
}
