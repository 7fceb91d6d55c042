//! Reading of configs: TOML files, FaKnow's YAML files, `key=value` overrides.

use std::path::Path;

use faknow_trainer::{Attack, OptimizerConfig};
use serde::de::{DeserializeOwned, IntoDeserializer};
use toml::{Table, Value};

use crate::config::messages::config_message;
use crate::config::names::{self, similar_value};
use crate::config::similar_key::similar_default_key;
use crate::config::{Config, Given, faknow_yaml};
use crate::models::Registry;
use crate::{Error, Result};

/// What `freeze` expects, which is the only list of tables at the top level.
const FREEZE_EXAMPLE: &str = "expected a list of tables, as in freeze=[{ pattern = 'word_embedding.*' }]";

impl Registry {
    /// Reads a config file for these models: TOML, or YAML with FaKnow's keys, by the file extension.
    ///
    /// # Errors
    /// The file cannot be read or parsed, or has an unknown key or a value of the wrong type.
    pub fn config_from_file(&self, path: &Path) -> Result<Config> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        let in_file = |message: String| Error::config("", format!("{}: {message}", path.display()));
        match path.extension().and_then(|e| e.to_str()) {
            Some("toml") => {
                let table = text.parse::<Table>().map_err(|e| in_file(parse_message(&text, &e)))?;
                self.config_from_table(table).map_err(|e| in_file(e.to_string()))
            }
            Some("yaml" | "yml") => {
                let config = faknow_yaml::read(&text).map_err(|e| in_file(e.to_string()))?;
                Ok(Config { registry: self.clone(), ..config })
            }
            _ => Err(in_file("expected a config file with the extension .toml, .yaml or .yml".into())),
        }
    }

    /// Returns the default config of a model, with the training settings of its authors.
    ///
    /// # Errors
    /// No model has this name.
    pub fn config_for(&self, model: &str) -> Result<Config> {
        let name = self.model(model)?.name;
        let model = Table::from_iter([("name".to_owned(), Value::String(name.to_owned()))]);
        self.config_from_table(Table::from_iter([("model".to_owned(), Value::Table(model))]))
    }

    /// Returns the config of a parsed TOML table. Missing settings have the values of the model's authors, or the defaults.
    ///
    /// # Errors
    /// A key is unknown or a value has the wrong type; the error has the dotted name.
    pub fn config_from_table(&self, mut table: Table) -> Result<Config> {
        names::canonicalize(self, &mut table);
        match self.parse_table(table.clone()) {
            Err(error) if names::in_lowercase(&mut table) => self.parse_table(table).map_err(|_| error),
            result => result,
        }
    }

    fn parse_table(&self, mut table: Table) -> Result<Config> {
        let given = Given(table.clone());
        add_training_defaults(self, &mut table);
        if let Some(optimizer) = table.get_mut("optimizer").and_then(Value::as_table_mut) {
            let name = OptimizerConfig::default().name();
            optimizer.entry("name").or_insert_with(|| Value::String(name.to_owned()));
        }
        let table_of = |name: &str| table.get(name).and_then(Value::as_table).cloned();
        let (optimizer, attack) = (table_of("optimizer"), table_of("adversarial"));
        let config: Config = serde_path_to_error::deserialize(Value::Table(table).into_deserializer())
            .map_err(|error| {
                let key = match error.path().to_string() {
                    path if path == "." => String::new(),
                    path if path == "optimizer" => {
                        optimizer.and_then(|o| invalid_setting::<OptimizerConfig>(&path, &o)).unwrap_or(path)
                    }
                    path if path == "adversarial" => {
                        attack.and_then(|a| invalid_setting::<Attack>(&path, &a)).unwrap_or(path)
                    }
                    path => path,
                };
                let message = config_message(error.into_inner().message());
                let message = match key.as_str() {
                    "freeze" if message.starts_with("invalid type") => FREEZE_EXAMPLE.to_owned(),
                    _ => message,
                };
                let hint = match message.as_str() {
                    unknown if unknown.contains("did you mean") => String::new(),
                    unknown if unknown.starts_with("unknown field") => similar_default_key(&key)
                        .map(|key| format!("; did you mean `{key}`?"))
                        .unwrap_or_default(),
                    unknown if unknown.starts_with("unknown ") => similar_value(unknown),
                    _ => String::new(),
                };
                Error::config(key, message + &hint)
            })?;
        Ok(Config { registry: self.clone(), given, ..config })
    }
}

impl Config {
    /// Reads a config file for the builtin models; see [`Registry::config_from_file`].
    ///
    /// # Errors
    /// The file cannot be read or parsed, or has an unknown key or a value of the wrong type.
    pub fn from_file(path: &Path) -> Result<Self> {
        Registry::builtin().config_from_file(path)
    }

    /// Returns the config of a builtin model; see [`Registry::config_for`].
    ///
    /// # Errors
    /// No model has this name.
    pub fn for_model(name: &str) -> Result<Self> {
        Registry::builtin().config_for(name)
    }

    /// Returns the config of a parsed TOML table for the builtin models; see [`Registry::config_from_table`].
    ///
    /// # Errors
    /// A key is unknown or a value has the wrong type; the error has the dotted name.
    pub fn from_table(table: Table) -> Result<Self> {
        Registry::builtin().config_from_table(table)
    }

    /// Converts the config to TOML, with every setting that has a value.
    ///
    /// # Errors
    /// A value cannot be represented in TOML: a path that is not Unicode, a seed of more than 63 bits.
    pub fn to_table(&self) -> Result<Table> {
        self.check_seed()?;
        Table::try_from(self)
            .map_err(|e| Error::config("", format!("cannot convert the config to TOML: {e}")))
    }

    /// Returns the config with an assignment `key=value`: `optimizer.lr=0.01`, `model.kernel_sizes=[2, 3]`,
    /// `data.text=tweet`.
    ///
    /// The value is parsed as TOML; anything else is a string, so quotes are optional.
    ///
    /// # Errors
    /// There is no `=`, the key is unknown, or the value has the wrong type.
    pub fn set(&self, assignment: &str) -> Result<Self> {
        self.set_all(&[assignment])
    }

    /// Returns the config with several assignments `key=value`, in any order; the last assignment of a key counts.
    ///
    /// # Errors
    /// As [`Config::set`].
    pub fn set_all<S: AsRef<str>>(&self, assignments: &[S]) -> Result<Self> {
        let mut values = Vec::new();
        for assignment in assignments.iter().map(AsRef::as_ref) {
            let (key, value) = assignment
                .split_once('=')
                .ok_or_else(|| Error::config(assignment, "expected key=value, as in optimizer.lr=0.01"))?;
            values.push((key.trim(), parse_value(value.trim())));
        }
        self.with_all(values)
    }

    /// Returns the config with a new value of the setting with this dotted name. If the defaults of other settings depend on it,
    /// those that were not given change too.
    ///
    /// # Errors
    /// The key is unknown, or the value has the wrong type.
    pub fn with(&self, key: &str, value: Value) -> Result<Self> {
        self.with_all(vec![(key, value)])
    }

    pub(crate) fn with_all(&self, mut values: Vec<(&str, Value)>) -> Result<Self> {
        let Given(mut given) = self.given()?;
        let mut all = self.to_table()?;
        // The name comes first, since it determines the other settings.
        values.sort_by_key(|(key, _)| *key != "optimizer.name");
        for (key, value) in &mut values {
            if let ("optimizer.name", Value::String(name)) = (*key, &mut *value) {
                *name = name.to_lowercase();
                if let Some(Value::Table(optimizer)) = given.get_mut("optimizer")
                    && *name != self.optimizer.name()
                {
                    // Another optimizer has other hyperparameters; only the learning rate is common to all.
                    optimizer.retain(|setting, _| setting == "lr");
                }
            }
            // Its errors list the settings that there are.
            insert(&mut all, key, value.clone())?;
            insert(&mut given, key, value.clone())?;
        }
        self.registry.config_from_table(given).map_err(|error| match (error, values.as_slice()) {
            // Deserialization may lose the path of the error, but a single assignment must be its cause.
            (Error::Config { key: path, message }, [(key, _)]) if key.starts_with(&path) => {
                Error::config(*key, message)
            }
            (other, _) => other,
        })
    }
}

/// Adds the training defaults of the table's model for missing settings. Optimizer and schedule with a name are units, since
/// the settings of one do not apply to another one; only the learning rate does.
fn add_training_defaults(registry: &Registry, table: &mut Table) {
    let Some(model) = table.get("model").and_then(Value::as_table) else { return };
    let Some(name) = model.get("name").and_then(Value::as_str) else { return };
    let has_encoder = table.get("text").is_some_and(|text| text.get("encoder").is_some());
    let Ok(defaults) = registry.training_defaults(name, model, has_encoder) else { return };
    for (name, settings) in defaults {
        match (table.get_mut(&name), settings) {
            (None, settings) => drop(table.insert(name, settings)),
            (Some(Value::Table(target)), Value::Table(settings)) => {
                let is_unit = ["optimizer", "schedule", "adversarial"].contains(&name.as_str())
                    && target.contains_key("name");
                for (key, value) in settings {
                    let is_excluded = key == "clip_norm" && target.contains_key("clip_value");
                    if !is_excluded && (!is_unit || key == "lr") {
                        target.entry(key).or_insert(value);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Inserts a value by its dotted name; missing tables (`schedule`, `data.values`) are created.
fn insert(table: &mut Table, key: &str, value: Value) -> Result<()> {
    if key.split('.').any(str::is_empty) {
        return Err(Error::config(key, "expected the dotted name of a setting, as in optimizer.lr=0.01"));
    }
    let (parents, name) = key.rsplit_once('.').unwrap_or(("", key));
    let mut target = table;
    for parent in parents.split('.').filter(|parent| !parent.is_empty()) {
        let names: Vec<String> = target.keys().cloned().collect();
        let next = target.entry(parent).or_insert_with(|| Value::Table(Table::new()));
        target = next.as_table_mut().ok_or_else(|| {
            Error::config(
                key,
                format!("unknown setting: `{parent}` is not a table, expected one of {}", names.join(", ")),
            )
        })?;
    }
    target.insert(name.to_owned(), value);
    Ok(())
}

/// Returns the setting of a table with a `name` that is invalid for `T`, since serde's errors of tagged enums do not
/// contain it.
fn invalid_setting<T: DeserializeOwned>(table: &str, settings: &Table) -> Option<String> {
    let name = settings.get("name").cloned()?;
    let is_valid = |key: &str, value: &Value| {
        let alone = Table::from_iter([("name".to_owned(), name.clone()), (key.to_owned(), value.clone())]);
        alone.try_into::<T>().is_ok()
    };
    settings.iter().find(|(key, value)| !is_valid(key, value)).map(|(key, _)| format!("{table}.{key}"))
}

pub(crate) fn parse_value(text: &str) -> Value {
    let line = format!("value = {text}");
    match line.parse::<Table>() {
        Ok(mut table) if table.len() == 1 => {
            table.remove("value").unwrap_or_else(|| Value::String(text.to_owned()))
        }
        _ => Value::String(text.to_owned()),
    }
}

/// Formats a TOML error with its line and column, on one line.
pub(crate) fn parse_message(text: &str, error: &toml::de::Error) -> String {
    let prefix = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = prefix.matches('\n').count() + 1;
    let column = prefix.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}: {}", error.message().replace('\n', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_any_key() {
        let config = Config::default();
        assert_eq!(config.set("optimizer.lr=0.5").unwrap().optimizer.lr(), 0.5);
        assert_eq!(config.set("trainer.epochs = 3").unwrap().trainer.epochs, 3);
        assert_eq!(config.set("early_stopping.patience=2").unwrap().early_stopping.patience, 2);
        assert_eq!(config.set("data.text=tweet").unwrap().data.text, Some("tweet".into()));
        assert_eq!(config.set("data.text=\"1\"").unwrap().data.text, Some("1".into()));
        assert_eq!(config.set("data.classes=['a', 'b', 'c']").unwrap().data.classes.len(), 3);
        assert_eq!(config.set("data.values.fake=['hoax']").unwrap().data.values["fake"], ["hoax"]);
        assert_eq!(config.set("device=cpu").unwrap().device, "cpu");
        let config = config.set("model.dropout=0.1").unwrap();
        assert_eq!(config.model.hyperparameters["dropout"].as_float(), Some(0.1));
    }

    #[test]
    fn last_assignment_of_a_key_counts_in_any_order() {
        let config = Config::default();
        let both = |a: &str, b: &str| {
            let set = config.set_all(&[a, b]).unwrap();
            assert_eq!(set, config.set_all(&[b, a]).unwrap());
            set
        };
        let sgd = both("optimizer.momentum=0.9", "optimizer.name=sgd");
        assert!(matches!(sgd.optimizer, OptimizerConfig::Sgd(ref o) if o.momentum == 0.9 && o.lr == 0.01));
        assert_eq!(both("schedule.name=step", "schedule.step_size=3").schedule.unwrap().name(), "step");
        assert_eq!(config.set_all(&["seed=1", "seed=2"]).unwrap().seed, 2);
    }

    #[test]
    fn errors_name_the_key_and_the_accepted_values() {
        let check = |assignment: &str, expected: &str| {
            let error = Config::default().set(assignment).unwrap_err().to_string();
            assert_eq!(error, expected, "{assignment}");
        };
        check(
            "optimizer.lrr=1",
            "`optimizer.lrr`: unknown field `lrr`, expected one of `lr`, `betas`, `eps`, `weight_decay`, `amsgrad`, \
             `groups`; did you mean `optimizer.lr`?",
        );
        check("optimizer.lr=fast", "`optimizer.lr`: invalid type: string \"fast\", expected a number");
        check(
            "optimizer.name=lion",
            "`optimizer.name`: unknown variant `lion`, expected one of `sgd`, `adam`, `adamw`, `rmsprop`, \
             `adagrad`",
        );
        check(
            "trainer.epochs=many",
            "`trainer.epochs`: invalid type: string \"many\", expected an integer of at least 0",
        );
        check(
            "trainer.epochs=1.5",
            "`trainer.epochs`: invalid type: floating point `1.5`, expected an integer of at least 0",
        );
        check(
            "data.text=2",
            "`data.text`: invalid type: integer `2`, expected a string, in quotes: \"1\", or a list of strings",
        );
        check("data.fold=2/5", "`data.fold`: expected a fold, as in `2 of 5`, got `2/5`");
        check("data=2", "`data`: invalid type: integer `2`, expected a table of settings");
        check("optimizer=2", "`optimizer`: invalid type: integer `2`, expected a table with a `name`");
        check(
            "epochs=3",
            "`epochs`: unknown field `epochs`, expected one of `seed`, `device`, `threads`, `baseline`, `data`, `text`, `image`, \
             `loader`, `model`, `loss`, `adversarial`, `optimizer`, `schedule`, `trainer`, `early_stopping`, `decision`, \
             `average`, `checkpoint`, `freeze`; did you mean `trainer.epochs`?",
        );
        check(
            "freeze.pattern=x",
            "`freeze.pattern`: expected a list of tables, as in freeze=[{ pattern = 'word_embedding.*' }]",
        );
        check(
            "trainer.epochs.x=3",
            "`trainer.epochs.x`: unknown setting: `epochs` is not a table, expected one of epochs, accumulate, \
             on_non_finite, sanity_batches, monitor, restore_best, train_metrics, fast_dev_run",
        );
        check("trainer.epochs", "`trainer.epochs`: expected key=value, as in optimizer.lr=0.01");
        check(
            "optimizer..lr=1",
            "`optimizer..lr`: expected the dotted name of a setting, as in optimizer.lr=0.01",
        );
        check("schedule.name=step", "`schedule.name`: schedule `step`: missing field `step_size`");
    }

    #[test]
    fn errors_name_invalid_settings_of_losses_and_attacks() {
        let check = |assignment: &str, expected: &str| {
            let error = Config::default().set(assignment).unwrap_err().to_string();
            assert_eq!(error, expected, "{assignment}");
        };
        check("loss.gamma=high", "`loss.gamma`: invalid type: string \"high\", expected a number");
        check("adversarial=2", "`adversarial`: invalid type: integer `2`, expected a table with a `name`");
        check("adversarial.steps=2", "`adversarial.steps`: missing field `name`");
        check(
            "adversarial.name=fgsm",
            "`adversarial.name`: unknown variant `fgsm`, expected `pgd` or `fgm`; did you mean `fgm`?",
        );
        check(
            "adversarial={ name = 'fgm', steps = 2 }",
            "`adversarial.steps`: unknown field `steps`, expected `pattern` or `epsilon`",
        );
        check(
            "loss.class_weights=even",
            "`loss.class_weights`: invalid value: string \"even\", expected `balanced` or a list of weights, one per \
             class",
        );
    }

    #[test]
    fn error_names_invalid_assignment_of_several() {
        let check = |assignments: &[&str], key: &str| {
            let error = Config::default().set_all(assignments).unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{key}`: ")), "{error}");
        };
        check(&["seed=1", "optimizer.weight_decay=x", "trainer.epochs=2"], "optimizer.weight_decay");
        check(&["seed=1", "trainer.epoch=2"], "trainer.epoch");
        check(&["seed=1", "data.split=[1, 2]"], "data.split");
    }

    #[test]
    fn parse_errors_have_line_and_column() {
        let dir = tempfile::tempdir().unwrap();
        let check = |name: &str, text: &str, expected: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            let error = Config::from_file(&path).unwrap_err().to_string();
            assert_eq!(error.strip_prefix(&format!("{}: ", path.display())), Some(expected), "{error}");
        };
        check("a.toml", "seed = 1\n[data\n", "line 2, column 6: unclosed table, expected `]`");
        check("b.toml", "seed = 1\nseed = 2\n", "line 2, column 1: duplicate key");
        check(
            "c.toml",
            "[optimizer]\nname = 'sgd'\nmomentum = 'high'\n",
            "`optimizer.momentum`: invalid type: string \"high\", expected a number",
        );
        check("d.ini", "", "expected a config file with the extension .toml, .yaml or .yml");
    }

    #[test]
    fn rejects_config_that_toml_cannot_represent() {
        let config = Config { seed: u64::MAX, ..Config::default() };
        for result in [config.to_table().map(drop), config.set("trainer.epochs=2").map(drop)] {
            assert!(result.unwrap_err().to_string().starts_with("`seed`: expected at most"));
        }
    }

    #[test]
    fn config_survives_serialization() {
        let config = Config::default().set_all(&["optimizer.name=adamw", "data.train=x.csv"]).unwrap();
        let table = toml::to_string(&config).unwrap().parse::<Table>().unwrap();
        assert_eq!(Config::from_table(table).unwrap(), config);
    }

    #[test]
    fn missing_settings_have_defaults() {
        let read = |text: &str| Config::from_table(text.parse().unwrap()).unwrap();
        assert_eq!(read(""), Config::default());
        assert_eq!(read("[optimizer]\nlr = 0.5\n").optimizer, OptimizerConfig::adam(0.5).into());
        assert_eq!(read("[optimizer]\nname = 'sgd'\n").optimizer, OptimizerConfig::sgd(0.01).into());
        assert_eq!(read("[model]\ndropout = 0.1\n").model.name, "textcnn");
    }
}
