//! Vocabularies: the mapping from words to token ids.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Interner, Tokenizer};
use crate::common::write_atomically;
use crate::fingerprint::Fingerprint;
use crate::{Error, Result};

/// Token id of the padding after the end of a text, the word `<pad>`.
pub const PADDING: u32 = 0;
/// Token id of every word that is not in the vocabulary, the word `<unk>`.
pub const UNKNOWN: u32 = 1;

/// The words of [`PADDING`] and [`UNKNOWN`].
const SPECIAL: [&str; 2] = ["<pad>", "<unk>"];

/// A mapping from words to token ids: 0 is padding, 1 is any word outside the vocabulary, followed by the words in descending
/// order of their counts, and of their UTF-8 bytes for equal counts.
///
/// ```
/// use faknow_data::text::{VocabBuilder, VocabOptions};
///
/// let mut builder = VocabBuilder::new();
/// for word in "to be or not to be".split(' ') {
///     builder.add(word);
/// }
/// let vocab = builder.build(&VocabOptions::default())?;
/// assert_eq!(vocab.words().collect::<Vec<_>>(), ["<pad>", "<unk>", "be", "to", "not", "or"]);
/// assert_eq!((vocab.id("be"), vocab.id("question")), (2, 1));
/// # Ok::<(), faknow_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Vocab {
    words: Interner,
}

impl Vocab {
    /// Returns the id of `word`, or [`UNKNOWN`] if it is not in the vocabulary.
    pub fn id(&self, word: &str) -> u32 {
        self.words.get(word).unwrap_or(UNKNOWN)
    }

    /// Returns the word with this id, if it exists.
    pub fn word(&self, id: u32) -> Option<&str> {
        self.words.word(id)
    }

    /// Returns whether `word` is in the vocabulary.
    pub fn contains(&self, word: &str) -> bool {
        self.words.get(word).is_some()
    }

    /// Returns the number of ids, including the two special ones.
    #[expect(clippy::len_without_is_empty, reason = "it always contains the two special words")]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Returns all words in the order of their ids, including the two special ones.
    pub fn words(&self) -> impl ExactSizeIterator<Item = &str> {
        self.words.iter()
    }

    /// Returns the ids of the tokens of `text`.
    pub fn encode(&self, tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        tokenizer.tokenize(text, &mut |token| ids.push(self.id(token)));
        ids
    }

    /// Returns a hash of the words and their order, identical on every machine.
    pub fn fingerprint(&self) -> u64 {
        let mut fingerprint = Fingerprint::new();
        self.words().for_each(|word| fingerprint.add_str(word));
        fingerprint.finish()
    }

    /// Writes the vocabulary as UTF-8 text with one word per line; the word with id `i` is on line `i + 1`.
    ///
    /// # Errors
    /// [`Error::Io`]: the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        write_atomically(path, |file| self.words().try_for_each(|word| writeln!(file, "{word}")))
            .map_err(|source| Error::io(path, source))
    }

    /// Loads a vocabulary written by [`save`](Self::save).
    ///
    /// # Errors
    /// The file cannot be read or is not UTF-8, its first lines are not `<pad>` and `<unk>`, or a word is empty, contains
    /// whitespace, or occurs twice.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|source| Error::io(path, source))?;
        let mut words = Interner::default();
        for (index, line) in BufReader::new(file).split(b'\n').enumerate() {
            let error = |message: String| Error::line(path, index + 1, message);
            let line = line.map_err(|source| Error::io(path, source))?;
            let word = std::str::from_utf8(&line).map_err(|_| error("expected UTF-8 text".to_owned()))?;
            let word = word.strip_suffix('\r').unwrap_or(word); // editors and version control may change line terminators
            if let Some(special) = SPECIAL.get(index)
                && word != *special
            {
                return Err(error(format!(
                    "expected `{special}`, got `{word}`: the file is not a vocabulary"
                )));
            }
            if word.is_empty() || word.contains(char::is_whitespace) {
                return Err(error(format!("expected a word without whitespace, got `{word}`")));
            }
            let id = words.intern(word);
            if (id as usize) < index {
                return Err(error(format!("duplicate word `{word}`, first on line {}", id + 1)));
            }
        }
        if words.len() < SPECIAL.len() {
            let expected = format!(
                "expected the lines `{}` and `{}` at the start, got a shorter file",
                SPECIAL[0], SPECIAL[1]
            );
            return Err(Error::file(path, expected));
        }
        Ok(Self { words })
    }
}

/// Options for the selection of the words of a vocabulary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VocabOptions {
    /// Minimum count of a word; default 1 (every word). Rarer words are unknown words, so that the vector of unknown words is
    /// trained.
    pub min_count: u64,
    /// Maximum number of ids, including the two special ones, at least 3; the most frequent words are selected. Default: no
    /// limit.
    pub max_size: Option<usize>,
}

impl Default for VocabOptions {
    fn default() -> Self {
        Self { min_count: 1, max_size: None }
    }
}

/// A counter of words that builds a [`Vocab`]; the order in which words or counts are added does not matter.
#[derive(Clone, Debug, Default)]
pub struct VocabBuilder {
    words: Interner,
    counts: Vec<u64>,
}

impl VocabBuilder {
    /// Creates an empty builder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Increments the count of `word`.
    pub fn add(&mut self, word: &str) {
        self.count(word, 1);
    }

    /// Counts all tokens of `text`.
    pub fn add_text(&mut self, tokenizer: &Tokenizer, text: &str) {
        tokenizer.tokenize(text, &mut |token| self.add(token));
    }

    /// Adds the counts of `other`, for example of another thread.
    pub fn merge(&mut self, other: &Self) {
        self.merge_numbered(other);
    }

    /// Returns the number of distinct words counted.
    pub fn n_words(&self) -> usize {
        self.words.len()
    }

    /// Builds the vocabulary.
    ///
    /// # Errors
    /// No word is selected, a word is empty or contains whitespace, or `max_size` is below 3.
    pub fn build(&self, options: &VocabOptions) -> Result<Vocab> {
        Ok(self.build_numbered(options)?.0)
    }

    /// Increases the count of `word` by `n`; returns its index in this builder, by first occurrence.
    #[inline]
    pub(crate) fn count(&mut self, word: &str, n: u64) -> u32 {
        let number = self.words.intern(word);
        if number as usize == self.counts.len() {
            self.counts.push(0);
        }
        self.counts[number as usize] += n;
        number
    }

    /// Adds the counts of `other`; returns the index in this builder of each of its words.
    pub(crate) fn merge_numbered(&mut self, other: &Self) -> Vec<u32> {
        other.words.iter().zip(&other.counts).map(|(word, &count)| self.count(word, count)).collect()
    }

    /// Builds the vocabulary; also returns the id of each index in this builder.
    pub(crate) fn build_numbered(&self, options: &VocabOptions) -> Result<(Vocab, Vec<u32>)> {
        let max_size = options.max_size.unwrap_or(usize::MAX);
        if max_size <= SPECIAL.len() {
            let expected = "at least 3 (two ids are special)".to_owned();
            return Err(Error::Setting { name: "vocab.max_size", expected, got: max_size.to_string() });
        }
        let words: Vec<&str> = self.words.iter().collect();
        if let Some(word) = words.iter().find(|word| word.is_empty() || word.contains(char::is_whitespace)) {
            return Err(Error::Dataset(format!(
                "expected words that are not empty and contain no whitespace, got {word:?}"
            )));
        }
        let mut retained: Vec<u32> = (0..words.len() as u32)
            .filter(|&n| {
                self.counts[n as usize] >= options.min_count && !SPECIAL.contains(&words[n as usize])
            })
            .collect();
        // Words are distinct, so this is a total order that does not depend on the order of counting.
        retained
            .par_sort_unstable_by_key(|&n| (std::cmp::Reverse(self.counts[n as usize]), words[n as usize]));
        retained.truncate(max_size - SPECIAL.len());
        if retained.is_empty() {
            let reason = match words.len() {
                0 => "the texts contain no words".to_owned(),
                n => format!("none of {n} distinct words occurs at least {} times", options.min_count),
            };
            return Err(Error::Dataset(format!("the vocabulary is empty: {reason}")));
        }

        let mut vocab = Interner::default();
        let mut ids = vec![UNKNOWN; words.len()];
        for special in SPECIAL {
            let id = vocab.intern(special);
            if let Some(number) = self.words.get(special) {
                ids[number as usize] = id;
            }
        }
        for number in retained {
            ids[number as usize] = vocab.intern(words[number as usize]);
        }
        Ok((Vocab { words: vocab }, ids))
    }
}
