//! `faknow data`: what is in files of records, or in a file of propagation trees.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};
use faknow::Config;
use faknow::config::DataConfig;
use faknow::data::{
    Classes, ColumnMap, ReadOptions, contains_trees, guess_columns, inspect, inspect_trees, overlap,
};
use serde_json::json;

use crate::console::print;
use crate::options::{LabeledOptions, apply_classes};

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

/// Count records, classes and lengths of files, and find what would spoil a result
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  faknow data inspect posts.csv
  faknow data inspect train.csv valid.csv test.csv --text tweet --label label --domain topic
  faknow data inspect data.TD_RvNN.vol_5000.txt --labels Twitter16_label_All.txt
  faknow data inspect posts.tsv --no-header --text 3 --label 2 --classes false,true --no-quotes

Problems are broken records, missing texts and labels, the same text under different labels, one-sided classes and
domains, and the like, with the numbers of the first such records and what to do about them. Texts that occur again,
word for word or nearly, are found within files and from one to another, where they make a test too good: give the
training file first. Without --text and --label the columns are found by their usual names.")]
struct InspectArgs {
    /// Files of records, training first; or of propagation trees: TD_RvNN text, JSON lines, UPFD, <id>.npz
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    fields: LabeledOptions,
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
        let mut data = DataConfig::default();
        self.classes.iter().for_each(|classes| apply_classes(classes, &mut data));
        let classes = self.classes.as_ref().map(|_| data.to_classes()).transpose()?;
        let trees = self.files.iter().find(|file| self.labels.is_some() || contains_trees(file));
        match trees {
            Some(file) => self.inspect_trees(file, classes.as_ref()),
            None => self.inspect_records(classes.as_ref()),
        }
    }

    fn inspect_trees(&self, file: &Path, classes: Option<&Classes>) -> Result<()> {
        let wrong = |option: &str, message: String| Err(faknow::Error::config(option, message).into());
        if self.files.len() > 1 {
            let message = format!("expected one file of propagation trees, got {} files", self.files.len());
            return wrong("FILE", message);
        }
        let domain = self.domain.as_ref().map(|_| "--domain");
        if let Some(option) = self.fields.given().or(domain) {
            let file = file.display();
            return wrong(option, format!("expected a file of records, got propagation trees: {file}"));
        }
        let inspection = inspect_trees(file, self.labels.as_deref(), classes)?;
        if self.json {
            return print(&serde_json::to_string(&inspection)?);
        }
        print(&inspection.to_string())
    }

    fn inspect_records(&self, classes: Option<&Classes>) -> Result<()> {
        let data = self.fields.apply_to(&Config::default())?;
        let mut files = Vec::new();
        let mut inspections = Vec::new();
        for file in &self.files {
            let options = self.options(file, &data)?;
            inspections.push(inspect(file, &options, classes)?);
            files.push((file.clone(), options));
        }
        // Without texts there is nothing that could repeat.
        let has_texts = files.iter().all(|(_, options)| options.columns.text.is_some());
        let repeated = has_texts.then(|| overlap(&files, classes)).transpose()?;
        if self.json {
            let summary = match &inspections[..] {
                [one] => {
                    let mut one = serde_json::to_value(one)?;
                    one["repeated"] = serde_json::to_value(&repeated)?;
                    one
                }
                all => json!({ "files": all, "repeated": repeated }),
            };
            return print(&summary.to_string());
        }
        for (inspection, (_, options)) in inspections.iter().zip(&files) {
            let column = |name: &Option<String>, option: &str| match name {
                Some(name) => format!("`{name}`"),
                None => format!("none, name it with --{option}"),
            };
            let (text, label) =
                (column(&options.columns.text, "text"), column(&options.columns.label, "label"));
            print(&format!("{inspection}\n\ntext from {text}; label from {label}\n"))?;
        }
        repeated.map_or(Ok(()), |repeated| print(&repeated.to_string()))
    }

    /// How a file is read: by the columns that are named, or else by their usual names.
    fn options(&self, file: &Path, data: &DataConfig) -> Result<ReadOptions> {
        let mut options = data.read_options(true);
        let guessed = guess_columns(file, &options)?;
        let text = self.fields.records.text.clone().or(guessed.text);
        let label = self.fields.label.clone().or(guessed.label);
        options.columns = ColumnMap { text, label, domain: self.domain.clone(), fields: Vec::new() };
        Ok(options)
    }
}
