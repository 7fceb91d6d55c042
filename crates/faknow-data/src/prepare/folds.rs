//! Folds for cross-validation: pairs of training and validation data, as a pure function of a seed.

use std::sync::Arc;

use crate::{Dataset, Error, Result, Subset, k_fold, stratified_k_fold};

/// Training and validation data of a fold.
pub type Fold<D> = (Subset<Arc<D>>, Subset<Arc<D>>);

/// A splitter into `k` folds: each fold is the validation data once, with the others as training data.
///
/// ```
/// use std::sync::Arc;
///
/// use faknow_data::{Dataset, Folds, TensorDataset};
/// use tch::{Kind, Tensor};
///
/// let labels = Tensor::from_slice(&[0_i64, 1, 0, 1, 0, 1]);
/// let data = Arc::new(TensorDataset::new(Tensor::arange(6, (Kind::Float, tch::Device::Cpu)), labels)?);
/// for (train, valid) in Folds::stratified(3).seed(42).split(&data)? {
///     assert_eq!((train.n_samples(), valid.class_counts()), (4, vec![1, 1]));
/// }
/// # Ok::<(), faknow_data::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Folds {
    n_folds: usize,
    is_stratified: bool,
    seed: u64,
}

impl Folds {
    /// Creates a splitter into `n_folds` random folds.
    pub fn new(n_folds: usize) -> Self {
        Self { n_folds, is_stratified: false, seed: 0 }
    }

    /// Creates a splitter into folds with nearly equal class proportions.
    pub fn stratified(n_folds: usize) -> Self {
        Self { is_stratified: true, ..Self::new(n_folds) }
    }

    /// Sets the seed of the assignment of samples to folds; default 0.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Returns the number of folds.
    pub fn n_folds(&self) -> usize {
        self.n_folds
    }

    /// Returns the training and the validation data of each fold.
    ///
    /// # Errors
    /// There are fewer than 2 folds or more folds than samples; for stratified folds, more folds than samples of a class, or a
    /// sample without a class.
    pub fn split<D: Dataset>(&self, data: &Arc<D>) -> Result<Vec<Fold<D>>> {
        let n_samples = data.n_samples();
        let folds = if self.is_stratified {
            let class = |index| {
                let message =
                    format!("stratified folds require labels: sample {index} has no label; use `Folds::new`");
                data.class(index).ok_or(Error::Dataset(message))
            };
            let classes = (0..n_samples).map(class).collect::<Result<Vec<_>>>()?;
            stratified_k_fold(&classes, self.n_folds, self.seed)?
        } else {
            k_fold(n_samples, self.n_folds, self.seed)?
        };
        let fold = |valid: Vec<usize>| {
            // Both are in ascending order.
            let train = (0..n_samples).filter(|index| valid.binary_search(index).is_err()).collect();
            Ok((Subset::new(Arc::clone(data), train)?, Subset::new(Arc::clone(data), valid)?))
        };
        folds.into_iter().map(fold).collect()
    }
}
