//! `faknow data`: inspects files of records or of propagation trees.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};
use faknow::Config;
use faknow::config::DataConfig;
use faknow::data::{Classes, ReadOptions, contains_trees, inspect, inspect_trees, overlap};
use serde_json::json;

use crate::console::print;
use crate::options::{LabeledOptions, apply_classes};
use crate::prepare::PrepareArgs;

/// Inspect data files, and convert raw datasets
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  faknow data inspect posts.csv
  faknow data inspect train.csv valid.csv test.csv --text tweet --label label
  faknow data prepare pheme all-rnr-annotated-threads --out pheme.jsonl")]
pub(crate) struct DataArgs {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    Inspect(InspectArgs),
    Prepare(PrepareArgs),
}

/// Count records, classes and text lengths, and report problems in the data
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  faknow data inspect posts.csv
  faknow data inspect train.csv valid.csv test.csv --text tweet --label label --domain topic
  faknow data inspect data.TD_RvNN.vol_5000.txt --labels Twitter16_label_All.txt
  faknow data inspect posts.tsv --no-header --text 3 --label 2 --classes false,true --no-quotes")]
#[command(
    after_help = "Reported problems include invalid records, missing texts and labels, identical texts with different labels, and
imbalanced classes and domains, each with the numbers of the first records and a remedy. Duplicates and near
duplicates are found within and across files, where they inflate test results: name the training file first.
Without --text and --label, the columns are detected by their usual names."
)]
struct InspectArgs {
    /// Record files, training first; or a file of propagation trees: TD_RvNN, .jsonl, UPFD or <id>.npz
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    fields: LabeledOptions,
    /// Labels of propagation trees, one line per tree: label, event, root id
    #[arg(long, value_name = "FILE", help_heading = "Trees")]
    labels: Option<PathBuf>,
    /// Field (column) of the domain (topic or event), to count its values
    #[arg(long, value_name = "COLUMN", help_heading = "Records")]
    domain: Option<String>,
    /// Class names in order, to report labels that are not among them [default: any label]
    #[arg(long, value_name = "A,B,…", value_delimiter = ',', help_heading = "Records")]
    classes: Option<Vec<String>>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl DataArgs {
    pub(crate) fn run(&self) -> Result<()> {
        match &self.command {
            DataCommand::Inspect(args) => args.run(),
            DataCommand::Prepare(args) => args.run(),
        }
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
        let error = |option: &str, message: String| Err(faknow::Error::config(option, message).into());
        if self.files.len() > 1 {
            let message = format!("expected one file of propagation trees, got {} files", self.files.len());
            return error("FILE", message);
        }
        let domain = self.domain.as_ref().map(|_| "--domain");
        if let Some(option) = self.fields.first_given().or(domain) {
            let file = file.display();
            return error(option, format!("expected a file of records, got propagation trees: {file}"));
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
            let options = self.read_options(file, &data)?;
            inspections.push(inspect(file, &options, classes)?);
            files.push((file.clone(), options));
        }
        // Duplicates are found by text.
        let has_texts = files.iter().all(|(_, options)| options.columns.text.is_some());
        let duplicates = has_texts.then(|| overlap(&files, classes)).transpose()?;
        if self.json {
            let summary = match &inspections[..] {
                [one] => {
                    let mut one = serde_json::to_value(one)?;
                    one["repeated"] = serde_json::to_value(&duplicates)?;
                    one
                }
                all => json!({ "files": all, "repeated": duplicates }),
            };
            return print(&summary.to_string());
        }
        for (inspection, (_, options)) in inspections.iter().zip(&files) {
            let column = |name: Option<String>, option: &str| match name {
                Some(name) => format!("`{name}`"),
                None => format!("none, set it with --{option}"),
            };
            let text = options.columns.text.as_ref().map(ToString::to_string);
            let (text, label) = (column(text, "text"), column(options.columns.label.clone(), "label"));
            print(&format!("{inspection}\n\ntext from {text}; label from {label}\n"))?;
        }
        duplicates.map_or(Ok(()), |duplicates| print(&duplicates.to_string()))
    }

    /// Returns the read options of a file: with the given columns, or recognized ones.
    fn read_options(&self, file: &Path, data: &DataConfig) -> Result<ReadOptions> {
        let found = data.recognize_file(file)?;
        let mut options = found.read_options();
        options.columns.domain.clone_from(&self.domain);
        Ok(options)
    }
}
