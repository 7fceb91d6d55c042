//! The reference of all settings: key, range and meaning of each, with the defaults of the code, and what happens if it is
//! changed when a run is resumed.
//!
//! `faknow settings` prints it and `docs/config.md` contains it. A test compares it with what a config accepts.

mod evaluation;
mod input;
mod optimization;
mod policies;
mod setting;
mod training;

use crate::config::similar_key::similar;
use crate::models::Registry;

pub(crate) use policies::policies;
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
    let keys = reference(registry).into_iter().flat_map(|table| table.settings).map(|setting| setting.key);
    similar(key, &keys.collect::<Vec<_>>())
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
        check("model.n_filterss", Some("model.n_filters"));
    }
}
