//! Predictions with labels: what a trained model says of samples, by name.

use faknow_data::Loader;
use faknow_metrics::{Decision, Prediction};
use faknow_model::Model;

use crate::{Result, Trainer};

impl<M: Model> Trainer<M> {
    /// Returns label, score and the scores of all classes for each sample, in the loader's order.
    ///
    /// `classes` are the names of the model's classes; the decision holds a temperature and a threshold, which
    /// [`Calibration`](faknow_metrics::Calibration) chooses from the predictions of a validation.
    ///
    /// # Errors
    /// A batch or the model fails, or there are more or fewer names than classes.
    pub fn classify<S: AsRef<str>>(
        &self,
        loader: &dyn Loader<M::Batch>,
        classes: &[S],
        decision: &Decision,
    ) -> Result<Vec<Prediction>> {
        let scores = self.predict(loader)?;
        Ok(scores.iter().map(|row| decision.predict(classes, row)).collect::<Result<_, _>>()?)
    }
}
