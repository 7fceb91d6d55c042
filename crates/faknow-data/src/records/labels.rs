//! Classes: their names in order, and the label values of a file that map to each of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use crate::common::{printable_name, printable_names, without_invisible};
use crate::records::is_missing;
use crate::{Error, Result};

/// The classes of a task, in the order of their indices, and the label values that map to each of them.
///
/// With two classes the second is the positive one. [`Classes::parse`] documents the rules that map the value of a label
/// column to a class.
///
/// As text, classes are written `real,fake`, or with values `real=0|true,fake=1|false`; in serde formats they are a list
/// whose entries are a name or `{name, values}`.
///
/// ```
/// use faknow_data::{Classes, RawLabel};
///
/// let classes = Classes::new(["real", "fake"])?;
/// assert_eq!(classes.parse(&RawLabel::Text("Fake"))?, 1);
/// assert_eq!(classes.parse(&RawLabel::Text("0"))?, 0); // no class name is an integer, so class indices are accepted
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Entry>", into = "Vec<Entry>")]
pub struct Classes {
    names: Vec<String>,
    /// Additional label values of each class.
    values: Vec<Vec<String>>,
    /// Whether 0, 1, … are accepted as class indices: unless a name or value is an integer itself.
    accepts_indices: bool,
}

impl Classes {
    /// Creates classes with these names, in this order.
    ///
    /// # Errors
    /// [`Error::Setting`]: fewer than 2 names, or a name that is empty or occurs twice.
    pub fn new<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Result<Self> {
        let names: Vec<String> = names.into_iter().map(|name| name.into().trim().to_owned()).collect();
        if names.len() < 2 {
            return Err(setting(
                "at least 2 class names",
                format!("{} ({})", names.len(), printable_names(&names)),
            ));
        }
        for (class, name) in names.iter().enumerate() {
            if name.is_empty() {
                return Err(setting("a name for every class", format!("an empty name for class {class}")));
            }
            if names[..class].contains(name) {
                return Err(setting("distinct class names", format!("`{name}` twice")));
            }
        }
        let accepts_indices = !names.iter().any(|name| integer(name).is_some());
        Ok(Self { values: vec![Vec::new(); names.len()], names, accepts_indices })
    }

    /// Adds `values` to the label values that map to the class named `class`.
    ///
    /// # Errors
    /// [`Error::Setting`]: there is no such class, or a value is empty or already a name or value of another class.
    pub fn with_values<S: Into<String>>(
        mut self,
        class: &str,
        values: impl IntoIterator<Item = S>,
    ) -> Result<Self> {
        let Some(index) = self.names.iter().position(|name| name == class) else {
            return Err(setting(format!("one of {}", printable_names(&self.names)), format!("`{class}`")));
        };
        for value in values {
            let value = value.into().trim().to_owned();
            if value.is_empty() {
                return Err(setting("non-empty label values", format!("an empty value for `{class}`")));
            }
            match self.find_exact(&value) {
                Some(other) if other != index => {
                    let got = format!("`{value}` for both `{}` and `{class}`", self.names[other]);
                    return Err(setting("each label value to belong to one class", got));
                }
                Some(_) => {}
                None => {
                    self.accepts_indices &= integer(&value).is_none();
                    self.values[index].push(value);
                }
            }
        }
        Ok(self)
    }

    /// Returns the names, in the order of the class indices.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns the name of the class with this index, or `None` if there is no such class.
    pub fn name(&self, class: usize) -> Option<&str> {
        self.names.get(class).map(String::as_str)
    }

    /// Returns the number of classes, at least 2.
    #[expect(clippy::len_without_is_empty, reason = "there are at least two classes")]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Returns the index of the class that a label maps to, by the first of these rules that applies:
    ///
    /// 1. it equals the name of a class or one of its values (surrounding whitespace is ignored, and the integers
    ///    `1`, `1.0` and `"1"` are equal);
    /// 2. it equals names or values of exactly one class when case is ignored;
    /// 3. no name and no value of any class is an integer, and the label is an integer in `0..len()`: then it is the
    ///    index of the class (FaKnow's labels).
    ///
    /// `true` and `false` are ordinary words, never 1 and 0: in some files they mean "is true", in others "is fake".
    ///
    /// # Errors
    /// [`UnknownLabel`]: no rule applies.
    pub fn parse(&self, label: &RawLabel<'_>) -> Result<usize, UnknownLabel> {
        // Invisible characters of a file are not part of its labels.
        let text = label.to_string();
        let text = without_invisible(&text);
        let text = text.trim();
        if let Some(class) = self.find_exact(text) {
            return Ok(class);
        }
        let folded = text.to_lowercase();
        let mut matches = (0..self.len())
            .filter(|&class| self.spellings(class).any(|spelling| spelling.to_lowercase() == folded));
        match (matches.next(), matches.next()) {
            (Some(class), None) => return Ok(class),
            (Some(_), Some(_)) => return Err(self.unknown(text)),
            (None, _) => {}
        }
        let number = integer(text).and_then(|number| usize::try_from(number).ok());
        number.filter(|&class| self.accepts_indices && class < self.len()).ok_or_else(|| self.unknown(text))
    }

    /// Returns the index of the class that a JSON value maps to, and `None` for a missing value: null, a blank string, or one of
    /// [`MISSING_VALUES`](crate::MISSING_VALUES) that is not a label of a class.
    ///
    /// # Errors
    /// The value is an array, an object, or maps to no class; the message has the accepted labels.
    pub(crate) fn parse_value(&self, value: &Value) -> Result<Option<usize>, String> {
        if let Value::String(text) = value
            && let Ok(class) = self.parse(&RawLabel::Text(text))
        {
            return Ok(Some(class));
        }
        let label = RawLabel::from_value(value)?;
        label.map(|label| self.parse(&label).map_err(|unknown| unknown.to_string())).transpose()
    }

    fn find_exact(&self, text: &str) -> Option<usize> {
        let class_of =
            |same: &dyn Fn(&str) -> bool| (0..self.len()).find(|&class| self.spellings(class).any(same));
        class_of(&|spelling| spelling == text).or_else(|| {
            let number = integer(text)?;
            class_of(&|spelling| integer(spelling) == Some(number))
        })
    }

    fn spellings(&self, class: usize) -> impl Iterator<Item = &str> {
        std::iter::once(&self.names[class]).chain(&self.values[class]).map(String::as_str)
    }

    /// Returns the accepted labels as text for messages.
    pub(crate) fn accepted_labels(&self) -> String {
        let mut accepted = (0..self.len())
            .map(|class| match &self.values[class][..] {
                [] => format!("`{}`", printable_name(&self.names[class])),
                values => {
                    format!("`{}` (or {})", printable_name(&self.names[class]), printable_names(values))
                }
            })
            .collect::<Vec<_>>()
            .join(", ");
        if self.accepts_indices {
            accepted += &format!(", or a class index from 0 to {}", self.len() - 1);
        }
        accepted
    }

    fn unknown(&self, label: &str) -> UnknownLabel {
        UnknownLabel { label: printable_name(label), accepted: self.accepted_labels() }
    }
}

/// Formats the names and values as [`FromStr`] parses them.
impl fmt::Display for Classes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (class, name) in self.names.iter().enumerate() {
            let comma = if class == 0 { "" } else { "," };
            write!(out, "{comma}{name}")?;
            for (index, value) in self.values[class].iter().enumerate() {
                write!(out, "{}{value}", if index == 0 { '=' } else { '|' })?;
            }
        }
        Ok(())
    }
}

/// Parses `real,fake` or `real=0|true,fake=1|false`.
impl FromStr for Classes {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let entries: Vec<Entry> = text
            .split(',')
            .map(|entry| match entry.split_once('=') {
                None => Entry::Name(entry.to_owned()),
                Some((name, values)) => Entry::Values {
                    name: name.to_owned(),
                    values: values.split('|').map(|value| Scalar::Text(value.to_owned())).collect(),
                },
            })
            .collect();
        entries.try_into()
    }
}

/// A label value as written in a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RawLabel<'a> {
    /// A string, or any field of CSV and TSV.
    Text(&'a str),
    /// A JSON number.
    Number(&'a Number),
    /// A JSON boolean.
    Bool(bool),
}

impl<'a> RawLabel<'a> {
    /// Returns the label in a JSON value; `None` for null and strings that stand for a [missing value](crate::is_missing).
    ///
    /// # Errors
    /// The value is an array or an object.
    pub fn from_value(value: &'a Value) -> Result<Option<Self>, String> {
        match value {
            Value::Null => Ok(None),
            Value::String(text) if is_missing(text) => Ok(None),
            Value::String(text) => Ok(Some(Self::Text(text))),
            Value::Number(number) => Ok(Some(Self::Number(number))),
            Value::Bool(boolean) => Ok(Some(Self::Bool(*boolean))),
            Value::Array(_) => Err("expected a string or a number, got an array".into()),
            Value::Object(_) => Err("expected a string or a number, got an object".into()),
        }
    }
}

/// Formats the value; integers written as `1.0` without their fraction.
impl fmt::Display for RawLabel<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => out.write_str(text.trim()),
            Self::Bool(boolean) => write!(out, "{boolean}"),
            Self::Number(number) => {
                let text = number.to_string();
                match integer(&text) {
                    Some(integer) => write!(out, "{integer}"),
                    None => out.write_str(&text),
                }
            }
        }
    }
}

/// The error for a label value that maps to no class: names the value and the accepted labels.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown label `{label}`: expected {accepted}")]
pub struct UnknownLabel {
    /// The value, with invisible characters escaped, shortened to 60 characters.
    pub label: String,
    /// The accepted labels, as text.
    pub accepted: String,
}

/// A class in serde formats: its name, or its name with its label values.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a class name, or a map with `name` and `values`")]
enum Entry {
    Name(String),
    Values { name: String, values: Vec<Scalar> },
}

/// A label value in serde formats, so that `values = [0, "no"]` is valid.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a string, an integer or a boolean")]
enum Scalar {
    Bool(bool),
    Integer(i64),
    Text(String),
}

impl From<Classes> for Vec<Entry> {
    fn from(classes: Classes) -> Self {
        let entry = |(name, values): (String, Vec<String>)| match values.is_empty() {
            true => Entry::Name(name),
            false => Entry::Values { name, values: values.into_iter().map(Scalar::Text).collect() },
        };
        classes.names.into_iter().zip(classes.values).map(entry).collect()
    }
}

impl TryFrom<Vec<Entry>> for Classes {
    type Error = Error;

    fn try_from(entries: Vec<Entry>) -> Result<Self> {
        let name = |entry: &Entry| match entry {
            Entry::Name(name) | Entry::Values { name, .. } => name.trim().to_owned(),
        };
        let mut classes = Self::new(entries.iter().map(name))?;
        for entry in entries {
            if let Entry::Values { name, values } = entry {
                let values = values.into_iter().map(|value| match value {
                    Scalar::Bool(boolean) => boolean.to_string(),
                    Scalar::Integer(number) => number.to_string(),
                    Scalar::Text(text) => text,
                });
                classes = classes.with_values(name.trim(), values)?;
            }
        }
        Ok(classes)
    }
}

/// Parses an integer; a fraction of zeros (as in `1.0`) is accepted.
pub(crate) fn integer(text: &str) -> Option<i64> {
    let (integer, fraction) = text.split_once('.').unwrap_or((text, ""));
    fraction.bytes().all(|digit| digit == b'0').then(|| integer.parse().ok()).flatten()
}

fn setting(expected: impl Into<String>, got: String) -> Error {
    Error::Setting { name: "classes", expected: expected.into(), got }
}

/// Maximum number of classes: counters of samples per class allocate up to the largest class index.
const MAX_CLASSES: usize = 1 << 16;

/// Checks a label that is a class index.
pub(crate) fn check_class_index(label: usize) -> Result<u32, String> {
    match label < MAX_CLASSES {
        true => Ok(label as u32),
        false => Err(format!("expected a class index from 0 to {}, got {label}", MAX_CLASSES - 1)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(classes: &str, label: Value, expected: Option<usize>) {
        let classes: Classes = classes.parse().unwrap();
        let raw = RawLabel::from_value(&label).unwrap().unwrap();
        assert_eq!(classes.parse(&raw).ok(), expected, "{label} in {classes}");
    }

    #[test]
    fn names_match_exactly_then_case_insensitively() {
        check("real,fake", json!("real"), Some(0));
        check("real,fake", json!("  fake "), Some(1));
        check("real,fake", json!("FAKE"), Some(1));
        check("real,fake", json!("fakes"), None);
        check("True,TRUE", json!("TRUE"), Some(1));
        check("True,TRUE", json!("true"), None); // ambiguous
        check("ÉTÉ,hiver", json!("été"), Some(0));
        check("pants-fire,false,barely-true,half-true,mostly-true,true", json!("true"), Some(5));
    }

    #[test]
    fn accepts_class_indices_unless_a_name_is_an_integer() {
        check("real,fake", json!(0), Some(0));
        check("real,fake", json!(1.0), Some(1));
        check("real,fake", json!("1"), Some(1));
        check("real,fake", json!(" 1.0 "), Some(1));
        check("real,fake", json!(2), None);
        check("real,fake", json!(-1), None);
        check("real,fake", json!(0.5), None);
        check("1,0", json!(0), Some(1));
        check("1,0", json!("1.0"), Some(0));
        check("1,2", json!(0), None);
        check("-1,1", json!(-1.0), Some(0));
    }

    #[test]
    fn explicit_values_take_precedence() {
        check("real=0|true,fake=1|false", json!(true), Some(0));
        check("real=0|true,fake=1|false", json!("False"), Some(1));
        check("real=1,fake=0", json!(1), Some(0));
        check("real=1,fake=0", json!("0.0"), Some(1));
        check("real=5,fake", json!(1), None); // a value is an integer: class indices are not accepted
        check("real=r,fake=f", json!("F"), Some(1));
        check("real=r,fake=f", json!(1), Some(1));
    }

    #[test]
    fn booleans_are_ordinary_words() {
        check("real,fake", json!(true), None);
        check("real,fake", json!("false"), None);
        check("false,true", json!(true), Some(1));
    }

    #[test]
    fn errors_name_the_value_and_the_accepted_labels() {
        let check = |classes: &str, label: &str, expected: &str| {
            let error = classes.parse::<Classes>().unwrap().parse(&RawLabel::Text(label)).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        check(
            "real,fake",
            "hoax",
            "unknown label `hoax`: expected `real`, `fake`, or a class index from 0 to 1",
        );
        check("1,0=no", "x", "unknown label `x`: expected `1`, `0` (or `no`)");
    }

    #[test]
    fn rejects_invalid_classes() {
        let check = |text: &str, expected: &str| {
            let message = text.parse::<Classes>().unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        };
        check("fake", "at least 2");
        check("real,,fake", "an empty name for class 1");
        check("a,b,a", "`a` twice");
        check("a=x,b=x", "`x` for both `a` and `b`");
        check("a=b,b", "`b` for both `b` and `a`");
        check("a=1,b=1.0", "`1.0` for both");
        let error = Classes::new(["a", "b"]).unwrap().with_values("c", ["x"]).unwrap_err();
        assert!(error.to_string().contains("one of `a`, `b`"));
    }

    #[test]
    fn serde_and_text_round_trip() {
        let check = |classes: &str, json: Value| {
            let classes: Classes = classes.parse().unwrap();
            assert_eq!(serde_json::to_value(&classes).unwrap(), json);
            assert_eq!(serde_json::from_value::<Classes>(json).unwrap(), classes);
            assert_eq!(classes.to_string().parse::<Classes>().unwrap(), classes);
        };
        check("real,fake", json!(["real", "fake"]));
        check("real=0|r,fake", json!([{"name": "real", "values": ["0", "r"]}, "fake"]));
        let numbers = json!([{"name": "real", "values": [0, true]}, "fake"]);
        assert_eq!(serde_json::from_value::<Classes>(numbers).unwrap().to_string(), "real=0|true,fake");
        assert!(serde_json::from_value::<Classes>(json!(["only"])).is_err());
    }

    #[test]
    fn blank_and_null_are_not_labels() {
        assert_eq!(RawLabel::from_value(&json!(null)), Ok(None));
        assert_eq!(RawLabel::from_value(&json!("  ")), Ok(None));
        assert!(RawLabel::from_value(&json!([1])).is_err());
    }
}
