//! `faknow tokens`: tokenizes texts into token ids, as the model of a detector sees them.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use faknow::config::DataConfig;
use faknow::models::Registry;
use faknow::tch::Device;
use serde_json::json;

use crate::console::print;
use crate::input::open;
use crate::options::RecordOptions;

/// Tokenize texts into token ids, as the model sees them
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  faknow tokens runs/first --input posts/test.csv
  echo '{\"text\": \"Aliens endorse the mayor\"}' | faknow tokens runs/textcnn-… --input -
  faknow tokens runs/textcnn-… --input new.csv --text tweet")]
#[command(
    after_help = "Writes one JSON object per line, in the order of the input: {\"tokens\": [14, 3, 2, 71]}. A token id is the line
number in `vocab.txt`, from 0; 1 stands for all words that are not in the vocabulary. An exported model takes these
ids, padded with 0."
)]
pub(crate) struct TokensArgs {
    /// Run directory of the detector
    #[arg(value_name = "RUN_DIR")]
    run: PathBuf,
    /// Records to tokenize; `-` reads JSON lines (or --format) from standard input
    #[arg(long, value_name = "FILE|-")]
    input: PathBuf,
    #[command(flatten)]
    fields: RecordOptions,
}

impl TokensArgs {
    pub(crate) fn run(&self, registry: &Registry) -> Result<()> {
        let detector = registry.load_detector(&self.run, Device::Cpu)?;
        for record in open(&detector, Some(&self.input), &self.fields, None, DataConfig::default())? {
            let sample = record?.sample;
            let Some(text) = sample.text() else {
                let message = "expected a text detector, got one for trees";
                return Err(faknow::Error::config("RUN_DIR", message).into());
            };
            let tokens = detector.tokenize(&[text])?.remove(0);
            print(&json!({ "tokens": tokens }).to_string())?;
        }
        Ok(())
    }
}
