//! `faknow export`: exports a text detector to PyTorch and libtorch.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use faknow::models::Registry;
use faknow::tch::Device;

use crate::console::print;

/// Export a text detector as TorchScript, to run in Python or C++ without faknow, or its encoder
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  faknow export runs/first --out exported
  faknow export runs/lora --encoder merged             # for `faknow train encoder --encoder merged`")]
#[command(
    after_help = "Writes model.pt (from token ids to class scores, including the temperature), export.json (inputs and outputs),
vocab.txt, tokenizer.json and classes.json. `faknow tokens` tokenizes texts for the exported model. For linear models,
weights.tsv (n-grams with idf and weights) takes the place of model.pt. With --encoder, writes config.json,
model.safetensors (with LoRA adapters merged), tokenizer.json and tokenizer_config.json in the format of Hugging Face."
)]
pub(crate) struct ExportArgs {
    /// Run directory of the detector
    #[arg(value_name = "RUN_DIR")]
    run: PathBuf,
    /// Output directory (created if missing)
    #[arg(long, value_name = "DIR", default_value = "exported")]
    out: PathBuf,
    /// Export the pretrained encoder as trained to this directory instead, with LoRA adapters merged
    #[arg(long, value_name = "DIR", conflicts_with = "out")]
    encoder: Option<PathBuf>,
}

impl ExportArgs {
    pub(crate) fn run(&self, registry: &Registry) -> Result<()> {
        let detector = registry.load_detector(&self.run, Device::Cpu)?;
        let out = match &self.encoder {
            Some(dir) => {
                detector.export_encoder(dir)?;
                dir
            }
            None => {
                detector.export(&self.out)?;
                &self.out
            }
        };
        print(&out.display().to_string())
    }
}
