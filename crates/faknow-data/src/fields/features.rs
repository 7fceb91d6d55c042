//! Named features of all samples: a vector or a sequence of vectors per sample.

use std::collections::BTreeMap;
use std::sync::Arc;

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

    /// Creates a column from rows of `width` numbers each.
    fn from_rows(n_rows: usize, width: usize, values: Vec<f32>) -> Self {
        Self { n_rows, shape: vec![width as i64], values }
    }

    /// Returns the number of values of a row.
    pub(super) fn width(&self) -> usize {
        self.shape.iter().product::<i64>() as usize
    }

    /// Returns the values of a row.
    pub(super) fn row(&self, row: usize) -> &[f32] {
        let width = self.width();
        &self.values[row * width..(row + 1) * width]
    }

    /// Returns the column with values that `map` computes from the position in a row and the value.
    pub(super) fn map(&self, map: impl Fn(usize, f32) -> f32) -> Self {
        let width = self.width().max(1);
        let values = self.values.iter().enumerate().map(|(index, &value)| map(index % width, value));
        Self { n_rows: self.n_rows, shape: self.shape.clone(), values: values.collect() }
    }

    /// Returns the values of the samples at `rows`, f32 `[n, d]` or `[n, len, d]`.
    pub(super) fn collate(&self, rows: &[usize]) -> Result<Tensor> {
        let values: Vec<f32> = rows.iter().flat_map(|&row| self.row(row)).copied().collect();
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

/// Collects the features of records in order.
#[derive(Default)]
pub(super) struct FeatureBuilder {
    n_rows: usize,
    /// Values and width of each feature.
    columns: BTreeMap<String, (Vec<f32>, usize)>,
}

impl FeatureBuilder {
    /// Adds the features of the next record.
    ///
    /// # Errors
    /// A message, if the record has other features than those before, or other numbers of values.
    pub(super) fn push(&mut self, features: BTreeMap<String, Vec<f32>>) -> Result<(), String> {
        if self.n_rows == 0 {
            self.columns = features.iter().map(|(name, it)| (name.clone(), (Vec::new(), it.len()))).collect();
        }
        if let Some(name) = self.columns.keys().find(|name| !features.contains_key(*name)) {
            return Err(format!("expected the feature `{name}`, as in the first record, got none"));
        }
        for (name, numbers) in features {
            let Some((values, width)) = self.columns.get_mut(&name) else {
                return Err(format!("expected no feature `{name}`, as in the first record"));
            };
            if numbers.len() != *width {
                let got = numbers.len();
                return Err(format!(
                    "feature `{name}`: expected {width} numbers, as in the first record, got {got}"
                ));
            }
            values.extend(numbers);
        }
        self.n_rows += 1;
        Ok(())
    }

    /// Returns the columns by name.
    pub(super) fn finish(self) -> BTreeMap<String, Arc<FeatureColumn>> {
        let Self { n_rows, columns } = self;
        let column = |(values, width)| Arc::new(FeatureColumn::from_rows(n_rows, width, values));
        columns.into_iter().map(|(name, values)| (name, column(values))).collect()
    }
}
