//! Pretrained word vectors from GloVe, word2vec and fastText files.

use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use tch::Tensor;

use super::vector_builder::VectorBuilder;
use super::{Vocab, fasttext, vector_binary, vector_text};
use crate::input::{Input, input_error};
use crate::{Error, Result};

/// Number of bytes by which the format is recognized.
const START_BYTES: u64 = 1 << 16;

/// The word vectors of a vocabulary.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct WordVectors {
    /// Dimension of a vector.
    pub dim: usize,
    /// `[vocab.len(), dim]` in row-major order: row `i` is the vector of the word with id `i`; the row of padding is 0.
    pub values: Vec<f32>,
    /// Number of words with a vector in the file.
    pub n_found: usize,
    /// Number of words that are not in a fastText model and have a vector of their character n-grams.
    pub n_from_subwords: usize,
    /// Number of words without a vector, including the unknown word if applicable; they get random vectors.
    pub n_missing: usize,
    /// Number of further vectors in the file of words that already had one.
    pub n_repeated: usize,
}

impl WordVectors {
    /// Returns the vectors as f32 `[vocab.len(), dim]`.
    ///
    /// # Errors
    /// A libtorch operation fails, for example for lack of memory.
    pub fn to_tensor(&self) -> Result<Tensor> {
        Ok(Tensor::f_from_slice(&self.values)?.f_view([-1, self.dim as i64])?)
    }
}

/// Loads vectors for the words of `vocab` from a file, whose format is recognized by its content:
///
/// - text with a word and its values per line, separated by spaces or tabs: GloVe, or word2vec and fastText (`.vec`) with a
///   header line of two numbers;
/// - word2vec's binary format;
/// - fastText's models (`.bin`), in which the vector of a word is the mean of the vector of the word itself and those of its character
///   n-grams, and a word that is not in the model has the mean of its n-grams.
///
/// The file may be compressed by gzip or zstd. It is streamed; only the vectors of words of the vocabulary are stored and
/// validated. Words are compared case sensitively: a lowercase vocabulary does not match `Paris`. If a word occurs twice, its
/// first vector is used.
///
/// Words without a vector get a random one, uniform around 0 with the standard deviation of the loaded vectors (Kim, 2014,
/// section 3.2), which depends only on `seed` and the token id. `dim`, if given, is the required dimension of the vectors.
///
/// # Errors
/// The file cannot be read, is truncated or has another format; vectors have different dimensions or not the dimension `dim`; a
/// value is not a finite number; or no word of the vocabulary has a vector.
pub fn load_vectors(
    path: impl AsRef<Path>,
    vocab: &Vocab,
    dim: Option<usize>,
    seed: u64,
) -> Result<WordVectors> {
    let path = path.as_ref();
    read_vectors(Input::open(path)?, path, vocab, dim, seed)
}

/// Loads vectors as [`load_vectors`] does, from a reader of uncompressed bytes; errors show `path`.
///
/// # Errors
/// As [`load_vectors`].
pub fn read_vectors(
    reader: impl Read,
    path: &Path,
    vocab: &Vocab,
    dim: Option<usize>,
    seed: u64,
) -> Result<WordVectors> {
    let mut reader = BufReader::with_capacity(1 << 20, reader);
    let mut start = Vec::new();
    reader.by_ref().take(START_BYTES).read_to_end(&mut start).map_err(|error| input_error(path, error))?;
    if let Some(message) = other_format(&start) {
        return Err(Error::file(path, message));
    }
    let builder = VectorBuilder::new(path, vocab, dim);
    let reader = Cursor::new(&start).chain(reader);
    let builder = if start.starts_with(&fasttext::MAGIC) {
        fasttext::read(reader, builder)
    } else if vector_binary::is_binary(&start) {
        vector_binary::read(reader, builder)
    } else {
        vector_text::read(reader, builder)
    }?;
    builder.finish(seed)
}

/// Returns an error message for a file of another format that starts with these bytes.
fn other_format(start: &[u8]) -> Option<String> {
    let (format, help) = match start {
        [b'P', b'K', 3, 4, ..] => ("a zip archive", "extract it first"),
        [0x80, 2..=5, ..] => (
            "a Python pickle, which may run code",
            "write the vectors as text, one word and its values per line",
        ),
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => (
            "a NumPy array, which has no words",
            "write the vectors as text, one word and its values per line",
        ),
        [0x89, b'H', b'D', b'F', ..] => ("an HDF5 file", "write the vectors as text"),
        [b'<', b'!' | b'h' | b'H', ..] => ("an HTML page", "download the file itself"),
        _ if start.starts_with(b"version https://git-lfs") => ("a git-lfs pointer", "run `git lfs pull`"),
        _ => return None,
    };
    Some(format!("expected word vectors as text, word2vec or fastText file, got {format}; {help}"))
}
