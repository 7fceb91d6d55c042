//! Dropout: some values become 0 in training, the others grow to make up for them.
//!
//! Srivastava et al., *Dropout: A Simple Way to Prevent Neural Networks from Overfitting*, JMLR 2014.
//!
//! On the CPU the masks come from a generator of our own, which takes a nanosecond a value, ten times less than
//! libtorch's; libtorch's generator gives its seed, so that a seeded step draws the same masks.

use faknow_data::Rng;
use faknow_data::graph::{NodeFeatures, SparseFeatures};
use tch::{Device, Kind, Tensor};

use crate::{Error, Mode, Result};

/// Returns `x` with a share of `rate` of its values set to 0 in training; `x` itself otherwise.
///
/// # Errors
/// libtorch refuses an operation.
pub fn dropout(x: &Tensor, rate: f64, mode: Mode) -> Result<Tensor> {
    if !mode.is_train() || rate == 0.0 {
        return Ok(x.shallow_clone());
    }
    if x.device() != Device::Cpu {
        return Ok(x.f_dropout(rate, true)?);
    }
    let mut coin = Coin::new(rate)?;
    let mut mask = vec![0f32; x.numel()];
    coin.fill(&mut mask);
    Ok(x.f_mul(&Tensor::f_from_slice(&mask)?.f_to_kind(x.kind())?.f_view_as(x)?)?)
}

/// The rows of these numbers, i64 `[n]`, each with a share of `rate` of its features dropped by itself, and without those
/// below 0: what is left of them after a ReLU and dropout.
///
/// # Errors
/// A number is no row.
pub(crate) fn select_dropped(features: &NodeFeatures, rows: &Tensor, rate: f64) -> Result<NodeFeatures> {
    match features {
        NodeFeatures::Sparse(sparse)
            if sparse.values.device() == Device::Cpu && sparse.values.kind() == Kind::Float =>
        {
            Ok(NodeFeatures::Sparse(select_dropped_on_cpu(sparse, rows, rate)?))
        }
        _ => on_values(select_positive(features, rows)?, |values| dropout(values, rate, Mode::Train)),
    }
}

/// The rows of these numbers, i64 `[n]`, without what is below 0.
///
/// # Errors
/// A number is no row.
pub(crate) fn select_positive(features: &NodeFeatures, rows: &Tensor) -> Result<NodeFeatures> {
    on_values(features.select(rows)?, |values| Ok(values.f_relu()?))
}

/// The features with other values; what is 0 must stay so.
fn on_values(features: NodeFeatures, change: impl Fn(&Tensor) -> Result<Tensor>) -> Result<NodeFeatures> {
    Ok(match features {
        NodeFeatures::Dense(rows) => NodeFeatures::Dense(change(&rows)?),
        NodeFeatures::Sparse(sparse) => {
            NodeFeatures::Sparse(SparseFeatures { values: change(&sparse.values)?, ..sparse })
        }
    })
}

/// In one pass, which leaves out what was dropped: nothing needs to be multiplied with it.
fn select_dropped_on_cpu(sparse: &SparseFeatures, rows: &Tensor, rate: f64) -> Result<SparseFeatures> {
    let columns = Vec::<i32>::try_from(&sparse.columns)?;
    let values = Vec::<f32>::try_from(&sparse.values)?;
    let offsets = Vec::<i32>::try_from(&sparse.offsets)?;
    let rows = Vec::<i64>::try_from(rows)?;
    let mut coin = Coin::new(rate)?;
    let (mut retained_columns, mut retained_values) = (Vec::new(), Vec::new());
    let mut retained_offsets = Vec::with_capacity(rows.len() + 1);
    retained_offsets.push(0i32);
    for row in rows {
        let Some(&[start, end]) = usize::try_from(row).ok().and_then(|row| offsets.get(row..row + 2)) else {
            let got = format!("row {row} of {}", offsets.len() - 1);
            return Err(Error::Batch { model: "dropout", expected: "rows of the features".into(), got });
        };
        let entries = start as usize..end as usize;
        for (&column, &value) in columns[entries.clone()].iter().zip(&values[entries]) {
            let value = value * coin.toss();
            if value > 0.0 {
                retained_columns.push(column);
                retained_values.push(value);
            }
        }
        retained_offsets.push(retained_columns.len() as i32);
    }
    Ok(SparseFeatures {
        columns: Tensor::f_from_slice(&retained_columns)?,
        offsets: Tensor::f_from_slice(&retained_offsets)?,
        values: Tensor::f_from_slice(&retained_values)?,
        n_features: sparse.n_features,
    })
}

/// Tosses 0, or what makes up for it; 32 random bits a toss.
struct Coin {
    rng: Rng,
    bits: u64,
    left: bool,
    /// Below this the toss is 0.
    threshold: u32,
    scale: f32,
}

impl Coin {
    fn new(rate: f64) -> Result<Self> {
        let seed = Tensor::f_randint(i64::MAX, [1], tch::kind::INT64_CPU)?.f_int64_value(&[0])?;
        let threshold = (rate * 2f64.powi(32)) as u32;
        let scale = (1.0 / (1.0 - rate)) as f32;
        Ok(Self { rng: Rng::new(seed as u64), bits: 0, left: false, threshold, scale })
    }

    /// Tosses for each place.
    fn fill(&mut self, places: &mut [f32]) {
        let Self { rng, threshold, scale, .. } = self;
        let side = |bits: u64| if (bits as u32) < *threshold { 0.0 } else { *scale };
        for pair in places.chunks_mut(2) {
            let bits = rng.next_u64();
            pair.iter_mut().zip([bits, bits >> 32]).for_each(|(place, bits)| *place = side(bits));
        }
    }

    #[inline]
    fn toss(&mut self) -> f32 {
        self.bits = if self.left { self.bits >> 32 } else { self.rng.next_u64() };
        self.left = !self.left;
        if (self.bits as u32) < self.threshold { 0.0 } else { self.scale }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_the_mean_and_the_seed_are_right() {
        let x = Tensor::ones([200, 500], (Kind::Double, Device::Cpu));
        let run = |rate| {
            tch::manual_seed(5);
            dropout(&x, rate, Mode::Train).unwrap()
        };
        for rate in [0.1, 0.5, 0.9] {
            let dropped = run(rate);
            let zeros = dropped.eq(0.0).to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
            assert!((zeros - rate).abs() < 0.01, "{rate} {zeros}");
            assert!((dropped.mean(Kind::Double).double_value(&[]) - 1.0).abs() < 0.03);
            assert!((dropped.max().double_value(&[]) - 1.0 / (1.0 - rate)).abs() < 1e-5);
            assert_eq!(dropped, run(rate));
        }
        let next = dropout(&x, 0.5, Mode::Train).unwrap();
        assert_ne!(next, dropout(&x, 0.5, Mode::Train).unwrap());
        assert_eq!(dropout(&x, 0.5, Mode::Eval).unwrap(), x);
        assert_eq!(run(0.0), x);
    }

    #[test]
    fn selected_rows_lose_a_share_of_their_positive_features_each_by_itself() {
        tch::manual_seed(2);
        let rows = Tensor::from_slice2(&[[0.0f32, 2.0, -1.0, 4.0], [1.0, 0.0, 0.0, 0.0]]);
        let sparse = NodeFeatures::Sparse(NodeFeatures::Dense(rows).to_sparse().unwrap());
        let wanted = Tensor::zeros([4000], tch::kind::INT64_CPU);
        let retained = select_dropped(&sparse, &wanted, 0.25).unwrap().to_dense().unwrap();
        let mean = Vec::<f32>::try_from(retained.mean_dim([0].as_slice(), false, Kind::Float)).unwrap();
        for (mean, expected) in mean.iter().zip([0.0, 2.0, 0.0, 4.0]) {
            assert!((mean - expected).abs() < 0.1, "{mean} {expected}");
        }
        let both =
            retained.select(1, 1).gt(0.0).logical_and(&retained.select(1, 3).gt(0.0)).to_kind(Kind::Float);
        assert!((both.mean(Kind::Float).double_value(&[]) - 0.5625).abs() < 0.03, "features drop together");
        let wanted = Tensor::from_slice(&[1i64, 0]);
        for all in [select_dropped(&sparse, &wanted, 0.0), select_positive(&sparse, &wanted)] {
            let all = all.unwrap().to_dense().unwrap();
            assert_eq!(all, Tensor::from_slice2(&[[1.0f32, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 4.0]]));
        }
    }
}
