//! `faknow settings`: the settings of a run, with their defaults and ranges.

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;
use faknow::models::Registry;
use faknow::settings::{DefaultValue, Setting, SettingsTable, reference, similar_key};

use crate::console::print;

/// List the settings of a run, with defaults and ranges
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  faknow settings
  faknow settings optimizer
  faknow settings trainer.epochs")]
#[command(
    after_help = "Each setting can be given in a config file (`faknow train my.toml`) or with --set KEY=VALUE."
)]
pub(crate) struct SettingsArgs {
    /// Table or key to show, such as `optimizer` or `optimizer.lr` [default: all]
    name: Option<String>,
}

impl SettingsArgs {
    pub(crate) fn run(&self, registry: &Registry) -> Result<()> {
        let tables = reference(registry);
        let mut shown = Vec::new();
        for table in &tables {
            let is_selected = |it: &&Setting| match &self.name {
                Some(name) => *name == table.name || *name == it.key,
                None => true,
            };
            let settings: Vec<&Setting> = table.settings.iter().filter(is_selected).collect();
            if !settings.is_empty() {
                shown.push(section(table, &settings)?);
            }
        }
        if shown.is_empty() {
            let tables: Vec<&str> = tables.iter().map(|it| it.name).filter(|name| !name.is_empty()).collect();
            let name = self.name.as_deref().unwrap_or_default();
            let hint = similar_key(registry, name).map(|key| format!("; did you mean `{key}`?"));
            let message = format!(
                "no setting `{name}`: expected a key such as `optimizer.lr`, or one of the tables {}{}",
                tables.join(", "),
                hint.unwrap_or_default()
            );
            return Err(faknow::Error::config("", message).into());
        }
        print(&shown.join("\n"))
    }
}

/// Returns a table and some of its settings as text.
fn section(table: &SettingsTable, settings: &[&Setting]) -> Result<String> {
    let mut text = String::new();
    if !table.name.is_empty() {
        writeln!(text, "[{}]", table.name)?;
    }
    writeln!(text, "{}", table.purpose)?;
    for setting in settings {
        let defaults: Vec<String> = setting.defaults.iter().map(default).collect();
        let variants = match &setting.variants[..] {
            [] => String::new(),
            variants => format!("  (only {})", variants.join(", ")),
        };
        writeln!(text, "\n  {} = {}{variants}", setting.key, defaults.join("; "))?;
        writeln!(text, "      {}", setting.meaning)?;
        writeln!(text, "      range: {}", setting.range)?;
        writeln!(text, "      on resume: {}", setting.on_resume)?;
    }
    Ok(text)
}

fn default(default: &DefaultValue) -> String {
    let value = default.to_text();
    if default.variants.is_empty() { value } else { format!("{value} ({})", default.variants.join(", ")) }
}
