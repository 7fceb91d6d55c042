//! Lossless JSON of a history, for checkpoints.

use std::fmt;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{EpochRecord, History, Score, Scores};

/// A history with the exact bits of floats and the reasons of undefined scores.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExactHistory {
    epochs: Vec<ExactRecord>,
    #[serde(rename = "inside", default, skip_serializing_if = "Vec::is_empty")]
    mid_epoch: Vec<ExactRecord>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExactRecord {
    epoch: usize,
    step: u64,
    samples: u64,
    train: ExactScores,
    valid: Option<ExactScores>,
    learning_rates: Vec<Float>,
    grad_norm: Option<Float>,
    train_seconds: Float,
    valid_seconds: Float,
}

/// Pairs instead of a map: the keys of a JSON object have no guaranteed order.
type ExactScores = Vec<(String, ExactScore)>;

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum ExactScore {
    Defined(Float),
    Undefined { undefined: String, convention: Option<Float> },
}

/// A float that survives JSON bit-exactly: a number, or the bits as text, since JSON has no NaN and no infinities.
struct Float(f64);

impl From<&History> for ExactHistory {
    fn from(history: &History) -> Self {
        let exact = |records: &[EpochRecord]| records.iter().map(ExactRecord::from).collect();
        Self { epochs: exact(&history.epochs), mid_epoch: exact(&history.mid_epoch) }
    }
}

impl From<ExactHistory> for History {
    fn from(exact: ExactHistory) -> Self {
        let plain = |records: Vec<ExactRecord>| records.into_iter().map(EpochRecord::from).collect();
        Self { epochs: plain(exact.epochs), mid_epoch: plain(exact.mid_epoch) }
    }
}

impl From<&EpochRecord> for ExactRecord {
    fn from(record: &EpochRecord) -> Self {
        Self {
            epoch: record.epoch,
            step: record.step,
            samples: record.samples,
            train: exact_scores(&record.train),
            valid: record.valid.as_ref().map(exact_scores),
            learning_rates: record.learning_rates.iter().map(|&lr| Float(lr)).collect(),
            grad_norm: record.grad_norm.map(Float),
            train_seconds: Float(record.train_seconds),
            valid_seconds: Float(record.valid_seconds),
        }
    }
}

impl From<ExactRecord> for EpochRecord {
    fn from(exact: ExactRecord) -> Self {
        Self {
            epoch: exact.epoch,
            step: exact.step,
            samples: exact.samples,
            train: plain_scores(exact.train),
            valid: exact.valid.map(plain_scores),
            learning_rates: exact.learning_rates.into_iter().map(|Float(lr)| lr).collect(),
            grad_norm: exact.grad_norm.map(|Float(norm)| norm),
            train_seconds: exact.train_seconds.0,
            valid_seconds: exact.valid_seconds.0,
        }
    }
}

fn exact_scores(scores: &Scores) -> ExactScores {
    let exact = |score: &Score| match score {
        Score::Defined(value) => ExactScore::Defined(Float(*value)),
        Score::Undefined { reason, convention } => {
            ExactScore::Undefined { undefined: reason.clone(), convention: convention.map(Float) }
        }
    };
    scores.iter().map(|(name, score)| (name.to_owned(), exact(score))).collect()
}

fn plain_scores(scores: ExactScores) -> Scores {
    let plain = |score| match score {
        // Not `Score::from`, which would make a recorded NaN an undefined score.
        ExactScore::Defined(Float(value)) => Score::Defined(value),
        ExactScore::Undefined { undefined, convention } => {
            Score::Undefined { reason: undefined, convention: convention.map(|Float(value)| value) }
        }
    };
    scores.into_iter().map(|(name, score)| (name, plain(score))).collect()
}

impl Serialize for Float {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() {
            serializer.serialize_f64(self.0)
        } else {
            serializer.collect_str(&format_args!("{:#018x}", self.0.to_bits()))
        }
    }
}

impl<'de> Deserialize<'de> for Float {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FloatVisitor)
    }
}

struct FloatVisitor;

impl Visitor<'_> for FloatVisitor {
    type Value = Float;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or its bits as text such as \"0x7ff8000000000000\"")
    }

    fn visit_f64<E>(self, value: f64) -> Result<Float, E> {
        Ok(Float(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Float, E> {
        Ok(Float(value as f64))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Float, E> {
        Ok(Float(value as f64))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Float, E> {
        let bits = text.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let bits = bits.ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))?;
        Ok(Float(f64::from_bits(bits)))
    }
}
