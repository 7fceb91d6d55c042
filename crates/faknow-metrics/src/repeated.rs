//! Mean and standard deviation of metrics over several runs, as in cross-validation.

use std::fmt;

use serde::Serialize;

use crate::{MeanStd, Score, Scores};

/// A metric over several runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RepeatedScore {
    /// The metric's name; `loss` for the loss.
    pub name: String,
    /// Mean and sample standard deviation of the defined values; `None` without any.
    #[serde(flatten)]
    pub summary: Option<MeanStd>,
    /// The value of each run; `None` where it is undefined.
    pub values: Vec<Option<f64>>,
}

impl RepeatedScore {
    /// Summarizes every metric of the first run over all runs.
    ///
    /// ```
    /// use faknow_metrics::{RepeatedScore, Scores};
    ///
    /// let fold = |accuracy: f64| Scores::from_iter([("accuracy", accuracy)]);
    /// let metrics = RepeatedScore::per_metric(&[fold(0.8), fold(0.9), fold(1.0)]);
    /// assert_eq!(metrics[0].to_string(), "accuracy 0.9000 ± 0.1000");
    /// ```
    pub fn per_metric<'a, I>(scores: I) -> Vec<Self>
    where
        I: IntoIterator<Item = &'a Scores>,
        I::IntoIter: Clone,
    {
        let scores = scores.into_iter();
        let first = scores.clone().next();
        let names = first.into_iter().flat_map(Scores::names);
        names.map(|name| Self::new(name, scores.clone())).collect()
    }

    fn new<'a>(name: &str, scores: impl Iterator<Item = &'a Scores>) -> Self {
        let values: Vec<Option<f64>> = scores
            .map(|scores| scores.get(name).filter(|score| score.is_defined()).and_then(Score::value))
            .collect();
        let summary = MeanStd::of(values.iter().copied().flatten());
        Self { name: name.to_owned(), summary, values }
    }
}

/// Name, mean and standard deviation, as in `accuracy 0.9000 ± 0.1000`.
impl fmt::Display for RepeatedScore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.summary {
            Some(summary) => write!(f, "{} {summary}", self.name),
            None => write!(f, "{} undefined", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_ignores_undefined_values() {
        let scores = |f1: Score| Scores::from_iter([("loss", Score::from(0.5)), ("f1", f1)]);
        let all = [scores(0.25.into()), scores(Score::undefined("one class")), scores(0.75.into())];
        let metrics = RepeatedScore::per_metric(&all);
        assert_eq!(metrics.iter().map(|metric| metric.name.as_str()).collect::<Vec<_>>(), ["loss", "f1"]);
        assert_eq!(metrics[1].values, [Some(0.25), None, Some(0.75)]);
        assert_eq!(metrics[1].summary.unwrap().n, 2);
        assert_eq!(metrics[1].to_string(), "f1 0.5000 ± 0.3536");
        let undefined = RepeatedScore::per_metric([&all[1]]);
        assert_eq!(undefined[1].to_string(), "f1 undefined");
        assert!(RepeatedScore::per_metric([]).is_empty());
    }
}
