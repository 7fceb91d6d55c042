//! Data loaders: the batches of an epoch, in an order that is a pure function of the seed and the epoch.

mod prefetch;
mod sampler;
mod token_budget;

use std::sync::Arc;

use self::prefetch::{BatchAssembler, PrefetchedBatches};
use self::sampler::{BatchRules, Sampler};
use crate::fingerprint::Fingerprint;
use crate::{Dataset, Result};

/// A source of batches for training, validation, testing or prediction.
///
/// The batches of an epoch are a pure function of the epoch and the loader's settings, so that an interrupted run can be
/// resumed exactly.
///
/// ```
/// use faknow_data::{FieldBatch, Loader, Result};
///
/// fn count(loader: &dyn Loader<FieldBatch>) -> Result<usize> {
///     loader.batches(0, 0).map(|batch| Ok(batch?.indices.len())).sum()
/// }
/// ```
pub trait Loader<B> {
    /// Returns the number of samples per epoch; less than the size of the dataset if the last incomplete batch is dropped.
    fn n_samples(&self) -> usize;

    /// Returns the number of batches per epoch.
    fn n_batches(&self) -> usize;

    /// Returns a hash of the samples and their order, with which a resumed run verifies that its batches are the same. Default:
    /// `None`, so that only the number of batches is compared.
    fn fingerprint(&self) -> Option<u64> {
        None
    }

    /// Returns a hash of the samples, whatever their batches, with which a resumed run verifies its validation data. Default:
    /// [`fingerprint`](Self::fingerprint).
    fn samples_fingerprint(&self) -> Option<u64> {
        self.fingerprint()
    }

    /// Returns whether the fingerprints depend on the content of the samples; otherwise a resumed run only notices another
    /// number of them, and warns. Default: whether there is a [`fingerprint`](Self::fingerprint).
    fn has_content_fingerprint(&self) -> bool {
        self.fingerprint().is_some()
    }

    /// Returns the batches of `epoch` (from 0), skipping the first `from` without assembling them.
    fn batches(&self, epoch: usize, from: usize) -> Box<dyn Iterator<Item = Result<B>> + '_>;
}

/// How the samples of an epoch are drawn.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// Every sample once (the default).
    #[default]
    EachOnce,
    /// As many draws with replacement as there are samples, with equal probability of every class that occurs.
    Balanced,
    /// As many draws with replacement as there are samples, with probabilities proportional to the weights of the classes:
    /// `Weighted(vec![1.0, 3.0])` draws a sample of class 1 three times as often as a sample of class 0.
    Weighted(Vec<f64>),
}

/// The loader of a [`Dataset`], with optional shuffling, weighted sampling, length buckets and prefetching.
///
/// ```
/// use faknow_data::text::{Tokenizer, TokenizerConfig, VocabOptions};
/// use faknow_data::{Batch, DataLoader, FieldDataset, Loader, Record};
///
/// let tokenizer = Tokenizer::new(TokenizerConfig::default())?;
/// let records = ["Moon is cheese", "Rain on Monday", "Aliens land"].map(|text| {
///     Ok(Record { text: text.to_owned(), label: Some(1), ..Record::default() })
/// });
/// let (dataset, _vocab) = FieldDataset::build(records, &tokenizer, &VocabOptions::default())?;
/// let loader = DataLoader::builder(dataset).batch_size(2).shuffle(42).build()?;
/// for epoch in 0..3 {
///     for batch in loader.batches(epoch, 0) {
///         assert!(batch?.n_samples() <= 2);
///     }
/// }
/// # Ok::<(), faknow_data::Error>(())
/// ```
#[derive(Debug)]
pub struct DataLoader<D> {
    dataset: Arc<D>,
    sampler: Sampler,
    workers: usize,
    depth: usize,
    /// Hash of the settings that determine the order.
    settings: u64,
}

impl<D: Dataset> DataLoader<D> {
    /// Creates a builder of a loader of this dataset, which can be an `Arc` if it is shared.
    pub fn builder(dataset: D) -> DataLoaderBuilder<D> {
        DataLoaderBuilder {
            dataset: Arc::new(dataset),
            batch_size: 32,
            seed: None,
            drop_last: false,
            sampling: Sampling::EachOnce,
            batches_per_bucket: None,
            max_tokens: None,
            workers: 1,
            depth: 4,
        }
    }

    /// Returns the dataset.
    pub fn dataset(&self) -> &D {
        &self.dataset
    }

    /// Returns the maximum number of samples per batch.
    pub fn batch_size(&self) -> usize {
        self.sampler.batch_size()
    }

    /// Returns the indices in the dataset of the samples of each batch of `epoch`, without assembling batches.
    pub fn order(&self, epoch: usize) -> Vec<Vec<usize>> {
        let order = self.sampler.epoch_order(&*self.dataset, epoch);
        (0..order.n_batches()).map(|batch| order.indices(batch)).collect()
    }

    /// Returns the fraction of padding in the batches of `epoch` if each is padded to its longest sample: 0 if all samples of
    /// each batch have the same length. Length buckets reduce it.
    pub fn padding_ratio(&self, epoch: usize) -> f64 {
        let order = self.sampler.epoch_order(&*self.dataset, epoch);
        let (mut n_tokens, mut n_padded) = (0, 0);
        for batch in 0..order.n_batches() {
            let lengths: Vec<usize> = order.indices(batch).iter().map(|&i| self.dataset.length(i)).collect();
            n_tokens += lengths.iter().sum::<usize>();
            n_padded += lengths.iter().max().unwrap_or(&0) * lengths.len();
        }
        if n_padded == 0 { 0.0 } else { 1.0 - n_tokens as f64 / n_padded as f64 }
    }
}

impl<D: Dataset + 'static> Loader<D::Batch> for DataLoader<D> {
    fn n_samples(&self) -> usize {
        self.sampler.n_drawn()
    }

    fn n_batches(&self) -> usize {
        self.sampler.n_batches()
    }

    fn fingerprint(&self) -> Option<u64> {
        let mut fingerprint = Fingerprint::new();
        fingerprint.add(self.settings);
        fingerprint.add(self.dataset.n_samples() as u64);
        fingerprint.add(self.dataset.fingerprint().unwrap_or(0));
        Some(fingerprint.finish())
    }

    fn has_content_fingerprint(&self) -> bool {
        self.dataset.fingerprint().is_some()
    }

    fn samples_fingerprint(&self) -> Option<u64> {
        let mut fingerprint = Fingerprint::new();
        fingerprint.add(self.n_samples() as u64);
        fingerprint.add(self.dataset.fingerprint().unwrap_or(0));
        Some(fingerprint.finish())
    }

    fn batches(&self, epoch: usize, from: usize) -> Box<dyn Iterator<Item = Result<D::Batch>> + '_> {
        let order = self.sampler.epoch_order(&*self.dataset, epoch);
        let batches = from.min(order.n_batches())..order.n_batches();
        let assembler = Arc::new(BatchAssembler { dataset: Arc::clone(&self.dataset), order, epoch });
        // A thread is useful only if there is more than one batch.
        if self.workers > 0 && self.depth > 0 && batches.len() > 1 {
            match PrefetchedBatches::start(&assembler, batches.clone(), self.workers, self.depth) {
                Ok(prefetched) => return Box::new(prefetched),
                Err(error) => {
                    tracing::warn!(%error, "cannot start prefetch threads, batches are assembled on the calling thread")
                }
            }
        }
        Box::new(batches.map(move |batch| assembler.assemble(batch)))
    }
}

/// A builder of a [`DataLoader`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct DataLoaderBuilder<D> {
    dataset: Arc<D>,
    batch_size: usize,
    seed: Option<u64>,
    drop_last: bool,
    sampling: Sampling,
    batches_per_bucket: Option<usize>,
    max_tokens: Option<usize>,
    workers: usize,
    depth: usize,
}

impl<D: Dataset> DataLoaderBuilder<D> {
    /// Sets the number of samples per batch, at least 1; default 32.
    pub fn batch_size(mut self, n: usize) -> Self {
        self.batch_size = n;
        self
    }

    /// Shuffles the samples, in an order that is a function of `seed` and the epoch; default: the order of the dataset.
    pub fn shuffle(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets whether the last incomplete batch is dropped (different samples in each shuffled epoch); default false.
    pub fn drop_last(mut self, drop: bool) -> Self {
        self.drop_last = drop;
        self
    }

    /// Draws every class equally often: [`Sampling::Balanced`]. Requires a seed ([`shuffle`](Self::shuffle)).
    pub fn balanced(self) -> Self {
        self.sampling(Sampling::Balanced)
    }

    /// Sets how samples are drawn; default [`Sampling::EachOnce`]. The others require a seed ([`shuffle`](Self::shuffle)).
    pub fn sampling(mut self, sampling: Sampling) -> Self {
        self.sampling = sampling;
        self
    }

    /// Groups samples of similar length into batches, which reduces padding; default: no buckets.
    ///
    /// The drawn samples are split into pools of `batches_per_bucket` batches, sorted by length within each pool and split into
    /// batches, which are shuffled. Every sample is drawn as often as without buckets. Without a seed, the batches of a pool
    /// are ordered by length.
    pub fn buckets(mut self, batches_per_bucket: usize) -> Self {
        self.batches_per_bucket = Some(batches_per_bucket);
        self
    }

    /// Fills batches with samples of similar length up to this number of tokens, padding included, and to at most
    /// [`batch_size`](Self::batch_size) samples; a longer sample is a batch by itself. Default: no limit, so that all batches
    /// have the same number of samples.
    ///
    /// All samples are sorted by length, rounded up to a multiple of 8, in a random order for the same length, so that every
    /// epoch has the same number of batches; [`buckets`](Self::buckets) have no effect. Batches are shuffled if there is a seed.
    pub fn max_tokens(mut self, n: usize) -> Self {
        self.max_tokens = Some(n);
        self
    }

    /// Prefetches up to `depth` batches in `workers` threads; default: 1 worker, depth 4.
    ///
    /// Neither setting changes the batches or their order. With 0 workers or a depth of 0, batches are assembled on the calling thread.
    pub fn prefetch(mut self, workers: usize, depth: usize) -> Self {
        self.workers = workers;
        self.depth = depth;
        self
    }

    /// Validates the settings and builds the loader.
    ///
    /// # Errors
    /// A number is 0, there is no batch, or weighted sampling has no seed, labels or positive weight.
    pub fn build(self) -> Result<DataLoader<D>> {
        let sampler = Sampler::new(
            &*self.dataset,
            self.seed,
            &self.sampling,
            BatchRules {
                batch_size: self.batch_size,
                drop_last: self.drop_last,
                batches_per_bucket: self.batches_per_bucket,
                max_tokens: self.max_tokens,
            },
        )?;
        let mut settings = Fingerprint::new();
        let Self { batch_size, seed, drop_last, sampling, batches_per_bucket, .. } = &self;
        settings.add_str(&format!("{batch_size} {seed:?} {drop_last} {sampling:?} {batches_per_bucket:?}"));
        if let Some(max_tokens) = self.max_tokens {
            settings.add(max_tokens as u64);
        }
        let settings = settings.finish();
        Ok(DataLoader { dataset: self.dataset, sampler, workers: self.workers, depth: self.depth, settings })
    }
}

impl<D: Dataset + ?Sized> Dataset for Arc<D> {
    type Batch = D::Batch;

    fn n_samples(&self) -> usize {
        (**self).n_samples()
    }

    fn batch(&self, indices: &[usize]) -> Result<D::Batch> {
        (**self).batch(indices)
    }

    fn length(&self, index: usize) -> usize {
        (**self).length(index)
    }

    fn fingerprint(&self) -> Option<u64> {
        (**self).fingerprint()
    }

    fn class(&self, index: usize) -> Option<usize> {
        (**self).class(index)
    }
}
