//! Sums of losses and gradient norms, accumulated on the device and read once at the end of a pass.

use faknow_metrics::Scores;
use faknow_model::Loss;
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};
use tch::{Device, Kind, Tensor, no_grad};

use crate::Result;

/// Sums of a loss and its parts over the samples of a pass, accumulated without synchronizing with the device.
///
/// Each batch is weighted by its samples, so the result is the mean over all samples; for a part that only some batches
/// have, over the samples of these batches.
///
/// ```
/// use faknow_model::Loss;
/// use faknow_trainer::LossSums;
/// use tch::Tensor;
///
/// let mut sums = LossSums::default();
/// sums.add(&Loss::single(Tensor::from(0.5)), 30)?;
/// sums.add(&Loss::single(Tensor::from(0.9)), 10)?;
/// assert_eq!(sums.means()?.value("loss"), Some(0.6));
/// # Ok::<(), faknow_trainer::Error>(())
/// ```
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LossSums {
    sums: Vec<LossSum>,
}

/// The sum of a loss or of a part of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LossSum {
    name: String,
    sum: DeviceSum,
    /// Number of samples of the batches that have it.
    n_samples: usize,
}

impl LossSums {
    /// Adds the mean losses of a batch, weighted by its number of samples.
    ///
    /// # Errors
    /// A loss is not a scalar.
    pub fn add(&mut self, loss: &Loss, n_samples: usize) -> Result<()> {
        no_grad(|| {
            self.add_one("loss", &loss.total, n_samples)?;
            for (name, part) in &loss.parts {
                self.add_one(&format!("loss/{name}"), part, n_samples)?;
            }
            Ok(())
        })
    }

    /// Returns the means over the samples, `loss` and `loss/<part>`, in order of first occurrence; synchronizes with the
    /// device.
    ///
    /// # Errors
    /// libtorch cannot read a value.
    pub fn means(&self) -> Result<Scores> {
        let mut scores = Scores::new();
        for LossSum { name, sum, n_samples } in &self.sums {
            scores.insert(name.clone(), sum.read()? / *n_samples as f64);
        }
        Ok(scores)
    }

    /// Returns whether nothing has been added yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }

    /// Returns the means of the total and of these parts as tensors, without synchronizing.
    pub(crate) fn tensors(
        &self,
        parts: impl Iterator<Item = &'static str>,
    ) -> Result<(Tensor, Vec<(&'static str, Tensor)>)> {
        let mean = |name: &str| -> Result<Tensor> {
            let mean =
                |loss: &LossSum| loss.sum.0.as_ref().map(|sum| sum.f_div_scalar(loss.n_samples as f64));
            let found = self.sums.iter().find(|loss| loss.name == name).and_then(mean);
            Ok(found.unwrap_or_else(|| Ok(Tensor::from(f64::NAN)))?)
        };
        let mut means: Vec<(&'static str, Tensor)> = Vec::new();
        for name in parts {
            if means.iter().all(|(known, _)| *known != name) {
                means.push((name, mean(&format!("loss/{name}"))?));
            }
        }
        Ok((mean("loss")?, means))
    }

    /// Moves the sums to a device.
    pub(crate) fn move_to(&mut self, device: Device) {
        self.sums.iter_mut().for_each(|loss| loss.sum.move_to(device));
    }

    fn add_one(&mut self, name: &str, value: &Tensor, n_samples: usize) -> Result<()> {
        let index = self.sums.iter().position(|loss| loss.name == name).unwrap_or_else(|| {
            self.sums.push(LossSum { name: name.to_owned(), sum: DeviceSum::default(), n_samples: 0 });
            self.sums.len() - 1
        });
        let loss = &mut self.sums[index];
        loss.n_samples += n_samples;
        loss.sum.add(value, n_samples)
    }
}

/// Sum of the gradient norms of an epoch, accumulated on the device and read once at its end.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct GradNorms {
    sum: DeviceSum,
    n_steps: usize,
}

impl GradNorms {
    /// Adds the gradient norm of a step.
    ///
    /// # Errors
    /// The norm is not a scalar.
    pub fn add(&mut self, norm: &Tensor) -> Result<()> {
        self.n_steps += 1;
        no_grad(|| self.sum.add(norm, 1))
    }

    /// Returns the mean over the steps; `None` without steps, or if it is not finite. Synchronizes with the device.
    ///
    /// # Errors
    /// libtorch cannot read the value.
    pub fn mean(&self) -> Result<Option<f64>> {
        if self.n_steps == 0 {
            return Ok(None);
        }
        Ok(Some(self.sum.read()? / self.n_steps as f64).filter(|mean| mean.is_finite()))
    }

    /// Moves the sum to a device.
    pub(crate) fn move_to(&mut self, device: Device) {
        self.sum.move_to(device);
    }
}

/// A weighted sum of scalars on their device.
///
/// Serialization synchronizes with the device and writes a number; JSON has neither NaN nor infinities, so a sum that is
/// not finite is deserialized as NaN.
#[derive(Debug, Default, Deserialize)]
#[serde(from = "Option<f64>")]
struct DeviceSum(Option<Tensor>);

impl Serialize for DeviceSum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.read().map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl From<Option<f64>> for DeviceSum {
    fn from(sum: Option<f64>) -> Self {
        Self(Some(Tensor::from(sum.unwrap_or(f64::NAN))))
    }
}

impl DeviceSum {
    fn move_to(&mut self, device: Device) {
        if let Some(sum) = &mut self.0 {
            *sum = sum.to_device(device);
        }
    }

    fn add(&mut self, value: &Tensor, weight: usize) -> Result<()> {
        let weighted = value.detach().f_to_kind(Kind::Double)?.f_mul_scalar(weight as f64)?;
        match &mut self.0 {
            Some(sum) => drop(sum.f_add_(&weighted)?),
            None => self.0 = Some(weighted),
        }
        Ok(())
    }

    fn read(&self) -> Result<f64> {
        Ok(self.0.as_ref().map(|sum| sum.f_double_value(&[])).transpose()?.unwrap_or(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_averaged_over_the_batches_that_have_them() {
        let loss = |total: f64, parts: &[(&'static str, f64)]| Loss {
            total: Tensor::from(total),
            parts: parts.iter().map(|(name, value)| (*name, Tensor::from(*value))).collect(),
        };
        let mut sums = LossSums::default();
        for (loss, n) in [
            (loss(1.0, &[("a", 0.5)]), 2),
            (loss(2.0, &[]), 5),
            (loss(3.0, &[("a", 1.0), ("b", 7.0)]), 6),
            (loss(4.0, &[("b", 9.0)]), 2),
        ] {
            sums.add(&loss, n).unwrap();
        }
        let restored: LossSums = serde_json::from_str(&serde_json::to_string(&sums).unwrap()).unwrap();
        let expected = [("loss", 38.0 / 15.0), ("loss/a", 7.0 / 8.0), ("loss/b", 60.0 / 8.0)];
        for sums in [&sums, &restored] {
            let means = sums.means().unwrap();
            assert_eq!(means.names().collect::<Vec<_>>(), expected.map(|(name, _)| name));
            assert_eq!(expected.map(|(name, _)| means.value(name).unwrap()), expected.map(|(_, mean)| mean));
        }
        let (total, parts) = sums.tensors(["a", "b", "a"].into_iter()).unwrap();
        assert_eq!(total.double_value(&[]), 38.0 / 15.0);
        let parts: Vec<_> = parts.iter().map(|(name, value)| (*name, value.double_value(&[]))).collect();
        assert_eq!(parts, [("a", 0.875), ("b", 7.5)]);
    }
}
