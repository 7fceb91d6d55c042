//! A setting and a table of settings.

use faknow_trainer::ResumePolicy;
use toml::{Table, Value};

use super::policies::MODEL;
use crate::Config;
use crate::models::Registry;

/// A setting of a run.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Setting {
    /// The dotted key, as `--set` takes it: `optimizer.lr`.
    pub key: String,
    /// The names to which the setting belongs, such as `adam` for `optimizer.amsgrad`; empty if it always applies.
    pub variants: Vec<&'static str>,
    /// The values that are accepted, with their unit.
    pub range: &'static str,
    /// What the setting does.
    pub meaning: &'static str,
    /// What happens if it is changed when a run is resumed.
    pub on_resume: ResumePolicy,
    /// The default values; several if they depend on the variant.
    pub defaults: Vec<DefaultValue>,
}

/// The default value of a setting.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DefaultValue {
    /// The variants that have it; empty for all.
    pub variants: Vec<&'static str>,
    /// The value, `None` if the key is left out by default.
    pub value: Option<Value>,
    /// Whether there is no default and the key must be given.
    pub is_required: bool,
}

/// The settings below one table of a config.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SettingsTable {
    /// The name of the table; empty for the keys outside of all tables.
    pub name: &'static str,
    /// What the table is for.
    pub purpose: &'static str,
    /// Its settings.
    pub settings: Vec<Setting>,
    /// Whether the config has a list of such tables.
    pub is_list: bool,
}

/// A [`SettingsTable`] as it is written down.
#[derive(Clone, Copy)]
pub(super) struct StaticTable {
    pub(super) name: &'static str,
    pub(super) purpose: &'static str,
    /// The names between which `name` chooses, if the keys of the table depend on it.
    pub(super) variants: &'static [&'static str],
    pub(super) settings: &'static [StaticSetting],
    /// Whether the config has a list of such tables.
    pub(super) is_list: bool,
}

/// Creates a table whose keys do not depend on a name.
pub(super) const fn table(
    name: &'static str,
    purpose: &'static str,
    settings: &'static [StaticSetting],
) -> StaticTable {
    StaticTable { name, purpose, variants: &[], settings, is_list: false }
}

impl StaticTable {
    /// Lets the keys depend on the key `name`, which is one of these variants.
    pub(super) const fn by_name(self, variants: &'static [&'static str]) -> Self {
        Self { variants, ..self }
    }

    /// Marks a list of tables.
    pub(super) const fn list(self) -> Self {
        Self { is_list: true, ..self }
    }
}

/// A [`Setting`] as it is written down.
#[derive(Clone, Copy)]
pub(super) struct StaticSetting {
    key: &'static str,
    on_resume: ResumePolicy,
    variants: &'static [&'static str],
    range: &'static str,
    meaning: &'static str,
    /// A valid value in TOML, if the key has no default.
    example: Option<&'static str>,
}

/// Creates a setting that always applies.
pub(super) const fn setting(
    key: &'static str,
    on_resume: ResumePolicy,
    range: &'static str,
    meaning: &'static str,
) -> StaticSetting {
    StaticSetting { key, on_resume, variants: &[], range, meaning, example: None }
}

impl StaticSetting {
    /// Restricts the setting to these variants of its table.
    pub(super) const fn of(self, variants: &'static [&'static str]) -> Self {
        Self { variants, ..self }
    }

    /// Marks the setting as required; `example` is a valid value in TOML.
    pub(super) const fn required(self, example: &'static str) -> Self {
        Self { example: Some(example), ..self }
    }

    fn applies_to(&self, variant: &str) -> bool {
        self.variants.is_empty() || self.variants.contains(&variant)
    }
}

impl StaticTable {
    /// Returns the smallest valid form of the table in TOML, with this variant.
    pub(super) fn example(&self, variant: &str) -> String {
        let required = self.settings.iter().filter(|it| it.applies_to(variant));
        let mut keys: Vec<String> =
            required.filter_map(|it| it.example.map(|example| format!("{} = {example}", it.key))).collect();
        if !variant.is_empty() {
            keys.insert(0, format!("name = '{variant}'"));
        }
        let (open, close) = if self.is_list { ("[{", "}]") } else { ("{", "}") };
        format!("{}={open} {} {close}", self.name, keys.join(", "))
    }

    /// Returns the values of the table where nothing else is given, with this variant.
    fn values(&self, variant: &str) -> Table {
        let config = if self.name.is_empty() || variant.is_empty() && self.has_defaults() {
            Ok(Config::default())
        } else {
            Config::default().set(&self.example(variant))
        };
        let table = config.and_then(|config| config.to_table()).unwrap_or_default();
        match table.get(self.name) {
            Some(Value::Table(table)) => table.clone(),
            Some(Value::Array(list)) => list.first().and_then(Value::as_table).cloned().unwrap_or_default(),
            _ if self.name.is_empty() => table,
            _ => Table::new(),
        }
    }

    /// Returns whether the table is in every config.
    fn has_defaults(&self) -> bool {
        Config::default().to_table().is_ok_and(|table| table.get(self.name).is_some_and(Value::is_table))
    }
}

impl SettingsTable {
    pub(super) fn from_static(table: &StaticTable) -> Self {
        let variants = if table.variants.is_empty() { &[""] } else { table.variants };
        let values: Vec<(&'static str, Table)> = variants.iter().map(|it| (*it, table.values(it))).collect();
        let settings = table.settings.iter().map(|setting| {
            let applicable = values.iter().filter(|(variant, _)| setting.applies_to(variant));
            let mut defaults: Vec<DefaultValue> = Vec::new();
            for (variant, values) in applicable {
                // The variant that an example chooses is not a default.
                let values = match setting.key {
                    "name" if table.has_defaults() => &table.values(""),
                    "name" if !table.variants.is_empty() => &Table::new(),
                    _ => values,
                };
                let value = values.get(setting.key).cloned();
                let default =
                    DefaultValue { variants: vec![variant], value, is_required: setting.example.is_some() };
                add(&mut defaults, default);
            }
            Setting {
                key: dotted(table.name, setting.key),
                variants: setting.variants.to_vec(),
                range: setting.range,
                meaning: setting.meaning,
                on_resume: setting.on_resume,
                defaults: shared(defaults),
            }
        });
        let StaticTable { name, purpose, is_list, .. } = *table;
        Self { name, purpose, settings: settings.collect(), is_list }
    }

    /// Adds the hyperparameters of all models; models that describe one in the same way share an entry.
    pub(super) fn add_hyperparameters(&mut self, registry: &Registry) {
        let first = self.settings.len();
        for model in registry.models() {
            for hyperparameter in model.documentation {
                let value = model.hyperparameters.get(hyperparameter.name).cloned();
                let default = DefaultValue { variants: vec![model.name], value, is_required: false };
                let key = dotted(self.name, hyperparameter.name);
                let (range, meaning) = (hyperparameter.range, hyperparameter.meaning);
                let same = |it: &&mut Setting| it.key == key && it.range == range && it.meaning == meaning;
                if let Some(setting) = self.settings[first..].iter_mut().find(same) {
                    setting.variants.push(model.name);
                    add(&mut setting.defaults, default);
                } else {
                    let (variants, defaults) = (vec![model.name], vec![default]);
                    self.settings.push(Setting { key, variants, range, meaning, on_resume: MODEL, defaults });
                }
            }
        }
        for setting in &mut self.settings[first..] {
            setting.defaults = shared(std::mem::take(&mut setting.defaults));
        }
    }
}

fn dotted(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}

/// Adds a default; variants with the same value share an entry.
fn add(defaults: &mut Vec<DefaultValue>, default: DefaultValue) {
    match defaults.iter_mut().find(|it| it.value == default.value) {
        Some(same) => same.variants.extend(default.variants),
        None => defaults.push(default),
    }
}

/// Removes the names of the variants if all have the same default.
fn shared(mut defaults: Vec<DefaultValue>) -> Vec<DefaultValue> {
    if let [only] = &mut defaults[..] {
        only.variants.clear();
    }
    defaults
}

impl DefaultValue {
    /// Returns the value in TOML, `none` or `required`.
    pub fn to_text(&self) -> String {
        match &self.value {
            _ if self.is_required => "required".to_owned(),
            None => "none".to_owned(),
            Some(value) => value.to_string(),
        }
    }
}
