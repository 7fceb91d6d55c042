//! The command that trains on inspected files.

use std::path::Path;

use faknow_data::common::shell_word;
use faknow_data::raw::{self, RawKind};
use faknow_data::{Classes, ColumnChoice, Delimiter, Format, Inspection, ProblemKind, RecognizedClasses};

use crate::config::{DataConfig, DataFiles};
use crate::data::guess_language;
use crate::data::report::{FileReport, is_named};
use crate::data::tree_inspection::TreeInspection;

const VALID_NAMES: &[&str] = &["valid", "validation", "val", "dev", "development"];
const TEST_NAMES: &[&str] = &["test", "testing", "eval"];

/// The features of UPFD and their files.
const FEATURES: [(&str, &str); 3] = [
    ("profile", "new_profile_feature.npz"),
    ("spacy", "new_spacy_feature.npz"),
    ("bert", "new_bert_feature.npz"),
];

/// Returns the command that trains on files of records; `None` if text or label are unknown.
pub(super) fn train_command(
    files: &[FileReport],
    data: &DataConfig,
    classes: Option<&Classes>,
    recognized: Option<&RecognizedClasses>,
) -> Option<String> {
    let first = files.first()?;
    let found = &first.recognition;
    let name = |choice: &ColumnChoice| choice.name().map(str::to_owned);
    let (text, label) = (name(&found.text)?, name(&found.label)?);
    if classes.is_none() && recognized.is_none_or(|classes| classes.names.len() < 2) {
        return None;
    }
    let mut parts = vec!["faknow train textcnn".to_owned()];
    let mut option = |option: &str, value: &str| {
        // Otherwise a value such as -1,1 looks like an option.
        let separator = if value.starts_with('-') { '=' } else { ' ' };
        parts.push(format!("--{option}{separator}{}", shell_word(value)));
    };
    let mut is_taken = [false, false];
    for (index, file) in files.iter().enumerate() {
        let path = &file.inspection.path;
        let role = match index {
            0 => "train",
            _ if !is_taken[0] && is_named(path, VALID_NAMES) => "valid",
            _ if !is_taken[1] && is_named(path, TEST_NAMES) => "test",
            1 if files.len() > 2 && !is_taken[0] => "valid",
            _ if !is_taken[1] => "test",
            _ => continue,
        };
        is_taken = [is_taken[0] || role == "valid", is_taken[1] || role == "test"];
        option(role, &path.to_string_lossy());
    }
    option("text", &text);
    option("label", &label);
    let has_plain_names = |names: &[String]| !names.iter().any(|name| name.contains([',', '=', '|']));
    match (classes, recognized) {
        (Some(classes), _) => option("classes", &classes.to_string()),
        (None, Some(classes)) if classes.names.len() > 1 && has_plain_names(&classes.names) => {
            option("classes", &classes.names.join(","));
        }
        _ => {}
    }
    // Options apply to all files; layouts that differ are recognized again.
    let is_common = |same: &dyn Fn(&FileReport) -> bool| files.iter().all(same);
    let format = found.format.value;
    if Format::from_path(&found.path).ok() != Some(format)
        && is_common(&|it| it.recognition.format.value == format)
    {
        option("format", &format!("{format:?}").to_lowercase());
    }
    if let Some(delimiter) = found.delimiter.as_ref().map(|it| it.value) {
        let default = if format == Format::Tsv { Delimiter::TAB } else { Delimiter::COMMA };
        if delimiter != default
            && is_common(&|it| it.recognition.delimiter.as_ref().map(|it| it.value) == Some(delimiter))
        {
            option("delimiter", &delimiter.to_string());
        }
    }
    if let Some(encoding) = &data.encoding {
        option("encoding", &encoding.to_string());
    }
    let language = guess_language(&DataConfig {
        train: Some(DataFiles::from(&found.path)),
        text: Some(text.as_str().into()),
        label: Some(label.clone()),
        ..data.clone()
    });
    if language.is_ok_and(|language| language == "zh") {
        option("language", "zh");
    }
    let is_off = |choice: fn(&FileReport) -> Option<bool>| is_common(&|it| choice(it) == Some(false));
    if is_off(|it| it.recognition.header.as_ref().map(|it| it.value)) {
        parts.push("--no-header".to_owned());
    }
    if is_off(|it| it.recognition.quotes.as_ref().map(|it| it.value)) {
        parts.push("--no-quotes".to_owned());
    }
    let n_skipped = files.iter().map(|file| n_unusable(&file.inspection)).max().unwrap_or(0);
    if n_skipped > 0 {
        parts.push(format!("--skip-broken {n_skipped}"));
    }
    Some(parts.join(" "))
}

/// Returns the number of records that cannot be used for training.
fn n_unusable(inspection: &Inspection) -> usize {
    let kinds = [ProblemKind::BrokenRecords, ProblemKind::NoText, ProblemKind::NoLabel];
    inspection.problems.iter().filter(|it| kinds.contains(&it.kind)).map(|it| it.n_records).sum()
}

/// Returns the command that trains on propagation trees; `None` if the file needs a file of labels.
pub fn tree_command(trees: &TreeInspection, labels: Option<&Path>) -> Option<String> {
    let path = &trees.path;
    let file = shell_word(&path.to_string_lossy());
    if path.join("A.txt").is_file() {
        let feature =
            FEATURES.iter().find(|(_, name)| path.join(name).is_file()).map_or("content", |(name, _)| name);
        return Some(format!("faknow train gcnfn --upfd {file} --feature {feature}"));
    }
    if let Some(labels) = labels {
        return Some(format!(
            "faknow train bigcn --trees {file} --labels {}",
            shell_word(&labels.to_string_lossy())
        ));
    }
    if path.is_dir() {
        // The files of the trees have the indices of the classes.
        let names: Vec<&str> = trees.classes.iter().map(|(name, _)| name.as_str()).collect();
        return Some(format!("faknow train bigcn --trees {file} --classes {}", names.join(",")));
    }
    path.extension().is_some_and(|it| it == "jsonl").then(|| format!("faknow train bigcn --train {file}"))
}

/// Returns the commands that convert the raw posts of a public dataset and train on them, if a path contains some.
pub fn prepare_commands(path: &Path) -> Option<String> {
    let kind: RawKind = raw::recognize(path)?;
    let (name, file) = (kind.name(), shell_word(&path.to_string_lossy()));
    Some(format!(
        "faknow data prepare {name} {file} --out {name}.jsonl\n  faknow train textcnn --train {name}.jsonl"
    ))
}
