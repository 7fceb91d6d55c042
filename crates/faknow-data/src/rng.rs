//! Random numbers that are the same on every platform and in every version, since batch order depends on them.

/// A small deterministic generator: xoshiro256++ (Blackman and Vigna, 2019), its state filled by SplitMix64.
///
/// The numbers that a seed gives are part of this crate's contract: shuffles, splits, sampling and the built-in
/// corpus stand on them, and a run can be repeated exactly only as long as they stay. It is no generator for
/// secrets.
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
    /// The generator of this seed.
    pub fn new(seed: u64) -> Self {
        let mut mix = SplitMix64(seed);
        // SplitMix64 gives each number once per period, so the four are never all 0 (where xoshiro would stick).
        Self { state: [mix.next(), mix.next(), mix.next(), mix.next()] }
    }

    /// The generator of several numbers together, e.g. a seed, an epoch and a sample; their order and count matter.
    pub fn from_parts(parts: &[u64]) -> Self {
        let seed = parts.iter().fold(parts.len() as u64, |seed, &part| SplitMix64(seed ^ mix(part)).next());
        Self::new(seed)
    }

    /// The next 64 random bits.
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

    /// A number in `0..n`, each equally likely; 0 if `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        // Lemire's multiplication: the high word is the answer; low words under the threshold would make some
        // answers a little more likely than others, and are drawn again.
        let n = n as u64;
        let threshold = if n == 0 { 0 } else { n.wrapping_neg() % n };
        loop {
            let product = u128::from(self.next_u64()) * u128::from(n);
            if product as u64 >= threshold {
                return (product >> 64) as usize;
            }
        }
    }

    /// A number in `[0, 1)`, a multiple of 2⁻⁵³.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Whether an event of this probability happens; never for 0 or less, always for 1 or more.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// A number of the standard normal distribution (Marsaglia's polar method), the same to the last bit everywhere.
    pub fn normal(&mut self) -> f64 {
        loop {
            let (x, y) = (2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                return x * (-2.0 * natural_logarithm(square) / square).sqrt();
            }
        }
    }

    /// Brings `items` into a random order, each order equally likely (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// One of `items`, each equally likely; `None` if there are none.
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() { None } else { items.get(self.below(items.len())) }
    }
}

/// Weights made ready for many draws with replacement, each in logarithmic time.
#[derive(Clone, Debug)]
pub struct WeightedIndex {
    /// Sum of the weights up to and with each index.
    cumulative: Vec<f64>,
}

impl WeightedIndex {
    /// Prepares `weights`; `None` unless some weight is positive. Those negative or not finite count as 0.
    pub fn new(weights: &[f64]) -> Option<Self> {
        let mut total = 0.0;
        let sum = |weight: &f64| {
            total += usable_weight(*weight);
            total
        };
        let cumulative: Vec<f64> = weights.iter().map(sum).collect();
        (total > 0.0).then_some(Self { cumulative })
    }

    /// Draws an index, as likely as its weight.
    pub fn sample(&self, rng: &mut Rng) -> usize {
        let total = self.cumulative.last().copied().unwrap_or(0.0);
        let drawn = rng.uniform() * total;
        let index = self.cumulative.partition_point(|&sum| sum <= drawn);
        // Rounding may give the total itself: then the last index of a positive weight is meant.
        if index < self.cumulative.len() {
            index
        } else {
            self.cumulative.partition_point(|&sum| sum < total)
        }
    }
}

/// Returns the seed of part number `part` of what has `seed`; nearby seeds and parts give unrelated numbers.
///
/// ```
/// use faknow_data::derive_seed;
///
/// assert_eq!(derive_seed(7, 0), 13_309_476_754_707_697_221);
/// ```
pub fn derive_seed(seed: u64, part: u64) -> u64 {
    SplitMix64(SplitMix64(seed).next().wrapping_add(part)).next()
}

/// SplitMix64 (Steele, Lea and Flood, 2014): turns nearby seeds into unrelated numbers.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }
}

/// The output function of SplitMix64: a bijection in which every input bit changes about half of the output bits.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn usable_weight(weight: f64) -> f64 {
    if weight.is_finite() && weight > 0.0 { weight } else { 0.0 }
}

/// `ln(x)` of a normal positive number. The platform's own may differ in the last bit from one to the next; this
/// one is made of sums, products and quotients alone, which IEEE 754 defines exactly.
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

    /// The first four numbers from the state 1, 2, 3, 4, as the algorithm's authors' own program prints them.
    #[test]
    fn xoshiro_matches_its_reference() {
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

    /// If this fails, old runs can no longer be repeated: change the generator back, not the numbers.
    #[test]
    fn numbers_of_a_seed_are_pinned() {
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
    fn small_ranges_are_met_evenly() {
        let mut rng = Rng::new(1);
        let mut counts = [0; 7];
        for _ in 0..70_000 {
            counts[rng.below(7)] += 1;
        }
        assert!(counts.iter().all(|&count| (9_600..10_400).contains(&count)), "{counts:?}");
        assert_eq!((rng.below(0), rng.below(1)), (0, 0));
    }

    #[test]
    fn every_order_of_three_is_equally_likely() {
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
    fn the_logarithm_is_right_to_the_last_bits() {
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
    fn without_a_positive_weight_nothing_is_drawn() {
        for weights in [&[][..], &[0.0, -1.0], &[f64::NAN, f64::INFINITY]] {
            assert!(WeightedIndex::new(weights).is_none());
        }
        assert_eq!(Rng::new(0).choose::<u8>(&[]), None);
    }
}
