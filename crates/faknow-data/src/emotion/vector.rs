//! The emotion features of one text.

use std::collections::{BTreeMap, BTreeSet};

use super::EmotionLexicons;
use super::phrases::Phrases;
use super::style;
use crate::text::Tokenizer;

/// The lexicons, tokenized.
#[derive(Debug)]
pub(super) struct EmotionVector {
    /// Names of the emotion categories, sorted.
    categories: Vec<String>,
    emotion_words: Phrases<BTreeMap<String, f64>>,
    sentiment: Phrases<f64>,
    negations: Phrases<usize>,
    degrees: Phrases<(f64, usize)>,
    emoticon_categories: Vec<String>,
    /// Longest first.
    emoticons: Vec<(String, usize)>,
    pronoun_categories: Vec<String>,
    pronouns: Phrases<String>,
}

impl EmotionVector {
    pub(super) fn new(lexicons: &EmotionLexicons, tokenizer: &Tokenizer) -> Self {
        let sorted = |names: &mut dyn Iterator<Item = &String>| -> Vec<String> {
            names.collect::<BTreeSet<_>>().into_iter().cloned().collect()
        };
        let emoticon_categories = sorted(&mut lexicons.emoticons.values());
        let mut emoticons: Vec<(String, usize)> = lexicons
            .emoticons
            .iter()
            .filter_map(|(it, category)| Some((it.clone(), position(&emoticon_categories, category)?)))
            .collect();
        emoticons.sort_by_key(|(emoticon, _)| std::cmp::Reverse(emoticon.len()));
        Self {
            categories: sorted(&mut lexicons.categories.values().flat_map(BTreeMap::keys)),
            emotion_words: Phrases::new(&lexicons.categories, tokenizer),
            sentiment: Phrases::new(&lexicons.sentiment, tokenizer),
            negations: Phrases::new(&lexicons.negations, tokenizer),
            degrees: Phrases::new(&lexicons.degrees, tokenizer),
            emoticon_categories,
            emoticons,
            pronoun_categories: sorted(&mut lexicons.pronouns.values()),
            pronouns: Phrases::new(&lexicons.pronouns, tokenizer),
        }
    }

    /// Returns the names of the features, in order.
    pub(super) fn names(&self) -> Vec<String> {
        let of = |kind: &str, names: &[String]| -> Vec<String> {
            names.iter().map(|name| format!("{kind} {name}")).collect()
        };
        let fixed = ["sentiment", "positive words", "negative words", "negations", "degree adverbs"];
        [
            of("emotion", &self.categories),
            fixed.map(str::to_owned).to_vec(),
            of("emoticons", &self.emoticon_categories),
            of("pronouns", &self.pronoun_categories),
            style::NAMES.map(str::to_owned).to_vec(),
        ]
        .concat()
    }

    /// Returns the features of a text, as many as there are names; 0 for a text without tokens, except for those of characters.
    ///
    /// Intensities and scores are sums over the words, each multiplied by the factors of the degree adverbs and by -1 for each
    /// negation in whose scope it is; sums and counts are divided by the number of tokens.
    pub(super) fn features(&self, text: &str, tokenizer: &Tokenizer) -> Vec<f64> {
        let tokens = tokenizer.tokens(text);
        let n_tokens = tokens.len().max(1) as f64;
        let (negations, degrees) = (self.negations.find(&tokens), self.degrees.find(&tokens));
        let mut factors = vec![1.0; tokens.len()];
        let negated = negations.iter().map(|&(start, n, &scope)| (start + n, scope, -1.0));
        let strengthened = degrees.iter().map(|&(start, n, &(factor, scope))| (start + n, scope, factor));
        for (start, scope, factor) in negated.chain(strengthened) {
            factors.iter_mut().skip(start).take(scope).for_each(|it| *it *= factor);
        }
        let mut emotions = vec![0.0; self.categories.len()];
        for (start, _, intensities) in self.emotion_words.find(&tokens) {
            for (category, intensity) in intensities {
                if let Some(index) = position(&self.categories, category) {
                    emotions[index] += factors[start] * intensity;
                }
            }
        }
        let (mut sentiment, mut positive, mut negative) = (0.0, 0.0, 0.0);
        for (start, _, score) in self.sentiment.find(&tokens) {
            let score = factors[start] * score;
            sentiment += score;
            positive += f64::from(score > 0.0);
            negative += f64::from(score < 0.0);
        }
        let mut pronouns = vec![0.0; self.pronoun_categories.len()];
        for (_, _, category) in self.pronouns.find(&tokens) {
            if let Some(index) = position(&self.pronoun_categories, category) {
                pronouns[index] += 1.0;
            }
        }
        let counts = [sentiment, positive, negative, negations.len() as f64, degrees.len() as f64];
        let of_tokens = [emotions, counts.to_vec(), self.count_emoticons(text), pronouns].concat();
        of_tokens.into_iter().map(|value| value / n_tokens).chain(style::features(text)).collect()
    }

    /// Returns the number of emoticons per category; the longest is counted where several start.
    fn count_emoticons(&self, text: &str) -> Vec<f64> {
        let mut counts = vec![0.0; self.emoticon_categories.len()];
        if counts.is_empty() {
            return counts;
        }
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let found = self.emoticons.iter().find(|(emoticon, _)| rest.starts_with(emoticon.as_str()));
            let n_bytes = found.map_or(c.len_utf8(), |(emoticon, category)| {
                counts[*category] += 1.0;
                emoticon.len()
            });
            rest = &rest[n_bytes..];
        }
        counts
    }
}

fn position(sorted: &[String], name: &str) -> Option<usize> {
    sorted.binary_search_by(|other| other.as_str().cmp(name)).ok()
}
