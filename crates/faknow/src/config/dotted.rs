//! Settings by dotted name.

use serde::Serialize;
use serde_json::{Map, Value};

/// Returns the settings by dotted name, as in `optimizer.lr`.
pub(crate) fn by_dotted_name(settings: &impl Serialize) -> Map<String, Value> {
    fn add(prefix: &str, value: Value, all: &mut Map<String, Value>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
                    add(&name, value, all);
                }
            }
            value => drop(all.insert(prefix.to_owned(), value)),
        }
    }
    let mut all = Map::new();
    add("", serde_json::to_value(settings).unwrap_or_default(), &mut all);
    all
}
