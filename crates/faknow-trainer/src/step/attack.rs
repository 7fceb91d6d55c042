//! Adversarial attacks on parameters, and their settings.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::error::setting;

/// An attack on parameters, by name, with its settings; see [`Adversarial`](crate::Adversarial).
///
/// Each parameter is attacked separately; norms are computed over the entire tensor, for example over the table of all
/// word vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum Attack {
    /// Projected gradient descent (Madry et al., *Towards Deep Learning Models Resistant to Adversarial Attacks*, ICLR
    /// 2018), as used by MFAN: several steps, each along the gradient at the current position.
    Pgd(Pgd),
    /// The fast gradient method (Miyato, Dai and Goodfellow, *Adversarial Training Methods for Semi-Supervised Text
    /// Classification*, ICLR 2017): one step along the gradient. Here it perturbs the parameters, in the paper the word
    /// vectors of each text.
    Fgm(Fgm),
}

/// Settings of projected gradient descent; the defaults are those of MFAN in FaKnow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pgd {
    /// Pattern of the names of the attacked parameters; `*` matches any characters. Default: `word_embedding.*`.
    pub pattern: String,
    /// Maximum norm of the perturbation of a parameter, above 0. Default: 6.
    pub epsilon: f64,
    /// Length of each step, above 0. Default: 1.8.
    pub alpha: f64,
    /// Number of steps, each followed by a pass over the batch, at least 1. Default: 3.
    pub steps: usize,
}

impl Default for Pgd {
    fn default() -> Self {
        Self { pattern: "word_embedding.*".into(), epsilon: 6.0, alpha: 1.8, steps: 3 }
    }
}

/// Settings of the fast gradient method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fgm {
    /// Pattern of the names of the attacked parameters; `*` matches any characters. Default: `word_embedding.*`.
    pub pattern: String,
    /// Norm of the perturbation of a parameter, above 0. Default: 1.
    pub epsilon: f64,
}

impl Default for Fgm {
    fn default() -> Self {
        Self { pattern: "word_embedding.*".into(), epsilon: 1.0 }
    }
}

impl Attack {
    /// Returns the pattern of the names of the attacked parameters.
    pub fn pattern(&self) -> &str {
        match self {
            Self::Pgd(Pgd { pattern, .. }) | Self::Fgm(Fgm { pattern, .. }) => pattern,
        }
    }

    /// Validates all settings except the pattern, which depends on the model.
    ///
    /// # Errors
    /// A setting is outside its range (NaN included): the error names the first one.
    pub fn validate(&self) -> Result<()> {
        let numbers = [("adversarial.epsilon", self.epsilon()), ("adversarial.alpha", self.step_size())];
        for (name, value) in numbers {
            if !(value.is_finite() && value > 0.0) {
                return Err(setting(name, "a number above 0", value));
            }
        }
        if self.steps() == 0 {
            return Err(setting("adversarial.steps", "at least 1", 0));
        }
        Ok(())
    }

    /// Returns the maximum norm of the perturbation.
    pub(crate) fn epsilon(&self) -> f64 {
        match self {
            Self::Pgd(Pgd { epsilon, .. }) | Self::Fgm(Fgm { epsilon, .. }) => *epsilon,
        }
    }

    /// Returns the length of a step.
    pub(crate) fn step_size(&self) -> f64 {
        match self {
            Self::Pgd(pgd) => pgd.alpha,
            Self::Fgm(fgm) => fgm.epsilon,
        }
    }

    /// Returns the number of steps.
    pub(crate) fn steps(&self) -> usize {
        match self {
            Self::Pgd(pgd) => pgd.steps,
            Self::Fgm(_) => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_settings_outside_their_range() {
        let check = |text: &str, expected: &str| {
            let attack: Attack = toml::from_str(&text.replace("; ", "\n")).unwrap();
            assert_eq!(attack.validate().unwrap_err().to_string(), expected, "{text}");
        };
        check("name = 'pgd'; epsilon = 0", "adversarial.epsilon: expected a number above 0, got 0");
        check("name = 'pgd'; alpha = nan", "adversarial.alpha: expected a number above 0, got NaN");
        check("name = 'pgd'; steps = 0", "adversarial.steps: expected at least 1, got 0");
        check("name = 'fgm'; epsilon = inf", "adversarial.epsilon: expected a number above 0, got inf");
    }

    #[test]
    fn attacks_round_trip_through_toml() {
        for attack in [Attack::Pgd(Pgd::default()), Attack::Fgm(Fgm { epsilon: 0.5, ..Fgm::default() })] {
            attack.validate().unwrap();
            assert_eq!(toml::from_str::<Attack>(&toml::to_string(&attack).unwrap()).unwrap(), attack);
        }
        let error = toml::from_str::<Attack>("name = 'fgm'\nsteps = 2").unwrap_err().to_string();
        assert!(error.contains("unknown field `steps`, expected `pattern` or `epsilon`"), "{error}");
    }
}
