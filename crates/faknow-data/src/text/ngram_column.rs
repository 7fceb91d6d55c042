//! The weighted n-grams of all samples' texts.

use rayon::prelude::*;
use tch::Tensor;

use super::{NGramEncoder, NGrams, WordColumn};
use crate::Result;
use crate::column::Column;
use crate::fingerprint::Fingerprint;

/// Number of texts per parallel task.
const CHUNK_TEXTS: usize = 256;

/// The weighted n-grams of all samples, as sparse rows.
#[derive(Debug)]
pub(crate) struct NGramColumn {
    n_features: usize,
    indices: Vec<u32>,
    values: Vec<f32>,
    /// The end of each text in `indices`.
    ends: Vec<usize>,
    /// Hash of the rows.
    content: u64,
}

/// The rows of consecutive texts.
#[derive(Default)]
struct Rows {
    indices: Vec<u32>,
    values: Vec<f32>,
    sizes: Vec<usize>,
}

impl NGramColumn {
    /// Encodes all texts in parallel.
    pub(crate) fn encode(words: &WordColumn, encoder: &NGramEncoder) -> Result<Self> {
        let n_rows = words.n_rows();
        let encode = |chunk: usize| -> Result<Rows> {
            let mut rows = Rows::default();
            for row in chunk * CHUNK_TEXTS..n_rows.min((chunk + 1) * CHUNK_TEXTS) {
                let tokens = words.row(row)?;
                let start = rows.indices.len();
                encoder.encode_into(&tokens, &mut rows.indices, &mut rows.values);
                rows.sizes.push(rows.indices.len() - start);
            }
            Ok(rows)
        };
        let chunks: Vec<Rows> =
            (0..n_rows.div_ceil(CHUNK_TEXTS)).into_par_iter().map(encode).collect::<Result<_>>()?;
        let n_values = chunks.iter().map(|rows| rows.indices.len()).sum();
        let mut column = Self {
            n_features: encoder.n_features(),
            indices: Vec::with_capacity(n_values),
            values: Vec::with_capacity(n_values),
            ends: Vec::with_capacity(n_rows),
            content: 0,
        };
        let mut end = 0;
        for rows in chunks {
            column.indices.extend(rows.indices);
            column.values.extend(rows.values);
            column.ends.extend(rows.sizes.into_iter().map(|size| {
                end += size;
                end
            }));
        }
        let mut fingerprint = Fingerprint::new();
        column.ends.iter().for_each(|&end| fingerprint.add(end as u64));
        for (&index, value) in column.indices.iter().zip(&column.values) {
            fingerprint.add(u64::from(index) << 32 | u64::from(value.to_bits()));
        }
        Ok(Self { content: fingerprint.finish(), ..column })
    }

    /// Returns the texts at `rows` as a batch.
    pub(crate) fn collate(&self, rows: &[usize]) -> Result<NGrams> {
        let mut offsets = Vec::with_capacity(rows.len());
        let n_values = rows.iter().map(|&row| self.range(row).len()).sum();
        let (mut indices, mut values) =
            (Vec::<i64>::with_capacity(n_values), Vec::<f32>::with_capacity(n_values));
        for &row in rows {
            offsets.push(indices.len() as i64);
            let range = self.range(row);
            indices.extend(self.indices[range.clone()].iter().map(|&index| i64::from(index)));
            values.extend_from_slice(&self.values[range]);
        }
        Ok(NGrams {
            indices: Tensor::f_from_slice(&indices)?,
            values: Tensor::f_from_slice(&values)?,
            offsets: Tensor::f_from_slice(&offsets)?,
            n_features: self.n_features,
        })
    }

    fn range(&self, row: usize) -> std::ops::Range<usize> {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        start..self.ends[row]
    }
}

impl Column for NGramColumn {
    fn n_rows(&self) -> usize {
        self.ends.len()
    }

    fn add_to(&self, fingerprint: &mut Fingerprint) {
        fingerprint.add(self.content);
    }
}
