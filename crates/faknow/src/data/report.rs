//! Inspection of files of records before training: what is recognized, problems, duplicates, and the command that trains on them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use faknow_data::common::{printable_name, printable_path};
use faknow_data::{
    Assumption, Classes, ColumnChoice, Confidence, Inspection, Overlap, Problem, ProblemKind, Recognition,
    RecognizedClasses, Severity, inspect, overlap, recognize_classes,
};
use serde::Serialize;

use crate::Result;
use crate::config::DataConfig;
use crate::data::layout::LayoutRules;
use crate::data::train_command::train_command;

/// Minimum share of the texts of a file that occur in another one for the files to be the same.
const SAME_FILE: f64 = 0.9;

/// The inspection of files of records, the training file first; its `Display` is a plain-text report.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct DataReport {
    /// The files in the given order.
    pub files: Vec<FileReport>,
    /// Duplicates within and across the files, if each has a text column.
    pub repeated: Option<Overlap>,
    /// The classes of the first file, if they are recognized.
    pub classes: Option<RecognizedClasses>,
    /// The command that trains on the files, if text and label are known.
    pub command: Option<String>,
}

/// The inspection of a file of records.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct FileReport {
    /// Counts, lengths and problems.
    #[serde(flatten)]
    pub inspection: Inspection,
    /// What is recognized.
    pub recognition: Recognition,
}

impl DataReport {
    /// Returns the most severe kind of problem, if there is any.
    pub fn severity(&self) -> Option<Severity> {
        self.problems().map(|problem| problem.severity).min()
    }

    /// Returns the problems of all files.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.files.iter().flat_map(|file| &file.inspection.problems)
    }
}

/// Inspects files of records, the training file first. What `data` does not give is recognized per file; without `classes`, they
/// are those of the first file.
///
/// # Errors
/// A file cannot be read, or lacks a given column.
pub fn inspect_files(files: &[PathBuf], data: &DataConfig, classes: Option<&Classes>) -> Result<DataReport> {
    let rules = LayoutRules::new(data, true, data);
    let mut reports: Vec<FileReport> = Vec::new();
    let mut options = Vec::new();
    let mut recognized = None;
    for (index, file) in files.iter().enumerate() {
        let recognition = rules.recognize(file)?;
        let mut read_options = recognition.read_options();
        read_options.columns.domain = data.domain.clone();
        read_options.columns.image = recognition.image.as_ref().map(|image| image.value.clone());
        read_options.image_dir.clone_from(&data.image_dir);
        if data.text.is_some() {
            read_options.columns.text = data.text.clone();
        }
        let mut inspection = inspect(file, &read_options, classes)?;
        inspection.problems.extend(recognition.problems.iter().cloned());
        if index == 0 && classes.is_none() && read_options.columns.label.is_some() {
            match recognize_classes(file, &read_options) {
                Ok(classes) => recognized = Some(classes),
                Err(error) => inspection.problems.push(label_problem(error)?),
            }
        }
        reports.push(FileReport { inspection, recognition: Arc::unwrap_or_clone(recognition) });
        options.push((file.clone(), read_options));
    }
    let has_texts = options.iter().all(|(_, options)| options.columns.text.is_some());
    let repeated = has_texts.then(|| overlap(&options, classes)).transpose()?;
    if let (Some(notice), Some(first)) =
        (recognized.as_ref().and_then(RecognizedClasses::notice), reports.first_mut())
    {
        first.inspection.problems.push(Problem::of_file(ProblemKind::NumericLabels, notice));
    }
    for (file, problem) in repeated.iter().flat_map(leaks) {
        reports[file].inspection.problems.push(problem);
    }
    for report in &mut reports {
        report.inspection.sort_problems();
    }
    let command = train_command(&reports, data, classes, recognized.as_ref());
    Ok(DataReport { files: reports, repeated, classes: recognized, command })
}

/// Returns the problem of a label column whose classes cannot be recognized; any other error is returned.
fn label_problem(error: faknow_data::Error) -> Result<Problem> {
    match error {
        faknow_data::Error::Record { record, message, .. } => {
            let problem = Problem::of_file(ProblemKind::UnknownLabels, message);
            Ok(Problem { n_records: 1, first: vec![record], ..problem })
        }
        faknow_data::Error::File { message, .. } => Ok(Problem::of_file(ProblemKind::ManyLabels, message)),
        other => Err(other.into()),
    }
}

/// Returns the problems of texts that occur in several files, with the index of the file.
fn leaks(overlap: &Overlap) -> Vec<(usize, Problem)> {
    let across = overlap.findings.iter().filter(|finding| finding.file != finding.earlier);
    let leak = |finding: &faknow_data::FileOverlap| {
        let earlier = printable_path(&overlap.files[finding.earlier]);
        let n_texts = overlap.n_texts[finding.file];
        let is_same = finding.n_exact as f64 >= SAME_FILE * n_texts as f64;
        let kind = if is_same { ProblemKind::SameFile } else { ProblemKind::Leak };
        let message = format!(
            "{} exact and {} near-duplicates of texts of {earlier}, among {n_texts} texts",
            finding.n_exact, finding.n_near
        );
        (finding.file, Problem::of_file(kind, message))
    };
    across.map(leak).collect()
}

impl fmt::Display for DataReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for FileReport { inspection, recognition } in &self.files {
            writeln!(f, "{inspection}\n")?;
            write_recognition(f, recognition)?;
            writeln!(f)?;
        }
        if let Some(classes) = &self.classes {
            writeln!(
                f,
                "classes     {}",
                classes.names.iter().map(|name| printable_name(name)).collect::<Vec<_>>().join(", ")
            )?;
        }
        if let Some(repeated) = &self.repeated {
            writeln!(f, "{repeated}")?;
        }
        match &self.command {
            Some(command) => write!(f, "\ntrain with\n  {command}"),
            None => {
                write!(
                    f,
                    "\nno command to train: fix the errors first, or name the columns with --text and --label"
                )
            }
        }
    }
}

/// Writes what is assumed about a file, with the confidence and the reason.
fn write_recognition(f: &mut fmt::Formatter<'_>, found: &Recognition) -> fmt::Result {
    writeln!(f, "recognized in {} records of {}", found.n_examined, printable_path(&found.path))?;
    write_assumption(f, "format", &found.format, |format| format!("{format:?}").to_uppercase())?;
    if let Some(delimiter) = &found.delimiter {
        write_assumption(f, "separator", delimiter, |delimiter| format!("`{delimiter}`"))?;
    }
    if let Some(header) = &found.header {
        write_assumption(f, "header", header, |header| if *header { "yes" } else { "no" }.to_owned())?;
    }
    if let Some(quotes) = &found.quotes {
        write_assumption(f, "quotes", quotes, |quotes| {
            if *quotes { "group fields" } else { "plain text" }.to_owned()
        })?;
    }
    for (name, choice) in [("text", &found.text), ("label", &found.label)] {
        match choice {
            ColumnChoice::Found(assumption) => {
                write_assumption(f, name, assumption, |it| format!("`{}`", printable_name(it)))?
            }
            ColumnChoice::Ambiguous { reason, .. } => writeln!(f, "  {name:<10}unknown: {reason}")?,
            ColumnChoice::Missing { reason } => writeln!(f, "  {name:<10}unknown: {reason}")?,
        }
    }
    for (name, assumption) in [("domain", &found.domain), ("id", &found.id)] {
        if let Some(assumption) = assumption {
            write_assumption(f, name, assumption, |it| format!("`{}`", printable_name(it)))?;
        }
    }
    Ok(())
}

fn write_assumption<T>(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    assumption: &Assumption<T>,
    show: impl Fn(&T) -> String,
) -> fmt::Result {
    let Assumption { value, confidence, reason } = assumption;
    match confidence {
        Confidence::Given => writeln!(f, "  {name:<10}{} (given)", show(value)),
        _ => writeln!(f, "  {name:<10}{} ({confidence}: {reason})", show(value)),
    }
}

/// Returns whether the stem of a file contains one of these words.
pub(crate) fn is_named(file: &Path, names: &[&str]) -> bool {
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
    names.iter().any(|name| stem.split(|c: char| !c.is_alphanumeric()).any(|word| word == *name))
}
