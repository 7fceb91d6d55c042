//! Pretrained word vectors from word2vec and GloVe files.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use tch::Tensor;

use super::{PADDING, Vocab};
use crate::{Error, Result, Rng};

/// Maximum length of a word in a binary file, in bytes; a longer one means that the file has another format.
const MAX_WORD_BYTES: usize = 1 << 16;

/// Maximum dimension of a word vector, so that a corrupted header does not allocate all memory.
const MAX_DIM: usize = 1 << 12;

/// The word vectors of a vocabulary.
#[derive(Debug)]
pub struct WordVectors {
    /// f32 `[vocab.len(), dim]`: row `i` is the vector of the word with id `i`; the row of padding is 0.
    pub tensor: Tensor,
    /// Number of words with a vector in the file.
    pub n_found: usize,
    /// Number of words without a vector in the file, including the unknown word if applicable; they get random vectors.
    pub n_missing: usize,
}

/// Loads vectors for the words of `vocab` from a word2vec file (text, or binary if its name ends in `.bin`) or a GloVe
/// file (text without a header line).
///
/// The file is streamed; only the vectors of words of the vocabulary are stored and validated. Words are compared case
/// sensitively: a lowercase vocabulary does not match `Paris`. If a word occurs twice, its first vector is used.
///
/// Words without a vector get a random one, uniform around 0 with the standard deviation of the loaded vectors (Kim, 2014,
/// section 3.2), which depends only on `seed` and the token id. `dim`, if given, is the required dimension of the vectors.
///
/// # Errors
/// The file cannot be read or is truncated, vectors have different dimensions or not the dimension `dim`, a value is not a
/// finite number, or no word of the vocabulary has a vector.
pub fn load_vectors(
    path: impl AsRef<Path>,
    vocab: &Vocab,
    dim: Option<usize>,
    seed: u64,
) -> Result<WordVectors> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|source| Error::io(path, source))?;
    let reader = BufReader::with_capacity(1 << 20, file);
    let builder = VectorBuilder::new(path, vocab, dim);
    let builder = if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("bin")) {
        read_binary(reader, builder)?
    } else {
        read_text(reader, builder)?
    };
    builder.finish(seed)
}

/// The vectors read so far.
struct VectorBuilder<'a> {
    path: &'a Path,
    vocab: &'a Vocab,
    dim: Option<usize>,
    /// `[vocab.len(), dim]` in row-major order; empty until `dim` is known.
    values: Vec<f32>,
    has_vector: Vec<bool>,
}

impl<'a> VectorBuilder<'a> {
    fn new(path: &'a Path, vocab: &'a Vocab, dim: Option<usize>) -> Self {
        Self { path, vocab, dim, values: Vec::new(), has_vector: vec![false; vocab.len()] }
    }

    fn error(&self, line: usize, message: impl Into<String>) -> Error {
        Error::line(self.path, line, message)
    }

    /// Sets the dimension, or checks it against the one already set.
    fn set_dim(&mut self, line: usize, dim: usize) -> Result<usize> {
        match self.dim {
            Some(expected) if expected != dim => {
                Err(self.error(line, format!("expected vectors of {expected} values, got {dim}")))
            }
            _ if !(1..=MAX_DIM).contains(&dim) => {
                Err(self.error(line, format!("expected a word and 1 to {MAX_DIM} values, got {dim} values")))
            }
            _ => {
                self.dim = Some(dim);
                self.values.resize(self.vocab.len() * dim, 0.0);
                Ok(dim)
            }
        }
    }

    /// Returns the row of a word that has no vector yet.
    fn missing_row(&self, word: &[u8]) -> Option<usize> {
        let word = std::str::from_utf8(word).ok()?;
        let row = self.vocab.contains(word).then(|| self.vocab.id(word) as usize)?;
        (row != PADDING as usize && !self.has_vector[row]).then_some(row)
    }

    fn set(&mut self, row: usize, line: usize, vector: impl Iterator<Item = Result<f32>>) -> Result<()> {
        let dim = self.dim.unwrap_or(0);
        for column in self.values[row * dim..][..dim].iter_mut().zip(vector) {
            let value = column.1?;
            if !value.is_finite() {
                return Err(Error::line(self.path, line, format!("expected finite numbers, got `{value}`")));
            }
            *column.0 = value;
        }
        self.has_vector[row] = true;
        Ok(())
    }

    fn finish(mut self, seed: u64) -> Result<WordVectors> {
        let n_found = self.has_vector.iter().filter(|&&has| has).count();
        let Some(dim) = self.dim.filter(|_| n_found > 0) else {
            let message =
                "no word of the vocabulary has a vector in this file: do language, case and tokenizer match?";
            return Err(Error::file(self.path, message));
        };
        let rows = || self.values.chunks_exact(dim).zip(&self.has_vector).filter(|(_, has)| **has);
        let n = (n_found * dim) as f64;
        let sum =
            |f: &dyn Fn(f64) -> f64| rows().flat_map(|(row, _)| row).map(|&x| f(f64::from(x))).sum::<f64>();
        let mean = sum(&|x| x) / n;
        let std = (sum(&|x| (x - mean).powi(2)) / n).sqrt();

        let half_width = std * 3f64.sqrt(); // of the uniform distribution with this standard deviation
        let rows = self.values.chunks_exact_mut(dim).zip(&self.has_vector).enumerate();
        for (id, (row, _)) in rows.filter(|(id, (_, has))| *id != PADDING as usize && !**has) {
            let mut rng = Rng::from_parts(&[seed, id as u64]);
            row.fill_with(|| ((2.0 * rng.uniform() - 1.0) * half_width) as f32);
        }
        let size = [self.vocab.len() as i64, dim as i64];
        let tensor = Tensor::f_from_slice(&self.values)?.f_view(size)?;
        Ok(WordVectors { tensor, n_found, n_missing: self.vocab.len() - 1 - n_found })
    }
}

/// Reads one vector per line: the word and its values, separated by spaces or tabs. word2vec files start with a header line
/// of two numbers.
fn read_text<'a>(mut reader: impl BufRead, mut builder: VectorBuilder<'a>) -> Result<VectorBuilder<'a>> {
    let mut bytes = Vec::new();
    let (mut n_expected, mut n_vectors, mut dim) = (None, 0, None);
    for line in 1.. {
        bytes.clear();
        if reader.read_until(b'\n', &mut bytes).map_err(|source| Error::io(builder.path, source))? == 0 {
            break;
        }
        let text = bytes.trim_ascii_end();
        let n_fields = text.split(is_blank).filter(|field| !field.is_empty()).count();
        if line == 1
            && n_fields == 2
            && let Some((n, header_dim)) = header(text)
        {
            n_expected = Some(n);
            dim = Some(builder.set_dim(line, header_dim)?);
            continue;
        }
        if n_fields == 0 {
            return Err(builder.error(line, "expected a word and its values, got an empty line"));
        }
        let dim = match dim {
            Some(dim) => dim,
            None => *dim.insert(builder.set_dim(line, n_fields - 1)?),
        };
        let (word, values) = split_word(text, dim, n_fields).ok_or_else(|| {
            builder.error(line, format!("expected a word and {dim} values, got {} values", n_fields - 1))
        })?;
        n_vectors += 1;
        if let Some(row) = builder.missing_row(word) {
            let path = builder.path;
            let values = values.split(is_blank).filter(|field| !field.is_empty()).map(|field| {
                parse_number(field).ok_or_else(|| {
                    Error::line(
                        path,
                        line,
                        format!("expected a number, got `{}`", String::from_utf8_lossy(field)),
                    )
                })
            });
            builder.set(row, line, values)?;
        }
    }
    match n_expected {
        Some(expected) if n_vectors < expected => Err(Error::file(
            builder.path,
            format!("expected {expected} vectors, got {n_vectors}: the file is truncated"),
        )),
        _ if n_vectors == 0 => {
            Err(Error::file(builder.path, "expected a word and its values per line, got an empty file"))
        }
        _ => Ok(builder),
    }
}

/// Reads a header line `n dim`, then for each vector the word, a space, and its values as little-endian f32.
fn read_binary<'a>(mut reader: impl BufRead, mut builder: VectorBuilder<'a>) -> Result<VectorBuilder<'a>> {
    let path = builder.path;
    let io = |source| Error::io(path, source);
    let mut bytes = Vec::new();
    reader.by_ref().take(64).read_until(b'\n', &mut bytes).map_err(io)?;
    let (n, dim) = header(bytes.trim_ascii_end()).ok_or_else(|| {
        Error::file(path, "expected a header line with the number of vectors and their dimension")
    })?;
    let dim = builder.set_dim(1, dim)?;
    let mut values = vec![0; dim * 4];
    for vector in 1..=n {
        bytes.clear();
        reader.by_ref().take(MAX_WORD_BYTES as u64).read_until(b' ', &mut bytes).map_err(io)?;
        let truncated =
            || Error::file(path, format!("expected {n} vectors, got {}: the file is truncated", vector - 1));
        if bytes.pop() != Some(b' ') {
            return Err(match bytes.len() < MAX_WORD_BYTES - 1 {
                true => truncated(),
                false => builder
                    .error(vector, format!("expected a word, got {MAX_WORD_BYTES} bytes without a space")),
            });
        }
        reader.read_exact(&mut values).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => truncated(),
            _ => io(error),
        })?;
        // Some writers end each vector with a line feed, which then precedes the next word.
        if let Some(row) = builder.missing_row(bytes.trim_ascii_start()) {
            let values = values.as_chunks::<4>().0.iter().map(|&bytes| Ok(f32::from_le_bytes(bytes)));
            builder.set(row, vector, values)?;
        }
    }
    Ok(builder)
}

/// Parses the two numbers of a header line.
fn header(line: &[u8]) -> Option<(usize, usize)> {
    let (n, dim) = std::str::from_utf8(line).ok()?.split_once([' ', '\t'])?;
    Some((n.trim().parse().ok()?, dim.trim().parse().ok()?))
}

/// Splits a line into the word and its `dim` values. Words in some published files contain spaces, so all fields before the
/// last `dim` are the word, of which only the first may look like a number.
fn split_word(line: &[u8], dim: usize, n_fields: usize) -> Option<(&[u8], &[u8])> {
    if n_fields < dim + 1 {
        return None;
    }
    let mut end = line.len();
    for _ in 0..dim {
        end = line[..end].iter().rposition(|&byte| is_blank(&byte))?;
        end = line[..end].iter().rposition(|&byte| !is_blank(&byte))? + 1;
    }
    let (word, values) = line.split_at(end);
    let has_more_values = word.split(is_blank).skip(1).any(|field| parse_number(field).is_some());
    (!has_more_values).then_some((word, values))
}

fn parse_number(field: &[u8]) -> Option<f32> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}
