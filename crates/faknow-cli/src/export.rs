//! `faknow export`: a detector of texts for PyTorch and libtorch.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use faknow::models::Registry;
use faknow::tch::Device;

use crate::console::print;

/// Write a detector of texts as TorchScript, to be run by Python or C++ without faknow
#[derive(Debug, Args)]
#[command(after_help = "Example:
  faknow export runs/textcnn-… --out exported

Writes model.pt (from token ids to class scores, the temperature included), export.json (what goes in and comes out),
vocab.txt, tokenizer.json and classes.json. `faknow tokens` tokenizes texts.")]
pub(crate) struct ExportArgs {
    /// Run directory of the detector
    #[arg(value_name = "RUN_DIR")]
    run: PathBuf,
    /// Output directory (created if missing)
    #[arg(long, value_name = "DIR", default_value = "exported")]
    out: PathBuf,
}

impl ExportArgs {
    pub(crate) fn run(&self, registry: &Registry) -> Result<()> {
        registry.load_detector(&self.run, Device::Cpu)?.export(&self.out)?;
        print(&self.out.display().to_string())
    }
}
