//! Groups of parameters with learning rates and weight decays of their own.

use faknow_callbacks::NamePattern;
use serde::{Deserialize, Serialize};

use super::OptimizerConfig;
use crate::Result;
use crate::error::setting;

/// Parameters by name, with what differs for them from the optimizer's settings.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParameterGroup {
    /// Whole names of parameters, `*` standing for any characters: `embedding.*`, `*.bias`; see [`NamePattern`].
    pub pattern: String,
    /// Learning rate, at least 0. Default: the optimizer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// Weight decay, at least 0. Default: the optimizer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
}

impl ParameterGroup {
    /// The parameters that `pattern` names, with the optimizer's own settings.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self { pattern: pattern.into(), ..Self::default() }
    }
}

/// A group as an optimizer has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Group<'a> {
    /// The pattern, or `default` for all parameters that fit none.
    pub name: &'a str,
    /// The names of its parameters, in order.
    pub parameters: Vec<&'a str>,
    /// The learning rate now in force.
    pub lr: f64,
    /// The weight decay.
    pub weight_decay: f64,
}

/// Settings of a group; its learning rate now in force is the optimizer's to keep.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct GroupSettings {
    pub(super) name: String,
    pub(super) base_lr: f64,
    pub(super) weight_decay: f64,
}

/// The groups that have parameters, and the group of each parameter.
pub(super) fn assign(config: &OptimizerConfig, names: &[&str]) -> Result<(Vec<GroupSettings>, Vec<usize>)> {
    let patterns: Vec<_> = config.groups().iter().map(|group| NamePattern::new(&*group.pattern)).collect();
    let by_default = patterns.len();
    let group_of = |name: &&str| patterns.iter().position(|p| p.matches(name)).unwrap_or(by_default);
    let groups: Vec<usize> = names.iter().map(group_of).collect();
    let mut settings = Vec::new();
    for (index, (group, pattern)) in config.groups().iter().zip(&patterns).enumerate() {
        if !groups.contains(&index) {
            let key = format!("optimizer.groups[{index}].pattern");
            let taken = names.iter().any(|name| pattern.matches(name));
            let before = if taken { " that is in no group before it" } else { "" };
            return Err(matches_nothing(&key, pattern, names, before));
        }
        settings.push(GroupSettings {
            name: group.pattern.clone(),
            base_lr: group.lr.unwrap_or(config.lr()),
            weight_decay: group.weight_decay.unwrap_or(config.weight_decay()),
        });
    }
    // Without any parameter there is still a learning rate.
    if groups.contains(&by_default) || settings.is_empty() {
        settings.push(GroupSettings {
            name: "default".into(),
            base_lr: config.lr(),
            weight_decay: config.weight_decay(),
        });
    }
    Ok((settings, groups))
}

/// The error of a pattern that fits no parameter.
pub(super) fn matches_nothing(
    key: &str,
    pattern: &NamePattern,
    names: &[&str],
    condition: &str,
) -> crate::Error {
    const SHOWN: usize = 40;
    let mut known = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        known.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    let expected = format!("a pattern that fits a trainable parameter{condition} ({known})");
    setting(key, &expected, format!("`{pattern}`"))
}
