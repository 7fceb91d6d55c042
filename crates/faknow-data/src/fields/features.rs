//! Named features of all samples: a vector or a sequence of vectors per sample.

use tch::{Kind, Tensor};

use crate::column::Column;
use crate::fingerprint::Fingerprint;
use crate::{Error, Result};

/// One feature of all samples, all of one shape.
#[derive(Debug)]
pub(super) struct FeatureColumn {
    n_rows: usize,
    /// Shape of a row, `[d]` or `[len, d]`.
    shape: Vec<i64>,
    /// Values in row-major order; a tensor could not be shared between threads.
    values: Vec<f32>,
}

impl FeatureColumn {
    pub(super) fn new(values: &Tensor) -> Result<Self> {
        let shape = values.size();
        if !matches!(shape.len(), 2 | 3) || !matches!(values.kind(), Kind::Float | Kind::Double) {
            return Err(Error::tensor("feature", "floats [n, d] or [n, len, d]", values));
        }
        let flat = values.f_to_kind(Kind::Float)?.f_contiguous()?.f_view([-1])?;
        Ok(Self { n_rows: shape[0] as usize, shape: shape[1..].to_vec(), values: Vec::try_from(flat)? })
    }

    /// Returns the values of the samples at `rows`, f32 `[n, d]` or `[n, len, d]`.
    pub(super) fn collate(&self, rows: &[usize]) -> Result<Tensor> {
        let width = self.shape.iter().product::<i64>() as usize;
        let values: Vec<f32> =
            rows.iter().flat_map(|row| &self.values[row * width..(row + 1) * width]).copied().collect();
        let shape: Vec<i64> = std::iter::once(rows.len() as i64).chain(self.shape.iter().copied()).collect();
        Ok(Tensor::f_from_slice(&values)?.f_view(shape.as_slice())?)
    }
}

impl Column for FeatureColumn {
    fn n_rows(&self) -> usize {
        self.n_rows
    }

    fn add_to(&self, fingerprint: &mut Fingerprint) {
        self.shape.iter().for_each(|&size| fingerprint.add(size as u64));
        self.values.iter().for_each(|value| fingerprint.add(u64::from(value.to_bits())));
    }
}
