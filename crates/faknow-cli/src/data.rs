//! `faknow data`: inspects files of records or of propagation trees.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use faknow::Config;
use faknow::config::DataConfig;
use faknow::data::common::printable_path;
use faknow::data::{
    Classes, Severity, contains_trees, inspect_files, inspect_trees, prepare_commands, tree_command,
};
use serde_json::{Value, json};

use crate::console::print;
use crate::example::ExampleArgs;
use crate::options::{LabeledOptions, apply_classes};
use crate::prepare::PrepareArgs;

/// Inspect data files, convert raw datasets, or write an example
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  faknow data example posts                 # the built-in dataset as files
  faknow data inspect posts/train.csv
  faknow data prepare pheme all-rnr-annotated-threads --out pheme.jsonl")]
pub(crate) struct DataArgs {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    Inspect(InspectArgs),
    Prepare(PrepareArgs),
    Example(ExampleArgs),
}

/// Count records, classes and text lengths, and report problems in the data
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  faknow data inspect posts/train.csv
  faknow data inspect train.csv valid.csv test.csv --text tweet --label label --domain topic
  faknow data inspect data.TD_RvNN.vol_5000.txt --labels Twitter16_label_All.txt
  faknow data inspect posts.tsv --no-header --text 3 --label 2 --classes false,true --no-quotes")]
#[command(
    after_help = "Format, separator, header, quoting, and the columns of text, label and domain are recognized by name and content, with
the reason and how sure it is; options override this. Problems are errors, which would spoil the result of training,
warnings or notes, each with the first records and a remedy: invalid records, missing texts and labels, identical
texts with different labels, wrong encodings, columns that determine the label, duplicates within and across files.
Name the training file first. The last line is the command that trains on the files.
Exit codes: 0 no errors found, 1 errors found, 2 a file cannot be read."
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
    /// Field (column) of the image, to count and check the images [default: recognized]
    #[arg(long, value_name = "COLUMN", help_heading = "Records")]
    image: Option<String>,
    /// Directory of the images [default: that of the file of records]
    #[arg(long, value_name = "DIR", help_heading = "Records")]
    image_dir: Option<PathBuf>,
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
            DataCommand::Example(args) => args.run(),
        }
    }
}

impl InspectArgs {
    fn run(&self) -> Result<()> {
        let mut data = DataConfig::default();
        self.classes.iter().for_each(|classes| apply_classes(classes, &mut data));
        let classes = self.classes.as_ref().map(|_| data.to_classes()).transpose()?;
        let raw = self.files.iter().find_map(|file| Some((file, prepare_commands(file)?)));
        if let Some((file, commands)) = raw.filter(|_| self.labels.is_none()) {
            return self.print_commands(file, &commands);
        }
        let trees = self.files.iter().find(|file| self.labels.is_some() || contains_trees(file));
        match trees {
            Some(file) => self.inspect_trees(file, classes.as_ref()),
            None => self.inspect_records(classes.as_ref()),
        }
    }

    /// Prints the commands for the raw posts of a public dataset.
    fn print_commands(&self, file: &Path, commands: &str) -> Result<()> {
        if self.json {
            return print(&json!({ "path": file, "command": commands }).to_string());
        }
        print(&format!(
            "{}: raw posts of a public dataset\n\nconvert them and train with\n  {commands}",
            printable_path(file)
        ))
    }

    fn inspect_trees(&self, file: &Path, classes: Option<&Classes>) -> Result<()> {
        let error = |option: &str, message: String| Err(faknow::Error::config(option, message).into());
        if self.files.len() > 1 {
            let message = format!("expected one file of propagation trees, got {} files", self.files.len());
            return error("FILE", message);
        }
        let domain = self.domain.as_ref().map(|_| "--domain");
        if let Some(option) = self.fields.first_given().or(domain) {
            let file = printable_path(file);
            return error(option, format!("expected a file of records, got propagation trees: {file}"));
        }
        // A UPFD dataset is a directory with the directory `raw`.
        let raw = file.join("raw");
        let file = if raw.join("A.txt").is_file() { raw.as_path() } else { file };
        let inspection = inspect_trees(file, self.labels.as_deref(), classes)?;
        let command = tree_command(&inspection, self.labels.as_deref());
        if self.json {
            let mut all = serde_json::to_value(&inspection)?;
            all["command"] = json!(command);
            return print(&all.to_string());
        }
        let command = match command {
            Some(command) => format!("train with\n  {command}"),
            None => "no command to train: name the file of the labels with --labels FILE".to_owned(),
        };
        print(&format!("{inspection}\n\n{command}"))
    }

    fn inspect_records(&self, classes: Option<&Classes>) -> Result<()> {
        let mut data = self.fields.apply_to(&Config::default())?;
        data.domain.clone_from(&self.domain);
        data.image.clone_from(&self.image);
        data.image_dir.clone_from(&self.image_dir);
        let report = inspect_files(&self.files, &data, classes)?;
        if self.json {
            let mut files =
                report.files.iter().map(serde_json::to_value).collect::<Result<Vec<Value>, _>>()?;
            let mut all = match files.len() {
                1 => files.remove(0),
                _ => json!({ "files": files }),
            };
            all["repeated"] = json!(report.repeated);
            all["recognized_classes"] = json!(report.classes);
            all["command"] = json!(report.command);
            print(&all.to_string())?;
        } else {
            print(&report.to_string())?;
        }
        let n_errors = report.problems().filter(|problem| problem.severity == Severity::Error).count();
        match n_errors {
            0 => Ok(()),
            1 => bail!("the data has a problem that would spoil the result of training"),
            n => bail!("the data has {n} problems that would spoil the result of training"),
        }
    }
}
