//! Dropout.
//!
//! Srivastava et al., *Dropout: A Simple Way to Prevent Neural Networks from Overfitting*, JMLR 2014.
//!
//! On the CPU, masks come from a separate generator, which takes a nanosecond per value, a tenth of libtorch's. It is seeded
//! from libtorch's generator, so a seeded step draws the same masks.

use faknow_data::Rng;
use faknow_data::graph::{NodeFeatures, SparseFeatures};
use tch::{Device, Kind, Tensor};

use crate::{Error, Mode, Result};

/// Sets values of `x` to 0 with probability `rate` in training and scales the others by 1 / (1 - `rate`); returns `x` in
/// evaluation.
///
/// # Errors
/// libtorch rejects an operation.
pub fn dropout(x: &Tensor, rate: f64, mode: Mode) -> Result<Tensor> {
    if !mode.is_train() || rate == 0.0 {
        return Ok(x.shallow_clone());
    }
    if x.device() != Device::Cpu {
        return Ok(x.f_dropout(rate, true)?);
    }
    let mut mask_rng = MaskRng::new(rate)?;
    let mut mask = vec![0f32; x.numel()];
    mask_rng.fill(&mut mask);
    Ok(x.f_mul(&Tensor::f_from_slice(&mask)?.f_to_kind(x.kind())?.f_view_as(x)?)?)
}

/// Selects `rows` i64 `[n]` of the features, and applies ReLU and dropout, independently for repeated rows.
///
/// # Errors
/// A row is out of range.
pub(crate) fn select_relu_dropout(features: &NodeFeatures, rows: &Tensor, rate: f64) -> Result<NodeFeatures> {
    match features {
        NodeFeatures::Sparse(sparse)
            if sparse.values.device() == Device::Cpu && sparse.values.kind() == Kind::Float =>
        {
            Ok(NodeFeatures::Sparse(select_relu_dropout_on_cpu(sparse, rows, rate)?))
        }
        _ => map_values(select_relu(features, rows)?, |values| dropout(values, rate, Mode::Train)),
    }
}

/// Selects `rows` i64 `[n]` of the features, and applies ReLU.
///
/// # Errors
/// A row is out of range.
pub(crate) fn select_relu(features: &NodeFeatures, rows: &Tensor) -> Result<NodeFeatures> {
    map_values(features.select(rows)?, |values| Ok(values.f_relu()?))
}

/// Applies a function to the values, which must map 0 to 0.
fn map_values(features: NodeFeatures, function: impl Fn(&Tensor) -> Result<Tensor>) -> Result<NodeFeatures> {
    Ok(match features {
        NodeFeatures::Dense(rows) => NodeFeatures::Dense(function(&rows)?),
        NodeFeatures::Sparse(sparse) => {
            NodeFeatures::Sparse(SparseFeatures { values: function(&sparse.values)?, ..sparse })
        }
    })
}

/// Selects, rectifies and drops in one pass; zeros are not stored, so nothing is multiplied with them.
fn select_relu_dropout_on_cpu(sparse: &SparseFeatures, rows: &Tensor, rate: f64) -> Result<SparseFeatures> {
    let columns = Vec::<i32>::try_from(&sparse.columns)?;
    let values = Vec::<f32>::try_from(&sparse.values)?;
    let offsets = Vec::<i32>::try_from(&sparse.offsets)?;
    let rows = Vec::<i64>::try_from(rows)?;
    let mut mask_rng = MaskRng::new(rate)?;
    let (mut retained_columns, mut retained_values) = (Vec::new(), Vec::new());
    let mut retained_offsets = Vec::with_capacity(rows.len() + 1);
    retained_offsets.push(0i32);
    for row in rows {
        let Some(&[start, end]) = usize::try_from(row).ok().and_then(|row| offsets.get(row..row + 2)) else {
            let got = format!("row {row}");
            return Err(Error::Batch {
                model: "dropout",
                expected: format!("rows in 0..{}", offsets.len() - 1),
                got,
            });
        };
        let entries = start as usize..end as usize;
        for (&column, &value) in columns[entries.clone()].iter().zip(&values[entries]) {
            let value = value * mask_rng.next_value();
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

/// Random mask values, 0 or 1 / (1 - rate), from 32 random bits each.
struct MaskRng {
    rng: Rng,
    bits: u64,
    /// Whether `bits` has 32 unused bits.
    has_bits: bool,
    /// Below this, the value is 0.
    threshold: u32,
    scale: f32,
}

impl MaskRng {
    fn new(rate: f64) -> Result<Self> {
        let seed = Tensor::f_randint(i64::MAX, [1], tch::kind::INT64_CPU)?.f_int64_value(&[0])?;
        let threshold = (rate * 2f64.powi(32)) as u32;
        let scale = (1.0 / (1.0 - rate)) as f32;
        Ok(Self { rng: Rng::new(seed as u64), bits: 0, has_bits: false, threshold, scale })
    }

    /// Fills `mask` with random values.
    fn fill(&mut self, mask: &mut [f32]) {
        let Self { rng, threshold, scale, .. } = self;
        let value = |bits: u64| if (bits as u32) < *threshold { 0.0 } else { *scale };
        for pair in mask.chunks_mut(2) {
            let bits = rng.next_u64();
            pair.iter_mut().zip([bits, bits >> 32]).for_each(|(slot, bits)| *slot = value(bits));
        }
    }

    #[inline]
    fn next_value(&mut self) -> f32 {
        self.bits = if self.has_bits { self.bits >> 32 } else { self.rng.next_u64() };
        self.has_bits = !self.has_bits;
        if (self.bits as u32) < self.threshold { 0.0 } else { self.scale }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropout_has_the_rate_preserves_the_mean_and_follows_the_seed() {
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
    fn select_relu_dropout_drops_features_independently_per_row() {
        tch::manual_seed(2);
        let rows = Tensor::from_slice2(&[[0.0f32, 2.0, -1.0, 4.0], [1.0, 0.0, 0.0, 0.0]]);
        let sparse = NodeFeatures::Sparse(NodeFeatures::Dense(rows).to_sparse().unwrap());
        let rows = Tensor::zeros([4000], tch::kind::INT64_CPU);
        let retained = select_relu_dropout(&sparse, &rows, 0.25).unwrap().to_dense().unwrap();
        let mean = Vec::<f32>::try_from(retained.mean_dim([0].as_slice(), false, Kind::Float)).unwrap();
        for (mean, expected) in mean.iter().zip([0.0, 2.0, 0.0, 4.0]) {
            assert!((mean - expected).abs() < 0.1, "{mean} {expected}");
        }
        let both =
            retained.select(1, 1).gt(0.0).logical_and(&retained.select(1, 3).gt(0.0)).to_kind(Kind::Float);
        assert!(
            (both.mean(Kind::Float).double_value(&[]) - 0.5625).abs() < 0.03,
            "features are not dropped independently"
        );
        let rows = Tensor::from_slice(&[1i64, 0]);
        for all in [select_relu_dropout(&sparse, &rows, 0.0), select_relu(&sparse, &rows)] {
            let all = all.unwrap().to_dense().unwrap();
            assert_eq!(all, Tensor::from_slice2(&[[1.0f32, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 4.0]]));
        }
    }
}
