//! The data of a fit, limited to a number of batches for quick runs and for overfitting on a few batches.

use faknow_data::{Loader, Result};

use crate::fit::length::EpochSize;

/// Limits on the batches that a trainer uses of each loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Limits {
    /// Maximum number of batches per pass.
    pub(crate) batches: Option<usize>,
    /// Whether each epoch trains on the batches of the first epoch, and validation uses the same ones.
    pub(crate) overfit: bool,
}

impl Limits {
    /// Returns a loader within these limits.
    pub(crate) fn apply<'a, B>(&self, loader: &'a dyn Loader<B>) -> Limited<'a, B> {
        Limited { loader, limits: *self }
    }
}

/// The first batches of another loader.
pub(crate) struct Limited<'a, B> {
    loader: &'a dyn Loader<B>,
    limits: Limits,
}

impl<B> Loader<B> for Limited<'_, B> {
    fn n_samples(&self) -> usize {
        self.loader.n_samples()
    }

    fn n_batches(&self) -> usize {
        let all = self.loader.n_batches();
        self.limits.batches.map_or(all, |limit| limit.min(all))
    }

    fn fingerprint(&self) -> Option<u64> {
        self.loader.fingerprint()
    }

    fn has_content_fingerprint(&self) -> bool {
        self.loader.has_content_fingerprint()
    }

    fn samples_fingerprint(&self) -> Option<u64> {
        // The first batches have other samples if the batches are larger.
        match self.limits.batches {
            Some(_) => self.loader.fingerprint(),
            None => self.loader.samples_fingerprint(),
        }
    }

    fn batches(&self, epoch: usize, from: usize) -> Box<dyn Iterator<Item = Result<B>> + '_> {
        let epoch = if self.limits.overfit { 0 } else { epoch };
        let n_remaining = self.n_batches().saturating_sub(from);
        match self.limits.batches {
            Some(_) => Box::new(self.loader.batches(epoch, from).take(n_remaining)),
            None => self.loader.batches(epoch, from),
        }
    }
}

/// The loaders of a fit, within its limits.
pub(crate) struct FitData<'a, B> {
    train: Limited<'a, B>,
    valid: Option<Limited<'a, B>>,
}

impl<'a, B> FitData<'a, B> {
    pub(crate) fn new(limits: Limits, train: &'a dyn Loader<B>, valid: Option<&'a dyn Loader<B>>) -> Self {
        let valid = valid.map(|valid| limits.apply(if limits.overfit { train } else { valid }));
        Self { train: limits.apply(train), valid }
    }

    pub(crate) fn train(&self) -> &dyn Loader<B> {
        &self.train
    }

    pub(crate) fn valid(&self) -> Option<&dyn Loader<B>> {
        self.valid.as_ref().map(|valid| valid as &dyn Loader<B>)
    }

    /// Returns the size of an epoch, on request without limits on its batches.
    pub(crate) fn epoch_size(&self, accumulate_grad_batches: usize, is_limited: bool) -> EpochSize {
        let n_all = self.train.loader.n_batches();
        let n_batches = if is_limited { self.train.n_batches() } else { n_all };
        let n_samples = self.train.loader.n_samples() as f64 * n_batches as f64 / n_all.max(1) as f64;
        EpochSize { n_batches, n_samples, accumulate_grad_batches }
    }
}
