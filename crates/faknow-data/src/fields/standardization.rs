//! Standardization of named features: mean 0 and standard deviation 1 over the training data.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::FieldDataset;
use crate::{Dataset as _, Error, Result};

/// Mean and standard deviation of each value of a feature.
///
/// ```
/// use faknow_data::Standardization;
///
/// let fitted = Standardization::fit([[1.0f32, 5.0], [3.0, 5.0]].iter().map(|row| &row[..]));
/// assert_eq!(fitted.mean, [2.0, 5.0]);
/// // A constant value becomes 0.
/// assert_eq!(fitted.std, [1.0, 0.0]);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standardization {
    /// Mean of each value.
    pub mean: Vec<f64>,
    /// Standard deviation of each value (population).
    pub std: Vec<f64>,
}

impl Standardization {
    /// Computes mean and standard deviation over rows of equal length.
    pub fn fit<'a>(rows: impl Iterator<Item = &'a [f32]> + Clone) -> Self {
        let n_values = rows.clone().next().map_or(0, <[f32]>::len);
        let average = |value: &dyn Fn(usize, f32) -> f64| -> Vec<f64> {
            let mut sums = vec![0.0; n_values];
            let mut n_rows = 0.0;
            for row in rows.clone() {
                sums.iter_mut().enumerate().zip(row).for_each(|((i, sum), x)| *sum += value(i, *x));
                n_rows += 1.0;
            }
            sums.iter().map(|sum| sum / f64::max(n_rows, 1.0)).collect()
        };
        let mean = average(&|_, x| f64::from(x));
        let variance = average(&|i, x| (f64::from(x) - mean[i]).powi(2));
        Self { std: variance.into_iter().map(f64::sqrt).collect(), mean }
    }

    /// Returns the standardized value at `index` of a row.
    pub fn apply(&self, index: usize, value: f32) -> f32 {
        let (mean, std) = (self.mean[index], self.std[index]);
        // Rounding of the mean may leave a tiny standard deviation of equal values.
        if std > 1e-9 * mean.abs().max(1e-9) { ((f64::from(value) - mean) / std) as f32 } else { 0.0 }
    }
}

impl FieldDataset {
    /// Returns the number of values of a named feature, if the dataset has it.
    pub fn feature_size(&self, name: &str) -> Option<usize> {
        self.columns.features.get(name).map(|column| column.width())
    }

    /// Returns the mean and the standard deviation of a feature over the samples; `None` if the dataset does not have it.
    pub fn fit_standardization(&self, name: &str) -> Option<Standardization> {
        let column = self.columns.features.get(name)?;
        let rows = (0..self.n_samples()).filter_map(|index| self.row(index));
        Some(Standardization::fit(rows.map(|row| column.row(row))))
    }

    /// Standardizes a feature.
    ///
    /// # Errors
    /// [`Error::Dataset`]: the dataset does not have the feature, or it has another number of values.
    pub fn standardize(mut self, name: &str, by: &Standardization) -> Result<Self> {
        let (expected, got) = (by.mean.len(), self.feature_size(name));
        let column = self.columns.features.get_mut(name).filter(|_| got == Some(expected));
        let Some(column) = column else {
            let got = got.map_or_else(|| "none".to_owned(), |got| got.to_string());
            let message = format!("feature `{name}`: expected {expected} numbers per record, got {got}");
            return Err(Error::Dataset(message));
        };
        *column = Arc::new(column.map(|index, value| by.apply(index, value)));
        Ok(self)
    }
}
