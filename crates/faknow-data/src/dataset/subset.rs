//! A part of a data set as a data set.

use crate::fingerprint::Fingerprint;
use crate::{Dataset, Error, Result};

/// Some samples of a data set, in the order of `indices`; what a batch says of positions is about the entire data set.
///
/// Several subsets share one data set if it is an `Arc`:
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
    /// Makes a data set of the samples `indices` of `data`; an index may occur several times.
    ///
    /// # Errors
    /// An index is not below the number of samples.
    pub fn new(data: D, indices: Vec<usize>) -> Result<Self> {
        let n_samples = data.n_samples();
        match indices.iter().find(|index| **index >= n_samples) {
            Some(index) => Err(Error::Setting {
                name: "indices",
                expected: format!("positions below {n_samples}, the number of samples"),
                got: index.to_string(),
            }),
            None => Ok(Self { data, indices }),
        }
    }

    /// Returns the positions of the samples in the entire data set.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// Returns the entire data set.
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
            let outside = || Error::Dataset(format!("index {index} of a subset of {n_samples} samples"));
            self.indices.get(index).copied().ok_or_else(outside)
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
