//! The reference of all settings: key, range and meaning of each, with the defaults of the code.
//!
//! `faknow settings` prints it and `docs/config.md` contains it. A test compares it with what a config accepts.

mod evaluation;
mod input;
mod optimization;
mod setting;
mod training;

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
