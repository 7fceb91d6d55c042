//! Assignment of samples to the batches of an epoch, as a pure function of the seed and the epoch.

use std::sync::Arc;

use super::Sampling;
use super::token_budget::TokenBudget;
use crate::{Dataset, Error, Result, Rng, WeightedIndex};

/// A sampler that draws the samples of an epoch and splits them into batches.
#[derive(Debug)]
pub(crate) struct Sampler {
    n_samples: usize,
    seed: Option<u64>,
    rules: BatchRules,
    classes: Option<ClassSampler>,
    /// The batches with at most `max_tokens` tokens, if that is set.
    budget: Option<TokenBudget>,
}

/// How the samples of an epoch are split into batches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchRules {
    pub(crate) batch_size: usize,
    pub(crate) drop_last: bool,
    pub(crate) batches_per_bucket: Option<usize>,
    pub(crate) max_tokens: Option<usize>,
}

/// A sampler that draws a class by its weight, then one of its samples.
#[derive(Debug)]
struct ClassSampler {
    index: WeightedIndex,
    samples: Vec<Vec<u32>>,
}

/// The samples of an epoch in order, split into batches; 4 bytes per sample, as there may be millions.
#[derive(Debug)]
pub(crate) struct EpochOrder {
    order: Vec<u32>,
    batches: Batches,
    /// The order of the batches, if shuffled: batch `i` is the chunk `batch_order[i]` of `order`.
    batch_order: Option<Vec<u32>>,
}

/// The chunks of an epoch that are its batches.
#[derive(Debug)]
enum Batches {
    /// Chunks of this size; the last one may be smaller.
    OfSize(usize),
    /// The end of each chunk.
    Ends(Arc<[u32]>),
}

impl Sampler {
    pub(crate) fn new<D: Dataset>(
        dataset: &D,
        seed: Option<u64>,
        sampling: &Sampling,
        rules: BatchRules,
    ) -> Result<Self> {
        let BatchRules { batch_size, drop_last, batches_per_bucket, max_tokens } = rules;
        let n_samples = dataset.n_samples();
        if batch_size == 0 {
            return Err(setting("batch_size", "at least 1", "0"));
        }
        if batches_per_bucket == Some(0) {
            return Err(setting("buckets", "at least 1 batch per bucket", "0"));
        }
        if n_samples == 0 {
            return Err(Error::Dataset("the dataset is empty: expected at least one sample".to_owned()));
        }
        if n_samples > u32::MAX as usize {
            return Err(Error::Dataset(format!("expected at most {} samples, got {n_samples}", u32::MAX)));
        }
        if drop_last && n_samples < batch_size {
            return Err(Error::Dataset(format!(
                "expected at least {batch_size} samples, the batch size, with drop_last, got {n_samples}"
            )));
        }
        let classes = match sampling {
            Sampling::EachOnce => None,
            _ if seed.is_none() => {
                return Err(setting("sampling", "a seed for weighted sampling (set with `shuffle`)", "none"));
            }
            Sampling::Balanced => Some(ClassSampler::new(dataset, None)?),
            Sampling::Weighted(weights) => Some(ClassSampler::new(dataset, Some(weights))?),
        };
        let budget = match max_tokens {
            None => None,
            Some(0) => return Err(setting("max_tokens", "at least 1 token per batch", "0")),
            Some(_) if classes.is_some() => {
                let expected = "every sample once per epoch with `max_tokens`";
                return Err(setting("sampling", expected, "weighted sampling"));
            }
            Some(_) if drop_last => {
                return Err(setting("drop_last", "false with `max_tokens`", "true"));
            }
            Some(max_tokens) => Some(TokenBudget::new(dataset, max_tokens, batch_size)),
        };
        Ok(Self { n_samples, seed, rules, classes, budget })
    }

    pub(crate) fn batch_size(&self) -> usize {
        self.rules.batch_size
    }

    /// Returns the number of samples per epoch.
    pub(crate) fn n_drawn(&self) -> usize {
        match self.rules.drop_last {
            true => self.n_samples - self.n_samples % self.rules.batch_size,
            false => self.n_samples,
        }
    }

    pub(crate) fn n_batches(&self) -> usize {
        match &self.budget {
            Some(budget) => budget.ends.len(),
            None => self.n_drawn().div_ceil(self.rules.batch_size),
        }
    }

    pub(crate) fn epoch_order<D: Dataset>(&self, dataset: &D, epoch: usize) -> EpochOrder {
        let mut rng = self.seed.map(|seed| Rng::from_parts(&[seed, epoch as u64]));
        let mut order = match (&mut rng, &self.classes) {
            (Some(rng), Some(classes)) => (0..self.n_samples).map(|_| classes.draw(rng)).collect(),
            (Some(rng), None) => {
                let mut order: Vec<u32> = (0..self.n_samples as u32).collect();
                rng.shuffle(&mut order);
                order
            }
            (None, _) => (0..self.n_samples as u32).collect::<Vec<u32>>(),
        };
        order.truncate(self.n_drawn());

        let BatchRules { batch_size, batches_per_bucket, .. } = self.rules;
        // Sorting is stable, so the order is deterministic.
        match (&self.budget, batches_per_bucket) {
            (Some(_), _) => order.sort_by_cached_key(|&sample| TokenBudget::width(dataset, sample)),
            (None, Some(batches)) => {
                for pool in order.chunks_mut(batch_size.saturating_mul(batches)) {
                    pool.sort_by_cached_key(|&sample| dataset.length(sample as usize));
                }
            }
            (None, None) => {}
        }
        let is_sorted = self.budget.is_some() || batches_per_bucket.is_some();
        let batch_order = rng.filter(|_| is_sorted).map(|mut rng| {
            let mut shuffled: Vec<u32> = (0..self.n_batches() as u32).collect();
            rng.shuffle(&mut shuffled);
            shuffled
        });
        let batches = match &self.budget {
            Some(budget) => Batches::Ends(Arc::clone(&budget.ends)),
            None => Batches::OfSize(batch_size),
        };
        EpochOrder { order, batches, batch_order }
    }
}

impl ClassSampler {
    /// Creates a sampler; without weights, every class that occurs is equally likely.
    fn new<D: Dataset>(dataset: &D, weights: Option<&[f64]>) -> Result<Self> {
        let mut samples: Vec<Vec<u32>> = Vec::new();
        for sample in 0..dataset.n_samples() {
            let class = dataset.class(sample).ok_or_else(|| {
                Error::Dataset(format!("weighted sampling requires labels: sample {sample} has no label"))
            })?;
            if samples.len() <= class {
                samples.resize_with(class + 1, Vec::new);
            }
            samples[class].push(sample as u32);
        }
        let class_weights: Vec<f64> = match weights {
            None => {
                samples.iter().map(|class_samples| f64::from(u8::from(!class_samples.is_empty()))).collect()
            }
            Some(weights) => {
                if weights.len() < samples.len() {
                    let expected = format!("a weight for each of {} classes", samples.len());
                    return Err(setting("sampling.weighted", expected, weights.len()));
                }
                if let Some(weight) = weights.iter().find(|weight| !weight.is_finite() || **weight < 0.0) {
                    return Err(setting("sampling.weighted", "finite, non-negative weights", weight));
                }
                weights
                    .iter()
                    .zip(&samples)
                    .map(|(weight, class_samples)| weight * class_samples.len() as f64)
                    .collect()
            }
        };
        let index = WeightedIndex::new(&class_weights).ok_or_else(|| {
            let got = format!("{:?}", weights.unwrap_or_default());
            setting("sampling.weighted", "a positive weight for at least one class that occurs", got)
        })?;
        Ok(Self { index, samples })
    }

    fn draw(&self, rng: &mut Rng) -> u32 {
        let class_samples = &self.samples[self.index.sample(rng)];
        class_samples[rng.below(class_samples.len())]
    }
}

impl EpochOrder {
    pub(crate) fn n_batches(&self) -> usize {
        match &self.batches {
            Batches::OfSize(batch_size) => self.order.len().div_ceil(*batch_size),
            Batches::Ends(ends) => ends.len(),
        }
    }

    /// Returns the indices in the dataset of the samples of `batch`, which must be below `n_batches`.
    pub(crate) fn indices(&self, batch: usize) -> Vec<usize> {
        let chunk = self.batch_order.as_ref().map_or(batch, |batch_order| batch_order[batch] as usize);
        let range = match &self.batches {
            Batches::OfSize(batch_size) => {
                let start = chunk * batch_size;
                start..self.order.len().min(start + batch_size)
            }
            Batches::Ends(ends) => {
                let start = if chunk == 0 { 0 } else { ends[chunk - 1] as usize };
                start..ends[chunk] as usize
            }
        };
        self.order[range].iter().map(|&sample| sample as usize).collect()
    }
}

fn setting(name: &'static str, expected: impl Into<String>, got: impl ToString) -> Error {
    Error::Setting { name, expected: expected.into(), got: got.to_string() }
}
