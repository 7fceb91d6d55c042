//! The fold of a cross-validation in a config.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, Result};

/// The fold of the training data to test on, as in `2 of 5`.
///
/// ```
/// use faknow::config::Fold;
///
/// let fold: Fold = "2 of 5".parse()?;
/// assert_eq!((fold.number, fold.n_folds), (2, 5));
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fold {
    /// Number of the fold, from 1 to `n_folds`.
    pub number: usize,
    /// Number of folds, at least 2.
    pub n_folds: usize,
}

impl Fold {
    /// Checks the ranges of both numbers.
    pub(crate) fn validate(&self) -> Result<()> {
        if self.n_folds >= 2 && (1..=self.n_folds).contains(&self.number) {
            return Ok(());
        }
        let message =
            format!("expected one of at least 2 folds, numbered from 1, as in `2 of 5`, got `{self}`");
        Err(Error::config("data.fold", message))
    }
}

impl fmt::Display for Fold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.number, self.n_folds)
    }
}

impl FromStr for Fold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once(" of ").and_then(|(number, n_folds)| {
            Some(Self { number: number.trim().parse().ok()?, n_folds: n_folds.trim().parse().ok()? })
        });
        numbers.ok_or_else(|| format!("expected a fold, as in `2 of 5`, got `{text}`"))
    }
}

impl Serialize for Fold {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
