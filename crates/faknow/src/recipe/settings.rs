//! Reading configs: TOML files, FaKnow's YAML files, `key=value` overrides; errors name the key.

use std::path::Path;

use serde::de::IntoDeserializer;
use toml::{Table, Value};

use super::{Config, faknow_yaml};
use crate::{Error, Result};

impl Config {
    /// Reads a config file: TOML, or YAML with FaKnow's keys, by the file's ending.
    ///
    /// # Errors
    /// The file cannot be read, does not parse, or holds an unknown key or a value of the wrong type.
    pub fn from_file(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        let in_file = |message: String| Error::config("", format!("{}: {message}", path.display()));
        match path.extension().and_then(|e| e.to_str()) {
            Some("toml") => {
                let table = text.parse::<Table>().map_err(|e| in_file(e.to_string().trim_end().to_owned()))?;
                Self::from_table(table).map_err(|e| in_file(e.to_string()))
            }
            Some("yaml" | "yml") => faknow_yaml::read(&text).map_err(|e| in_file(e.to_string())),
            _ => Err(in_file("expected a config file ending in .toml, .yaml or .yml".into())),
        }
    }

    /// Takes a config from parsed TOML.
    ///
    /// # Errors
    /// An unknown key or a value of the wrong type, by its dotted name.
    pub fn from_table(table: Table) -> Result<Self> {
        serde_path_to_error::deserialize(Value::Table(table).into_deserializer()).map_err(|error| {
            let path = error.path().to_string();
            let message = error.into_inner().to_string();
            let message = message.trim_end().replace('\n', " ");
            Error::config(if path == "." { String::new() } else { path }, message)
        })
    }

    /// The config as TOML.
    pub fn to_table(&self) -> Table {
        Table::try_from(self).unwrap_or_default()
    }

    /// The config with `key=value` set: `optimizer.lr=0.01`, `model.kernel_sizes=[2, 3]`, `data.text=tweet`.
    ///
    /// The value is read as TOML; what is no TOML value is a text, so quotes may be left out.
    ///
    /// # Errors
    /// There is no `=`, the key is unknown, or the value has the wrong type.
    pub fn set(&self, assignment: &str) -> Result<Self> {
        let (key, value) = assignment
            .split_once('=')
            .ok_or_else(|| Error::config(assignment, "expected key=value, as in optimizer.lr=0.01"))?;
        self.with(key.trim(), parse_value(value.trim()))
    }

    /// The config with the setting of this dotted name.
    ///
    /// # Errors
    /// The key is unknown, or the value has the wrong type.
    pub fn with(&self, key: &str, value: Value) -> Result<Self> {
        let mut table = self.to_table();
        let unknown = |known: Vec<String>| {
            Error::config(key, format!("unknown setting; known here: {}", known.join(", ")))
        };
        let (parents, name) = key.rsplit_once('.').unwrap_or(("", key));
        let mut place = &mut table;
        for parent in parents.split('.').filter(|p| !p.is_empty()) {
            let known = place.keys().cloned().collect();
            // Tables that are left out by default (`schedule`, `data.values`) come into being here.
            let next = place.entry(parent).or_insert_with(|| Value::Table(Table::new()));
            place = next.as_table_mut().ok_or_else(|| unknown(known))?;
        }
        if key == "optimizer.name" && place.get("name") != Some(&value) {
            // Another optimizer has other hyper-parameters: only the learning rate means the same to all.
            place.retain(|setting, _| setting == "lr");
        }
        place.insert(name.to_owned(), value);
        Self::from_table(table).map_err(|error| match error {
            Error::Config { key: path, message } if path.is_empty() || !path.ends_with(name) => {
                Error::config(key, message)
            }
            other => other,
        })
    }
}

fn parse_value(text: &str) -> Value {
    let line = format!("value = {text}");
    match line.parse::<Table>() {
        Ok(mut table) => table.remove("value").unwrap_or_else(|| Value::String(text.to_owned())),
        Err(_) => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_key_can_be_set() {
        let config = Config::default();
        assert_eq!(config.set("optimizer.lr=0.5").unwrap().optimizer.lr(), 0.5);
        assert_eq!(config.set("trainer.epochs = 3").unwrap().trainer.epochs, 3);
        assert_eq!(config.set("early_stopping.patience=2").unwrap().early_stopping.patience, 2);
        assert_eq!(config.set("data.text=tweet").unwrap().data.text, "tweet");
        assert_eq!(config.set("data.classes=['a', 'b', 'c']").unwrap().data.classes.len(), 3);
        assert_eq!(config.set("device=cpu").unwrap().device, "cpu");
        let config = config.set("optimizer.name=sgd").unwrap().set("optimizer.momentum=0.9").unwrap();
        assert!(matches!(config.optimizer, faknow_trainer::OptimizerConfig::Sgd(ref o) if o.momentum == 0.9));
        let config = config.set("model.dropout=0.1").unwrap();
        assert_eq!(config.model.hyperparameters["dropout"].as_float(), Some(0.1));
    }

    #[test]
    fn what_cannot_be_set_is_named_with_what_can() {
        let says = |assignment: &str, parts: &[&str]| {
            let error = Config::default().set(assignment).unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{assignment}: {error}");
        };
        says("optimizer.lrr=1", &["optimizer", "lrr", "`lr`", "`betas`"]);
        says("trainer.epochs=many", &["trainer.epochs", "invalid type", "many"]);
        says("epochs=3", &["epochs", "unknown field", "`trainer`"]);
        says("trainer.epochs.x=3", &["trainer.epochs.x"]);
        says("trainer.epochs", &["key=value"]);
        says("optimizer.name=lion", &["optimizer", "lion", "`adam`"]);
    }

    #[test]
    fn a_config_survives_its_file() {
        let config = Config::default().set("optimizer.name=adamw").unwrap().set("data.train=x.csv").unwrap();
        let table = toml::to_string(&config).unwrap().parse::<Table>().unwrap();
        assert_eq!(Config::from_table(table).unwrap(), config);
    }
}
