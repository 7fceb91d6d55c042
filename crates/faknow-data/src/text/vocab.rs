//! The vocabulary: which word has which number.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Interner, Tokenizer};
use crate::fingerprint::Fingerprint;
use crate::{Error, Result};

/// Number of the padding after the end of a text, the word `<pad>`.
pub const PADDING: u32 = 0;
/// Number of every word that is not in the vocabulary, the word `<unk>`.
pub const UNKNOWN: u32 = 1;

/// The words of [`PADDING`] and [`UNKNOWN`].
const SPECIAL: [&str; 2] = ["<pad>", "<unk>"];

/// Ids of words: 0 is padding, 1 stands for all words that are not in it, then come the words by falling
/// count, those of equal count in the order of their UTF-8 bytes.
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
    /// Returns the id of `word`, [`UNKNOWN`] if it has no id.
    pub fn id(&self, word: &str) -> u32 {
        self.words.get(word).unwrap_or(UNKNOWN)
    }

    /// Returns the word with the id `id`, if there is one.
    pub fn word(&self, id: u32) -> Option<&str> {
        self.words.word(id)
    }

    /// Returns whether `word` has an id.
    pub fn contains(&self, word: &str) -> bool {
        self.words.get(word).is_some()
    }

    /// Returns the number of ids, the two special ones included: one more than the largest.
    #[expect(clippy::len_without_is_empty, reason = "it always holds the two special words")]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Returns all words by their id, the two special ones included.
    pub fn words(&self) -> impl ExactSizeIterator<Item = &str> {
        self.words.iter()
    }

    /// Returns the ids of the tokens of `text`.
    pub fn encode(&self, tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        tokenizer.tokenize(text, &mut |token| ids.push(self.id(token)));
        ids
    }

    /// Returns a number that is another for other words or another order, the same on every machine.
    pub fn fingerprint(&self) -> u64 {
        let mut fingerprint = Fingerprint::new();
        self.words().for_each(|word| fingerprint.add_str(word));
        fingerprint.finish()
    }

    /// Writes it as UTF-8 text, one word a line: the line of number `n` is line `n + 1`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let write = || {
            let mut file = BufWriter::new(File::create(path)?);
            for word in self.words() {
                writeln!(file, "{word}")?;
            }
            file.flush()
        };
        write().map_err(|source| Error::io(path, source))
    }

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// If the file cannot be read or is no UTF-8, its first lines are not `<pad>` and `<unk>`, or a word is empty,
    /// holds white space, or comes twice.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|source| Error::io(path, source))?;
        let mut words = Interner::default();
        for (index, line) in BufReader::new(file).split(b'\n').enumerate() {
            let error = |message: String| Error::line(path, index + 1, message);
            let line = line.map_err(|source| Error::io(path, source))?;
            let word = std::str::from_utf8(&line).map_err(|_| error("expected UTF-8 text".to_owned()))?;
            let word = word.strip_suffix('\r').unwrap_or(word); // an editor's or a version control's line end
            if let Some(special) = SPECIAL.get(index)
                && word != *special
            {
                return Err(error(format!("expected `{special}`, got `{word}`: this is no vocabulary")));
            }
            if word.is_empty() || word.contains(char::is_whitespace) {
                return Err(error(format!("expected a word without white space, got `{word}`")));
            }
            let id = words.intern(word);
            if (id as usize) < index {
                return Err(error(format!("`{word}` is there already, in line {}", id + 1)));
            }
        }
        if words.len() < SPECIAL.len() {
            let expected = format!("expected the lines `{}` and `{}`, then words", SPECIAL[0], SPECIAL[1]);
            return Err(Error::file(path, expected));
        }
        Ok(Self { words })
    }
}

/// Which of the counted words a vocabulary takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VocabOptions {
    /// Least count of a word; default 1, which is every word. Rarer words count as unknown, so that the vector of
    /// unknown words is trained.
    pub min_count: u64,
    /// Largest number of ids, the two special ones included, at least 3; default none. The most frequent words
    /// stay.
    pub max_size: Option<usize>,
}

impl Default for VocabOptions {
    fn default() -> Self {
        Self { min_count: 1, max_size: None }
    }
}

/// Counts words for a [`Vocab`]; the order in which words or other counts are added does not matter.
#[derive(Clone, Debug, Default)]
pub struct VocabBuilder {
    words: Interner,
    counts: Vec<u64>,
}

impl VocabBuilder {
    /// Creates a builder that has counted nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts `word` once more.
    pub fn add(&mut self, word: &str) {
        self.count(word, 1);
    }

    /// Counts all tokens of `text`.
    pub fn add_text(&mut self, tokenizer: &Tokenizer, text: &str) {
        tokenizer.tokenize(text, &mut |token| self.add(token));
    }

    /// Adds what `other` counted, e.g. in another thread.
    pub fn merge(&mut self, other: &Self) {
        self.merge_numbered(other);
    }

    /// Returns the number of distinct words counted.
    pub fn n_words(&self) -> usize {
        self.words.len()
    }

    /// Makes the vocabulary.
    ///
    /// # Errors
    /// If no word remains, a word is empty or holds white space, or `max_size` is below 3.
    pub fn build(&self, options: &VocabOptions) -> Result<Vocab> {
        Ok(self.build_numbered(options)?.0)
    }

    /// Counts `word` `n` times more, and returns its number in this builder (by first appearance).
    #[inline]
    pub(crate) fn count(&mut self, word: &str, n: u64) -> u32 {
        let number = self.words.intern(word);
        if number as usize == self.counts.len() {
            self.counts.push(0);
        }
        self.counts[number as usize] += n;
        number
    }

    /// As [`merge`](Self::merge), and returns the number here of each word there.
    pub(crate) fn merge_numbered(&mut self, other: &Self) -> Vec<u32> {
        other.words.iter().zip(&other.counts).map(|(word, &count)| self.count(word, count)).collect()
    }

    /// As [`build`](Self::build), and returns the id of each number in this builder.
    pub(crate) fn build_numbered(&self, options: &VocabOptions) -> Result<(Vocab, Vec<u32>)> {
        let max_size = options.max_size.unwrap_or(usize::MAX);
        if max_size <= SPECIAL.len() {
            let expected = "at least 3 (two ids are special)".to_owned();
            return Err(Error::Setting { name: "vocab.max_size", expected, got: max_size.to_string() });
        }
        let words: Vec<&str> = self.words.iter().collect();
        if let Some(word) = words.iter().find(|word| word.is_empty() || word.contains(char::is_whitespace)) {
            return Err(Error::Dataset(format!(
                "a word must not be empty or hold white space, got {word:?}"
            )));
        }
        let mut retained: Vec<u32> = (0..words.len() as u32)
            .filter(|&n| {
                self.counts[n as usize] >= options.min_count && !SPECIAL.contains(&words[n as usize])
            })
            .collect();
        // Words are distinct, so this is a total order, and the order of counting is forgotten.
        retained
            .par_sort_unstable_by_key(|&n| (std::cmp::Reverse(self.counts[n as usize]), words[n as usize]));
        retained.truncate(max_size - SPECIAL.len());
        if retained.is_empty() {
            let found = match words.len() {
                0 => "the texts hold no word".to_owned(),
                n => format!("none of {n} distinct words occurs {} times", options.min_count),
            };
            return Err(Error::Dataset(format!("the vocabulary is empty: {found}")));
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
