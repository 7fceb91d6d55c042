//! Patterns of parameter names: `conv.*`, `*.bias`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A pattern of names, in which `*` matches any number of characters, including dots.
///
/// ```
/// use faknow_callbacks::NamePattern;
///
/// let biases = NamePattern::new("*.bias");
/// assert!(biases.matches("classifier.1.bias"));
/// assert!(!biases.matches("bias") && !biases.matches("fc.bias_scale"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NamePattern(String);

impl NamePattern {
    /// Creates a pattern.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self(pattern.into())
    }

    /// Returns the pattern as a string.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether the pattern matches the entire `name`.
    pub fn matches(&self, name: &str) -> bool {
        let Some((start, rest)) = self.0.split_once('*') else { return self.0 == name };
        let Some(mut name) = name.strip_prefix(start) else { return false };
        let (between, end) = rest.rsplit_once('*').unwrap_or(("", rest));
        // The first occurrence of a part leaves the longest rest for the next parts.
        for part in between.split('*') {
            match name.find(part) {
                Some(start) => name = &name[start + part.len()..],
                None => return false,
            }
        }
        name.ends_with(end)
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for NamePattern {
    fn from(pattern: &str) -> Self {
        Self::new(pattern)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_entire_names() {
        let check = |pattern: &str, matches: &[&str], others: &[&str]| {
            let pattern = NamePattern::new(pattern);
            for (names, expected) in [(matches, true), (others, false)] {
                for name in names {
                    assert_eq!(pattern.matches(name), expected, "`{pattern}` and `{name}`");
                }
            }
        };
        check("fc.weight", &["fc.weight"], &["fc.weigh", "fc.weights", "a.fc.weight", "fcaweight", ""]);
        check("conv.*", &["conv.weight", "conv.a.b", "conv."], &["conv", "conv1.weight", "a.conv.weight"]);
        check("*.bias", &["fc.bias", "a.b.bias", ".bias"], &["bias", "fc.bias.x"]);
        check("*", &["", "a", "a.b"], &[]);
        check("**", &["", "a"], &[]);
        check("a*a", &["aa", "aba", "aaa"], &["a", "ab", ""]);
        check("a*b*c", &["abc", "axbxc", "abbc", "abcbc"], &["ac", "acb", "abcx"]);
        check("*ab*ab*", &["abab", "xabyabz"], &["ab", "aab", "aba"]);
        check("bert.*.layer.*.bias", &["bert.x.layer.1.bias"], &["bert.layer.1.bias", "bert.x.layer.bias"]);
        check("*ü*", &["über", "ü"], &["u"]);
        check("", &[""], &["a"]);
    }
}
