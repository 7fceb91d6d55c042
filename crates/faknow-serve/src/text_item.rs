//! A text of a request: a string, or an object with the text and its domain.

use std::fmt;

use serde::de::{MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};

/// A text with its domain, if it has one.
#[derive(Debug)]
pub(crate) struct TextItem {
    pub(crate) text: String,
    pub(crate) domain: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    text: String,
    #[serde(default)]
    domain: Option<String>,
}

impl<'de> Deserialize<'de> for TextItem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Item;
        impl<'de> Visitor<'de> for Item {
            type Value = TextItem;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, or an object with `text` and `domain`")
            }

            fn visit_str<E>(self, text: &str) -> Result<TextItem, E> {
                Ok(TextItem { text: text.to_owned(), domain: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TextItem, A::Error> {
                let Fields { text, domain } = Fields::deserialize(MapAccessDeserializer::new(map))?;
                Ok(TextItem { text, domain })
            }
        }
        deserializer.deserialize_any(Item)
    }
}
