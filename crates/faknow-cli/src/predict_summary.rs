//! What `faknow predict` reports at its end: numbers of records and classes, and what spoils the predictions.

use std::io::Write as _;

use faknow::data::TokenCounts;
use faknow::detector::{KnownTokens, SamplePrediction};

/// Numbers of predictions.
pub(crate) struct PredictSummary {
    /// `record` or `tree`.
    unit: &'static str,
    /// Number of predictions of each class.
    classes: Vec<(String, usize)>,
    n_without_prediction: usize,
    /// Number of records without a domain that the model knows, if it uses domains.
    n_without_domain: usize,
    known: KnownTokens,
}

impl PredictSummary {
    pub(crate) fn new(unit: &'static str, classes: &[String]) -> Self {
        let classes = classes.iter().map(|class| (class.clone(), 0)).collect();
        Self { unit, classes, n_without_prediction: 0, n_without_domain: 0, known: KnownTokens::default() }
    }

    pub(crate) fn add(&mut self, prediction: &SamplePrediction) {
        let SamplePrediction { known_tokens: n_known, n_tokens, lacks_domain, .. } = *prediction;
        self.n_without_domain += usize::from(lacks_domain);
        self.known.add(TokenCounts { n_tokens, n_known });
        match prediction.label() {
            Some(label) => {
                let class = self.classes.iter_mut().find(|(class, _)| class == label);
                class.into_iter().for_each(|(_, n)| *n += 1);
            }
            None => self.n_without_prediction += 1,
        }
    }

    /// Prints the summary to standard error; with `quiet`, only if some predictions say nothing about a text.
    pub(crate) fn print(&self, quiet: bool) {
        let warning = self.warning();
        if quiet && self.known.n_without == 0 && warning.is_none() {
            return;
        }
        // A closed pipe is not an error.
        let mut stderr = std::io::stderr();
        let _ = writeln!(stderr, "{}", self.line());
        if let Some(warning) = warning {
            let _ = writeln!(stderr, "warning: {warning}");
        }
    }

    fn line(&self) -> String {
        let counts = self.classes.iter().map(|(class, n)| format!("{} {class}", grouped(*n)));
        let without = |n: usize| format!("{} without a known token", grouped(n));
        let n_predicted_without = self.known.n_without - self.n_without_prediction;
        let parts: Vec<String> = counts
            .chain((self.n_without_prediction > 0).then(|| without(self.n_without_prediction)))
            .collect();
        let (n, unit) = (self.known.n_samples, self.unit);
        let plural = if n == 1 { "" } else { "s" };
        let notes = [
            (n_predicted_without > 0).then(|| without(n_predicted_without)),
            (self.n_without_domain > 0)
                .then(|| format!("{} without a known domain", grouped(self.n_without_domain))),
        ];
        let notes: Vec<String> = notes.into_iter().flatten().collect();
        let note = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
        format!("{} {unit}{plural}: {}{note}", grouped(n), parts.join(", "))
    }

    fn warning(&self) -> Option<String> {
        let percent = 100.0 * self.known.unknown_fraction();
        self.known.is_mostly_unknown().then(|| {
            format!(
                "{percent:.1} % of all tokens are unknown to the model: the language or the domain may differ from that of the \
                 training data, or `--text` names another column"
            )
        })
    }
}

/// Formats a number with commas between groups of three digits.
fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let first = digits.len() % 3;
    let (start, rest) = digits.split_at(first);
    let groups = rest.as_bytes().chunks(3).map(|group| String::from_utf8_lossy(group).into_owned());
    let groups: Vec<String> =
        (!start.is_empty()).then(|| start.to_owned()).into_iter().chain(groups).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use faknow::Prediction;
    use faknow::detector::NoPrediction;

    use super::*;

    fn sample(outcome: Result<&str, NoPrediction>, known_tokens: usize, n_tokens: usize) -> SamplePrediction {
        let prediction = |label: &str| Prediction { label: label.to_owned(), score: 1.0, scores: Vec::new() };
        SamplePrediction { outcome: outcome.map(prediction), known_tokens, n_tokens, lacks_domain: false }
    }

    #[test]
    fn counts_classes_and_samples_without_known_tokens() {
        let check = |samples: &[SamplePrediction], line: &str, warning: Option<&str>| {
            let mut summary = PredictSummary::new("record", &["real".to_owned(), "fake".to_owned()]);
            samples.iter().for_each(|sample| summary.add(sample));
            assert_eq!(summary.line(), line);
            let got = summary.warning();
            assert_eq!(got.is_some(), warning.is_some(), "{got:?}");
            assert!(got.unwrap_or_default().starts_with(warning.unwrap_or_default()));
        };
        let (real, fake) = (sample(Ok("real"), 4, 5), sample(Ok("fake"), 1, 2));
        let none = sample(Err(NoPrediction::NoKnownTokens), 0, 9);
        check(&[], "0 records: 0 real, 0 fake", None);
        check(std::slice::from_ref(&fake), "1 record: 0 real, 1 fake", None);
        check(&[real.clone(), fake.clone()], "2 records: 1 real, 1 fake", None);
        check(
            &[real, fake, none],
            "3 records: 1 real, 1 fake, 1 without a known token",
            Some("68.8 % of all tokens are unknown to the model"),
        );
        let predicted = sample(Ok("fake"), 0, 0);
        check(&[predicted], "1 record: 0 real, 1 fake (1 without a known token)", None);
    }

    #[test]
    fn groups_digits() {
        for (n, expected) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (2140, "2,140"), (1_234_567, "1,234,567")]
        {
            assert_eq!(grouped(n), expected);
        }
    }
}
