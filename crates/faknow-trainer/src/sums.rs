//! Losses added up on the device, weighted by samples, and read once at the end of a pass.

use faknow_metrics::Scores;
use faknow_model::Loss;
use tch::{Kind, Tensor, no_grad};

use crate::Result;

/// Sums of a loss and its parts over the samples of a pass: never a mean of means, and no waiting for the device.
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
#[derive(Debug, Default)]
pub struct LossSums {
    sums: Vec<(String, Tensor)>,
    n_samples: usize,
}

impl LossSums {
    /// Adds a batch's mean losses, weighted by its samples.
    ///
    /// # Errors
    /// A loss is no scalar.
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

    /// The means over all samples, `loss` and `loss/<part>`, in the order in which the names first came; waits for
    /// the device.
    ///
    /// # Errors
    /// libtorch refuses to read a value.
    pub fn means(&self) -> Result<Scores> {
        let mut scores = Scores::new();
        for (name, sum) in &self.sums {
            scores.insert(name.clone(), sum.f_double_value(&[])? / self.n_samples as f64);
        }
        Ok(scores)
    }

    fn add_one(&mut self, name: &str, value: &Tensor, n_samples: usize) -> Result<()> {
        let weighted = value.detach().f_to_kind(Kind::Double)?.f_mul_scalar(n_samples as f64)?;
        match self.sums.iter_mut().find(|(n, _)| n == name) {
            Some((_, sum)) => drop(sum.f_add_(&weighted)?),
            None => self.sums.push((name.to_owned(), weighted)),
        }
        Ok(())
    }
}
