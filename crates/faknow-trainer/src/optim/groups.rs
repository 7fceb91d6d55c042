//! Groups of parameters with separate learning rates and weight decays.

use faknow_callbacks::NamePattern;
use serde::{Deserialize, Serialize};

use super::OptimizerConfig;
use crate::Result;
use crate::error::setting;

/// A group of parameters, selected by name, with settings that differ from those of the optimizer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParameterGroup {
    /// Pattern for the full names of parameters, in which `*` matches any characters: `embedding.*`, `*.bias`; see
    /// [`NamePattern`].
    pub pattern: String,
    /// Learning rate, at least 0. Default: the optimizer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// Weight decay, at least 0. Default: the optimizer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
}

impl ParameterGroup {
    /// Creates a group of the parameters that match `pattern`, with the settings of the optimizer.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self { pattern: pattern.into(), ..Self::default() }
    }
}

/// The current state of a parameter group of an [`Optimizer`](super::Optimizer).
#[derive(Debug, Clone, PartialEq)]
pub struct Group<'a> {
    /// The pattern, or `default` for the parameters that match no pattern.
    pub name: &'a str,
    /// The sorted names of its parameters.
    pub parameters: Vec<&'a str>,
    /// The current learning rate.
    pub lr: f64,
    /// The weight decay.
    pub weight_decay: f64,
}

/// The settings of a group; its current learning rate is a field of the optimizer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct GroupSettings {
    pub(super) name: String,
    pub(super) base_lr: f64,
    pub(super) weight_decay: f64,
}

/// Returns the groups that have parameters, and the group index of each parameter.
pub(super) fn assign(config: &OptimizerConfig, names: &[&str]) -> Result<(Vec<GroupSettings>, Vec<usize>)> {
    let patterns: Vec<_> = config.groups().iter().map(|group| NamePattern::new(&*group.pattern)).collect();
    let default_group = patterns.len();
    let group_of = |name: &&str| patterns.iter().position(|p| p.matches(name)).unwrap_or(default_group);
    let groups: Vec<usize> = names.iter().map(group_of).collect();
    let mut settings = Vec::new();
    for (index, (group, pattern)) in config.groups().iter().zip(&patterns).enumerate() {
        if !groups.contains(&index) {
            let key = format!("optimizer.groups[{index}].pattern");
            let is_shadowed = names.iter().any(|name| pattern.matches(name));
            let condition = if is_shadowed { " that matches no earlier group" } else { "" };
            return Err(no_match(&key, pattern, names, condition));
        }
        settings.push(GroupSettings {
            name: group.pattern.clone(),
            base_lr: group.lr.unwrap_or(config.lr()),
            weight_decay: group.weight_decay.unwrap_or(config.weight_decay()),
        });
    }
    // Even without parameters there must be a learning rate.
    if groups.contains(&default_group) || settings.is_empty() {
        settings.push(GroupSettings {
            name: "default".into(),
            base_lr: config.lr(),
            weight_decay: config.weight_decay(),
        });
    }
    Ok((settings, groups))
}

/// Creates the error for a pattern that matches no parameter.
pub(super) fn no_match(key: &str, pattern: &NamePattern, names: &[&str], condition: &str) -> crate::Error {
    const MAX_SHOWN: usize = 40;
    let mut known = names[..names.len().min(MAX_SHOWN)].join(", ");
    if names.len() > MAX_SHOWN {
        known.push_str(&format!(" and {} more", names.len() - MAX_SHOWN));
    }
    let expected = format!("a pattern that matches a trainable parameter{condition} ({known})");
    setting(key, &expected, format!("`{pattern}`"))
}
