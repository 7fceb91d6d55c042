//! A random number generator with the same output on every platform and in every version, as batch order depends on it.

/// A small deterministic generator: xoshiro256++ (Blackman and Vigna, 2019), seeded by SplitMix64.
///
/// The output for a seed is part of this crate's contract: shuffles, splits, sampling and the synthetic corpus depend on it,
/// and runs are reproducible only as long as it does not change. It is not cryptographically secure.
///
/// ```
/// use faknow_data::Rng;
///
/// let mut order: Vec<usize> = (0..5).collect();
/// Rng::from_parts(&[7, 3]).shuffle(&mut order); // e.g. seed 7, epoch 3
/// let mut again: Vec<usize> = (0..5).collect();
/// Rng::from_parts(&[7, 3]).shuffle(&mut again);
/// assert_eq!(order, again);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// Creates a generator with this seed.
    pub fn new(seed: u64) -> Self {
        let mut mix = SplitMix64(seed);
        // SplitMix64 returns each number once per period, so the state is never all zeros, a fixed point of xoshiro.
        Self { state: [mix.next(), mix.next(), mix.next(), mix.next()] }
    }

    /// Creates a generator seeded with several numbers, such as a seed, an epoch and a sample; their order and count matter.
    pub fn from_parts(parts: &[u64]) -> Self {
        let seed = parts.iter().fold(parts.len() as u64, |seed, &part| SplitMix64(seed ^ mix(part)).next());
        Self::new(seed)
    }

    /// Returns the next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Returns a uniformly distributed number in `0..n`; 0 if `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        // Lemire's method: the high word is the result; low words below the threshold, which would bias it, are rejected.
        let n = n as u64;
        let threshold = if n == 0 { 0 } else { n.wrapping_neg() % n };
        loop {
            let product = u128::from(self.next_u64()) * u128::from(n);
            if product as u64 >= threshold {
                return (product >> 64) as usize;
            }
        }
    }

    /// Returns a uniformly distributed number in `[0, 1)`, a multiple of 2⁻⁵³.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Returns true with this probability; never for 0 or less, always for 1 or more.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// Returns a number from the standard normal distribution (Marsaglia's polar method), bit-identical on every platform.
    pub fn normal(&mut self) -> f64 {
        loop {
            let (x, y) = (2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                return x * (-2.0 * natural_logarithm(square) / square).sqrt();
            }
        }
    }

    /// Shuffles `items` uniformly (Fisher–Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// Returns a uniformly chosen item, or `None` if there are no items.
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() { None } else { items.get(self.below(items.len())) }
    }
}

/// A discrete distribution by weight, for draws with replacement in logarithmic time.
#[derive(Clone, Debug)]
pub struct WeightedIndex {
    /// Sum of the weights up to and including each index.
    cumulative: Vec<f64>,
}

impl WeightedIndex {
    /// Creates a distribution; `None` if no weight is positive. Negative and non-finite weights are treated as 0.
    pub fn new(weights: &[f64]) -> Option<Self> {
        let mut total = 0.0;
        let sum = |weight: &f64| {
            total += usable_weight(*weight);
            total
        };
        let cumulative: Vec<f64> = weights.iter().map(sum).collect();
        (total > 0.0).then_some(Self { cumulative })
    }

    /// Draws an index with probability proportional to its weight.
    pub fn sample(&self, rng: &mut Rng) -> usize {
        let total = self.cumulative.last().copied().unwrap_or(0.0);
        let drawn = rng.uniform() * total;
        let index = self.cumulative.partition_point(|&sum| sum <= drawn);
        // Rounding may produce the total itself, which means the last index with a positive weight.
        if index < self.cumulative.len() {
            index
        } else {
            self.cumulative.partition_point(|&sum| sum < total)
        }
    }
}

/// Derives the seed of component `part` from `seed`; adjacent seeds and parts result in unrelated seeds.
///
/// ```
/// use faknow_data::derive_seed;
///
/// assert_eq!(derive_seed(7, 0), 13_309_476_754_707_697_221);
/// ```
pub fn derive_seed(seed: u64, part: u64) -> u64 {
    SplitMix64(SplitMix64(seed).next().wrapping_add(part)).next()
}

/// The generator SplitMix64 (Steele, Lea and Flood, 2014), whose output for adjacent seeds is unrelated.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }
}

/// Applies the output function of SplitMix64: a bijection in which every input bit changes about half of the output bits.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn usable_weight(weight: f64) -> f64 {
    if weight.is_finite() && weight > 0.0 { weight } else { 0.0 }
}

/// Returns `ln(x)` of a normal positive number. Unlike the standard library's, which may differ in the last bit between
/// platforms, it uses only operations that IEEE 754 defines exactly.
fn natural_logarithm(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) & 0x7ff) as f64 - 1023.0;
    let mut mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52)); // in [1, 2)
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1.0;
    }
    // ln m = 2 artanh((m - 1) / (m + 1)), whose argument is below 0.172: 11 terms reach the last bits.
    let argument = (mantissa - 1.0) / (mantissa + 1.0);
    let square = argument * argument;
    let series = (0..11).rev().fold(0.0, |sum, term| sum * square + 1.0 / f64::from(2 * term + 1));
    exponent * std::f64::consts::LN_2 + 2.0 * argument * series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xoshiro_matches_its_reference() {
        // Expected values: output of the authors' program for the state 1, 2, 3, 4.
        let mut rng = Rng { state: [1, 2, 3, 4] };
        let got: Vec<u64> = (0..4).map(|_| rng.next_u64()).collect();
        assert_eq!(got, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
    }

    #[test]
    fn split_mix_matches_its_reference() {
        let mut mix = SplitMix64(1_234_567);
        let got = [mix.next(), mix.next(), mix.next()];
        assert_eq!(got, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn output_of_a_seed_is_pinned() {
        // If this fails, old runs are no longer reproducible: fix the generator, not the numbers.
        let first = |mut rng: Rng| [rng.next_u64(), rng.next_u64()];
        assert_eq!(first(Rng::new(0)), [0x5317_5d61_490b_23df, 0x61da_6f3d_c380_d507]);
        assert_eq!(first(Rng::new(42)), [0xd076_4d4f_4476_689f, 0x519e_4174_576f_3791]);
        assert_eq!(first(Rng::from_parts(&[7, 3])), [0xa781_f1ef_0fcc_6342, 0x55e3_5047_6f18_5ee6]);
        assert_eq!(Rng::new(42).uniform(), 0.8143051451229099);

        let mut rng = Rng::new(42);
        assert_eq!([0; 10].map(|_| rng.below(6)), [4, 1, 5, 4, 4, 3, 0, 3, 1, 5]);
        let mut order: Vec<usize> = (0..10).collect();
        Rng::new(42).shuffle(&mut order);
        assert_eq!(order, [5, 3, 1, 0, 9, 6, 4, 7, 2, 8]);
    }

    #[test]
    fn order_and_number_of_parts_matter() {
        let lists: [&[u64]; 6] = [&[], &[0], &[0, 0], &[1, 0], &[0, 1], &[1]];
        let first: std::collections::HashSet<u64> =
            lists.iter().map(|list| Rng::from_parts(list).next_u64()).collect();
        assert_eq!(first.len(), lists.len());
    }

    #[test]
    fn below_is_uniform() {
        let mut rng = Rng::new(1);
        let mut counts = [0; 7];
        for _ in 0..70_000 {
            counts[rng.below(7)] += 1;
        }
        assert!(counts.iter().all(|&count| (9_600..10_400).contains(&count)), "{counts:?}");
        assert_eq!((rng.below(0), rng.below(1)), (0, 0));
    }

    #[test]
    fn shuffle_is_uniform() {
        let mut rng = Rng::new(2);
        let mut counts = std::collections::HashMap::new();
        for _ in 0..60_000 {
            let mut items = [0, 1, 2];
            rng.shuffle(&mut items);
            *counts.entry(items).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|count| (9_600..10_400).contains(count)), "{counts:?}");
    }

    #[test]
    fn normal_has_mean_0_and_variance_1() {
        let mut rng = Rng::new(3);
        let draws: Vec<f64> = (0..100_000).map(|_| rng.normal()).collect();
        let moment = |power: i32| draws.iter().map(|x| x.powi(power)).sum::<f64>() / draws.len() as f64;
        assert!(moment(1).abs() < 0.02, "{}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.02, "{}", moment(2));
        assert!((moment(4) - 3.0).abs() < 0.15, "{}", moment(4));
    }

    #[test]
    fn natural_logarithm_is_accurate() {
        let mut rng = Rng::new(4);
        for _ in 0..10_000 {
            let x = (rng.uniform() + 1e-12) * 10f64.powi(rng.below(12) as i32 - 6);
            let expected = x.ln();
            assert!((natural_logarithm(x) - expected).abs() <= 1e-15 * (1.0 + expected.abs()), "ln({x})");
        }
    }

    #[test]
    fn weighted_draws_follow_the_weights() {
        let weights = [1.0, 0.0, 3.0, f64::NAN, -2.0, 6.0];
        let index = WeightedIndex::new(&weights).expect("there are positive weights");
        let (mut rng, mut counts) = (Rng::new(5), [0usize; 6]);
        for _ in 0..50_000 {
            counts[index.sample(&mut rng)] += 1;
        }
        for (count, share) in counts.iter().zip([0.1, 0.0, 0.3, 0.0, 0.0, 0.6]) {
            let got = *count as f64 / 50_000.0;
            assert!((got - share).abs() < 0.01 && (share > 0.0 || *count == 0), "{counts:?}");
        }
    }

    #[test]
    fn no_positive_weight_returns_none() {
        for weights in [&[][..], &[0.0, -1.0], &[f64::NAN, f64::INFINITY]] {
            assert!(WeightedIndex::new(weights).is_none());
        }
        assert_eq!(Rng::new(0).choose::<u8>(&[]), None);
    }
}
