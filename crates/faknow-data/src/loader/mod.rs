//! Batches of an epoch, in an order that depends on the seed and the epoch alone.

mod prefetch;
mod sampler;

use std::sync::Arc;

use self::prefetch::{Assembly, Prefetched};
use self::sampler::Sampler;
use crate::fingerprint::Fingerprint;
use crate::{Dataset, Result};

/// A source of batches for training, validation, testing or prediction.
///
/// The batches of an epoch are a pure function of the epoch (and of what the loader was built with): asking twice
/// gives the same twice. That is what lets a run that was cut off go on as if it had not been.
///
/// ```
/// use faknow_data::{FieldBatch, Loader, Result};
///
/// fn count(loader: &dyn Loader<FieldBatch>) -> Result<usize> {
///     loader.batches(0, 0).map(|batch| Ok(batch?.indices.len())).sum()
/// }
/// ```
pub trait Loader<B> {
    /// Number of samples that an epoch gives, fewer than the data set has where the last few are dropped.
    fn n_samples(&self) -> usize;

    /// Number of batches of an epoch.
    fn n_batches(&self) -> usize;

    /// A number that changes with the samples and with their order, by which a resumed run sees that it goes on with
    /// the same batches. By default there is none, and nothing but the number of batches is compared.
    fn fingerprint(&self) -> Option<u64> {
        None
    }

    /// The batches of `epoch` (from 0), without the first `from` of them, which are not even assembled.
    fn batches(&self, epoch: usize, from: usize) -> Box<dyn Iterator<Item = Result<B>> + '_>;
}

/// Which samples an epoch draws.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// Every sample once (the default).
    #[default]
    EachOnce,
    /// As many draws with replacement as there are samples, every class that occurs equally likely.
    Balanced,
    /// As many draws with replacement as there are samples, each sample as likely as the weight of its class:
    /// `Weighted(vec![1.0, 3.0])` draws a sample of class 1 three times as often as one of class 0.
    Weighted(Vec<f64>),
}

/// The loader of a [`Dataset`]: shuffled or in order, weighted, bucketed by length, assembled ahead of need.
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
    /// Of the settings that the order depends on.
    settings: u64,
}

impl<D: Dataset> DataLoader<D> {
    /// Starts a loader of `dataset`: a data set, or an `Arc` of one that is used elsewhere too.
    pub fn builder(dataset: D) -> DataLoaderBuilder<D> {
        DataLoaderBuilder {
            dataset: Arc::new(dataset),
            batch_size: 32,
            seed: None,
            drop_last: false,
            sampling: Sampling::EachOnce,
            batches_per_bucket: None,
            workers: 1,
            depth: 4,
        }
    }

    /// Returns the data set that the batches are made of.
    pub fn dataset(&self) -> &D {
        &self.dataset
    }

    /// Returns the number of samples per batch; the last one may be smaller.
    pub fn batch_size(&self) -> usize {
        self.sampler.batch_size()
    }

    /// Positions in the data set of the samples of each batch of `epoch`, without assembling any.
    pub fn order(&self, epoch: usize) -> Vec<Vec<usize>> {
        let plan = self.sampler.plan(&*self.dataset, epoch);
        (0..plan.n_batches()).map(|batch| plan.indices(batch)).collect()
    }

    /// Returns the share of padding in the batches of `epoch`, if each is padded to its longest sample: 0 if
    /// every batch holds samples of one length. Length buckets lower it.
    pub fn padding_ratio(&self, epoch: usize) -> f64 {
        let plan = self.sampler.plan(&*self.dataset, epoch);
        let (mut filled, mut places) = (0, 0);
        for batch in 0..plan.n_batches() {
            let lengths: Vec<usize> = plan.indices(batch).iter().map(|&i| self.dataset.length(i)).collect();
            filled += lengths.iter().sum::<usize>();
            places += lengths.iter().max().unwrap_or(&0) * lengths.len();
        }
        if places == 0 { 0.0 } else { 1.0 - filled as f64 / places as f64 }
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

    fn batches(&self, epoch: usize, from: usize) -> Box<dyn Iterator<Item = Result<D::Batch>> + '_> {
        let plan = self.sampler.plan(&*self.dataset, epoch);
        let batches = from.min(plan.n_batches())..plan.n_batches();
        let assembly = Arc::new(Assembly { dataset: Arc::clone(&self.dataset), plan, epoch });
        // A thread pays only if there is a second batch for it to work on.
        if self.workers > 0 && self.depth > 0 && batches.len() > 1 {
            match Prefetched::start(&assembly, batches.clone(), self.workers, self.depth) {
                Ok(prefetched) => return Box::new(prefetched),
                Err(error) => {
                    tracing::warn!(%error, "no thread for prefetching, batches are assembled in place")
                }
            }
        }
        Box::new(batches.map(move |batch| assembly.assemble(batch)))
    }
}

/// What a [`DataLoader`] is built from; each setter says its default.
#[derive(Debug)]
#[must_use = "a builder makes a loader only when `build` is called"]
pub struct DataLoaderBuilder<D> {
    dataset: Arc<D>,
    batch_size: usize,
    seed: Option<u64>,
    drop_last: bool,
    sampling: Sampling,
    batches_per_bucket: Option<usize>,
    workers: usize,
    depth: usize,
}

impl<D: Dataset> DataLoaderBuilder<D> {
    /// Sets the number of samples per batch, at least 1; default 32.
    pub fn batch_size(mut self, n: usize) -> Self {
        self.batch_size = n;
        self
    }

    /// Draws the samples in an order that is a function of `seed` and the epoch; default: in the data set's order.
    pub fn shuffle(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Leaves out the samples that do not fill a batch, other ones in each shuffled epoch; default false.
    pub fn drop_last(mut self, drop: bool) -> Self {
        self.drop_last = drop;
        self
    }

    /// Draws every class equally often: [`Sampling::Balanced`]. Needs a seed ([`shuffle`](Self::shuffle)).
    pub fn balanced(self) -> Self {
        self.sampling(Sampling::Balanced)
    }

    /// Sets which samples an epoch draws; default [`Sampling::EachOnce`]. The others need a seed ([`shuffle`](Self::shuffle)).
    pub fn sampling(mut self, sampling: Sampling) -> Self {
        self.sampling = sampling;
        self
    }

    /// Puts samples of like length together, which saves padding; default: no buckets.
    ///
    /// Samples are drawn as ever, cut into pools of `batches_per_bucket` batches, sorted by length within a pool,
    /// cut into batches, and the batches shuffled. Every sample still comes as often as without buckets. Without a
    /// seed the batches of a pool come from the shortest to the longest.
    pub fn buckets(mut self, batches_per_bucket: usize) -> Self {
        self.batches_per_bucket = Some(batches_per_bucket);
        self
    }

    /// Assembles up to `depth` batches ahead of need in `workers` threads; default 1 and 4.
    ///
    /// Neither changes a batch or its place. With 0 workers or a depth of 0 each batch is assembled when it is
    /// asked for, in the thread that asks.
    pub fn prefetch(mut self, workers: usize, depth: usize) -> Self {
        self.workers = workers;
        self.depth = depth;
        self
    }

    /// Checks everything once and makes the loader.
    ///
    /// # Errors
    /// If a number is 0, the data set gives no batch, or weighted sampling lacks a seed, labels or a usable weight.
    pub fn build(self) -> Result<DataLoader<D>> {
        let sampler = Sampler::new(
            &*self.dataset,
            self.batch_size,
            self.seed,
            self.drop_last,
            &self.sampling,
            self.batches_per_bucket,
        )?;
        let mut settings = Fingerprint::new();
        let Self { batch_size, seed, drop_last, sampling, batches_per_bucket, .. } = &self;
        settings.add_str(&format!("{batch_size} {seed:?} {drop_last} {sampling:?} {batches_per_bucket:?}"));
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
