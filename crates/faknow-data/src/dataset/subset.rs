//! Subsets of datasets.

use crate::fingerprint::Fingerprint;
use crate::{Dataset, Error, Result};

/// The samples of a dataset at given indices, as a dataset. Sample indices in batches refer to the underlying dataset.
///
/// Several subsets share one dataset if it is an `Arc`:
///
/// ```
/// use std::sync::Arc;
///
/// use faknow_data::{Dataset, Subset, TensorDataset};
/// use tch::Tensor;
///
/// let labels = Tensor::from_slice(&[0_i64, 1, 1, 0]);
/// let data = Arc::new(TensorDataset::new(Tensor::from_slice(&[1.0, 2.0, 3.0, 4.0]), labels)?);
/// let train = Subset::new(Arc::clone(&data), vec![3, 1])?;
/// let valid = Subset::new(data, vec![0, 2])?;
/// assert_eq!((train.class(0), valid.n_samples()), (Some(0), 2));
/// # Ok::<(), faknow_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Subset<D> {
    data: D,
    indices: Vec<usize>,
}

impl<D: Dataset> Subset<D> {
    /// Creates a dataset of the samples of `data` at `indices`; an index may be repeated.
    ///
    /// # Errors
    /// [`Error::Setting`]: an index is out of range.
    pub fn new(data: D, indices: Vec<usize>) -> Result<Self> {
        let n_samples = data.n_samples();
        match indices.iter().find(|index| **index >= n_samples) {
            Some(index) => Err(Error::Setting {
                name: "indices",
                expected: format!("indices below {n_samples}, the number of samples"),
                got: index.to_string(),
            }),
            None => Ok(Self { data, indices }),
        }
    }

    /// Returns the indices of the samples in the underlying dataset.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// Returns the underlying dataset.
    pub fn data(&self) -> &D {
        &self.data
    }
}

impl<D: Dataset> Dataset for Subset<D> {
    type Batch = D::Batch;

    fn n_samples(&self) -> usize {
        self.indices.len()
    }

    fn batch(&self, indices: &[usize]) -> Result<D::Batch> {
        let position = |&index: &usize| {
            let n_samples = self.indices.len();
            let out_of_range = || {
                Error::Dataset(format!(
                    "expected an index below {n_samples}, the number of samples, got {index}"
                ))
            };
            self.indices.get(index).copied().ok_or_else(out_of_range)
        };
        self.data.batch(&indices.iter().map(position).collect::<Result<Vec<_>>>()?)
    }

    fn length(&self, index: usize) -> usize {
        self.indices.get(index).map_or(1, |&index| self.data.length(index))
    }

    fn fingerprint(&self) -> Option<u64> {
        let mut fingerprint = Fingerprint::new();
        fingerprint.add(self.data.fingerprint()?);
        self.indices.iter().for_each(|&index| fingerprint.add(index as u64));
        Some(fingerprint.finish())
    }

    fn class(&self, index: usize) -> Option<usize> {
        self.data.class(*self.indices.get(index)?)
    }
}
