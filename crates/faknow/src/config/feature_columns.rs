//! The columns of numeric features.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// The columns of numeric features, by the name of the feature. In a config they are a table, or a column or list of columns that
/// are named like their features.
///
/// ```
/// use faknow::Config;
///
/// let config = Config::default().set("data.features=['emotions']")?;
/// assert_eq!(config, Config::default().set("data.features={ emotions = 'emotions' }")?);
/// # Ok::<(), faknow::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FeatureColumns(pub BTreeMap<String, String>);

impl FeatureColumns {
    /// Returns whether there are no columns.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for FeatureColumns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Columns;
        impl<'de> Visitor<'de> for Columns {
            type Value = FeatureColumns;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table from features to columns, or a list of columns")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<FeatureColumns, E> {
                Ok(FeatureColumns([(name.to_owned(), name.to_owned())].into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<FeatureColumns, A::Error> {
                let mut columns = BTreeMap::new();
                while let Some(name) = items.next_element::<String>()? {
                    columns.insert(name.clone(), name);
                }
                Ok(FeatureColumns(columns))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<FeatureColumns, A::Error> {
                let mut columns = BTreeMap::new();
                while let Some((name, column)) = entries.next_entry()? {
                    columns.insert(name, column);
                }
                Ok(FeatureColumns(columns))
            }
        }
        deserializer.deserialize_any(Columns)
    }
}
