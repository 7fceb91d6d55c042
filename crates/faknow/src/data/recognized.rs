//! Recognition of the settings of `[data]` that are not given: layout, columns and classes of the training data.

use std::path::Path;

use faknow_data::graph::read_tree_labels;
use faknow_data::{
    Assumption, Classes, ColumnChoice, Confidence, LabelMeaning, RawLabel, Recognition, RecognizedClasses,
    recognize_classes,
};

use crate::config::{Config, DataConfig, DataFiles};
use crate::data::layout::LayoutRules;
use crate::data::source::{self, DataSource};
use crate::data::tree_inspection::recognize_tree_classes;
use crate::data::tree_lines::TREES;
use crate::models::DomainField;
use crate::{Error, Result};

/// Names of the classes of a UPFD dataset, whose labels are documented indices.
const UPFD_CLASSES: [&str; 2] = ["real", "fake"];

/// Number of records below which a recognized class may be a mistake: a split into three parts needs one for each.
const MIN_RECORDS: usize = 3;

/// A config whose settings of `[data]` are complete, and what was assumed for those that were not given.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RecognizedConfig {
    /// The config with recognized settings.
    pub config: Config,
    /// What was assumed and what was given, one line per part.
    pub assumptions: Vec<String>,
    /// What needs attention, such as labels without a known meaning.
    pub notices: Vec<String>,
}

impl Config {
    /// Recognizes the settings of `[data]` that are not given, from the training data: separator, header and quoting, the columns
    /// of text and label, and the classes. Given settings are not changed. [`train`](crate::train::train) does this first.
    ///
    /// # Errors
    /// The training data cannot be read, or a column or the classes cannot be recognized; the error names the setting and the
    /// candidates.
    pub fn recognize(&self) -> Result<RecognizedConfig> {
        let fields = self.configured_model()?.fields();
        source::check_options(self, &fields)?;
        source::check_model_inputs(self, &fields)?;
        let mut found =
            RecognizedConfig { config: self.clone(), assumptions: Vec::new(), notices: Vec::new() };
        match DataSource::from_config(&self.data, &fields)? {
            Some(DataSource::Records) => found.records(fields.domains.as_ref(), fields.images.is_some())?,
            Some(DataSource::TreeLines) => found.tree_lines()?,
            Some(DataSource::TreeFile) => found.tree_file()?,
            Some(DataSource::Upfd) if self.data.classes.is_empty() => {
                found.config.data.classes = UPFD_CLASSES.map(str::to_owned).to_vec();
                found.assumptions.push("classes: 0 -> real, 1 -> fake, as documented for UPFD".to_owned());
            }
            Some(DataSource::News) if self.data.classes.is_empty() => {
                found.config.data.classes = UPFD_CLASSES.map(str::to_owned).to_vec();
                found.assumptions.push("classes: real, fake, as in the files of FANG".to_owned());
            }
            Some(DataSource::Upfd | DataSource::News) | None => {}
        }
        Ok(found)
    }

    /// Recognizes the settings that are not given, logs what was assumed, and returns the complete config with these lines.
    pub(crate) fn recognize_and_log(&self) -> Result<(Self, Vec<String>)> {
        let RecognizedConfig { config, assumptions, notices } = self.recognize()?;
        assumptions.iter().for_each(|line| tracing::info!("{line}"));
        notices.iter().for_each(|notice| tracing::warn!("{notice}"));
        Ok((config, [assumptions, notices].concat()))
    }
}

impl RecognizedConfig {
    /// Recognizes records: layout, columns, classes. The columns of domains and images are recognized if the model reads them.
    fn records(&mut self, domains: Option<&DomainField>, reads_images: bool) -> Result<()> {
        let files = self.config.train_files()?.clone();
        let (first, data) = (files.first(), &mut self.config.data);
        let found = LayoutRules::new(data, true, data).recognize(first)?;
        data.text = match data.text.take() {
            Some(text) => Some(text),
            None => Some(column("data.text", first, &found.text, &found.columns)?.into()),
        };
        let mut columns = format!("text: {}", describe(&found.text));
        if files.labels().is_none() {
            data.label = Some(column("data.label", first, &found.label, &found.columns)?);
            columns += &format!("; label: {}", describe(&found.label));
            self.notices.extend(uncertain(&found.label, "label"));
        }
        if let (true, None, Some(image)) = (reads_images, &data.image, &found.image) {
            data.image = Some(image.value.clone());
            columns += &format!("; image: `{}` (recognized: {})", image.value, image.reason);
        }
        if let Some(domains) = domains {
            if let (None, Some(domain)) = (&data.domain, &found.domain) {
                data.domain = Some(domain.value.clone());
                columns += &format!("; domain: `{}` (recognized: {})", domain.value, domain.reason);
            }
            if domains.is_required && data.domain.is_none() {
                let names: Vec<String> =
                    found.columns.iter().take(20).map(|name| format!("`{name}`")).collect();
                let message = format!(
                    "{}: expected a column with the domain (topic, event, platform) of each post, which `{}` needs; none was \
                     recognized among {}; name it with `data.domain=COLUMN`",
                    first.display(),
                    self.config.model.name,
                    names.join(", ")
                );
                return Err(Error::config("data.domain", message));
            }
        }
        let layout = found.read_options();
        let usual = DataConfig { header: Some(layout.header), quotes: Some(layout.quotes), ..data.clone() };
        let rules = LayoutRules::new(data, true, &usual);
        let mut is_same = true;
        let files_of_parts = [&data.train, &data.valid, &data.test].into_iter().flatten();
        for file in files_of_parts.flat_map(DataFiles::paths).filter(|file| *file != first) {
            let other = rules.options_for(file)?;
            is_same &= (other.header, other.quotes) == (layout.header, layout.quotes);
        }
        // If the layouts differ, each file is recognized again when it is read.
        if is_same {
            (data.header, data.quotes) = (usual.header, usual.quotes);
        }
        self.assumptions.push(describe_file(&found));
        self.assumptions.push(columns);
        self.notices.extend(uncertain(&found.text, "text"));
        if data.has_classes() {
            let classes = data.to_classes()?;
            let values = files.labels().map(|labels| labels.into_iter().map(str::to_owned).collect());
            self.assumptions.push(describe_classes(
                &classes,
                data,
                &values.unwrap_or_else(|| found.label_values.clone()),
            ));
            data.classes = classes.names().to_vec();
            return Ok(());
        }
        self.record_classes(&files)
    }

    /// Recognizes the classes of files of records, by their labels or by their column of labels.
    fn record_classes(&mut self, files: &DataFiles) -> Result<()> {
        let data = &self.config.data;
        if let Some(labels) = files.labels() {
            // The order of the files is that of the classes.
            let mut classes = RecognizedClasses::from_values(labels.iter().map(|label| (label, 1)));
            classes.names = labels.into_iter().map(str::to_owned).collect();
            // Not numbers of records, which are unknown here.
            classes.counts.clear();
            return self.set_classes(&classes, &files.to_string(), Some("in the order of the files"));
        }
        let rules = LayoutRules::new(data, true, data);
        let mut values: Vec<(String, usize)> = Vec::new();
        for file in files.paths() {
            let classes = recognize_classes(file, &rules.options_for(file)?)?;
            let is_dropped =
                |name: &String| data.drop_classes.iter().any(|label| label.eq_ignore_ascii_case(name));
            let all = classes.names.into_iter().zip(classes.counts);
            values.extend(all.filter(|(name, _)| !is_dropped(name)));
        }
        let source = format!("{files}, column `{}`", data.label.as_deref().unwrap_or("label"));
        self.set_classes(&RecognizedClasses::from_values(values), &source, None)
    }

    /// Recognizes the classes of trees as JSON lines.
    fn tree_lines(&mut self) -> Result<()> {
        if self.config.data.has_classes() {
            return Ok(());
        }
        let train = self.config.train_files()?.single("data.train", TREES)?.to_owned();
        let classes = recognize_tree_classes(&train)?;
        self.set_classes(&classes, &train.display().to_string(), None)
    }

    /// Recognizes the classes of a file of trees by its file of labels.
    fn tree_file(&mut self) -> Result<()> {
        if self.config.data.has_classes() {
            return Ok(());
        }
        let Some(labels) = self.config.data.labels.clone() else {
            let is_directory = self.config.data.trees.as_deref().is_some_and(Path::is_dir);
            // A missing file of labels is reported when the trees are read.
            return match is_directory {
                true => Err(Error::config(
                    "data.classes",
                    "expected the names of the classes in the order of their indices, since the files of the trees have only indices; \
                     got none",
                )),
                false => Err(Error::config("data.labels", "no labels of the trees")),
            };
        };
        let values = read_tree_labels(&labels)?;
        let classes = RecognizedClasses::from_values(values.iter().map(|label| (label.label.as_str(), 1)));
        self.set_classes(&classes, &labels.display().to_string(), None)
    }

    /// Sets the recognized classes, in the given order or in one by their meaning.
    fn set_classes(&mut self, classes: &RecognizedClasses, source: &str, order: Option<&str>) -> Result<()> {
        if let [only] = &classes.names[..] {
            let message = format!("{source}: expected labels of at least 2 classes, got only `{only}`");
            return Err(Error::config("data.label", message));
        }
        if classes.names.is_empty() {
            return Err(Error::config(
                "data.label",
                format!("{source}: expected labels, got only missing values"),
            ));
        }
        let by_meaning = match classes.meaning {
            LabelMeaning::Words if classes.names.len() == 2 => {
                format!("`{}` is the positive class", classes.names[1])
            }
            LabelMeaning::Words => "in the order of known words".to_owned(),
            LabelMeaning::Scale => "in the order of a known scale".to_owned(),
            LabelMeaning::Numbers => "numbers without an assumed meaning".to_owned(),
            LabelMeaning::TrueFalse => "without an assumed meaning".to_owned(),
            LabelMeaning::Unknown => "in alphabetical order".to_owned(),
        };
        let order = order.unwrap_or(&by_meaning);
        self.assumptions.push(format!("classes: {} (recognized; {order})", classes.names.join(", ")));
        self.notices.extend(classes.notice());
        self.notices.extend(rare_classes(classes));
        self.config.data.classes.clone_from(&classes.names);
        Ok(())
    }
}

/// Returns a notice for labels of few records, which may be misspelled.
fn rare_classes(classes: &RecognizedClasses) -> Option<String> {
    let is_rare = |n: usize| n < MIN_RECORDS && classes.counts.iter().sum::<usize>() > 3 * MIN_RECORDS;
    let counts = classes.names.iter().zip(&classes.counts);
    let rare: Vec<String> =
        counts.filter(|&(_, &n)| is_rare(n)).map(|(name, n)| format!("`{name}` ({n})")).collect();
    (!rare.is_empty()).then(|| {
        format!(
            "labels of fewer than {MIN_RECORDS} records are classes too: {}; if they are mistakes, give the classes with \
             `--classes A,B`, or leave such records out with `--drop-classes`",
            rare.join(", ")
        )
    })
}

/// Returns the name of a column.
fn column(key: &str, file: &Path, choice: &ColumnChoice, columns: &[String]) -> Result<String> {
    let file = file.display();
    let what = key.strip_prefix("data.").unwrap_or(key);
    match choice {
        ColumnChoice::Found(found) => Ok(found.value.clone()),
        ColumnChoice::Ambiguous { candidates, reason } => {
            let options: Vec<String> = candidates.iter().map(|name| format!("`{key}={name}`")).collect();
            let message = format!(
                "{file}: several columns can be the {what}: {reason}; choose {}",
                options.join(" or ")
            );
            Err(Error::config(key, message))
        }
        ColumnChoice::Missing { reason } => {
            let columns: Vec<String> = columns.iter().take(20).map(|name| format!("`{name}`")).collect();
            let message = format!(
                "{file}: no {what} column was recognized: {reason}; the columns are {}; name it with `{key}=COLUMN`",
                columns.join(", ")
            );
            Err(Error::config(key, message))
        }
    }
}

/// Returns the file and its layout on one line.
fn describe_file(found: &Recognition) -> String {
    let mut parts = vec![format!("{:?}", found.format.value).to_uppercase()];
    if let Some(Assumption { value, .. }) = &found.delimiter {
        let name = match value.byte() {
            b',' => "commas".to_owned(),
            b'\t' => "tabs".to_owned(),
            b';' => "semicolons".to_owned(),
            _ => format!("`{value}`"),
        };
        parts.push(format!("separated by {name}"));
    }
    if let Some(header) = &found.header {
        parts.push(if header.value { "with a header" } else { "without a header" }.to_owned());
    }
    if found.quotes.as_ref().is_some_and(|quotes| !quotes.value) {
        parts.push("quotes are plain text".to_owned());
    }
    format!("file: {} ({})", found.path.display(), parts.join(", "))
}

fn describe(choice: &ColumnChoice) -> String {
    match choice {
        ColumnChoice::Found(Assumption { value, confidence: Confidence::Given, .. }) => {
            format!("`{value}` (given)")
        }
        ColumnChoice::Found(Assumption { value, reason, .. }) => format!("`{value}` (recognized: {reason})"),
        ColumnChoice::Ambiguous { .. } | ColumnChoice::Missing { .. } => "none".to_owned(),
    }
}

/// Returns a notice for a column that was chosen without much evidence.
fn uncertain(choice: &ColumnChoice, what: &str) -> Option<String> {
    match choice {
        ColumnChoice::Found(Assumption { value, confidence: Confidence::Guess, reason }) => Some(format!(
            "`{value}` is assumed to be the {what} ({reason}); name it with `--{what} {value}` if this is right"
        )),
        _ => None,
    }
}

/// Describes how label values map to given classes.
fn describe_classes(classes: &Classes, data: &DataConfig, values: &[String]) -> String {
    let mut is_by_position = false;
    let mut parts = Vec::new();
    for value in values {
        // An unknown label is an error when its record is read.
        let Ok(class) = classes.parse(&RawLabel::Text(value)) else { continue };
        let Some(name) = classes.name(class).filter(|name| !name.eq_ignore_ascii_case(value)) else {
            continue;
        };
        is_by_position |= !data.values.get(name).is_some_and(|values| values.contains(value));
        parts.push(format!("{value} -> {name}"));
    }
    let rule = if is_by_position { ", by position" } else { "" };
    match parts.is_empty() {
        true => format!("classes: {} (given)", classes.names().join(", ")),
        false => format!("classes: {} (given{rule})", parts.join(", ")),
    }
}
