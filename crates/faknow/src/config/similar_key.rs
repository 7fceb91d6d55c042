//! The setting that is probably meant by an unknown key.

use toml::{Table, Value};

use crate::config::Config;
use crate::config::messages::most_similar;

/// Names of settings in PyTorch, Lightning and Hugging Face.
const OTHER_NAMES: [(&str, &str); 6] = [
    ("learning_rate", "optimizer.lr"),
    ("max_epochs", "trainer.epochs"),
    ("num_epochs", "trainer.epochs"),
    ("num_workers", "loader.workers"),
    ("accumulate_grad_batches", "trainer.accumulate"),
    ("gradient_clip_val", "trainer.clip_norm"),
];

/// Returns the key of the default config that is probably meant by an unknown one.
pub(crate) fn similar_default_key(key: &str) -> Option<String> {
    let mut keys = Vec::new();
    add_keys("", &Config::default().to_table().ok()?, &mut keys);
    similar(key, &keys)
}

/// Returns the key of the same name in another table, of this name in other libraries, or with a similar spelling.
pub(crate) fn similar(key: &str, keys: &[String]) -> Option<String> {
    if keys.iter().any(|it| it == key) {
        // It belongs to another optimizer, attack, … than the selected one.
        return None;
    }
    let name = |key: &str| key.rsplit_once('.').map_or(key, |(_, name)| name).to_owned();
    let other_name = OTHER_NAMES.iter().find(|(other, _)| *other == name(key)).map(|(_, key)| *key);
    // `name` means something else in each table.
    let same_name = keys.iter().find(|it| name(it) == name(key) && name(key) != "name");
    let similar = same_name.map(String::as_str).or(other_name);
    similar.or_else(|| most_similar(key, keys.iter().map(String::as_str))).map(str::to_owned)
}

fn add_keys(prefix: &str, table: &Table, keys: &mut Vec<String>) {
    for (name, value) in table {
        match value {
            Value::Table(table) => add_keys(&format!("{prefix}{name}."), table, keys),
            _ => keys.push(format!("{prefix}{name}")),
        }
    }
}
