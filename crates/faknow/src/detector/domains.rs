//! Test results per group of samples: per domain, or by the presence of text and image.

use std::collections::BTreeMap;
use std::fmt;

use faknow_data::{FieldDataset, TokenCounts};
use faknow_metrics::{Metrics, Predictions, Score, Scores};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::Result;

/// The metrics of the table, in addition to the number of samples.
const COLUMNS: [&str; 3] = ["accuracy", "f1_macro", "f1_weighted"];

/// The results of a detector per domain or other group of samples; empty if the samples have no groups.
///
/// Displayed as a table. Serialized as an object: for each domain an object of `n` and all metrics by name (null without a value).
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct DomainResults {
    /// What the groups are: `domain`, or `inputs` for the presence of text and image.
    pub heading: &'static str,
    /// The domains, largest first.
    pub domains: Vec<DomainResult>,
    /// The number of samples without a domain, or with one that does not occur in the training data.
    pub n_without: usize,
}

/// The result of a detector on the samples of a domain.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DomainResult {
    /// Name of the domain.
    pub name: String,
    /// Number of samples.
    pub n: usize,
    /// All built-in metrics.
    pub scores: Scores,
}

impl DomainResults {
    /// Computes the results of predictions whose samples have these domains, one entry per sample.
    pub(crate) fn new(
        heading: &'static str,
        predictions: &Predictions,
        domains: &[Option<String>],
    ) -> Result<Self> {
        let mut rows: BTreeMap<&String, Vec<usize>> = BTreeMap::new();
        for (row, domain) in domains.iter().enumerate() {
            if let Some(domain) = domain {
                rows.entry(domain).or_default().push(row);
            }
        }
        if rows.is_empty() {
            return Ok(Self::default());
        }
        let n_with: usize = rows.values().map(Vec::len).sum();
        let result = |(name, rows): (&String, Vec<usize>)| -> Result<DomainResult> {
            let scores = Metrics::all().compute(&predictions.select(&rows)?)?;
            Ok(DomainResult { name: name.clone(), n: rows.len(), scores })
        };
        let mut results = rows.into_iter().map(result).collect::<Result<Vec<_>>>()?;
        results.sort_by_key(|result| std::cmp::Reverse(result.n));
        Ok(Self { heading, domains: results, n_without: domains.len() - n_with })
    }

    /// Returns whether no sample has a domain.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }
}

/// Returns the domain of the samples `rows` of a dataset.
pub(crate) fn domains_of(data: &FieldDataset, rows: &[usize]) -> Vec<Option<String>> {
    let name = |&row: &usize| data.domains().get(data.domain(row)?).cloned();
    rows.iter().map(name).collect()
}

/// Returns which of text and image the samples `rows` have, if the dataset has images: `text and image`, `text`, `image` or `none`.
pub(crate) fn inputs_of(data: &FieldDataset, counts: &[TokenCounts], rows: &[usize]) -> Vec<Option<String>> {
    if !data.has_images() {
        return Vec::new();
    }
    let name = |&row: &usize| {
        let has_text = counts.get(row).is_some_and(|counts| counts.n_tokens > 0);
        match (has_text, data.image_key(row).is_some()) {
            (true, true) => "text and image",
            (true, false) => "text",
            (false, true) => "image",
            (false, false) => "none",
        }
    };
    rows.iter().map(|row| Some(name(row).to_owned())).collect()
}

impl fmt::Display for DomainResults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.domains.iter().map(|result| result.name.chars().count()).max().unwrap_or(0);
        let width = width.max("no known domain".len());
        write!(f, "{:width$} {:>8}", self.heading, "n")?;
        COLUMNS.iter().try_for_each(|name| write!(f, " {name:>12}"))?;
        for DomainResult { name, n, scores } in &self.domains {
            write!(f, "\n{name:width$} {n:>8}")?;
            for column in COLUMNS {
                match scores.value(column) {
                    Some(value) => write!(f, " {value:>12.4}")?,
                    None => write!(f, " {:>12}", "-")?,
                }
            }
        }
        if self.n_without > 0 {
            write!(f, "\n{:width$} {:>8}", "no known domain", self.n_without)?;
        }
        Ok(())
    }
}

impl Serialize for DomainResults {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.domains.len()))?;
        for result in &self.domains {
            map.serialize_entry(&result.name, result)?;
        }
        map.end()
    }
}

impl Serialize for DomainResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("n", &self.n)?;
        for (name, score) in self.scores.iter() {
            map.serialize_entry(name, &Score::value(score))?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results() -> DomainResults {
        let scores: Vec<Vec<f64>> =
            [0.9, 0.2, 0.7, 0.6].iter().map(|score| vec![1.0 - score, *score]).collect();
        let predictions = Predictions::new(2, vec![1, 0, 0, 1], scores.concat()).unwrap();
        let domains =
            ["health", "politics", "politics", ""].map(|name| (!name.is_empty()).then(|| name.to_owned()));
        DomainResults::new("domain", &predictions, &domains).unwrap()
    }

    #[test]
    fn results_are_those_of_the_samples_of_each_domain() {
        let json = serde_json::to_value(results()).unwrap();
        assert_eq!(json["politics"]["n"], 2);
        assert_eq!(json["politics"]["accuracy"], 0.5);
        assert_eq!(json["health"]["accuracy"], 1.0);
        assert_eq!(json.as_object().unwrap().len(), 2);
        assert_eq!(results().n_without, 1);
    }

    #[test]
    fn table_has_a_row_per_domain_largest_first() {
        let table = results().to_string();
        let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["domain", "n", "accuracy", "f1_macro", "f1_weighted"]);
        assert_eq!(lines[1][..3], ["politics", "2", "0.5000"]);
        assert_eq!(lines[2][..3], ["health", "1", "1.0000"]);
        assert_eq!(lines[3], ["no", "known", "domain", "1"]);
    }
}
