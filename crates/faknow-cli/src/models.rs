//! `faknow models`: lists the models and their hyperparameters.

use anyhow::Result;
use clap::Args;
use faknow::models::Registry;

use crate::console::print;

/// List the models, or show the hyperparameters of one
#[derive(Debug, Args)]
#[command(before_help = "Examples:
  faknow models
  faknow models textcnn
  faknow models --json")]
pub(crate) struct ModelsArgs {
    /// Name of a model [default: all]
    model: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl ModelsArgs {
    pub(crate) fn run(&self, registry: &Registry) -> Result<()> {
        let shown = match &self.model {
            Some(name) => vec![registry.model(name)?],
            None => registry.models(),
        };
        if self.json {
            return print(&serde_json::to_string(&shown)?);
        }
        let mut lines = Vec::new();
        for model in &shown {
            lines.push(format!(
                "{:<12} {}\n{:<12} {}; reads: {}",
                model.name, model.title, "", model.source, model.fields
            ));
            if self.model.is_some() {
                lines.push("\nHyperparameters and defaults (--set model.KEY=VALUE):".to_owned());
                for (key, value) in &model.hyperparameters {
                    let description = model.documentation.iter().find(|it| it.name == key);
                    let description = description
                        .map_or_else(String::new, |it| format!("  # {}; {}", it.meaning, it.range));
                    lines.push(format!("  model.{key} = {value}{description}"));
                }
                if !model.training.is_empty() {
                    lines.push("\nDefault training settings:".to_owned());
                    lines.extend(toml::to_string(&model.training)?.lines().map(|line| format!("  {line}")));
                }
            }
        }
        if self.model.is_none() {
            lines.push("\n`faknow models MODEL` shows the hyperparameters of a model.".to_owned());
        }
        print(&lines.join("\n"))
    }
}
