//! Names of columns: several text columns, and paths into nested JSON.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::Error;
use crate::common::{printable_name, printable_names};
use crate::records::missing::is_missing;
use crate::records::source::no_such_column;
use crate::records::{ColumnMap, Source};

/// The separator of the parts of a text that consists of several columns.
pub const TEXT_SEPARATOR: &str = "\n";

/// The columns whose values are the text of a record, in order.
///
/// A single name with commas, as in `title,text`, means several columns, unless a file has a column with this exact name.
/// The parts are joined by [`TEXT_SEPARATOR`]; missing ones are left out. In serde formats the columns are a string or a
/// list of strings.
///
/// ```
/// use faknow_data::TextColumns;
///
/// let columns = TextColumns::from("title, text");
/// assert_eq!(columns.names(&["title".into(), "text".into()]), ["title", "text"]);
/// assert_eq!(columns.names(&["title, text".into()]), ["title, text"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextColumns(Vec<String>);

impl TextColumns {
    /// Creates columns whose names are not split at commas.
    pub fn new<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }

    /// Returns the names of the columns in a file that has the columns `all`.
    pub fn names(&self, all: &[String]) -> Vec<&str> {
        self.names_in(&|name| all.iter().any(|column| column == name))
    }

    /// Returns the names of the columns that exist by `has`.
    pub(crate) fn names_in(&self, has: &dyn Fn(&str) -> bool) -> Vec<&str> {
        match &self.0[..] {
            [one] if one.contains(',') && !has(one) => {
                one.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
            }
            names => names.iter().map(String::as_str).collect(),
        }
    }
}

impl From<&str> for TextColumns {
    fn from(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }
}

impl From<String> for TextColumns {
    fn from(name: String) -> Self {
        Self(vec![name])
    }
}

impl Serialize for TextColumns {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [one] => serializer.serialize_str(one),
            names => names.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for TextColumns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = TextColumns;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, or a list of strings")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<TextColumns, E> {
                Ok(name.into())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<TextColumns, A::Error> {
                let mut columns = Vec::new();
                while let Some(name) = names.next_element()? {
                    columns.push(name);
                }
                match columns.is_empty() {
                    true => Err(de::Error::invalid_length(0, &"at least one column")),
                    false => Ok(TextColumns(columns)),
                }
            }
        }
        deserializer.deserialize_any(Names)
    }
}

impl fmt::Display for TextColumns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

impl ColumnMap {
    /// Returns the columns that a file must have, with the setting of each; `has` is whether a column exists.
    pub(crate) fn required(&self, has: &dyn Fn(&str) -> bool) -> Vec<(&'static str, &str)> {
        let text = self.text.iter().flat_map(|text| text.names_in(has)).map(|name| ("columns.text", name));
        let label = self.label.iter().map(|name| ("columns.label", name.as_str()));
        let domain = self.domain.iter().filter(|name| !self.is_domain_optional || has(name));
        let domain = domain.map(|name| ("columns.domain", name.as_str()));
        let texts = self.texts.values().filter(|name| has(name)).map(|name| ("columns.texts", name.as_str()));
        let features = self.features.values().map(|name| ("columns.features", name.as_str()));
        let image = self.image.iter().filter(|name| !self.is_image_optional || has(name));
        let image = image.map(|name| ("columns.image", name.as_str()));
        let comments = self.comments.iter().map(|name| ("columns.comments", name.as_str()));
        let fields = self.fields.iter().map(|name| ("columns.fields", name.as_str()));
        text.chain(label)
            .chain(domain)
            .chain(texts)
            .chain(features)
            .chain(image)
            .chain(comments)
            .chain(fields)
            .collect()
    }

    /// Selects the columns in a source whose columns are known; those of JSON files are known after the first record, see
    /// [`check_object`](Self::check_object).
    ///
    /// # Errors
    /// A column is missing or occurs twice.
    pub(crate) fn select_in(&self, source: &mut Source, all: bool) -> Result<(), Error> {
        let columns = source.columns().to_vec();
        let required = self.required(&|name| columns.iter().any(|column| column == name));
        let names: Vec<&str> = required.iter().map(|(_, name)| *name).collect();
        source.select(&names, all).map_err(|mut error| {
            if let Error::MissingColumn { column, setting, .. } = &mut error
                && let Some((of, _)) = required.iter().find(|(_, name)| *name == &**column)
            {
                *setting = of;
            }
            error
        })
    }

    /// Checks that the first object of a JSON file has the columns; if images are read, one of text and image is enough.
    pub(crate) fn check_object(&self, fields: &Map<String, Value>, path: &Path) -> Result<(), Error> {
        let required = self.required(&|name| value_at(fields, name).is_some());
        let has = |of: &str| {
            required.iter().any(|(setting, name)| *setting == of && value_at(fields, name).is_some())
        };
        let (has_text, has_image) = (has("columns.text"), has("columns.image"));
        let is_missing = |(setting, name): &(&str, &str)| {
            let is_optional = match *setting {
                "columns.text" => has_image,
                "columns.image" => has_text,
                _ => false,
            };
            !is_optional && value_at(fields, name).is_none()
        };
        let missing = required.iter().copied().find(is_missing);
        missing.map_or(Ok(()), |(setting, name)| Err(no_such_path(path, name, setting, fields)))
    }
}

/// Returns the value of `path`: the key itself if it exists, else a path into nested objects and arrays, with names and
/// indices separated by dots. The path of a value within null is null.
pub(crate) fn value_at<'a>(fields: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = fields.get(path) {
        return Some(value);
    }
    // Keys may contain dots; the longest one that leads to a value is used.
    path.rmatch_indices('.').find_map(|(dot, _)| value_in(fields.get(&path[..dot])?, &path[dot + 1..]))
}

fn value_in<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    match value {
        Value::Object(fields) => value_at(fields, path),
        Value::Array(items) => {
            let (index, rest) =
                path.split_once('.').map_or((path, None), |(index, rest)| (index, Some(rest)));
            let item = items.get(index.parse::<usize>().ok()?)?;
            rest.map_or(Some(item), |rest| value_in(item, rest))
        }
        Value::Null => Some(value),
        _ => None,
    }
}

/// Returns the error for a path that leads to no value, which names the keys where it ends.
fn no_such_path(path: &Path, name: &str, setting: &'static str, fields: &Map<String, Value>) -> Error {
    let prefixes = name.rmatch_indices('.').map(|(dot, _)| &name[..dot]);
    let parent = prefixes.filter_map(|prefix| Some((prefix, value_at(fields, prefix)?))).next();
    let details = match parent {
        Some((prefix, Value::Object(inner))) => {
            format!(": `{prefix}` has the keys {}", printable_names(inner.keys()))
        }
        Some((prefix, Value::Array(items))) => {
            format!(": `{prefix}` is an array of {} values, with indices from 0", items.len())
        }
        Some((prefix, other)) => format!(": `{prefix}` is {}", kind_of(other)),
        None => {
            let columns: Vec<String> = fields.keys().cloned().collect();
            let nested =
                fields.iter().find(|(_, value)| value_in(value, name).is_some_and(|it| !it.is_null()));
            let mut error = no_such_column(path, name, &columns);
            if let Error::MissingColumn { setting: of, details, .. } = &mut error {
                *of = setting;
                if let Some((outer, _)) = nested {
                    let outer = printable_name(outer);
                    *details = format!(" (did you mean `{outer}.{name}`?){details}").into();
                }
            }
            return error;
        }
    };
    Error::MissingColumn { path: path.to_owned(), column: name.into(), setting, details: details.into() }
}

/// Returns the kind of a value for messages.
fn kind_of(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(boolean) => boolean.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// The reason why a record has no text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoText<'a> {
    /// The affected column.
    pub(crate) column: Cow<'a, str>,
    /// What was found instead of a text.
    pub(crate) message: String,
    /// Whether the text is missing, rather than a value of another kind.
    pub(crate) is_missing: bool,
    /// Whether it is missing because the columns are blank.
    pub(crate) is_blank: bool,
}

/// Returns the text in `columns`, which contains more than missing values.
///
/// # Errors
/// All parts are missing, or one is not a string.
pub(crate) fn text_of<'a>(
    fields: &'a Map<String, Value>,
    columns: &'a TextColumns,
) -> Result<Cow<'a, str>, NoText<'a>> {
    let names = columns.names_in(&|name| value_at(fields, name).is_some());
    let mut text: Option<Cow<'_, str>> = None;
    for &name in &names {
        let part = match value_at(fields, name) {
            Some(Value::String(part)) if !is_missing(part) => part,
            None | Some(Value::Null | Value::String(_)) => continue,
            Some(other) => {
                let message = format!("expected a string as text, got {}", kind_of(other));
                return Err(NoText { column: name.into(), message, is_missing: false, is_blank: false });
            }
        };
        text = Some(match text {
            None => Cow::Borrowed(part),
            Some(text) => Cow::Owned(text.into_owned() + TEXT_SEPARATOR + part),
        });
    }
    text.ok_or_else(|| missing_text(fields, &names))
}

fn missing_text<'a>(fields: &Map<String, Value>, names: &[&'a str]) -> NoText<'a> {
    let message = match names {
        [name] => match value_at(fields, name) {
            None => {
                format!("missing text: this record has {}", printable_names(fields.keys()))
            }
            Some(Value::String(text)) if text.trim().is_empty() => {
                "missing text: expected a string, got a blank one".to_owned()
            }
            Some(Value::String(text)) => {
                format!("missing text: expected a string, got `{}`, a missing value", text.trim())
            }
            _ => "missing text: expected a string, got null".to_owned(),
        },
        _ => {
            "missing text: expected a string in at least one of these columns, got missing values".to_owned()
        }
    };
    let is_blank_column = |name: &&str| match value_at(fields, name) {
        Some(Value::String(text)) => text.trim().is_empty(),
        _ => false,
    };
    let is_blank = names.iter().all(is_blank_column);
    NoText { column: names.join(",").into(), message, is_missing: true, is_blank }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn paths_lead_into_objects_and_arrays() {
        let fields = object(json!({
            "content": { "text": "inner", "a.b": { "c": 1 } }, "content.title": "exact", "content.x": {},
            "items": [{ "text": "first" }, [7]], "none": null, "word": "w",
        }));
        let check = |path: &str, expected: Option<Value>| {
            assert_eq!(value_at(&fields, path), expected.as_ref(), "{path}");
        };
        check("word", Some(json!("w")));
        check("content.text", Some(json!("inner")));
        check("content.title", Some(json!("exact")));
        check("content.a.b.c", Some(json!(1)));
        check("items.0.text", Some(json!("first")));
        check("items.1.0", Some(json!(7)));
        check("none.of.this", Some(Value::Null));
        for path in ["items.2", "items.text", "items.-1", "word.x", "content.none", "nothing", "", "."] {
            check(path, None);
        }
    }

    #[test]
    fn missing_path_names_the_keys_where_it_ends() {
        let fields =
            object(json!({ "content": { "text": "a", "title": "b" }, "items": [1, 2], "word": "w" }));
        let check = |name: &str, expected: &str| {
            let columns = ColumnMap { text: Some(name.into()), ..ColumnMap::default() };
            let error = columns.check_object(&fields, Path::new("x.jsonl")).unwrap_err();
            assert_eq!(error.to_string(), format!("x.jsonl: no such column {expected}"));
        };
        check("content.txt", "`content.txt`: `content` has the keys `text`, `title`");
        check("items.5", "`items.5`: `items` is an array of 2 values, with indices from 0");
        check("word.a.b", "`word.a.b`: `word` is a string");
        check("text", "`text` (did you mean `content.text`?): the columns are `content`, `items`, `word`");
        check("word,content.body", "`content.body`: `content` has the keys `text`, `title`");
    }

    #[test]
    fn text_columns_are_joined_without_missing_parts() {
        let check = |columns: &str, fields: Value, expected: Result<&str, &str>| {
            let (columns, fields) = (TextColumns::from(columns), object(fields));
            let got =
                text_of(&fields, &columns).map_err(|error| format!("{}: {}", error.column, error.message));
            assert_eq!(got.as_deref().map_err(String::as_str), expected, "{columns} of {fields:?}");
        };
        check("a,b", json!({ "a": "x", "b": " y" }), Ok("x\n y"));
        check(" b , a ", json!({ "a": "x", "b": "y" }), Ok("y\nx"));
        check("a,b", json!({ "a,b": "exact", "a": "x", "b": "y" }), Ok("exact"));
        check("a,b", json!({ "a": "NaN", "b": "y" }), Ok("y"));
        check("a,b", json!({ "a": "x", "b": null }), Ok("x"));
        check("a,b", json!({ "a": "x" }), Ok("x"));
        check(
            "a",
            json!({ "a": "NaN" }),
            Err("a: missing text: expected a string, got `NaN`, a missing value"),
        );
        check("a", json!({ "a": " " }), Err("a: missing text: expected a string, got a blank one"));
        check("a", json!({ "a": null }), Err("a: missing text: expected a string, got null"));
        check("a", json!({ "b": 1 }), Err("a: missing text: this record has `b`"));
        check("a,b", json!({ "a": "x", "b": 3 }), Err("b: expected a string as text, got the number 3"));
        let none =
            "a,b: missing text: expected a string in at least one of these columns, got missing values";
        check("a,b", json!({ "a": "", "b": "None" }), Err(none));
    }

    #[test]
    fn serde_reads_a_name_or_a_list() {
        for (json, columns) in [
            (json!("title,text"), TextColumns::from("title,text")),
            (json!(["a,b", "c"]), TextColumns::new(["a,b", "c"])),
        ] {
            assert_eq!(serde_json::from_value::<TextColumns>(json.clone()).unwrap(), columns);
            assert_eq!(serde_json::to_value(&columns).unwrap(), json);
        }
        for invalid in [json!(3), json!([]), json!([1])] {
            assert!(serde_json::from_value::<TextColumns>(invalid.clone()).is_err(), "{invalid}");
        }
    }
}
