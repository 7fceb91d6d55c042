//! Pretrained word vectors from files of word2vec and GloVe.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use tch::Tensor;

use super::{PADDING, Vocab};
use crate::{Error, Result, Rng};

/// Longest word that a binary file may hold, in bytes; more means that it is no such file.
const LONGEST_WORD: usize = 1 << 16;

/// Maximum number of values of a word vector: a broken header must not allocate all memory.
const LARGEST_DIM: usize = 1 << 12;

/// Vectors for the words of a vocabulary.
#[derive(Debug)]
pub struct WordVectors {
    /// f32 `[vocab.len(), dim]`: the row of a word's number is its vector, that of padding is 0.
    pub tensor: Tensor,
    /// Number of words that the file has a vector for.
    pub n_found: usize,
    /// Number of words that it has none for, the unknown word perhaps among them: they have random vectors.
    pub n_missing: usize,
}

/// Reads vectors for the words of `vocab` from a file of word2vec (text, or binary if its name ends in `.bin`) or
/// GloVe (text without a header line).
///
/// The file is read as a stream; only vectors of the vocabulary's words are kept, and only their numbers are
/// checked. Words are compared as they are: a vocabulary in lowercase finds no `Paris`. If a word comes twice,
/// its first vector counts.
///
/// Words without a vector get a random one, uniform around 0 and with the standard deviation of the vectors found
/// (Kim, 2014, section 3.2); each depends only on `seed` and the word's number. `dim`, where given, is the number of
/// values that vectors must have.
///
/// # Errors
/// If the file cannot be read, vectors differ in their number of values or have another one than `dim`, a value is
/// no finite number, the file ends before the number of vectors in its header, or no word of the vocabulary is in
/// it.
pub fn load_vectors(
    path: impl AsRef<Path>,
    vocab: &Vocab,
    dim: Option<usize>,
    seed: u64,
) -> Result<WordVectors> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|source| Error::io(path, source))?;
    let reader = BufReader::with_capacity(1 << 20, file);
    let found = Found::new(path, vocab, dim);
    let found = if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("bin")) {
        read_binary(reader, found)?
    } else {
        read_text(reader, found)?
    };
    found.finish(seed)
}

/// Vectors read so far.
struct Found<'a> {
    path: &'a Path,
    vocab: &'a Vocab,
    dim: Option<usize>,
    /// `[vocab.len(), dim]`, row by row; empty until `dim` is known.
    values: Vec<f32>,
    has_vector: Vec<bool>,
}

impl<'a> Found<'a> {
    fn new(path: &'a Path, vocab: &'a Vocab, dim: Option<usize>) -> Self {
        Self { path, vocab, dim, values: Vec::new(), has_vector: vec![false; vocab.len()] }
    }

    fn error(&self, line: usize, message: impl Into<String>) -> Error {
        Error::line(self.path, line, message)
    }

    /// Checks the number of values against what was asked for, or takes it.
    fn set_dim(&mut self, line: usize, dim: usize) -> Result<usize> {
        match self.dim {
            Some(expected) if expected != dim => {
                Err(self.error(line, format!("expected vectors of {expected} values, got {dim}")))
            }
            _ if !(1..=LARGEST_DIM).contains(&dim) => {
                Err(self
                    .error(line, format!("expected a word and 1 to {LARGEST_DIM} values, got {dim} values")))
            }
            _ => {
                self.dim = Some(dim);
                self.values.resize(self.vocab.len() * dim, 0.0);
                Ok(dim)
            }
        }
    }

    /// The row of a word that still needs its vector.
    fn wanted(&self, word: &[u8]) -> Option<usize> {
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
        let found = self.has_vector.iter().filter(|&&has| has).count();
        let Some(dim) = self.dim.filter(|_| found > 0) else {
            let message =
                "no word of the vocabulary has a vector here: is it of another language, case or tokenizer?";
            return Err(Error::file(self.path, message));
        };
        let rows = || self.values.chunks_exact(dim).zip(&self.has_vector).filter(|(_, has)| **has);
        let n = (found * dim) as f64;
        let sum =
            |of: &dyn Fn(f64) -> f64| rows().flat_map(|(row, _)| row).map(|&x| of(f64::from(x))).sum::<f64>();
        let mean = sum(&|x| x) / n;
        let deviation = (sum(&|x| (x - mean).powi(2)) / n).sqrt();

        let half_width = deviation * 3f64.sqrt(); // of the uniform distribution with that deviation
        let rows = self.values.chunks_exact_mut(dim).zip(&self.has_vector).enumerate();
        for (id, (row, _)) in rows.filter(|(id, (_, has))| *id != PADDING as usize && !**has) {
            let mut rng = Rng::from_parts(&[seed, id as u64]);
            row.fill_with(|| ((2.0 * rng.uniform() - 1.0) * half_width) as f32);
        }
        let size = [self.vocab.len() as i64, dim as i64];
        let tensor = Tensor::f_from_slice(&self.values)?.f_view(size)?;
        Ok(WordVectors { tensor, n_found: found, n_missing: self.vocab.len() - 1 - found })
    }
}

/// One vector a line: the word, then its values, between blanks. word2vec begins with a line of two numbers.
fn read_text<'a>(mut reader: impl BufRead, mut found: Found<'a>) -> Result<Found<'a>> {
    let mut bytes = Vec::new();
    let (mut n_expected, mut n_vectors, mut dim) = (None, 0, None);
    for line in 1.. {
        bytes.clear();
        if reader.read_until(b'\n', &mut bytes).map_err(|source| Error::io(found.path, source))? == 0 {
            break;
        }
        let text = bytes.trim_ascii_end();
        let n_fields = text.split(is_blank).filter(|field| !field.is_empty()).count();
        if line == 1
            && n_fields == 2
            && let Some((n, header_dim)) = header(text)
        {
            n_expected = Some(n);
            dim = Some(found.set_dim(line, header_dim)?);
            continue;
        }
        if n_fields == 0 {
            return Err(found.error(line, "expected a word and its values, got an empty line"));
        }
        let dim = match dim {
            Some(dim) => dim,
            None => *dim.insert(found.set_dim(line, n_fields - 1)?),
        };
        let (word, values) = split_word(text, dim, n_fields).ok_or_else(|| {
            found.error(line, format!("expected a word and {dim} values, got {} values", n_fields - 1))
        })?;
        n_vectors += 1;
        if let Some(row) = found.wanted(word) {
            let path = found.path;
            let values = values.split(is_blank).filter(|field| !field.is_empty()).map(|field| {
                number(field).ok_or_else(|| {
                    Error::line(
                        path,
                        line,
                        format!("expected a number, got `{}`", String::from_utf8_lossy(field)),
                    )
                })
            });
            found.set(row, line, values)?;
        }
    }
    match n_expected {
        Some(expected) if n_vectors < expected => Err(Error::file(
            found.path,
            format!("expected {expected} vectors, got {n_vectors}: the file is cut off"),
        )),
        _ if n_vectors == 0 => {
            Err(Error::file(found.path, "expected a word and its values on each line, got none"))
        }
        _ => Ok(found),
    }
}

/// A line of text `n dim`, then for each vector the word, a blank, and its values as little-endian f32.
fn read_binary<'a>(mut reader: impl BufRead, mut found: Found<'a>) -> Result<Found<'a>> {
    let path = found.path;
    let io = |source| Error::io(path, source);
    let mut bytes = Vec::new();
    reader.by_ref().take(64).read_until(b'\n', &mut bytes).map_err(io)?;
    let (n, dim) = header(bytes.trim_ascii_end())
        .ok_or_else(|| Error::file(path, "expected a first line of two numbers: vectors, values of each"))?;
    let dim = found.set_dim(1, dim)?;
    let mut values = vec![0; dim * 4];
    for vector in 1..=n {
        bytes.clear();
        reader.by_ref().take(LONGEST_WORD as u64).read_until(b' ', &mut bytes).map_err(io)?;
        let cut_off =
            || Error::file(path, format!("expected {n} vectors, got {}: the file is cut off", vector - 1));
        if bytes.pop() != Some(b' ') {
            return Err(match bytes.len() < LONGEST_WORD - 1 {
                true => cut_off(),
                false => {
                    found.error(vector, format!("expected a word, got {LONGEST_WORD} bytes without a blank"))
                }
            });
        }
        reader.read_exact(&mut values).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => cut_off(),
            _ => io(error),
        })?;
        // Some writers end each vector by a line feed, which then stands before the next word.
        if let Some(row) = found.wanted(bytes.trim_ascii_start()) {
            let values = values.as_chunks::<4>().0.iter().map(|&bytes| Ok(f32::from_le_bytes(bytes)));
            found.set(row, vector, values)?;
        }
    }
    Ok(found)
}

/// The two numbers of a header line.
fn header(line: &[u8]) -> Option<(usize, usize)> {
    let (n, dim) = std::str::from_utf8(line).ok()?.split_once([' ', '\t'])?;
    Some((n.trim().parse().ok()?, dim.trim().parse().ok()?))
}

/// Parts the word from its `dim` values. Some published files hold words with blanks in them, so all fields before
/// the last `dim` are the word; but of those only the first may look like a number.
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
    let more_values = word.split(is_blank).skip(1).any(|field| number(field).is_some());
    (!more_values).then_some((word, values))
}

fn number(field: &[u8]) -> Option<f32> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}
