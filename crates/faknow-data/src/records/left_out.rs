//! Records that are left out: broken ones up to a limit, and those with certain labels.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, Result};

/// Maximum number of broken records whose errors are stored.
const MAX_MESSAGES: usize = 3;

/// The number or percentage of broken records of a file that are skipped; default 0, so that the first one is an error.
///
/// A percentage of all records is checked at the end of a file. As text and in serde formats, the limit is written `20` or
/// `1%`.
///
/// ```
/// use faknow_data::SkipBroken;
///
/// assert_eq!("20".parse::<SkipBroken>()?, SkipBroken::records(20));
/// assert_eq!("0.5%".parse::<SkipBroken>()?.to_string(), "0.5%");
/// # Ok::<(), faknow_data::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SkipBroken(Limit);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    Records(usize),
    /// From 0 to 100.
    Percent(f64),
}

// No limit is NaN.
impl Eq for SkipBroken {}

impl Default for SkipBroken {
    fn default() -> Self {
        Self::records(0)
    }
}

impl SkipBroken {
    /// Creates a limit of `n` records.
    pub fn records(n: usize) -> Self {
        Self(Limit::Records(n))
    }

    /// Creates a limit of a percentage of all records of a file.
    ///
    /// # Errors
    /// [`Error::Setting`]: `percent` is not in the range of 0 to 100.
    pub fn percent(percent: f64) -> Result<Self> {
        match (0.0..=100.0).contains(&percent) {
            true => Ok(Self(Limit::Percent(percent))),
            false => Err(invalid(&format!("{percent}%"))),
        }
    }

    /// Returns whether no record is skipped.
    pub fn is_zero(&self) -> bool {
        matches!(self.0, Limit::Records(0)) || self.0 == Limit::Percent(0.0)
    }

    /// Returns whether `n_broken` records may be skipped; a percentage is checked if the number of all records is known.
    pub(crate) fn allows(&self, n_broken: usize, n_records: Option<usize>) -> bool {
        match (self.0, n_records) {
            (Limit::Records(n), _) => n_broken <= n,
            (Limit::Percent(percent), Some(n)) => 100.0 * n_broken as f64 <= percent * n as f64,
            (Limit::Percent(_), None) => true,
        }
    }
}

fn invalid(got: &str) -> Error {
    let expected = "a number of records such as `20`, or a percentage such as `1%`".to_owned();
    Error::Setting { name: "skip_broken", expected, got: format!("`{got}`") }
}

impl FromStr for SkipBroken {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = match text.trim().strip_suffix('%') {
            Some(percent) => percent.trim_end().parse().ok().and_then(|percent| Self::percent(percent).ok()),
            None => text.trim().parse().ok().map(Self::records),
        };
        parsed.ok_or_else(|| invalid(text))
    }
}

impl fmt::Display for SkipBroken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Limit::Records(n) => write!(f, "{n}"),
            Limit::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl Serialize for SkipBroken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Limit::Records(n) => n.serialize(serializer),
            Limit::Percent(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for SkipBroken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LimitVisitor;
        impl Visitor<'_> for LimitVisitor {
            type Value = SkipBroken;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of records such as 20, or a percentage such as \"1%\"")
            }

            fn visit_u64<E: de::Error>(self, n: u64) -> Result<SkipBroken, E> {
                Ok(SkipBroken::records(usize::try_from(n).unwrap_or(usize::MAX)))
            }

            fn visit_i64<E: de::Error>(self, n: i64) -> Result<SkipBroken, E> {
                let invalid = |_| E::invalid_value(de::Unexpected::Signed(n), &self);
                u64::try_from(n).map_err(invalid).and_then(|n| self.visit_u64(n))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<SkipBroken, E> {
                text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(LimitVisitor)
    }
}

/// The records that a reader has left out so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Number of records read, including those that were left out.
    pub n_records: usize,
    /// Number of broken records.
    pub n_broken: usize,
    /// Number and problem of the first few broken records.
    pub broken: Vec<String>,
    /// Number of records per dropped label, in the order of [`ReadOptions::drop_labels`](crate::ReadOptions::drop_labels).
    pub dropped: Vec<(String, usize)>,
}

impl LeftOut {
    pub(super) fn new(drop_labels: &[String]) -> Self {
        Self { dropped: drop_labels.iter().map(|label| (label.clone(), 0)).collect(), ..Self::default() }
    }

    /// Counts a record that cannot be used.
    ///
    /// # Errors
    /// `error` itself if no record may be skipped, or that more records than the limit are broken.
    pub(super) fn skip(&mut self, error: Error, limit: SkipBroken) -> Result<()> {
        if limit.is_zero() {
            return Err(error);
        }
        self.n_broken += 1;
        let (path, message) = match error {
            Error::Record { path, record, field, message, .. } => {
                let field = field.map(|field| format!(", field `{field}`")).unwrap_or_default();
                (path, format!("record {record}{field}: {message}"))
            }
            other => return Err(other),
        };
        if self.broken.len() < MAX_MESSAGES {
            self.broken.push(message);
        }
        match limit.0 {
            Limit::Records(n) if self.n_broken > n => Err(Error::file(path, self.too_many(limit))),
            _ => Ok(()),
        }
    }

    /// Returns a problem with the entire file, which has been read to its end.
    pub(super) fn problem(&self, limit: SkipBroken) -> Option<String> {
        let Limit::Percent(percent) = limit.0 else { return None };
        let share = 100.0 * self.n_broken as f64 / self.n_records.max(1) as f64;
        (share > percent).then(|| self.too_many(limit))
    }

    fn too_many(&self, limit: SkipBroken) -> String {
        let got = match limit.0 {
            Limit::Records(_) => format!("{} in the first {} records", self.n_broken, self.n_records),
            Limit::Percent(_) => format!("{} of {} records", self.n_broken, self.n_records),
        };
        format!(
            "expected at most {limit} broken records (`skip_broken`), got {got}: {}",
            self.first_problems()
        )
    }

    /// Returns the first broken records with their problems.
    pub fn first_problems(&self) -> String {
        let more = if self.n_broken > self.broken.len() { "; …" } else { "" };
        format!("{}{more}", self.broken.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_are_numbers_or_percentages() {
        let check = |text: &str, expected: Option<SkipBroken>| {
            assert_eq!(text.parse::<SkipBroken>().ok(), expected, "{text}");
        };
        check("0", Some(SkipBroken::default()));
        check(" 20 ", Some(SkipBroken::records(20)));
        check("1.5 %", Some(SkipBroken::percent(1.5).unwrap()));
        for text in ["", "%", "-1", "101%", "-1%", "NaN%", "many", "1.5"] {
            check(text, None);
        }
        for (limit, json) in
            [(SkipBroken::records(3), json!(3)), (SkipBroken::percent(2.0).unwrap(), json!("2%"))]
        {
            assert_eq!(serde_json::to_value(limit).unwrap(), json);
            assert_eq!(serde_json::from_value::<SkipBroken>(json).unwrap(), limit);
        }
        for invalid in [json!(-1), json!("x"), json!(0.5), json!([1])] {
            assert!(serde_json::from_value::<SkipBroken>(invalid.clone()).is_err(), "{invalid}");
        }
    }
}
