//! Order, sampling and prefetching of batches.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use faknow_data::text::{Tokenizer, TokenizerConfig, VocabOptions};
use faknow_data::{
    Batch, DataLoader, DataLoaderBuilder, Dataset, Error, FieldDataset, Loader, Record, Result, Sampling,
};
use tch::{Device, Tensor};

/// A batch that contains only the indices of its samples.
#[derive(Debug, PartialEq)]
struct Ids(Vec<usize>);

impl Batch for Ids {
    fn n_samples(&self) -> usize {
        self.0.len()
    }

    fn labels(&self) -> Option<&Tensor> {
        None
    }

    fn to_device(&self, _: Device) -> Self {
        Self(self.0.clone())
    }
}

/// Samples `0..n`: sample `i` has length `i² mod 17`, and class 1 if `i` is a multiple of 10, else 0.
#[derive(Debug, Default)]
struct Numbers {
    n: usize,
    is_unlabeled: bool,
    /// Batches with this sample return an error.
    failing: Option<usize>,
    /// Batches with this sample panic.
    panicking: Option<usize>,
    assembled: AtomicUsize,
}

impl Numbers {
    fn new(n: usize) -> Self {
        Self { n, ..Self::default() }
    }
}

impl Dataset for Numbers {
    type Batch = Ids;

    fn n_samples(&self) -> usize {
        self.n
    }

    fn batch(&self, indices: &[usize]) -> Result<Ids> {
        self.assembled.fetch_add(1, Ordering::SeqCst);
        // Batches take different times, so that workers overtake each other.
        std::thread::sleep(Duration::from_micros(300 / (1 + indices[0] as u64 % 7)));
        if self.failing.is_some_and(|sample| indices.contains(&sample)) {
            return Err(Error::Dataset("sample is broken".into()));
        }
        assert!(!self.panicking.is_some_and(|sample| indices.contains(&sample)), "sample panics");
        Ok(Ids(indices.to_vec()))
    }

    fn length(&self, index: usize) -> usize {
        index * index % 17
    }

    fn class(&self, index: usize) -> Option<usize> {
        (!self.is_unlabeled).then_some(usize::from(index.is_multiple_of(10)))
    }
}

fn loader(n: usize) -> DataLoaderBuilder<Numbers> {
    DataLoader::builder(Numbers::new(n))
}

fn epoch(loader: &dyn Loader<Ids>, epoch: usize) -> Vec<Vec<usize>> {
    loader.batches(epoch, 0).map(|batch| batch.expect("a batch").0).collect()
}

#[test]
fn without_a_seed_samples_are_in_order() {
    let loader = loader(5).batch_size(2).build().unwrap();
    assert_eq!(epoch(&loader, 0), [vec![0, 1], vec![2, 3], vec![4]]);
    assert_eq!(epoch(&loader, 7), epoch(&loader, 0));
    assert_eq!((loader.n_samples(), loader.n_batches(), loader.batch_size()), (5, 3, 2));
}

#[test]
fn orders_are_pinned() {
    // If this fails, a newer version can no longer resume or reproduce existing runs.
    let check = |builder: DataLoaderBuilder<Numbers>, expected: [&str; 2]| {
        let loader = builder.shuffle(42).build().unwrap();
        assert_eq!([0, 1].map(|n| format!("{:?}", epoch(&loader, n))), expected);
    };
    check(
        loader(10).batch_size(4),
        ["[[8, 6, 1, 2], [4, 5, 9, 3], [7, 0]]", "[[6, 5, 4, 3], [7, 1, 9, 2], [0, 8]]"],
    );
    check(
        loader(10).batch_size(2).buckets(2),
        ["[[1, 6], [0, 7], [2, 8], [9, 4], [5, 3]]", "[[1, 2], [0, 8], [3, 4], [6, 5], [9, 7]]"],
    );
    check(
        loader(30).batch_size(15).balanced(),
        [
            "[[26, 1, 20, 10, 14, 10, 0, 22, 16, 20, 10, 0, 7, 0, 0], [20, 16, 0, 20, 18, 10, 12, 4, 17, 0, 6, 16, 19, 12, 0]]",
            "[[0, 2, 15, 20, 10, 15, 17, 20, 0, 10, 13, 0, 16, 21, 8], [24, 14, 2, 20, 20, 20, 7, 20, 0, 28, 9, 19, 20, 18, 0]]",
        ],
    );
}

#[test]
fn orders_depend_on_seed_and_epoch() {
    let shuffled = |seed| loader(50).batch_size(7).shuffle(seed).build().unwrap();
    assert_eq!(epoch(&shuffled(1), 3), epoch(&shuffled(1), 3));
    let distinct: HashSet<Vec<Vec<usize>>> =
        (0..4).flat_map(|seed| (0..4).map(move |n| epoch(&shuffled(seed), n))).collect();
    assert_eq!(distinct.len(), 16);
}

#[test]
fn every_sample_occurs_once_per_epoch() {
    for (n, batch_size) in [(1, 1), (1, 5), (10, 5), (103, 8), (64, 64), (65, 64)] {
        for buckets in [None, Some(1), Some(3), Some(1000)] {
            for seed in [None, Some(9)] {
                let mut builder = loader(n).batch_size(batch_size);
                builder = if let Some(seed) = seed { builder.shuffle(seed) } else { builder };
                builder = if let Some(buckets) = buckets { builder.buckets(buckets) } else { builder };
                let loader = builder.build().unwrap();
                let batches = epoch(&loader, 2);
                let settings = format!("n {n}, batch size {batch_size}, buckets {buckets:?}, seed {seed:?}");
                let mut samples: Vec<usize> = batches.concat();
                samples.sort_unstable();
                assert_eq!(samples, (0..n).collect::<Vec<_>>(), "{settings}");
                assert_eq!(batches.len(), loader.n_batches(), "{settings}");
                let small = batches.iter().filter(|batch| batch.len() != batch_size).count();
                assert_eq!(small, usize::from(n % batch_size != 0), "{settings}");
            }
        }
    }
}

#[test]
fn workers_change_nothing() {
    let build = |workers, depth| {
        loader(101).batch_size(4).shuffle(5).buckets(3).prefetch(workers, depth).build().unwrap()
    };
    for n in 0..2 {
        let expected = epoch(&build(0, 0), n);
        for (workers, depth) in [(1, 1), (1, 4), (3, 1), (3, 3), (3, 8), (200, 1000), (1, 0), (2, usize::MAX)]
        {
            assert_eq!(epoch(&build(workers, depth), n), expected, "{workers} workers, depth {depth}");
        }
    }
}

#[test]
fn skipping_returns_the_tail() {
    for workers in [0, 1, 3] {
        let loader = loader(50).batch_size(4).shuffle(5).prefetch(workers, 4).build().unwrap();
        let all = epoch(&loader, 1);
        for from in [0, 1, 5, 12, 13, 99] {
            let before = loader.dataset().assembled.load(Ordering::SeqCst);
            let tail: Vec<Vec<usize>> = loader.batches(1, from).map(|batch| batch.unwrap().0).collect();
            assert_eq!(tail, all[from.min(13)..], "{workers} workers, from {from}");
            let assembled = loader.dataset().assembled.load(Ordering::SeqCst) - before;
            assert_eq!(assembled, tail.len(), "skipped batches were assembled");
        }
    }
}

#[test]
fn drop_last_drops_the_incomplete_batch() {
    let loader = loader(10).batch_size(4).shuffle(1).drop_last(true).buckets(2).build().unwrap();
    assert_eq!((loader.n_samples(), loader.n_batches()), (8, 2));
    let dropped = |n| (0..10).filter(|i| !epoch(&loader, n).concat().contains(i)).collect::<Vec<usize>>();
    let all: HashSet<Vec<usize>> = (0..20).map(dropped).collect();
    assert!(all.iter().all(|dropped| dropped.len() == 2));
    assert!(all.len() > 5, "the same samples are dropped in every epoch: {all:?}");
}

#[test]
fn buckets_save_padding() {
    let plain = loader(1000).batch_size(10).shuffle(1).build().unwrap();
    let buckets = loader(1000).batch_size(10).shuffle(1).buckets(20).build().unwrap();
    let (before, after) = (plain.padding_ratio(0), buckets.padding_ratio(0));
    assert!(before > 0.3 && after < 0.1, "{before} {after}");
    assert_eq!(buckets.order(0), epoch(&buckets, 0));
    let lengths: Vec<usize> =
        buckets.order(0).iter().map(|batch| buckets.dataset().length(batch[0])).collect();
    assert!(!lengths.is_sorted(), "the batches are ordered by length");
}

/// Returns the share of class 1 among the draws of 20 epochs, and the number of its samples that were drawn; 10 % of the samples are of class 1.
fn share_of_class_1(sampling: Sampling) -> (f64, usize) {
    let loader = loader(500).batch_size(50).shuffle(3).sampling(sampling).build().unwrap();
    assert_eq!(epoch(&loader, 4), epoch(&loader, 4));
    let draws: Vec<usize> = (0..20).flat_map(|n| epoch(&loader, n).concat()).collect();
    assert_eq!(draws.len(), 10_000);
    let of_class_1: Vec<usize> = draws.into_iter().filter(|i| i.is_multiple_of(10)).collect();
    let distinct: HashSet<&usize> = of_class_1.iter().collect();
    let n_distinct = distinct.len();
    (of_class_1.len() as f64 / 10_000.0, n_distinct)
}

#[test]
fn weighted_sampling_follows_the_weights() {
    for (sampling, expected) in [
        (Sampling::EachOnce, 0.1),
        (Sampling::Balanced, 0.5),
        (Sampling::Weighted(vec![1.0, 1.0]), 0.1),
        (Sampling::Weighted(vec![1.0, 3.0]), 0.25),
        (Sampling::Weighted(vec![0.0, 1e-3, 5.0]), 1.0),
        (Sampling::Weighted(vec![1.0, 0.0]), 0.0),
    ] {
        let (got, n_distinct) = share_of_class_1(sampling.clone());
        // Each of the 50 samples of class 1 is drawn, unless none can be.
        assert_eq!(n_distinct, if expected == 0.0 { 0 } else { 50 }, "{sampling:?}");
        assert!((got - expected).abs() < 0.02, "{sampling:?}: expected {expected}, got {got}");
    }
}

#[test]
fn errors_and_panics_are_returned_in_order() {
    for workers in [0, 1, 3] {
        let dataset = Numbers { failing: Some(7), panicking: Some(10), ..Numbers::new(20) };
        let loader = DataLoader::builder(dataset).batch_size(2).prefetch(workers, 4).build().unwrap();
        let got: Vec<String> = loader
            .batches(6, 0)
            .map(|batch| batch.map_or_else(|error| error.to_string(), |ids| format!("{:?}", ids.0)))
            .collect();
        assert_eq!(
            got[2..7],
            [
                "[4, 5]",
                "sample is broken",
                "[8, 9]",
                "batch 5 of epoch 6: the dataset panicked: sample panics",
                "[12, 13]",
            ]
        );
        assert_eq!(got.len(), 10);
    }
}

#[test]
fn prefetching_is_bounded_and_stops_with_the_iterator() {
    for (workers, depth) in [(1, 1), (1, 4), (3, 3), (3, 7)] {
        let dataset = Arc::new(Numbers::new(10_000));
        let loader =
            DataLoader::builder(Arc::clone(&dataset)).batch_size(1).prefetch(workers, depth).build().unwrap();
        let mut batches = loader.batches(0, 0);
        assert_eq!(batches.next().unwrap().unwrap(), Ids(vec![0]));
        std::thread::sleep(Duration::from_millis(30));
        let ahead = dataset.assembled.load(Ordering::SeqCst) - 1;
        assert!(ahead <= depth, "{ahead} batches ahead with depth {depth}");
        let start = Instant::now();
        drop(batches);
        assert!(start.elapsed() < Duration::from_secs(5));
        drop(loader);
        assert_eq!(Arc::strong_count(&dataset), 1, "a worker still holds the dataset");
    }
}

#[test]
fn two_epochs_can_be_iterated_concurrently() {
    let loader = loader(30).batch_size(3).shuffle(8).build().unwrap();
    let pairs: Vec<(Ids, Ids)> =
        loader.batches(0, 0).zip(loader.batches(1, 0)).map(|(a, b)| (a.unwrap(), b.unwrap())).collect();
    let (first, second): (Vec<_>, Vec<_>) = pairs.into_iter().map(|(a, b)| (a.0, b.0)).unzip();
    assert_eq!((first, second), (epoch(&loader, 0), epoch(&loader, 1)));
}

#[test]
fn rejects_invalid_settings() {
    fn check(builder: DataLoaderBuilder<Numbers>, expected: &str) {
        let error = builder.build().expect_err(expected).to_string();
        assert_eq!(error, expected);
    }
    let weighted = |weights: &[f64]| loader(20).shuffle(1).sampling(Sampling::Weighted(weights.to_vec()));
    check(loader(3).batch_size(0), "batch_size: expected at least 1, got 0");
    check(loader(0), "the dataset is empty: expected at least one sample");
    check(
        loader(3).batch_size(4).drop_last(true),
        "expected at least 4 samples, the batch size, with drop_last, got 3",
    );
    check(loader(3).buckets(0), "buckets: expected at least 1 batch per bucket, got 0");
    check(
        loader(3).balanced(),
        "sampling: expected a seed for weighted sampling (set with `shuffle`), got none",
    );
    check(weighted(&[1.0]), "sampling.weighted: expected a weight for each of 2 classes, got 1");
    check(weighted(&[1.0, -2.0]), "sampling.weighted: expected finite, non-negative weights, got -2");
    check(weighted(&[f64::NAN, 1.0]), "sampling.weighted: expected finite, non-negative weights, got NaN");
    check(
        weighted(&[0.0, 0.0, 1.0]),
        "sampling.weighted: expected a positive weight for at least one class that occurs, got [0.0, 0.0, 1.0]",
    );
    check(
        DataLoader::builder(Numbers { is_unlabeled: true, ..Numbers::new(3) }).shuffle(1).balanced(),
        "weighted sampling requires labels: sample 0 has no label",
    );
}

#[test]
fn sampling_deserializes() {
    let read = |text: &str| serde_json::from_str::<Sampling>(text);
    assert_eq!(read(r#""balanced""#).unwrap(), Sampling::Balanced);
    assert_eq!(read(r#"{"weighted": [1, 2.5]}"#).unwrap(), Sampling::Weighted(vec![1.0, 2.5]));
    assert!(read(r#""sometimes""#).is_err());
}

#[test]
fn batches_by_tokens_have_similar_lengths_and_every_sample_once() {
    let lengths = |n: usize| (0..n).map(|i| 1 + (i * 37) % 90).collect::<Vec<_>>();
    let texts = lengths(300);
    let records = texts.iter().map(|&n| Ok(Record::new("a ".repeat(n)).with_label(n % 2)));
    let tokenizer = Tokenizer::new(TokenizerConfig::default()).unwrap();
    let (data, _) = FieldDataset::build(records, &tokenizer, &VocabOptions::default()).unwrap();
    let builder = || DataLoader::builder(data.clone()).batch_size(40).max_tokens(512);
    let loader = builder().shuffle(7).build().unwrap();
    let orders: Vec<_> = (0..3).map(|epoch| loader.order(epoch)).collect();
    for order in &orders {
        assert_eq!(order.len(), loader.n_batches());
        let mut all: Vec<usize> = order.concat();
        all.sort_unstable();
        assert_eq!(all, (0..300).collect::<Vec<_>>());
        for batch in order {
            let widths: Vec<usize> = batch.iter().map(|&i| texts[i].next_multiple_of(8)).collect();
            assert!(widths.iter().max().unwrap() * batch.len() <= 512, "{widths:?}");
            assert!(batch.len() <= 40);
        }
    }
    assert_ne!(orders[0], orders[1]);
    assert_eq!(loader.order(1), builder().shuffle(7).build().unwrap().order(1));
    assert!(loader.padding_ratio(0) < 0.2);
    // A resumed epoch continues with the same batches.
    let rest: Vec<_> = loader.batches(2, 5).map(|batch| batch.unwrap().indices).collect();
    assert_eq!(rest, orders[2][5..]);
    // Without a seed, batches are ordered by length; a long text is a batch by itself.
    let tiny = builder().max_tokens(1).build().unwrap();
    assert_eq!(tiny.n_batches(), 300);
    assert!(
        tiny.order(0).windows(2).all(|pair| texts[pair[0][0]].div_ceil(8) <= texts[pair[1][0]].div_ceil(8))
    );
    let error = builder().shuffle(1).balanced().build().unwrap_err().to_string();
    assert_eq!(
        error,
        "sampling: expected every sample once per epoch with `max_tokens`, got weighted sampling"
    );
    let error = builder().drop_last(true).build().unwrap_err().to_string();
    assert_eq!(error, "drop_last: expected false with `max_tokens`, got true");
    assert!(builder().max_tokens(0).build().is_err());
}
