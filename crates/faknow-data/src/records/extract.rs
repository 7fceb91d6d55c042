//! Extraction of text, label and domain from the raw fields of a record.

use std::path::Path;

use serde_json::{Map, Value};

use crate::records::RawLabel;
use crate::records::{ColumnMap, RawRecord, Record};
use crate::{Classes, Error, Result};

/// The columns to extract from raw records.
pub(super) struct Extractor {
    text: String,
    label: Option<(String, Classes)>,
    domain: Option<String>,
    fields: Vec<String>,
    keep_all: bool,
}

impl Extractor {
    pub(super) fn new(columns: &ColumnMap, keep_all: bool, classes: Option<&Classes>) -> Result<Self> {
        let Some(text) = columns.text.clone() else {
            let expected = "the name of the column that holds the text".into();
            return Err(Error::Setting { name: "columns.text", expected, got: "none".into() });
        };
        let label = columns.label.clone().zip(classes.cloned());
        Ok(Self { text, label, domain: columns.domain.clone(), fields: columns.fields.clone(), keep_all })
    }

    /// Returns the names of the columns that a file must have.
    pub(super) fn required_columns(&self) -> Vec<&str> {
        let label = self.label.as_ref().map(|(label, _)| label);
        let named = std::iter::once(&self.text).chain(label).chain(&self.domain).chain(&self.fields);
        named.map(String::as_str).collect()
    }

    /// Adds the setting that names the column to the error for a missing column.
    pub(super) fn with_setting(&self, mut error: Error) -> Error {
        if let Error::MissingColumn { column, setting, .. } = &mut error {
            let column = &**column;
            *setting = if column == self.text {
                "columns.text"
            } else if self.label.as_ref().is_some_and(|(label, _)| label == column) {
                "columns.label"
            } else if self.domain.as_deref() == Some(column) {
                "columns.domain"
            } else {
                "columns.fields"
            };
        }
        error
    }

    pub(super) fn record(&self, raw: RawRecord, path: &Path) -> Result<Record> {
        let RawRecord { number, mut fields } = raw;
        let field_error = |column: &str, message: String| Error::record(path, number, Some(column), message);
        let text_column = &self.text;
        text_of(&fields, text_column).map_err(|message| field_error(text_column, message))?;
        let label = match &self.label {
            Some((column, classes)) => {
                Some(class_of(&fields, column, classes).map_err(|message| field_error(column, message))?)
            }
            None => None,
        };
        let domain = match &self.domain {
            Some(column) => domain_of(&fields, column).map_err(|message| field_error(column, message))?,
            None => None,
        };
        // The text is moved, unless it is also needed as a field.
        let take_text = |fields: &mut Map<String, Value>| match fields.get_mut(text_column) {
            Some(Value::String(text)) => std::mem::take(text),
            _ => String::new(),
        };
        let (text, fields) = if self.keep_all {
            (text_of(&fields, text_column).unwrap_or_default().to_owned(), fields)
        } else {
            let keep = |name: &String| (name.clone(), fields.get(name).cloned().unwrap_or_default());
            let selected = self.fields.iter().map(keep).collect();
            (take_text(&mut fields), selected)
        };
        Ok(Record { number, text, label, domain, fields })
    }
}

/// Returns the text in `column`, which may be empty.
///
/// # Errors
/// The message says what was found instead of a text.
pub(crate) fn text_of<'a>(fields: &'a Map<String, Value>, column: &str) -> Result<&'a str, String> {
    let got = match fields.get(column) {
        Some(Value::String(text)) => return Ok(text),
        None => {
            let names = fields.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            return Err(format!("missing text: this record has {names}"));
        }
        Some(Value::Null) => "null".to_owned(),
        Some(Value::Bool(boolean)) => boolean.to_string(),
        Some(Value::Number(number)) => format!("the number {number}"),
        Some(Value::Array(_)) => "an array".to_owned(),
        Some(Value::Object(_)) => "an object".to_owned(),
    };
    Err(format!("expected a string as text, got {got}"))
}

/// Returns the class of the label in `column`, or an error message.
fn class_of(fields: &Map<String, Value>, column: &str, classes: &Classes) -> Result<usize, String> {
    match fields.get(column).map_or(Ok(None), RawLabel::from_value)? {
        Some(label) => classes.parse(&label).map_err(|unknown| unknown.to_string()),
        None => Err(format!("missing label: expected {}", classes.accepted_labels())),
    }
}

/// Returns the domain in `column` (`None` where it is missing, null or blank), or an error message.
pub(crate) fn domain_of(fields: &Map<String, Value>, column: &str) -> Result<Option<String>, String> {
    let domain = fields.get(column).map_or(Ok(None), RawLabel::from_value)?;
    Ok(domain.map(|domain| domain.to_string()))
}
