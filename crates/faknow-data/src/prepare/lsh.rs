//! Selection of samples by locality-sensitive hashing, so that few samples represent all regions of the input space.
//!
//! Silva et al., *Embracing Domain Differences in Fake News: Cross-domain Fake News Detection using Multi-modal Data*, AAAI
//! 2021, algorithm 1.

use std::collections::BTreeMap;

use crate::{Error, Result, Rng};

/// Mixed into the seed, so that the projections differ from other numbers drawn from the same seed.
const PROJECTIONS: u64 = 0x4c53_4801;
const PICKS: u64 = 0x4c53_4802;

/// Options of [`lsh_selection`]; the defaults are the paper's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LshOptions {
    /// Number of random projections, from 1 to 64: samples with the same signs are in one bucket. Default 10.
    pub n_projections: usize,
    /// Share of the samples to select, above 0 to 1. Default 0.8.
    pub share: f64,
    /// Seed of the projections and of the picks. Default 0.
    pub seed: u64,
}

impl Default for LshOptions {
    fn default() -> Self {
        Self { n_projections: 10, share: 0.8, seed: 0 }
    }
}

/// Selects a share of the samples with these input vectors of length `size`, in ascending order: each round picks one random
/// sample of each bucket, until there are enough; surplus ones are removed at random. A vector is given by the positions and the
/// values of its elements; the others are 0, and those of the same position add up.
///
/// The entries of a projection are √3 and -√3, each with probability 1/6, else 0 (Achlioptas, *Database-friendly random
/// projections*, PODS 2001).
///
/// # Errors
/// [`Error::Setting`]: an option is out of range, or a position is not below `size`.
///
/// ```
/// use faknow_data::{LshOptions, lsh_selection};
///
/// let vectors = (0..10).map(|i| [(0, f64::from(i)), (1, 1.0)]);
/// let selected = lsh_selection(2, vectors, LshOptions::default())?;
/// assert_eq!(selected.len(), 8);
/// # Ok::<(), faknow_data::Error>(())
/// ```
pub fn lsh_selection<V: IntoIterator<Item = (usize, f64)>>(
    size: usize,
    vectors: impl IntoIterator<Item = V>,
    options: LshOptions,
) -> Result<Vec<usize>> {
    let LshOptions { n_projections, share, seed } = options;
    let invalid =
        |name, expected: &str, got: String| Err(Error::Setting { name, expected: expected.to_owned(), got });
    if !(1..=64).contains(&n_projections) {
        return invalid("n_projections", "1 to 64", n_projections.to_string());
    }
    if !(share > 0.0 && share <= 1.0) {
        return invalid("share", "a number above 0, at most 1", share.to_string());
    }
    let projections = projections(n_projections, size, seed);
    let mut buckets: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    let mut n_samples = 0;
    for (index, vector) in vectors.into_iter().enumerate() {
        let mut sums = vec![0.0; n_projections];
        for (position, value) in vector {
            if position >= size {
                return invalid("vectors", &format!("positions below {size}"), position.to_string());
            }
            sums.iter_mut().zip(&projections).for_each(|(sum, weights)| *sum += weights[position] * value);
        }
        let signs = sums.iter().enumerate().map(|(bit, sum)| u64::from(*sum > 0.0) << bit);
        buckets.entry(signs.sum()).or_default().push(index);
        n_samples = index + 1;
    }
    let budget = ((share * n_samples as f64).round() as usize).min(n_samples);
    let mut rng = Rng::from_parts(&[seed, PICKS]);
    let mut selected = Vec::with_capacity(budget);
    while selected.len() < budget {
        for bucket in buckets.values_mut().filter(|bucket| !bucket.is_empty()) {
            selected.push(bucket.swap_remove(rng.below(bucket.len())));
        }
    }
    rng.shuffle(&mut selected);
    selected.truncate(budget);
    selected.sort_unstable();
    Ok(selected)
}

fn projections(n: usize, size: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut rng = Rng::from_parts(&[seed, PROJECTIONS]);
    let mut entry = || match rng.below(6) {
        0 => 3f64.sqrt(),
        1 => -(3f64.sqrt()),
        _ => 0.0,
    };
    (0..n).map(|_| (0..size).map(|_| entry()).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors(n: usize, size: usize, seed: u64) -> Vec<Vec<f32>> {
        let mut rng = Rng::new(seed);
        (0..n).map(|_| (0..size).map(|_| rng.normal() as f32).collect()).collect()
    }

    fn select(vectors: &[Vec<f32>], options: LshOptions) -> Vec<usize> {
        let size = vectors.first().map_or(0, Vec::len);
        let entries = |row: &Vec<f32>| row.iter().map(|x| f64::from(*x)).enumerate().collect::<Vec<_>>();
        lsh_selection(size, vectors.iter().map(entries), options).unwrap()
    }

    #[test]
    fn selects_a_share_of_distinct_samples_by_the_seed() {
        for (n, share) in [(0, 0.5), (1, 0.4), (1, 1.0), (7, 0.3), (200, 0.8), (333, 0.01), (500, 1.0)] {
            for seed in 0..4 {
                let vectors = vectors(n, 12, seed);
                let options = LshOptions { share, seed, ..LshOptions::default() };
                let selected = select(&vectors, options);
                assert_eq!(selected.len(), (share * n as f64).round() as usize, "{n} {share}");
                assert!(selected.is_sorted() && selected.windows(2).all(|pair| pair[0] != pair[1]));
                assert!(selected.iter().all(|&index| index < n));
                assert_eq!(selected, select(&vectors, options));
            }
        }
        let vectors = vectors(200, 12, 0);
        let with_seed = |seed| select(&vectors, LshOptions { seed, share: 0.5, ..LshOptions::default() });
        assert_ne!(with_seed(1), with_seed(2));
    }

    // 90 equal vectors are one bucket, 10 opposite ones another: as long as both have samples, each round takes one of each.
    #[test]
    fn rare_regions_are_represented() {
        let vectors: Vec<Vec<f32>> =
            (0..100).map(|i| vec![if i % 10 == 0 { -1.0 } else { 1.0 }; 40]).collect();
        for seed in 0..20 {
            let options = LshOptions { share: 0.2, seed, ..LshOptions::default() };
            let rare = select(&vectors, options).into_iter().filter(|index| index % 10 == 0).count();
            assert_eq!(rare, 10, "seed {seed}");
        }
    }

    #[test]
    fn projections_are_sparse_and_balanced() {
        let all = projections(10, 6000, 3).concat();
        let share = |value: f64| all.iter().filter(|&&entry| entry == value).count() as f64 / 60_000.0;
        for (value, expected) in [(3f64.sqrt(), 1.0 / 6.0), (-(3f64.sqrt()), 1.0 / 6.0), (0.0, 2.0 / 3.0)] {
            assert!((share(value) - expected).abs() < 0.01, "{value}: {}", share(value));
        }
    }

    #[test]
    fn rejects_invalid_options() {
        let check = |options: LshOptions, expected: &str| {
            assert_eq!(lsh_selection(1, [[(0, 1.0)]], options).unwrap_err().to_string(), expected);
        };
        let base = LshOptions::default();
        check(LshOptions { share: 0.0, ..base }, "share: expected a number above 0, at most 1, got 0");
        check(LshOptions { share: 1.5, ..base }, "share: expected a number above 0, at most 1, got 1.5");
        check(LshOptions { n_projections: 65, ..base }, "n_projections: expected 1 to 64, got 65");
        let error = lsh_selection(1, [[(1, 1.0)]], base).unwrap_err().to_string();
        assert_eq!(error, "vectors: expected positions below 1, got 1");
    }
}
