//! Word vectors of a vocabulary while they are read.

use std::path::Path;

use super::{PADDING, Vocab, WordVectors};
use crate::bounds::{MAX_VECTOR_DIM, MAX_VECTOR_TABLE_BYTES};
use crate::{Error, Result, Rng};

/// The vectors read so far.
pub(super) struct VectorBuilder<'a> {
    path: &'a Path,
    vocab: &'a Vocab,
    dim: Option<usize>,
    /// `[vocab.len(), dim]` in row-major order; empty until `dim` is known.
    values: Vec<f32>,
    has_vector: Vec<bool>,
    n_from_subwords: usize,
    n_repeated: usize,
}

impl<'a> VectorBuilder<'a> {
    pub(super) fn new(path: &'a Path, vocab: &'a Vocab, dim: Option<usize>) -> Self {
        let has_vector = vec![false; vocab.len()];
        Self { path, vocab, dim, values: Vec::new(), has_vector, n_from_subwords: 0, n_repeated: 0 }
    }

    pub(super) fn path(&self) -> &'a Path {
        self.path
    }

    pub(super) fn vocab(&self) -> &'a Vocab {
        self.vocab
    }

    pub(super) fn error(&self, line: usize, message: impl Into<String>) -> Error {
        Error::line(self.path, line, message)
    }

    pub(super) fn file_error(&self, message: impl Into<String>) -> Error {
        Error::file(self.path, message)
    }

    /// Sets the dimension and allocates the vectors, or checks it against the one already set.
    pub(super) fn set_dim(&mut self, line: usize, dim: usize) -> Result<usize> {
        match self.dim {
            Some(expected) if expected != dim => {
                return Err(self.error(line, format!("expected vectors of {expected} values, got {dim}")));
            }
            _ if !(1..=MAX_VECTOR_DIM).contains(&dim) => {
                let message = format!("expected a word and 1 to {MAX_VECTOR_DIM} values, got {dim} values");
                return Err(self.error(line, message));
            }
            _ => {}
        }
        let n_values = self.vocab.len() * dim;
        if 4 * n_values as u64 > MAX_VECTOR_TABLE_BYTES {
            let message = format!(
                "expected at most {MAX_VECTOR_TABLE_BYTES} bytes for all vectors, got {} words with {dim} values of 4 bytes",
                self.vocab.len()
            );
            return Err(self.error(line, message));
        }
        self.dim = Some(dim);
        self.values = vec![0.0; n_values];
        Ok(dim)
    }

    /// Returns the row of a word that has no vector yet.
    pub(super) fn missing_row(&mut self, word: &[u8]) -> Option<usize> {
        let word = std::str::from_utf8(word).ok()?;
        let row = self.vocab.contains(word).then(|| self.vocab.id(word) as usize)?;
        if row == PADDING as usize {
            return None;
        }
        self.n_repeated += usize::from(self.has_vector[row]);
        (!self.has_vector[row]).then_some(row)
    }

    /// Sets the vector of a row, of line or vector number `line`.
    pub(super) fn set(
        &mut self,
        row: usize,
        line: usize,
        vector: impl Iterator<Item = Result<f32>>,
    ) -> Result<()> {
        let dim = self.dim.unwrap_or(0);
        for (value, new) in self.values[row * dim..][..dim].iter_mut().zip(vector) {
            *value = finite(self.path, line, new?)?;
        }
        self.has_vector[row] = true;
        Ok(())
    }

    /// Adds `scale` times a vector to that of a row.
    pub(super) fn add(&mut self, row: usize, vector: &[f32], scale: f32) {
        let dim = self.dim.unwrap_or(0);
        let values = &mut self.values[row * dim..][..dim];
        values.iter_mut().zip(vector).for_each(|(value, new)| *value += scale * new);
    }

    /// Records that a row has a vector, of its word or only of its n-grams.
    pub(super) fn set_found(&mut self, row: usize, has_word: bool) {
        self.has_vector[row] = true;
        self.n_from_subwords += usize::from(!has_word);
    }

    pub(super) fn finish(mut self, seed: u64) -> Result<WordVectors> {
        let n_with_vector = self.has_vector.iter().filter(|&&has| has).count();
        let Some(dim) = self.dim.filter(|_| n_with_vector > 0) else {
            let message =
                "no word of the vocabulary has a vector in this file: do language, case and tokenizer match?";
            return Err(Error::file(self.path, message));
        };
        let rows = || self.values.chunks_exact(dim).zip(&self.has_vector).filter(|(_, has)| **has);
        let n = (n_with_vector * dim) as f64;
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
        Ok(WordVectors {
            dim,
            values: self.values,
            n_found: n_with_vector - self.n_from_subwords,
            n_from_subwords: self.n_from_subwords,
            n_missing: self.vocab.len() - 1 - n_with_vector,
            n_repeated: self.n_repeated,
        })
    }
}

/// Returns a value of a vector if it is finite.
pub(super) fn finite(path: &Path, line: usize, value: f32) -> Result<f32> {
    match value.is_finite() {
        true => Ok(value),
        false => Err(Error::line(path, line, format!("expected finite numbers, got `{value}`"))),
    }
}
