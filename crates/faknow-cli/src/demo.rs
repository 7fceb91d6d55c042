//! `faknow demo`: trains, tests and predicts in one command.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use faknow::Config;
use faknow::config::{DataConfig, EarlyStoppingConfig};
use faknow::data::synth::{SynthOptions, write_jsonl};
use faknow::data::{RecordReader, synth};
use faknow::data::{guess_data, guess_language};
use faknow::models::Registry;

use crate::console::{Console, print};
use crate::options::ConfigOptions;
use crate::train::{check_interrupt, run_training, table};

/// Number of predictions that are shown.
const N_SHOWN: usize = 5;

/// Train a detector on built-in synthetic posts (or on --data), test it, and show predictions
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  faknow demo
  faknow demo --epochs 3 --out runs/demo
  faknow demo --data my-posts")]
pub(crate) struct DemoArgs {
    /// Directory with your own train, valid and test files; columns and classes are detected
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigOptions,
    /// Run directory; must be new or empty [default: a new directory in `runs`]
    #[arg(long, value_name = "RUN_DIR")]
    out: Option<PathBuf>,
}

impl DemoArgs {
    pub(crate) fn run(&self, registry: &Registry, console: &Console) -> Result<()> {
        let mut config = match &self.config.config {
            Some(file) => registry.config_from_file(file)?,
            None => Config {
                early_stopping: EarlyStoppingConfig { patience: 3, ..EarlyStoppingConfig::default() },
                registry: registry.clone(),
                ..Config::default()
            },
        };
        config.data = match &self.data {
            Some(dir) => guess_data(dir)?,
            None => built_in(Path::new("runs/demo-data"))?,
        };
        config.text.language = guess_language(&config.data)?.to_owned();
        let config = self.config.apply(config)?.recognize()?.config;
        let (outcome, guard) = run_training(&config, self.out.as_deref(), console)?;
        print(&table(&outcome))?;
        check_interrupt(&outcome)?;
        drop(guard);
        print(&format!("\nSome predictions:\n{}", self.predictions(registry, &config, &outcome.run)?))?;
        let run = outcome.run.display();
        print(&format!(
            "\nTry it: echo '{{\"{}\": \"…\"}}' | {} predict {run} --input -",
            config.data.text.as_ref().map_or_else(|| "text".to_owned(), ToString::to_string),
            // The path as called: after `cargo xtask demo` the program is not on the search path.
            std::env::args().next().unwrap_or_else(|| "faknow".to_owned())
        ))
    }

    /// Returns the predictions for the first posts of the test file, or of the training file, as text.
    fn predictions(&self, registry: &Registry, config: &Config, run: &Path) -> Result<String> {
        let detector = registry.load_detector(run, config.device()?)?;
        let files = config.data.test.as_ref().map_or_else(|| config.train_files(), Ok)?;
        let classes = config.data.to_classes()?;
        let file = files.first();
        let records = RecordReader::open(file, &config.data.read_options_for(file, true)?, Some(&classes))?;
        let records = records.take(N_SHOWN).collect::<Result<Vec<_>, _>>()?;
        let texts: Vec<&str> = records.iter().map(|record| record.text.as_str()).collect();
        let lines = detector.predict(&texts)?.into_iter().zip(&records).map(|(prediction, record)| {
            let truth = record.label.and_then(|label| classes.name(label)).unwrap_or("?");
            let text: String = record.text.split_whitespace().collect::<Vec<_>>().join(" ");
            let start: String = text.chars().take(70).collect();
            format!("  {:>12}  (true: {truth})  {start}…", prediction.to_string())
        });
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }
}

/// Writes the built-in dataset, which is always the same.
fn built_in(dir: &Path) -> Result<DataConfig> {
    let [train, valid, test] = write_jsonl(dir, &SynthOptions::default())?;
    Ok(DataConfig {
        train: Some(train.into()),
        valid: Some(valid.into()),
        test: Some(test.into()),
        classes: synth::CLASS_NAMES.iter().map(|name| (*name).to_owned()).collect(),
        domain: Some("domain".into()),
        ..DataConfig::default()
    })
}
