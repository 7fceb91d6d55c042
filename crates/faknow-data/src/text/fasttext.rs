//! fastText's models (`.bin`), with vectors of words and of character n-grams.
//!
//! Bojanowski, Grave, Joulin and Mikolov, *Enriching Word Vectors with Subword Information*, TACL 2017. The format is that of
//! fastText 0.9: settings, dictionary, input matrix (a row per word, then a row per bucket of n-grams), output matrix.

use std::io::{self, BufRead, ErrorKind, Read as _};

use super::UNKNOWN;
use super::vector_builder::{VectorBuilder, finite};
use crate::bounds::{MAX_NGRAM_CHARACTERS, MAX_VECTOR_DIM, MAX_VECTOR_WORD_BYTES};
use crate::input::input_error;
use crate::{Error, Result};

/// The first bytes of a model.
pub(super) const MAGIC: [u8; 4] = 793_712_314_i32.to_le_bytes();

/// The newest version of the format.
const MAX_VERSION: i32 = 12;
/// The kind of supervised models, which had no n-grams of characters in version 11.
const SUPERVISED: i32 = 3;
/// The word for the end of a sentence, which has no n-grams.
const END_OF_SENTENCE: &str = "</s>";

/// A row of the input matrix, and the row of the vocabulary to whose mean it belongs.
type Part = (u64, u32);

/// Reads the vectors of the words of the vocabulary: means of the vectors of a word and of its n-grams.
pub(super) fn read<'a>(reader: impl BufRead, mut builder: VectorBuilder<'a>) -> Result<VectorBuilder<'a>> {
    let mut file = ModelFile { reader, builder: &mut builder };
    let settings = file.settings()?;
    let (n_words, words) = file.words()?;
    if file.byte("quantization")? != 0 {
        return Err(file.error("expected an unquantized fastText model (.bin), got a quantized one (.ftz)"));
    }
    let (n_rows, n_columns) = (file.long("number of vectors")?, file.long("dimension")?);
    let n_expected = n_words + if settings.max_n > 0 { settings.n_buckets } else { 0 };
    if n_rows < n_expected as i64 || n_columns != settings.dim as i64 {
        let dim = settings.dim;
        return Err(file.error(format!(
            "expected at least {n_expected} vectors of {dim} values, got {n_rows} of {n_columns}: the model is corrupted"
        )));
    }
    let (parts, counts) = parts(file.builder, &settings, n_words, &words);
    file.means(&parts, &counts, settings.dim)?;
    Ok(builder)
}

/// The settings of a model that determine its vectors.
struct Settings {
    dim: usize,
    n_buckets: u64,
    /// Minimum and maximum number of characters of an n-gram; a maximum of 0 means no n-grams.
    min_n: usize,
    max_n: usize,
}

/// A reader of a model.
struct ModelFile<'b, 'a, R> {
    reader: R,
    builder: &'b mut VectorBuilder<'a>,
}

impl<R: BufRead> ModelFile<'_, '_, R> {
    fn settings(&mut self) -> Result<Settings> {
        self.bytes::<4>("magic number")?;
        let version = self.int("version")?;
        if !(11..=MAX_VERSION).contains(&version) {
            return Err(self
                .error(format!("expected version 11 or {MAX_VERSION} of fastText's format, got {version}")));
        }
        let dim = self.int("dimension")?;
        for name in ["window", "epochs", "minimum count", "negative samples", "word n-grams", "loss"] {
            self.int(name)?;
        }
        let (kind, n_buckets) = (self.int("kind of model")?, self.int("number of buckets")?);
        let (min_n, mut max_n) = (self.int("minimum of n-grams")?, self.int("maximum of n-grams")?);
        self.int("learning rate updates")?;
        self.bytes::<8>("sampling threshold")?;
        if version == 11 && kind == SUPERVISED {
            max_n = 0;
        }
        let n_buckets = u64::try_from(n_buckets).unwrap_or_default();
        let are_valid =
            (0..=MAX_NGRAM_CHARACTERS).contains(&max_n) && (max_n == 0 || (min_n >= 0 && n_buckets > 0));
        if !are_valid {
            return Err(self.error(format!(
                "expected n-grams of up to {MAX_NGRAM_CHARACTERS} characters in buckets, got {min_n} to {max_n} in {n_buckets} \
                 buckets: the model is corrupted"
            )));
        }
        if !(1..=MAX_VECTOR_DIM as i32).contains(&dim) {
            return Err(self.error(format!(
                "expected a fastText model with vectors of 1 to {MAX_VECTOR_DIM} values, got {dim} values: the model is corrupted"
            )));
        }
        let dim = self.builder.set_dim(1, usize::try_from(dim).unwrap_or_default())?;
        Ok(Settings { dim, n_buckets, min_n: min_n.max(0) as usize, max_n: max_n as usize })
    }

    /// Reads the dictionary; returns its number of words, and the index of the word of each row of the vocabulary.
    fn words(&mut self) -> Result<(u64, Vec<Option<u64>>)> {
        let (size, n_words, n_labels) =
            (self.int("number of entries")?, self.int("number of words")?, self.int("number of labels")?);
        self.long("number of tokens")?;
        let n_pruned = self.long("number of pruned n-grams")?;
        if n_words < 0 || n_labels < 0 || n_words.checked_add(n_labels) != Some(size) {
            let got =
                format!("got {size} entries, {n_words} words, {n_labels} labels: the model is corrupted");
            return Err(
                self.error(format!("expected the number of words and labels to be that of entries, {got}"))
            );
        }
        if n_pruned > 0 {
            return Err(self.error("expected a complete fastText model (.bin), got a pruned one (.ftz)"));
        }
        let mut words = vec![None; self.builder.vocab().len()];
        let mut word = Vec::new();
        for index in 0..size as u64 {
            word.clear();
            let mut limited = self.reader.by_ref().take(MAX_VECTOR_WORD_BYTES as u64);
            limited.read_until(0, &mut word).map_err(|e| input_error(self.builder.path(), e))?;
            if word.pop() != Some(0) {
                return Err(self.error(format!(
                    "entry {} of the dictionary: expected a word: the file is truncated",
                    index + 1
                )));
            }
            self.bytes::<9>("count and kind of a word")?;
            if index < n_words as u64
                && let Some(row) = self.builder.missing_row(&word)
            {
                words[row].get_or_insert(index);
            }
        }
        Ok((n_words as u64, words))
    }

    /// Reads the input matrix and adds up the means.
    fn means(&mut self, parts: &[Part], counts: &[u32], dim: usize) -> Result<()> {
        let mut bytes = vec![0; 4 * dim];
        let mut vector = vec![0.0; dim];
        let mut next_row = 0;
        for of_row in parts.chunk_by(|a, b| a.0 == b.0) {
            let row = of_row.first().map_or(0, |part| part.0);
            self.skip((row - next_row).saturating_mul(bytes.len() as u64))?;
            self.fill(&mut bytes, "vectors")?;
            next_row = row + 1;
            for (value, bytes) in vector.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *value = finite(self.builder.path(), row as usize + 1, f32::from_le_bytes(*bytes))?;
            }
            for &(_, target) in of_row {
                let target = target as usize;
                self.builder.add(target, &vector, 1.0 / counts[target] as f32);
            }
        }
        Ok(())
    }

    fn error(&self, message: impl Into<String>) -> Error {
        self.builder.file_error(message)
    }

    fn fill(&mut self, bytes: &mut [u8], name: &str) -> Result<()> {
        self.reader.read_exact(bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => self
                .error(format!("expected a fastText model, got an end in its {name}: the file is truncated")),
            _ => input_error(self.builder.path(), error),
        })
    }

    fn bytes<const N: usize>(&mut self, name: &str) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, name)?;
        Ok(bytes)
    }

    fn byte(&mut self, name: &str) -> Result<u8> {
        Ok(self.bytes::<1>(name)?[0])
    }

    fn int(&mut self, name: &str) -> Result<i32> {
        self.bytes(name).map(i32::from_le_bytes)
    }

    fn long(&mut self, name: &str) -> Result<i64> {
        self.bytes(name).map(i64::from_le_bytes)
    }

    fn skip(&mut self, n_bytes: u64) -> Result<()> {
        let mut rest = self.reader.by_ref().take(n_bytes);
        let n_skipped =
            io::copy(&mut rest, &mut io::sink()).map_err(|e| input_error(self.builder.path(), e))?;
        match n_skipped == n_bytes {
            true => Ok(()),
            false => {
                Err(self.error("expected a fastText model, got an end in its vectors: the file is truncated"))
            }
        }
    }
}

/// Returns the rows of the input matrix of each word of the vocabulary, ascending, and their number per word.
fn parts(
    builder: &mut VectorBuilder<'_>,
    settings: &Settings,
    n_words: u64,
    words: &[Option<u64>],
) -> (Vec<Part>, Vec<u32>) {
    let mut parts: Vec<Part> = Vec::new();
    let mut counts = vec![0; words.len()];
    let mut delimited = String::new();
    let n_special = UNKNOWN as usize;
    for (row, word) in builder.vocab().words().enumerate().skip(n_special) {
        let start = parts.len();
        parts.extend(words[row].map(|index| (index, row as u32)));
        if row > n_special && word != END_OF_SENTENCE {
            delimited.clear();
            delimited.extend(["<", word, ">"]);
            for_each_ngram(&delimited, settings.min_n, settings.max_n, &mut |ngram| {
                let bucket = u64::from(hash(ngram)) % settings.n_buckets;
                parts.push((n_words + bucket, row as u32));
            });
        }
        counts[row] = (parts.len() - start) as u32;
        if counts[row] > 0 {
            builder.set_found(row, words[row].is_some());
        }
    }
    parts.sort_unstable();
    (parts, counts)
}

/// Calls `f` with each n-gram of `min` to `max` characters of a word with delimiters, without the delimiters alone.
fn for_each_ngram<'a>(word: &'a str, min: usize, max: usize, f: &mut dyn FnMut(&'a str)) {
    for (start, _) in word.char_indices() {
        let ends = word[start..].char_indices().map(|(offset, c)| start + offset + c.len_utf8());
        for (n, end) in (1..=max).zip(ends) {
            let is_delimiter = n == 1 && (start == 0 || end == word.len());
            if n >= min && !is_delimiter {
                f(&word[start..end]);
            }
        }
    }
}

/// Returns the hash of an n-gram: FNV-1a with sign-extended bytes.
fn hash(ngram: &str) -> u32 {
    ngram.bytes().fold(2_166_136_261, |hash: u32, byte| {
        let extended = i32::from(byte.cast_signed()).cast_unsigned();
        (hash ^ extended).wrapping_mul(16_777_619)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ngrams_and_hashes_are_those_of_fasttext() {
        let ngrams = |word: &str, min, max| {
            let mut ngrams = Vec::new();
            let word = format!("<{word}>");
            for_each_ngram(&word, min, max, &mut |ngram| ngrams.push(ngram.to_owned()));
            ngrams
        };
        assert_eq!(ngrams("where", 3, 3), ["<wh", "whe", "her", "ere", "re>"]);
        assert_eq!(ngrams("né", 1, 2), ["<n", "n", "né", "é", "é>"]);
        assert!(ngrams("a", 4, 6).is_empty() && ngrams("word", 0, 0).is_empty());
        // By hand: FNV-1a of ASCII, and with sign extension of the bytes of é (0xc3, 0xa9).
        assert_eq!(hash(""), 2_166_136_261);
        assert_eq!(hash("a"), 0xe40c_292c);
        let step = |hash: u32, byte: u32| (hash ^ byte).wrapping_mul(16_777_619);
        assert_eq!(hash("é"), step(step(2_166_136_261, 0xffff_ffc3), 0xffff_ffa9));
    }
}
