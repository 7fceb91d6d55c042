//! The reference of all settings: key, range and meaning of each, with the defaults of the code.
//!
//! `faknow settings` prints it and `docs/config.md` contains it. A test compares it with what a config accepts.

mod evaluation;
mod input;
mod optimization;
mod setting;
mod training;

use crate::config::messages::most_similar;
use crate::models::Registry;

pub use setting::{DefaultValue, Setting, SettingsTable};

/// Returns all tables of a config in the order of the reference, with the hyperparameters of these models in the table `model`.
pub fn reference(registry: &Registry) -> Vec<SettingsTable> {
    let tables = [input::TABLES, optimization::TABLES, training::TABLES, evaluation::TABLES].concat();
    let mut tables: Vec<SettingsTable> = tables.iter().map(SettingsTable::from_static).collect();
    if let Some(model) = tables.iter_mut().find(|table| table.name == "model") {
        model.add_hyperparameters(registry);
    }
    tables
}

/// Returns the setting that is probably meant by an unknown key: of the same name in another table, of this name in other
/// libraries, or with a similar spelling.
pub fn similar_key(registry: &Registry, key: &str) -> Option<String> {
    let keys: Vec<String> =
        reference(registry).into_iter().flat_map(|table| table.settings).map(|setting| setting.key).collect();
    if keys.iter().any(|it| it == key) {
        // It belongs to another optimizer, attack, … than the chosen one.
        return None;
    }
    let name = |key: &str| key.rsplit_once('.').map_or(key, |(_, name)| name).to_owned();
    let other_name = OTHER_NAMES.iter().find(|(other, _)| *other == name(key)).map(|(_, key)| *key);
    // `name` and `pattern` mean something else in each table.
    let same_name = keys.iter().find(|it| name(it) == name(key) && name(key) != "name");
    let similar = same_name.map(String::as_str).or(other_name);
    similar.or_else(|| most_similar(key, keys.iter().map(String::as_str))).map(str::to_owned)
}

/// Names of settings in PyTorch, Lightning and Hugging Face.
const OTHER_NAMES: [(&str, &str); 6] = [
    ("learning_rate", "optimizer.lr"),
    ("max_epochs", "trainer.epochs"),
    ("num_epochs", "trainer.epochs"),
    ("num_workers", "loader.workers"),
    ("accumulate_grad_batches", "trainer.accumulate"),
    ("gradient_clip_val", "trainer.clip_norm"),
];

/// Returns the smallest valid value of a table that is a list, in TOML.
pub(crate) fn list_example(table: &str) -> Option<String> {
    let tables = [input::TABLES, optimization::TABLES, training::TABLES, evaluation::TABLES].concat();
    tables.iter().find(|it| it.name == table && it.is_list).map(|it| it.example(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_key_has_the_same_name_or_a_similar_spelling() {
        let registry = Registry::builtin();
        let check = |key: &str, expected: Option<&str>| {
            assert_eq!(similar_key(&registry, key).as_deref(), expected, "{key}");
        };
        check("trainer.lr", Some("optimizer.lr"));
        check("lr", Some("optimizer.lr"));
        check("batch_size", Some("loader.batch_size"));
        check("learning_rate", Some("optimizer.lr"));
        check("trainer.epoch", Some("trainer.epochs"));
        check("optimizer.lrr", Some("optimizer.lr"));
        check("nothing.like.this", None);
        check("optimizer.momentum", None);
    }

    #[test]
    fn list_example_is_valid() {
        let example = list_example("freeze").unwrap();
        assert_eq!(crate::Config::default().set(&example).unwrap().freeze.len(), 1, "{example}");
        assert_eq!(list_example("optimizer"), None);
    }
}
