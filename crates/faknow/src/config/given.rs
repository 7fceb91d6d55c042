//! The settings of a config that were given explicitly.

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::Result;
use crate::config::Config;

/// The settings that were given explicitly, by a file or by [`Config::with`]; all others have the defaults of the model.
///
/// It has no influence on the equality of configs: those with the same settings are equal.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Given(pub(crate) Table);

impl PartialEq for Given {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Config {
    /// Returns the given settings, including those that were changed by assignments to fields.
    pub(crate) fn given(&self) -> Result<Given> {
        let mut given = self.given.clone();
        let unassigned = self.registry.config_from_table(given.0.clone())?;
        if unassigned != *self {
            let (old, new) = (unassigned.to_table()?, self.to_table()?);
            given.0.retain(|key, _| new.contains_key(key));
            add_changes(&old, new, &mut given.0);
        }
        Ok(given)
    }

    /// Returns the config with only the model, its hyperparameters and the encoder of this one, which determine the
    /// defaults of the other settings.
    pub(crate) fn with_defaults_only(&self) -> Result<Self> {
        let mut table = self.to_table()?;
        table.retain(|name, _| ["model", "text"].contains(&name));
        if let Some(text) = table.get_mut("text").and_then(Value::as_table_mut) {
            text.retain(|name, _| name == "encoder");
        }
        self.registry.config_from_table(table)
    }
}

/// Adds the settings of `new` that differ from those of `old`. A table that lacks a setting of `old`, or has another name, is
/// added as a unit.
fn add_changes(old: &Table, new: Table, given: &mut Table) {
    for (key, value) in new {
        match (old.get(&key), value) {
            (Some(old), new) if *old == new => {}
            (Some(Value::Table(old)), Value::Table(new)) if has_all(&new, old) => {
                let table = given.entry(key).or_insert_with(|| Value::Table(Table::new()));
                if let Value::Table(table) = table {
                    add_changes(old, new, table);
                }
            }
            (_, new) => drop(given.insert(key, new)),
        }
    }
}

fn has_all(new: &Table, old: &Table) -> bool {
    new.get("name") == old.get("name") && old.keys().all(|key| new.contains_key(key))
}

#[cfg(test)]
mod tests {
    use crate::Config;
    use crate::config::dotted::by_dotted_name;
    use crate::models::Registry;

    use super::*;

    /// Returns the assignments that select each variant of a model: those with other training defaults.
    fn variants(model: &str) -> Vec<Vec<String>> {
        let name = vec![format!("model.name={model}")];
        let info = Registry::builtin().model(model).unwrap();
        let tunings: &[&str] =
            if info.hyperparameters.contains_key("tuning") { &["full", "frozen", "lora"] } else { &[] };
        let tuned = tunings.iter().map(|tuning| format!("model.tuning={tuning}"));
        let without_encoder: Vec<_> = std::iter::once(name.clone())
            .chain(tuned.map(|tuning| [name.clone(), vec![tuning]].concat()))
            .collect();
        let with_encoder =
            without_encoder.iter().map(|it| [it.clone(), vec!["text.encoder=dir".to_owned()]].concat());
        without_encoder.iter().cloned().chain(with_encoder).collect()
    }

    /// Returns the config of a file with these assignments.
    fn file(assignments: &[String]) -> Config {
        let mut table = Table::new();
        for assignment in assignments {
            let (key, value) = assignment.split_once('=').unwrap();
            let (parent, name) = key.split_once('.').unwrap();
            let parent = table.entry(parent).or_insert_with(|| Value::Table(Table::new()));
            let value = crate::config::settings::parse_value(value);
            parent.as_table_mut().unwrap().insert(name.to_owned(), value);
        }
        Config::from_table(table).unwrap()
    }

    #[test]
    fn given_values_are_retained_and_others_have_the_defaults_of_the_variant() {
        let mut n_retained = 0;
        for model in Registry::builtin().models() {
            let variants: Vec<_> = variants(model.name).into_iter().map(|it| (file(&it), it)).collect();
            let others = std::iter::once((Config::default(), vec!["model.name=textcnn".to_owned()]));
            let others: Vec<_> = variants.iter().cloned().chain(others).collect();
            for (defaults, variant) in &variants {
                assert_eq!(Config::default().set_all(variant).unwrap(), *defaults, "{variant:?}");
                let expected = by_dotted_name(defaults);
                for (other, other_variant) in &others {
                    let is_training = |key: &str| !key.starts_with("model.") && key != "text.encoder";
                    let values = by_dotted_name(other).into_iter().filter(|(key, value)| {
                        is_training(key) && expected.get(key).is_some_and(|own| own != value)
                    });
                    for (key, value) in values.filter(|(key, _)| !key.ends_with(".name")) {
                        let given = vec![format!("{key}={value}")];
                        let all = [variant.clone(), given.clone()].concat();
                        let configs = [
                            ("file", file(&all)),
                            ("assignments", Config::default().set_all(&all).unwrap()),
                            ("given first", file(&given).set_all(variant).unwrap()),
                            ("variant first", file(variant).set_all(&given).unwrap()),
                            (
                                "one by one",
                                all.iter().fold(Config::default(), |it, next| it.set(next).unwrap()),
                            ),
                        ];
                        for (way, config) in configs {
                            let mut found = by_dotted_name(&config);
                            assert_eq!(found.get(&key), Some(&value), "{way}: {all:?}");
                            found.insert(key.clone(), expected[&key].clone());
                            assert_eq!(found, expected, "{way}: {all:?}");
                        }
                        n_retained += 1;
                    }
                    // Nothing remains of the defaults of another variant.
                    let model = Table::from_iter([("name".to_owned(), Value::String(model.name.to_owned()))]);
                    if other.model.name == defaults.model.name && variant.len() >= other_variant.len() {
                        let changed = other.set_all(variant).unwrap();
                        let expected = file(&[other_variant.clone(), variant.clone()].concat());
                        assert_eq!(changed, expected, "{other_variant:?}, then {variant:?}, {model}");
                    }
                }
            }
        }
        assert!(n_retained > 300, "{n_retained}");
    }

    #[test]
    fn assigned_fields_count_as_given_if_they_differ_from_the_default() {
        let mut config = Config::for_model("encoder").unwrap().set("text.encoder=dir").unwrap();
        config.trainer.epochs = 7;
        config.loader.batch_size = 3;
        let frozen = config.set("model.tuning=frozen").unwrap();
        assert_eq!((frozen.trainer.epochs, frozen.loader.batch_size), (7, 3));
        assert_eq!(frozen.optimizer.lr(), 1e-3);
        // They stay given, also if they equal the default of the other variant.
        config.trainer.epochs = 100;
        let full = config.set("model.tuning=frozen").unwrap().set("model.tuning=full").unwrap();
        assert_eq!(full.trainer.epochs, 100);
        config.data.text = Some("a".into());
        config = config.set("seed=1").unwrap();
        config.data.text = None;
        assert_eq!(config.set("seed=2").unwrap().data.text, None);
        let sgd = faknow_trainer::OptimizerConfig::sgd(0.5).weight_decay(0.01);
        config.optimizer = sgd.clone().into();
        assert_eq!(config.set("model.tuning=lora").unwrap().optimizer, sgd.into());
    }

    #[test]
    fn a_saved_config_is_complete() {
        for model in Registry::builtin().models() {
            for variant in variants(model.name) {
                let saved = Config::from_table(file(&variant).to_table().unwrap()).unwrap();
                assert_eq!(saved, file(&variant));
                if model.hyperparameters.contains_key("tuning") {
                    let other = saved.set("model.tuning=frozen").unwrap();
                    assert_eq!(other.optimizer, saved.optimizer, "{variant:?}");
                    assert_eq!(other.trainer, saved.trainer, "{variant:?}");
                }
            }
        }
    }

    #[test]
    fn clipping_by_value_replaces_that_by_norm() {
        for config in [
            file(&["model.name=encoder".into(), "trainer.clip_value=0.5".into()]),
            Config::for_model("encoder").unwrap().set("trainer.clip_value=0.5").unwrap(),
        ] {
            assert_eq!((config.trainer.clip_norm, config.trainer.clip_value), (None, Some(0.5)));
        }
    }

    #[test]
    fn optimizer_and_schedule_without_name_are_those_of_the_model() {
        let bigcn = file(&["model.name=bigcn".into(), "optimizer.lr=0.1".into()]);
        assert_eq!(bigcn, Config::for_model("bigcn").unwrap().set("optimizer.lr=0.1").unwrap());
        assert_eq!(bigcn.optimizer.groups().len(), 1);
        let named = file(&["model.name=bigcn".into(), "optimizer.name=sgd".into()]);
        assert_eq!(named, Config::for_model("bigcn").unwrap().set("optimizer.name=sgd").unwrap());
        assert_eq!((named.optimizer.lr(), named.optimizer.groups().len()), (5e-4, 0));
        let schedule = file(&["model.name=encoder".into(), "schedule.warmup_ratio=0.3".into()]);
        assert_eq!(schedule.schedule.unwrap().name(), "warmup_linear");
        let step =
            Config::for_model("encoder").unwrap().set("schedule={ name = 'step', step_size = 3 }").unwrap();
        assert_eq!(step.schedule.unwrap().name(), "step");
    }
}
