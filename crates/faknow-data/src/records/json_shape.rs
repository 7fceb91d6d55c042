//! Shapes of JSON that are not records: what they are, and how to write records instead.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::common::printable_name;
use crate::records::Delimiter;

const RECORDS: &str = "write records with `df.to_json(path, orient=\"records\")`";

/// Returns the error message for a first object that contains all records; `None` for a record.
pub(super) fn of_first_object(fields: &Map<String, Value>) -> Option<String> {
    let is_number = |key: &String| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit());
    let has_numbers =
        |value: &Value| value.as_object().is_some_and(|it| !it.is_empty() && it.keys().all(is_number));
    let is_list = |key: &str| fields.get(key).is_some_and(Value::is_array);
    let of_pandas = |orient: &str| {
        Some(format!("the file is one JSON object with all records, as pandas writes {orient}: {RECORDS}"))
    };
    if fields.is_empty() {
        return None;
    }
    if fields.values().all(has_numbers) {
        return of_pandas("by column (`to_json(path)`)");
    }
    if fields.keys().all(is_number) && fields.values().all(Value::is_object) {
        return of_pandas("by index (`orient=\"index\"`)");
    }
    if is_list("columns") && is_list("data") {
        return of_pandas("in parts (`orient=\"split\"`)");
    }
    if fields.contains_key("schema") && is_list("data") {
        return of_pandas("with a schema (`orient=\"table\"`)");
    }
    let has_objects =
        |value: &Value| value.as_array().is_some_and(|it| it.first().is_some_and(Value::is_object));
    let (key, _) = fields.iter().find(|(_, value)| has_objects(value))?;
    let key = printable_name(key);
    // A record has a text, at least in an object.
    let is_wrapper = !fields.values().any(|value| value.is_string() || value.is_object());
    is_wrapper.then(|| {
        format!("the file is one JSON object with the records in `{key}`: write this array itself, as with `jq .{key}`")
    })
}

/// Returns the error message for a file that starts with other bytes than `[` and `{`.
pub(super) fn of_first_byte(start: &[u8]) -> String {
    let line = start.split(|&byte| byte == b'\n' || byte == b'\r').next().unwrap_or_default();
    let separators = [
        (Delimiter::TAB, "tsv".to_owned()),
        (Delimiter::COMMA, "csv".to_owned()),
        (Delimiter::SEMICOLON, "csv` and `delimiter = ;".to_owned()),
    ];
    let format = separators.iter().find(|(delimiter, _)| line.contains(&delimiter.byte()));
    let expected = "expected JSON that starts with `[` or `{`";
    match (start.first(), format) {
        (Some(b'"'), _) if line.starts_with(b"\"{") || line.starts_with(b"\"[") => {
            format!("{expected}, got a string that contains JSON: it was encoded twice")
        }
        (_, Some((_, format))) => {
            format!("{expected}; text with separators is read with `format = {format}`")
        }
        _ => format!("{expected}; is the file in another format?"),
    }
}

/// An object whose keys are distinct, as a second value would replace the first silently.
pub(super) struct UniqueKeys(pub(super) Map<String, Value>);

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = UniqueKeys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<UniqueKeys, A::Error> {
                let mut fields = Map::new();
                while let Some(key) = entries.next_key::<String>()? {
                    if fields.contains_key(&key) {
                        let message = format!("the key `{}` occurs twice", printable_name(&key));
                        return Err(A::Error::custom(message));
                    }
                    fields.insert(key, entries.next_value()?);
                }
                Ok(UniqueKeys(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(json: &str) -> Option<String> {
        of_first_object(&serde_json::from_str::<UniqueKeys>(json).unwrap().0)
    }

    #[test]
    fn shapes_of_data_frames_are_recognized() {
        let check = |json: &str, expected: &str| {
            let message = shape(json).unwrap();
            assert!(message.contains(expected), "{message}");
        };
        check(r#"{"text": {"0": "a", "1": "b"}, "label": {"0": 1, "1": 0}}"#, "by column");
        check(r#"{"0": {"text": "a"}, "1": {"text": "b"}}"#, "by index");
        check(r#"{"columns": ["text"], "index": [0], "data": [["a"]]}"#, "in parts");
        check(r#"{"schema": {"fields": []}, "data": [{"text": "a"}]}"#, "with a schema");
        check(r#"{"n": 1, "data": [{"text": "a"}]}"#, "the records in `data`: write this array itself");
    }

    #[test]
    fn records_are_not_mistaken() {
        for json in [
            "{}",
            r#"{"text": "a", "votes": {"0": 3}}"#,
            r#"{"votes": {"0": 3}, "content": {"text": "a"}}"#,
            r#"{"text": "a", "replies": [{"text": "b"}]}"#,
            r#"{"content": {"text": "a"}, "replies": [{"text": "b"}]}"#,
        ] {
            assert_eq!(shape(json), None, "{json}");
        }
    }

    #[test]
    fn duplicate_keys_are_errors() {
        let error = serde_json::from_str::<UniqueKeys>(r#"{"text": "a", "text": "b"}"#).err().unwrap();
        assert!(error.to_string().starts_with("the key `text` occurs twice"), "{error}");
    }
}
