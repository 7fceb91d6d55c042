//! How adversarial training moves parameters.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::error::setting;

/// An attack on parameters, by name, with its settings; see [`Adversarial`](crate::Adversarial).
///
/// Each parameter is attacked for itself and as a whole: the norms are those of the whole tensor, of the table of all word
/// vectors for example.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum Attack {
    /// Projected gradient descent (Madry et al., *Towards Deep Learning Models Resistant to Adversarial Attacks*, ICLR
    /// 2018), as MFAN uses it: several moves, each along the gradient where the one before has led.
    Pgd(Pgd),
    /// The fast gradient method (Miyato, Dai and Goodfellow, *Adversarial Training Methods for Semi-Supervised Text
    /// Classification*, ICLR 2017): one move along the gradient. Here of the parameters, there of the word vectors of each
    /// text.
    Fgm(Fgm),
}

/// Settings of projected gradient descent; the defaults are MFAN's in FaKnow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pgd {
    /// Names of the parameters that are attacked, `*` standing for any characters. Default `word_embedding.*`.
    pub pattern: String,
    /// How far a parameter is moved at most, above 0: the norm of its change. Default 6.
    pub epsilon: f64,
    /// Length of each move, above 0. Default 1.8.
    pub alpha: f64,
    /// Moves, each followed by a pass over the batch, at least 1. Default 3.
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
    /// Names of the parameters that are attacked, `*` standing for any characters. Default `word_embedding.*`.
    pub pattern: String,
    /// How far a parameter is moved, above 0: the norm of its change. Default 1.
    pub epsilon: f64,
}

impl Default for Fgm {
    fn default() -> Self {
        Self { pattern: "word_embedding.*".into(), epsilon: 1.0 }
    }
}

impl Attack {
    /// The names of the parameters that are attacked.
    pub fn pattern(&self) -> &str {
        match self {
            Self::Pgd(Pgd { pattern, .. }) | Self::Fgm(Fgm { pattern, .. }) => pattern,
        }
    }

    /// Checks every setting but the pattern, which only a model can check.
    ///
    /// # Errors
    /// Names the first that is outside its range, NaN included.
    pub fn validate(&self) -> Result<()> {
        let numbers = [("adversarial.epsilon", self.epsilon()), ("adversarial.alpha", self.length())];
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

    /// How far a parameter is moved at most.
    pub(crate) fn epsilon(&self) -> f64 {
        match self {
            Self::Pgd(Pgd { epsilon, .. }) | Self::Fgm(Fgm { epsilon, .. }) => *epsilon,
        }
    }

    /// The length of a move.
    pub(crate) fn length(&self) -> f64 {
        match self {
            Self::Pgd(pgd) => pgd.alpha,
            Self::Fgm(fgm) => fgm.epsilon,
        }
    }

    /// The number of moves.
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
    fn settings_outside_their_range_are_named() {
        let says = |text: &str, expected: &str| {
            let attack: Attack = toml::from_str(&text.replace("; ", "\n")).unwrap();
            assert_eq!(attack.validate().unwrap_err().to_string(), expected, "{text}");
        };
        says("name = 'pgd'; epsilon = 0", "adversarial.epsilon: expected a number above 0, got 0");
        says("name = 'pgd'; alpha = nan", "adversarial.alpha: expected a number above 0, got NaN");
        says("name = 'pgd'; steps = 0", "adversarial.steps: expected at least 1, got 0");
        says("name = 'fgm'; epsilon = inf", "adversarial.epsilon: expected a number above 0, got inf");
    }

    #[test]
    fn an_attack_survives_its_file() {
        for attack in [Attack::Pgd(Pgd::default()), Attack::Fgm(Fgm { epsilon: 0.5, ..Fgm::default() })] {
            attack.validate().unwrap();
            assert_eq!(toml::from_str::<Attack>(&toml::to_string(&attack).unwrap()).unwrap(), attack);
        }
        let error = toml::from_str::<Attack>("name = 'fgm'\nsteps = 2").unwrap_err().to_string();
        assert!(error.contains("unknown field `steps`, expected `pattern` or `epsilon`"), "{error}");
    }
}
