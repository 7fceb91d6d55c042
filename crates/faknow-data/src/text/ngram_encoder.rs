//! An encoder of texts as tf-idf weights of their n-grams.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use hashbrown::HashMap;
use rayon::prelude::*;

use super::{PADDING, UNKNOWN, Vocab};
use crate::common::write_atomically;
use crate::{Error, Result};

/// The token after each text in [`NGramEncoder::fit_tokens`].
pub(crate) const SEPARATOR: u32 = NONE;

/// The feature of an n-gram that is not a feature, and the token that separates texts.
const NONE: u32 = u32::MAX;

/// First field of the first line of a saved encoder.
const HEADER: &str = "texts";

/// Options for the n-grams of an [`NGramEncoder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NGramOptions {
    /// Maximum number of tokens of an n-gram, at least 1; default 2: single tokens and pairs.
    pub max_n: usize,
    /// Minimum number of training texts that contain an n-gram, at least 1; default 2.
    pub min_df: usize,
}

impl Default for NGramOptions {
    fn default() -> Self {
        Self { max_n: 2, min_df: 2 }
    }
}

/// An encoder of texts as tf-idf weights of the n-grams of their tokens.
///
/// An n-gram that occurs c times in a text has the weight (1 + ln c) · (1 + ln((1 + n) / (1 + d))), where d of the n training
/// texts contain it; then the weights of the text are divided by their L2 norm. This equals scikit-learn's `TfidfVectorizer`
/// with `sublinear_tf=True` for the same tokens. Unknown words are not part of any n-gram.
///
/// Features are numbered by descending number of texts, shorter n-grams first among equal ones.
///
/// ```
/// use faknow_data::text::{NGramEncoder, NGramOptions, Tokenizer, TokenizerConfig, VocabOptions};
/// use faknow_data::{Dataset, FieldDataset, Record};
///
/// let tokenizer = Tokenizer::new(TokenizerConfig::default())?;
/// let records = ["the moon is made of cheese", "rain on the moon"].map(|text| Ok(Record::new(text)));
/// let (data, vocab) = FieldDataset::build(records, &tokenizer, &VocabOptions::default())?;
/// let encoder = NGramEncoder::fit(&data, &NGramOptions::default())?;
/// assert_eq!(encoder.n_features(), 3);
/// assert_eq!(encoder.name(2, &vocab), "the moon");
/// let batch = data.with_ngrams(&encoder)?.batch(&[1])?;
/// assert_eq!(Vec::<i64>::try_from(&batch.ngrams()?.indices)?, [0, 1, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct NGramEncoder {
    /// Number of training texts.
    n_texts: usize,
    max_n: usize,
    ngrams: Vec<NGram>,
    /// The feature of each token id.
    unigrams: Vec<u32>,
    /// The feature of each longer n-gram, by the feature of its first tokens and its last token.
    longer: HashMap<u64, u32>,
    /// Inverse document frequency of each feature.
    idf: Vec<f64>,
}

/// A feature: an n-gram, as the n-gram of all its tokens but the last, and the last one.
#[derive(Debug, Clone, Copy)]
struct NGram {
    /// Feature of the first tokens; [`NONE`] for a single token.
    prefix: u32,
    token: u32,
    /// Number of training texts that contain it.
    n_texts: u32,
}

/// An occurrence of a feature in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NGramMatch {
    /// Position of the first token.
    pub start: usize,
    /// Number of tokens.
    pub n_tokens: usize,
    /// The feature.
    pub feature: u32,
}

impl NGramEncoder {
    /// Selects the n-grams of `n_texts` texts, whose `tokens` are each followed by [`SEPARATOR`].
    ///
    /// # Errors
    /// [`Error::Setting`]: an option is out of range; [`Error::Dataset`]: no n-gram is in enough texts.
    pub(crate) fn fit_tokens(tokens: &[u32], n_texts: usize, options: &NGramOptions) -> Result<Self> {
        let NGramOptions { max_n, min_df } = *options;
        for (name, value) in [("max_n", max_n), ("min_df", min_df)] {
            if value < 1 {
                return Err(Error::Setting {
                    name,
                    expected: "at least 1".to_owned(),
                    got: value.to_string(),
                });
            }
        }
        let mut ngrams = frequent_tokens(tokens, min_df);
        let mut unigrams = Vec::new();
        ngrams.iter().zip(0..).for_each(|(ngram, feature)| set(&mut unigrams, ngram.token, feature));
        // The feature of the n-gram that starts at each position, for the current length.
        let feature = |&token: &u32| unigrams.get(token as usize).copied().unwrap_or(NONE);
        let mut current: Vec<u32> = tokens.par_iter().map(feature).collect();
        let mut longer = HashMap::new();
        for n in 2..=max_n {
            let first = longer.len();
            for ngram in frequent_ngrams(tokens, &current, n, min_df) {
                longer.insert(key(ngram.prefix, ngram.token), ngrams.len() as u32);
                ngrams.push(ngram);
            }
            if longer.len() == first {
                break;
            }
            if n < max_n {
                let extend = |position: usize| {
                    let token = tokens.get(position + n - 1).copied().unwrap_or(NONE);
                    longer.get(&key(current[position], token)).copied().unwrap_or(NONE)
                };
                current = (0..tokens.len()).into_par_iter().map(extend).collect();
            }
        }
        if ngrams.is_empty() {
            return Err(Error::Dataset(format!(
                "n-grams: expected words in at least {min_df} of {n_texts} texts (`min_df`), got none"
            )));
        }
        Ok(Self::new(n_texts, max_n, by_frequency(&ngrams)))
    }

    /// Creates an encoder from its features, of which the prefix of each precedes it.
    fn new(n_texts: usize, max_n: usize, ngrams: Vec<NGram>) -> Self {
        let (mut unigrams, mut longer) = (Vec::new(), HashMap::with_capacity(ngrams.len()));
        for (&NGram { prefix, token, .. }, feature) in ngrams.iter().zip(0..) {
            if prefix == NONE {
                set(&mut unigrams, token, feature);
            } else {
                longer.insert(key(prefix, token), feature);
            }
        }
        let idf = |ngram: &NGram| ((1.0 + n_texts as f64) / (1.0 + f64::from(ngram.n_texts))).ln() + 1.0;
        let idf = ngrams.iter().map(idf).collect();
        Self { n_texts, max_n, ngrams, unigrams, longer, idf }
    }

    /// Returns the number of features.
    pub fn n_features(&self) -> usize {
        self.ngrams.len()
    }

    /// Returns the maximum number of tokens of an n-gram.
    pub fn max_n(&self) -> usize {
        self.max_n
    }

    /// Returns the inverse document frequency of each feature.
    pub fn idf(&self) -> &[f64] {
        &self.idf
    }

    /// Returns whether a token is a feature by itself.
    pub fn is_known(&self, token: u32) -> bool {
        self.unigram(token) != NONE
    }

    /// Returns the token ids of a feature; empty if there is no such feature.
    pub fn tokens(&self, feature: u32) -> Vec<u32> {
        let mut tokens = Vec::new();
        let mut next = feature;
        while let Some(ngram) = self.ngrams.get(next as usize) {
            tokens.push(ngram.token);
            next = ngram.prefix;
        }
        tokens.reverse();
        tokens
    }

    /// Returns the words of a feature, separated by spaces.
    pub fn name(&self, feature: u32, vocab: &Vocab) -> String {
        let words: Vec<&str> =
            self.tokens(feature).into_iter().map(|token| vocab.word(token).unwrap_or_default()).collect();
        words.join(" ")
    }

    /// Calls `f` for each occurrence of a feature in a text, by position of the first token, then by length.
    pub fn for_each(&self, tokens: &[u32], mut f: impl FnMut(NGramMatch)) {
        for start in 0..tokens.len() {
            let mut feature = self.unigram(tokens[start]);
            let mut n_tokens = 1;
            while feature != NONE {
                f(NGramMatch { start, n_tokens, feature });
                let next = tokens.get(start + n_tokens).filter(|_| n_tokens < self.max_n);
                feature =
                    next.and_then(|&token| self.longer.get(&key(feature, token))).copied().unwrap_or(NONE);
                n_tokens += 1;
            }
        }
    }

    /// Returns the features of a text in ascending order, with their weights.
    pub fn encode(&self, tokens: &[u32]) -> (Vec<u32>, Vec<f32>) {
        let (mut features, mut values) = (Vec::new(), Vec::new());
        self.encode_into(tokens, &mut features, &mut values);
        (features, values)
    }

    /// Appends the features of a text in ascending order, and their weights.
    pub(crate) fn encode_into(&self, tokens: &[u32], features: &mut Vec<u32>, values: &mut Vec<f32>) {
        let mut occurrences = Vec::with_capacity(self.max_n.min(4) * tokens.len());
        self.for_each(tokens, |ngram| occurrences.push(ngram.feature));
        occurrences.sort_unstable();
        let runs = || occurrences.chunk_by(|a, b| a == b);
        let weight = |run: &[u32]| (1.0 + (run.len() as f64).ln()) * self.idf[run[0] as usize];
        let norm = runs().map(|run| weight(run).powi(2)).sum::<f64>().sqrt();
        features.extend(runs().map(|run| run[0]));
        values.extend(runs().map(|run| (weight(run) / norm) as f32));
    }

    /// Writes the features as UTF-8 text: a line with the number of training texts, then one line per feature with the number of
    /// texts that contain it, a tab, and its words, separated by spaces.
    ///
    /// # Errors
    /// [`Error::Io`]: the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>, vocab: &Vocab) -> Result<()> {
        let path = path.as_ref();
        write_atomically(path, |file| {
            writeln!(file, "{HEADER}\t{}\t{}", self.n_texts, self.max_n)?;
            // Features are written after their prefixes, whose words are part of theirs.
            let mut names: Vec<String> = Vec::with_capacity(self.ngrams.len());
            for ngram in &self.ngrams {
                let word = vocab.word(ngram.token).unwrap_or_default();
                let name = match names.get(ngram.prefix as usize) {
                    Some(prefix) => format!("{prefix} {word}"),
                    None => word.to_owned(),
                };
                writeln!(file, "{}\t{name}", ngram.n_texts)?;
                names.push(name);
            }
            Ok(())
        })
        .map_err(|source| Error::io(path, source))
    }

    /// Loads an encoder written by [`save`](Self::save), with the vocabulary of its texts.
    ///
    /// # Errors
    /// The file cannot be read, a line does not have the expected form, or has a word that is not in the vocabulary, or an n-gram
    /// precedes its first words.
    pub fn load(path: impl AsRef<Path>, vocab: &Vocab) -> Result<Self> {
        let path = path.as_ref();
        let io = |source| Error::io(path, source);
        let mut lines = BufReader::new(File::open(path).map_err(io)?).lines();
        let header = lines.next().transpose().map_err(io)?.unwrap_or_default();
        let fields: Vec<&str> = header.split('\t').collect();
        let counts = match fields[..] {
            [HEADER, n_texts, max_n] => n_texts.parse().ok().zip(max_n.parse().ok()),
            _ => None,
        };
        let Some((n_texts, max_n)) = counts else {
            let message =
                format!("expected `{HEADER}`, their number and the length of n-grams, got `{header}`");
            return Err(Error::line(path, 1, message));
        };
        let (mut ngrams, mut by_name) = (Vec::new(), HashMap::<String, u32>::new());
        for (line, number) in lines.zip(2..) {
            let line = line.map_err(io)?;
            let error = || {
                let message = format!(
                    "expected a number of texts, a tab, and words of the vocabulary, after a line of the first of them, got \
                     `{line}`"
                );
                Error::line(path, number, message)
            };
            let (count, name) = line.split_once('\t').ok_or_else(error)?;
            let (prefix, word) = match name.rsplit_once(' ') {
                Some((prefix, word)) => (*by_name.get(prefix).ok_or_else(error)?, word),
                None => (NONE, name),
            };
            let token = vocab.id(word);
            if token == UNKNOWN {
                return Err(error());
            }
            ngrams.push(NGram { prefix, token, n_texts: count.parse().map_err(|_| error())? });
            by_name.insert(name.to_owned(), ngrams.len() as u32 - 1);
        }
        Ok(Self::new(n_texts, max_n, ngrams))
    }

    fn unigram(&self, token: u32) -> u32 {
        self.unigrams.get(token as usize).copied().unwrap_or(NONE)
    }
}

/// Returns the tokens in at least `min_df` texts, in the order of their ids.
fn frequent_tokens(tokens: &[u32], min_df: usize) -> Vec<NGram> {
    // Number of texts with each token, and the last of them, from 1.
    let mut counts: Vec<(u32, u32)> = Vec::new();
    let mut text = 1;
    for &token in tokens {
        if token == NONE {
            text += 1;
        } else {
            let index = token as usize;
            if index >= counts.len() {
                counts.resize(index + 1, (0, 0));
            }
            count_once(&mut counts[index], text);
        }
    }
    let ngrams = counts.into_iter().zip(0..);
    let ngrams = ngrams.map(|((n_texts, _), token)| NGram { prefix: NONE, token, n_texts });
    ngrams.filter(|it| it.n_texts as usize >= min_df && ![PADDING, UNKNOWN].contains(&it.token)).collect()
}

/// Returns the n-grams of `n` tokens in at least `min_df` texts; `shorter` has the feature of the n-gram of `n - 1` tokens at each
/// position.
fn frequent_ngrams(tokens: &[u32], shorter: &[u32], n: usize, min_df: usize) -> Vec<NGram> {
    // Each task counts some of the n-grams of all texts, so that there is nothing to merge.
    let n_tasks = rayon::current_num_threads() as u32;
    let count = |task: u32| {
        let mut counts: HashMap<u64, (u32, u32)> = HashMap::new();
        let mut text = 1;
        for (start, end) in (n - 1..tokens.len()).enumerate() {
            if tokens[start] == NONE {
                text += 1;
                continue;
            }
            let (prefix, token) = (shorter[start], tokens[end]);
            // An n-gram is not in more texts than its parts. The last part contains the separator if the n-gram does.
            let is_candidate = prefix != NONE && shorter[start + 1] != NONE;
            if is_candidate && prefix.wrapping_add(token) % n_tasks == task {
                count_once(counts.entry(key(prefix, token)).or_default(), text);
            }
        }
        let ngrams = counts.into_iter().filter(|(_, (n_texts, _))| *n_texts as usize >= min_df);
        let ngrams = ngrams.map(|(key, (n_texts, _))| NGram {
            prefix: (key >> 32) as u32,
            token: key as u32,
            n_texts,
        });
        ngrams.collect::<Vec<_>>()
    };
    let mut ngrams: Vec<NGram> = (0..n_tasks).into_par_iter().flat_map(count).collect();
    ngrams.par_sort_unstable_by_key(|ngram| (ngram.prefix, ngram.token));
    ngrams
}

/// Increments the number of texts unless the last one is `text`.
fn count_once((n_texts, last): &mut (u32, u32), text: u32) {
    if *last != text {
        (*n_texts, *last) = (*n_texts + 1, text);
    }
}

/// Sorts features by descending number of texts; those of equal number stay in their order.
fn by_frequency(ngrams: &[NGram]) -> Vec<NGram> {
    let mut order: Vec<u32> = (0..ngrams.len() as u32).collect();
    order.par_sort_by_key(|&old| std::cmp::Reverse(ngrams[old as usize].n_texts));
    let mut new = vec![NONE; ngrams.len()];
    order.iter().zip(0..).for_each(|(&old, feature)| new[old as usize] = feature);
    let renumbered = |&old: &u32| {
        let ngram = ngrams[old as usize];
        NGram { prefix: new.get(ngram.prefix as usize).copied().unwrap_or(NONE), ..ngram }
    };
    order.iter().map(renumbered).collect()
}

fn set(features: &mut Vec<u32>, token: u32, feature: u32) {
    let index = token as usize;
    features.resize(features.len().max(index + 1), NONE);
    features[index] = feature;
}

fn key(prefix: u32, token: u32) -> u64 {
    u64::from(prefix) << 32 | u64::from(token)
}
