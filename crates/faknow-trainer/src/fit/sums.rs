//! Sums of losses and gradient norms, accumulated on the device and read once at the end of a pass.

use faknow_metrics::Scores;
use faknow_model::Loss;
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};
use tch::{Device, Kind, Tensor, no_grad};

use crate::Result;

/// Sums of a loss and its parts over the samples of a pass, accumulated without synchronizing with the device.
///
/// Each batch is weighted by its samples, so the result is the mean over all samples.
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
pub struct LossSums {
    sums: Vec<(String, DeviceSum)>,
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
            self.n_samples += n_samples;
            Ok(())
        })
    }

    /// Returns the means over all samples, `loss` and `loss/<part>`, in order of first occurrence; synchronizes with the
    /// device.
    ///
    /// # Errors
    /// libtorch cannot read a value.
    pub fn means(&self) -> Result<Scores> {
        let mut scores = Scores::new();
        for (name, sum) in &self.sums {
            scores.insert(name.clone(), sum.read()? / self.n_samples as f64);
        }
        Ok(scores)
    }

    /// Returns whether nothing has been added yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.n_samples == 0
    }

    /// Returns the means as tensors, the total and the parts that `template` has, without synchronizing.
    pub(crate) fn tensors(&self, template: Option<&Loss>) -> Result<(Tensor, Vec<(&'static str, Tensor)>)> {
        let mean = |name: &str| -> Result<Tensor> {
            let sum = self.sums.iter().find(|(known, _)| known == name).and_then(|(_, sum)| sum.0.as_ref());
            Ok(sum
                .map_or_else(|| Ok(Tensor::from(f64::NAN)), |sum| sum.f_div_scalar(self.n_samples as f64))?)
        };
        let parts = template.map_or(&[][..], |loss| &loss.parts);
        let parts = parts.iter().map(|(name, _)| Ok((*name, mean(&format!("loss/{name}"))?)));
        Ok((mean("loss")?, parts.collect::<Result<_>>()?))
    }

    /// Moves the sums to a device.
    pub(crate) fn move_to(&mut self, device: Device) {
        self.sums.iter_mut().for_each(|(_, sum)| sum.move_to(device));
    }

    fn add_one(&mut self, name: &str, value: &Tensor, n_samples: usize) -> Result<()> {
        match self.sums.iter_mut().find(|(n, _)| n == name) {
            Some((_, sum)) => sum.add(value, n_samples),
            None => {
                let mut sum = DeviceSum::default();
                sum.add(value, n_samples)?;
                self.sums.push((name.to_owned(), sum));
                Ok(())
            }
        }
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
