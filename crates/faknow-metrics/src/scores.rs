//! An insertion-ordered map of named scores.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Score;

/// An insertion-ordered map from names to scores, such as the metrics of an epoch.
///
/// Serialized as a map in the same order.
///
/// ```
/// use faknow_metrics::Scores;
///
/// let mut scores = Scores::new();
/// scores.insert("loss", 0.25);
/// scores.insert("accuracy", 0.9);
/// assert_eq!(scores.value("accuracy"), Some(0.9));
/// assert_eq!(scores.names().collect::<Vec<_>>(), ["loss", "accuracy"]);
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scores {
    // A few dozen names at most: a linear search is faster than hashing.
    entries: Vec<(String, Score)>,
}

impl Scores {
    /// Creates an empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a score, or replaces the score of the same name in place.
    pub fn insert(&mut self, name: impl Into<String>, score: impl Into<Score>) {
        let (name, score) = (name.into(), score.into());
        match self.entries.iter_mut().find(|(key, _)| *key == name) {
            Some(entry) => entry.1 = score,
            None => self.entries.push((name, score)),
        }
    }

    /// Returns the score `name`.
    pub fn get(&self, name: &str) -> Option<&Score> {
        self.entries.iter().find(|(key, _)| key == name).map(|(_, score)| score)
    }

    /// Returns the value of the score `name` (see [`Score::value`]); `None` if it is absent or undefined.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.get(name).and_then(Score::value)
    }

    /// Iterates over names and scores, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &Score)> + ExactSizeIterator {
        self.entries.iter().map(|(name, score)| (name.as_str(), score))
    }

    /// Iterates over the names, in order.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    /// Returns the number of scores.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether the map is empty.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<N: Into<String>, S: Into<Score>> Extend<(N, S)> for Scores {
    fn extend<I: IntoIterator<Item = (N, S)>>(&mut self, scores: I) {
        for (name, score) in scores {
            self.insert(name, score);
        }
    }
}

impl<N: Into<String>, S: Into<Score>> FromIterator<(N, S)> for Scores {
    fn from_iter<I: IntoIterator<Item = (N, S)>>(scores: I) -> Self {
        let mut all = Self::new();
        all.extend(scores);
        all
    }
}

impl IntoIterator for Scores {
    type Item = (String, Score);
    type IntoIter = std::vec::IntoIter<(String, Score)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

/// `name=0.123456`, joined by four spaces.
impl fmt::Display for Scores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, score)) in self.iter().enumerate() {
            let separator = if i == 0 { "" } else { "    " };
            write!(f, "{separator}{name}={score}")?;
        }
        Ok(())
    }
}

impl Serialize for Scores {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Scores {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScoresVisitor;

        impl<'de> Visitor<'de> for ScoresVisitor {
            type Value = Scores;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from names to numbers or null")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scores, A::Error> {
                let mut scores = Scores::new();
                while let Some((name, score)) = map.next_entry::<String, Score>()? {
                    scores.insert(name, score);
                }
                Ok(scores)
            }
        }

        deserializer.deserialize_map(ScoresVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_replaces_in_place() {
        let mut scores: Scores = [("b", 1.0), ("a", 2.0)].into_iter().collect();
        scores.insert("b", 3.0);
        scores.insert("c", Score::undefined("no samples"));
        assert_eq!(scores.names().collect::<Vec<_>>(), ["b", "a", "c"]);
        assert_eq!(scores.len(), 3);
        assert_eq!(scores.value("b"), Some(3.0));
        assert_eq!(scores.value("c"), None);
        assert_eq!(scores.get("d"), None);
        assert!(Scores::new().is_empty());
        assert_eq!(scores.to_string(), "b=3.000000    a=2.000000    c=undefined");
    }

    #[test]
    fn serializes_as_ordered_map() {
        let mut scores: Scores = [("z", 0.5), ("a", 1.0)].into_iter().collect();
        scores.insert("auc", Score::undefined("recorded as undefined"));
        let json = serde_json::to_string(&scores).unwrap();
        assert_eq!(json, r#"{"z":0.5,"a":1.0,"auc":null}"#);
        assert_eq!(serde_json::from_str::<Scores>(&json).unwrap(), scores);
        let error = serde_json::from_str::<Scores>("[1]").unwrap_err().to_string();
        assert!(error.contains("a map from names to numbers or null"), "{error}");
    }
}
