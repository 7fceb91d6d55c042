//! A text of a request: a string, or an object with the text and other values of its record.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};

/// A text with the other values of its record, if it has any.
#[derive(Debug, Default)]
pub(crate) struct TextItem {
    pub(crate) text: String,
    pub(crate) domain: Option<String>,
    pub(crate) features: BTreeMap<String, Vec<f64>>,
    pub(crate) comments: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    text: String,
    #[serde(default)]
    domain: Option<String>,
    #[serde(default)]
    features: UniqueFeatures,
    #[serde(default)]
    comments: Vec<String>,
}

/// Features by name, each given once.
#[derive(Default)]
pub(crate) struct UniqueFeatures(pub(crate) BTreeMap<String, Vec<f64>>);

impl<'de> Deserialize<'de> for UniqueFeatures {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Features;
        impl<'de> Visitor<'de> for Features {
            type Value = UniqueFeatures;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with arrays of numbers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UniqueFeatures, A::Error> {
                let mut features = BTreeMap::new();
                while let Some((name, numbers)) = map.next_entry::<String, Vec<f64>>()? {
                    if features.insert(name.clone(), numbers).is_some() {
                        return Err(A::Error::custom(format!("duplicate field `{name}`")));
                    }
                }
                Ok(UniqueFeatures(features))
            }
        }
        deserializer.deserialize_map(Features)
    }
}

impl<'de> Deserialize<'de> for TextItem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Item;
        impl<'de> Visitor<'de> for Item {
            type Value = TextItem;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, or an object with `text`")
            }

            fn visit_str<E>(self, text: &str) -> Result<TextItem, E> {
                Ok(TextItem { text: text.to_owned(), ..TextItem::default() })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TextItem, A::Error> {
                let fields = Fields::deserialize(MapAccessDeserializer::new(map))?;
                let Fields { text, domain, features, comments } = fields;
                Ok(TextItem { text, domain, features: features.0, comments })
            }
        }
        deserializer.deserialize_any(Item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_strings_or_objects_with_the_values_of_a_record() {
        let item: TextItem = serde_json::from_str(r#""rain""#).unwrap();
        assert_eq!((item.text.as_str(), item.comments.len(), item.features.len()), ("rain", 0, 0));
        let json = r#"{"text": "rain", "domain": "weather", "features": {"emotions": [1, 2.5]}, "comments": ["no"]}"#;
        let item: TextItem = serde_json::from_str(json).unwrap();
        assert_eq!(
            (item.domain.as_deref(), item.features["emotions"].as_slice()),
            (Some("weather"), &[1.0, 2.5][..])
        );
        assert_eq!(item.comments, ["no"]);
        let check = |json: &str, expected: &str| {
            let error = serde_json::from_str::<TextItem>(json).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        };
        check(r#"{"domain": "weather"}"#, "missing field `text`");
        check(r#"{"text": "rain", "features": {"a": [1], "a": [2]}}"#, "duplicate field `a`");
        check(r#"{"text": "rain", "features": {"a": ["x"]}}"#, "invalid type: string");
        check(r#"{"text": "rain", "comments": "no"}"#, "invalid type: string");
    }
}
