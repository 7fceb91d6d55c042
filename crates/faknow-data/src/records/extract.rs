//! Extraction of text, label and domain from the raw fields of a record.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use crate::image::ImageOrigin;
use crate::records::arrays::{numbers_of, texts_of};
use crate::records::columns::{text_of, value_at};
use crate::records::image_path::image_of;
use crate::records::source::no_such_column;
use crate::records::{ColumnMap, RawLabel, RawRecord, ReadOptions, Record, TEXT_SEPARATOR, TextColumns};
use crate::{Classes, Error, Result};

/// The columns to extract from raw records.
pub(super) struct Extractor {
    /// The columns that a file must have.
    columns: ColumnMap,
    text: TextColumns,
    label: Option<(String, Classes)>,
    /// Number of values of each feature, with the record that determined it.
    first_features: Vec<OnceLock<(usize, usize)>>,
    image: Option<ImageColumn>,
    keep_all: bool,
    accept_missing_texts: bool,
    /// In lowercase.
    drop_labels: Vec<String>,
}

/// The column of images.
struct ImageColumn {
    name: String,
    /// The directory of relative paths.
    dir: PathBuf,
    origin: ImageOrigin,
    /// Whether a record had the column, even if its value was missing, and whether one had the column of the text.
    is_seen: AtomicBool,
    is_text_seen: AtomicBool,
}

impl Extractor {
    /// Creates an extractor for the records of the file at `path`, whose images are relative to `image_dir`.
    pub(super) fn new(
        options: &ReadOptions,
        classes: Option<&Classes>,
        path: &Path,
        image_dir: PathBuf,
    ) -> Result<Self> {
        let mut columns = options.columns.clone();
        let Some(text) = columns.text.clone() else {
            let expected = "the name of the column that holds the text".into();
            return Err(Error::Setting { name: "columns.text", expected, got: "none".into() });
        };
        if classes.is_none() {
            columns.label = None;
        }
        let label = columns.label.clone().zip(classes.cloned());
        let drop_labels = options.drop_labels.iter().map(|label| label.trim().to_lowercase()).collect();
        let ReadOptions { keep_all, accept_missing_texts, .. } = *options;
        let first_features = columns.features.keys().map(|_| OnceLock::new()).collect();
        let image = columns.image.clone().map(|name| ImageColumn {
            origin: ImageOrigin { file: Arc::from(path), column: Arc::from(name.as_str()) },
            name,
            dir: image_dir,
            is_seen: AtomicBool::new(false),
            is_text_seen: AtomicBool::new(false),
        });
        Ok(Self { columns, text, label, first_features, image, keep_all, accept_missing_texts, drop_labels })
    }

    /// Returns the error for a file of which no record had the column of the image, or that of the text: its name may be wrong.
    pub(super) fn missing_column(&self, path: &Path, columns: &[String]) -> Option<Error> {
        let image = self.image.as_ref()?;
        let is_missing = |is_seen: &AtomicBool| !is_seen.load(Ordering::Relaxed);
        let (name, setting) = match (is_missing(&image.is_seen), is_missing(&image.is_text_seen)) {
            (true, _) if !self.columns.is_image_optional => (image.name.clone(), "columns.image"),
            (_, true) if !self.accept_missing_texts => (self.text.to_string(), "columns.text"),
            _ => return None,
        };
        let mut error = no_such_column(path, &name, columns);
        if let Error::MissingColumn { setting: of, .. } = &mut error {
            *of = setting;
        }
        Some(error)
    }

    /// Returns the columns that a file must have.
    pub(super) fn columns(&self) -> &ColumnMap {
        &self.columns
    }

    /// Returns the record, or the index of its label in `drop_labels`.
    ///
    /// # Errors
    /// A value is missing or invalid.
    pub(super) fn record(&self, raw: RawRecord, path: &Path) -> Result<Result<Record, usize>> {
        let RawRecord { number, mut fields } = raw;
        let field_error = |column: &str, message: String| Error::record(path, number, Some(column), message);
        if let Some(index) = self.dropped_label(&fields) {
            return Ok(Err(index));
        }
        let image = match &self.image {
            Some(column) => {
                let value = value_at(&fields, &column.name);
                column.is_seen.fetch_or(value.is_some(), Ordering::Relaxed);
                let has_text = |name: &str| value_at(&fields, name).is_some();
                column
                    .is_text_seen
                    .fetch_or(self.text.names_in(&has_text).into_iter().any(has_text), Ordering::Relaxed);
                image_of(value, &column.dir)
                    .map_err(|message| field_error(&column.name, message).skippable())?
            }
            None => None,
        };
        let image_origin =
            self.image.as_ref().filter(|_| image.is_some()).map(|column| column.origin.clone());
        let mut is_missing = false;
        let text = match text_of(&fields, &self.text) {
            Ok(Cow::Borrowed(_)) if !self.keep_all => None,
            Ok(text) => Some(text.into_owned()),
            Err(error) if error.is_missing && (self.accept_missing_texts || image.is_some()) => {
                is_missing = !error.is_blank;
                Some(String::new())
            }
            Err(error) => return Err(field_error(&error.column, error.message).skippable()),
        };
        let label = match &self.label {
            Some((column, classes)) => {
                let class = value_at(&fields, column).map_or(Ok(None), |value| classes.parse_value(value));
                let class = class.map_err(|message| field_error(column, message))?;
                let missing = || field_error(column, missing_label(&fields, column, classes)).skippable();
                Some(class.ok_or_else(missing)?)
            }
            None => None,
        };
        let domain = match &self.columns.domain {
            Some(column) => domain_of(&fields, column).map_err(|message| field_error(column, message))?,
            None => None,
        };
        let mut texts = BTreeMap::new();
        for (name, column) in &self.columns.texts {
            let parts =
                texts_of(value_at(&fields, column)).map_err(|message| field_error(column, message))?;
            if !parts.is_empty() {
                texts.insert(name.clone(), parts.join(TEXT_SEPARATOR));
            }
        }
        let features = self.features_of(&fields, number, path)?;
        let comments = match &self.columns.comments {
            Some(column) => {
                texts_of(value_at(&fields, column)).map_err(|message| field_error(column, message))?
            }
            None => Vec::new(),
        };
        let text = text.unwrap_or_else(|| self.take_text(&mut fields));
        if !self.keep_all {
            let selected = self.columns.fields.iter();
            let value = |name: &String| (name.clone(), value_at(&fields, name).cloned().unwrap_or_default());
            fields = selected.map(value).collect();
        }
        Ok(Ok(Record {
            number,
            text,
            is_missing,
            label,
            domain,
            texts,
            features,
            comments,
            image,
            image_origin,
            fields,
        }))
    }

    /// Returns the numeric features; missing ones are left out if missing texts are accepted.
    fn features_of(
        &self,
        fields: &Map<String, Value>,
        number: usize,
        path: &Path,
    ) -> Result<BTreeMap<String, Vec<f32>>> {
        let mut features = BTreeMap::new();
        for ((name, column), first) in self.columns.features.iter().zip(&self.first_features) {
            let error = |message: String| Error::record(path, number, Some(column), message);
            let Some(numbers) = numbers_of(value_at(fields, column)).map_err(error)? else {
                if self.accept_missing_texts {
                    continue;
                }
                let message = format!("expected numbers of the feature `{name}`, got none");
                return Err(error(message).skippable());
            };
            let &(n_expected, record) = first.get_or_init(|| (numbers.len(), number));
            if numbers.len() != n_expected {
                let got = numbers.len();
                return Err(error(format!(
                    "expected {n_expected} numbers, as in record {record}, got {got}"
                )));
            }
            features.insert(name.clone(), numbers);
        }
        Ok(features)
    }

    /// Returns the index of the label in `drop_labels`.
    fn dropped_label(&self, fields: &Map<String, Value>) -> Option<usize> {
        let (column, _) = self.label.as_ref().filter(|_| !self.drop_labels.is_empty())?;
        let label = match value_at(fields, column)? {
            Value::String(text) => text.trim().to_lowercase(),
            other => RawLabel::from_value(other).ok()??.to_string().to_lowercase(),
        };
        self.drop_labels.iter().position(|dropped| *dropped == label)
    }

    /// Returns the text, which is moved unless it is also needed as a field.
    fn take_text(&self, fields: &mut Map<String, Value>) -> String {
        if let [name] = self.text.names_in(&|name| fields.contains_key(name))[..]
            && !self.columns.fields.iter().any(|field| field == name)
            && let Some(Value::String(text)) = fields.get_mut(name)
        {
            return std::mem::take(text);
        }
        text_of(fields, &self.text).map(Cow::into_owned).unwrap_or_default()
    }
}

/// Returns the message for a missing label.
fn missing_label(fields: &Map<String, Value>, column: &str, classes: &Classes) -> String {
    let got = match value_at(fields, column) {
        Some(Value::String(text)) if !text.trim().is_empty() => {
            format!("`{}`, a missing value", text.trim())
        }
        Some(Value::String(_)) => "a blank field".to_owned(),
        Some(_) => "null".to_owned(),
        None => "none".to_owned(),
    };
    format!("missing label: expected {}, got {got}", classes.accepted_labels())
}

/// Returns the domain in `column` (`None` where it is missing, null or blank), or an error message.
pub(crate) fn domain_of(fields: &Map<String, Value>, column: &str) -> Result<Option<String>, String> {
    let domain = value_at(fields, column).map_or(Ok(None), RawLabel::from_value)?;
    Ok(domain.map(|domain| domain.to_string()))
}
