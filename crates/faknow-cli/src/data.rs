//! `faknow data`: what is in a file of records.

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::options::FieldOptions;

/// Look at files of records
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    Inspect(InspectArgs),
}

/// Count rows, classes and lengths of a file, and find problems in it
#[derive(Debug, Args)]
struct InspectArgs {
    /// File of records
    #[arg(value_name = "FILE")]
    file: std::path::PathBuf,
    #[command(flatten)]
    fields: FieldOptions,
    /// The classes in order (default: as they occur)
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    classes: Option<Vec<String>>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl DataArgs {
    pub(crate) fn run(&self) -> Result<()> {
        let DataCommand::Inspect(args) = &self.command;
        args.run()
    }
}

impl InspectArgs {
    fn run(&self) -> Result<()> {
        anyhow::bail!("pending {self:?}")
    }
}
