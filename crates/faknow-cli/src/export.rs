//! `faknow export`: exports a text detector to PyTorch and libtorch.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use faknow::models::Registry;
use faknow::tch::Device;

use crate::console::print;

/// Export a text detector as TorchScript, to run in Python or C++ without faknow
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  faknow export runs/first --out exported")]
#[command(
    after_help = "Writes model.pt (from token ids to class scores, including the temperature), export.json (inputs and outputs),
vocab.txt, tokenizer.json and classes.json. `faknow tokens` tokenizes texts for the exported model."
)]
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
