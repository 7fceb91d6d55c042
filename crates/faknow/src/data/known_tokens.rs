//! Numbers of samples and tokens that a model does not know, with warnings where they spoil a result.

use faknow_data::TokenCounts;

/// Fraction of unknown tokens above which texts are probably of another language or domain than those of the training.
const MAX_UNKNOWN: f64 = 0.5;

/// Numbers of known and unknown tokens of several samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KnownTokens {
    /// Number of samples.
    pub n_samples: usize,
    /// Number of samples without any token that the model knows.
    pub n_without: usize,
    /// Number of tokens.
    pub n_tokens: usize,
    /// Number of tokens that the model knows.
    pub n_known: usize,
}

impl KnownTokens {
    /// Adds a sample with these numbers of tokens.
    pub fn add(&mut self, counts: TokenCounts) {
        self.n_samples += 1;
        self.n_without += usize::from(counts.n_known == 0);
        self.n_tokens += counts.n_tokens;
        self.n_known += counts.n_known;
    }

    /// Returns the fraction of tokens that the model does not know; 0 without tokens.
    pub fn unknown_fraction(&self) -> f64 {
        (self.n_tokens - self.n_known) as f64 / self.n_tokens.max(1) as f64
    }

    /// Returns whether the model does not know most tokens, as those of another language than its training data.
    pub fn is_mostly_unknown(&self) -> bool {
        self.unknown_fraction() > MAX_UNKNOWN
    }

    /// Returns the warnings about labeled samples, whose metrics include predictions that say nothing about a text. `part` is
    /// their name, `units` are texts or trees.
    pub fn warnings(&self, part: &str, units: &str) -> Vec<String> {
        let effect = "their predictions, which say nothing about the text, are a part of the metrics";
        let mut warnings: Vec<String> = self.warning_of_samples(part, units, effect).into_iter().collect();
        if self.is_mostly_unknown() {
            let percent = 100.0 * self.unknown_fraction();
            let cause = "the language or the domain may differ from that of the training data";
            warnings.push(format!("{part}: {percent:.1} % of all tokens are unknown to the model: {cause}"));
        }
        warnings
    }

    /// Returns the warning about training samples from which a model cannot learn. Unknown tokens do not count, since the
    /// vocabulary may be limited on purpose.
    pub(crate) fn training_warning(&self, units: &str) -> Option<String> {
        self.warning_of_samples("training", units, "the model can only learn their class")
    }

    fn warning_of_samples(&self, part: &str, units: &str, effect: &str) -> Option<String> {
        let Self { n_samples, n_without, .. } = self;
        let message =
            || format!("{part}: {n_without} of {n_samples} {units} without any known token: {effect}");
        (*n_without > 0).then(message)
    }
}

impl FromIterator<TokenCounts> for KnownTokens {
    fn from_iter<I: IntoIterator<Item = TokenCounts>>(counts: I) -> Self {
        let mut sum = Self::default();
        counts.into_iter().for_each(|counts| sum.add(counts));
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warns_of_samples_without_known_tokens_and_of_unknown_tokens() {
        let known = |counts: &[(usize, usize)]| -> KnownTokens {
            counts.iter().map(|&(n_known, n_tokens)| TokenCounts { n_tokens, n_known }).collect()
        };
        let check = |counts: &[(usize, usize)], expected: &[&str]| {
            let warnings = known(counts).warnings("test", "texts");
            assert_eq!(warnings.len(), expected.len(), "{warnings:?}");
            for (warning, expected) in warnings.iter().zip(expected) {
                assert!(warning.starts_with(expected), "{warning}");
            }
        };
        check(&[(3, 4), (1, 2)], &[]);
        check(&[], &[]);
        check(&[(3, 4), (0, 0)], &["test: 1 of 2 texts without any known token"]);
        check(&[(1, 4), (1, 3)], &["test: 71.4 % of all tokens are unknown"]);
        check(&[(0, 4), (0, 0)], &["test: 2 of 2 texts", "test: 100.0 %"]);
        assert_eq!(known(&[(1, 4), (1, 3)]).training_warning("texts"), None);
        assert!(known(&[(0, 4), (1, 3)]).training_warning("texts").is_some());
    }
}
