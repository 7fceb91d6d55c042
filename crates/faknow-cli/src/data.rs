//! `faknow data`: what is in a file of records.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use faknow::data::{ColumnMap, inspect};
use faknow::recipe::{Config, DataConfig, guess_columns};

use crate::console::print;
use crate::data_trees;
use crate::options::{LabelledOptions, apply_classes};

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

/// Count records, classes and lengths of a file, and find problems in it
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  faknow data inspect posts.csv
  faknow data inspect data.TD_RvNN.vol_5000.txt --labels Twitter16_label_All.txt
  faknow data inspect posts.tsv --no-header --text 3 --label 2 --classes false,true --no-quotes

Problems are broken records, missing texts and labels, duplicates, the same text under different labels, and the like,
with the numbers of the first such records. Without --text and --label the columns are found by their usual names.")]
struct InspectArgs {
    /// File of records; or of propagation trees: TD_RvNN text, JSON lines, a folder of UPFD or of FaKnow's <id>.npz
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    fields: LabelledOptions,
    /// Labels of propagation trees, a line each: label, event, id of the root
    #[arg(long, value_name = "FILE", help_heading = "Trees")]
    labels: Option<PathBuf>,
    /// Field of the domain (topic, event), to count its values
    #[arg(long, value_name = "COLUMN", help_heading = "Records")]
    domain: Option<String>,
    /// The classes in order, to find labels that mean none of them (default: any value)
    #[arg(long, value_name = "A,B,…", value_delimiter = ',', help_heading = "Records")]
    classes: Option<Vec<String>>,
    /// Print one JSON object
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
        if self.labels.is_some() || data_trees::holds_trees(&self.file) {
            let mut data = DataConfig::default();
            self.classes.iter().for_each(|classes| apply_classes(classes, &mut data));
            let classes = self.classes.as_ref().map(|_| data.to_classes()).transpose()?;
            return data_trees::inspect(&self.file, self.labels.as_deref(), classes.as_ref(), self.json);
        }
        let mut data = self.fields.apply_to(&Config::default())?;
        if let Some(classes) = &self.classes {
            apply_classes(classes, &mut data);
        }
        let classes = self.classes.as_ref().map(|_| data.to_classes()).transpose()?;
        let mut options = data.read_options(true);
        let guessed = guess_columns(&self.file, &options)?;
        let text = self.fields.records.text.clone().or(guessed.text);
        let label = self.fields.label.clone().or(guessed.label);
        options.columns = ColumnMap { text, label, domain: self.domain.clone(), fields: Vec::new() };
        let inspection = inspect(&self.file, &options, classes.as_ref())?;
        if self.json {
            return print(&serde_json::to_string(&inspection)?);
        }
        let column = |name: &Option<String>, option: &str| match name {
            Some(name) => format!("`{name}`"),
            None => format!("none, name it with --{option}"),
        };
        let (text, label) = (column(&options.columns.text, "text"), column(&options.columns.label, "label"));
        print(&format!("{inspection}\n\ntext from {text}; label from {label}"))
    }
}
