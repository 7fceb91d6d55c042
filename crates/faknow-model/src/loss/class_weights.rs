//! Class weights of a loss.

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor, value::SeqAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::criterion::invalid_setting;
use crate::Result;

/// Class weights, explicit or from the class frequencies. In configs: `[1.0, 3.0]` or `"balanced"`.
#[derive(Debug, Clone, PartialEq)]
pub enum ClassWeights {
    /// Equal total weight per class, by scikit-learn's formula `n_samples / (n_classes * n_samples_of_class)` on the training
    /// samples.
    Balanced,
    /// A weight above 0 for each class, in order.
    Explicit(Vec<f64>),
}

impl ClassWeights {
    /// Computes balanced weights from the number of samples of each class.
    ///
    /// # Errors
    /// A class has no samples.
    pub fn from_counts(counts: &[usize]) -> Result<Self> {
        if let Some(class) = counts.iter().position(|&count| count == 0) {
            let got = format!("no samples of class {class}");
            return Err(invalid_setting(
                "class_weights",
                "training samples of every class for balanced weights",
                got,
            ));
        }
        let n_samples: usize = counts.iter().sum();
        let weight = |&count: &usize| n_samples as f64 / (counts.len() * count) as f64;
        Ok(Self::Explicit(counts.iter().map(weight).collect()))
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let Self::Explicit(weights) = self else { return Ok(()) };
        if weights.is_empty() {
            return Err(invalid_setting("class_weights", "one weight per class", "none"));
        }
        match weights.iter().find(|weight| !(weight.is_finite() && **weight > 0.0)) {
            Some(weight) => Err(invalid_setting("class_weights", "numbers above 0", weight)),
            None => Ok(()),
        }
    }
}

impl Serialize for ClassWeights {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Balanced => serializer.serialize_str("balanced"),
            Self::Explicit(weights) => weights.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ClassWeights {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WeightsVisitor;

        impl<'de> Visitor<'de> for WeightsVisitor {
            type Value = ClassWeights;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`balanced` or a list of weights, one per class")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ClassWeights, E> {
                match text {
                    "balanced" => Ok(ClassWeights::Balanced),
                    other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<ClassWeights, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list))
                    .map(ClassWeights::Explicit)
                    .map_err(A::Error::custom)
            }
        }

        deserializer.deserialize_any(WeightsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_weights_equal_scikit_learns() {
        let check = |counts: &[usize], expected: &[f64]| {
            assert_eq!(ClassWeights::from_counts(counts).unwrap(), ClassWeights::Explicit(expected.to_vec()));
        };
        check(&[3, 1], &[4.0 / 6.0, 2.0]);
        check(&[5, 5], &[1.0, 1.0]);
        check(&[1, 2, 3], &[2.0, 1.0, 6.0 / 9.0]);
        let error = ClassWeights::from_counts(&[3, 0]).unwrap_err().to_string();
        let expected =
            "expected training samples of every class for balanced weights, got no samples of class 1";
        assert!(error.ends_with(expected), "{error}");
    }
}
