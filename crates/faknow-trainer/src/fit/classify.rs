//! Predictions of a trained model with class names.

use faknow_data::Loader;
use faknow_metrics::{Decision, Prediction};
use faknow_model::Model;

use crate::{Result, Trainer};

impl<M: Model> Trainer<M> {
    /// Returns the label, its score and the scores of all classes for each sample, in the loader's order.
    ///
    /// `classes` are the names of the classes. The decision holds a temperature and a threshold, which
    /// [`Calibration`](faknow_metrics::Calibration) derives from validation predictions.
    ///
    /// # Errors
    /// A batch or the model fails, or the number of names is not that of the classes.
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
