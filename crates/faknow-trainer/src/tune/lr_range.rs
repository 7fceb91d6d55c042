//! The learning-rate range test: the loss while the learning rate increases.

use std::ops::ControlFlow;

use faknow_data::Loader;
use faknow_model::Model;

use crate::error::setting;
use crate::tune::lr_curve::{DIVERGENCE_FACTOR, LrCurve, LrPoint, LrRangeEnd};
use crate::{Error, LossSums, Result, Trainer};

/// Weight of the previous average in the smoothed loss.
const SMOOTHING: f64 = 0.9;

/// Settings of a learning-rate range test (Smith, *Cyclical Learning Rates for Training Neural Networks*, WACV 2017).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LrRange {
    /// Learning rate of the first update, above 0. Default: 1e-7.
    pub min: f64,
    /// Learning rate of the last update, above `min`. Default: 10.
    pub max: f64,
    /// Number of updates, at least 10; the learning rate grows by a constant factor per update. Default: 100.
    pub steps: usize,
}

impl Default for LrRange {
    fn default() -> Self {
        Self { min: 1e-7, max: 10.0, steps: 100 }
    }
}

impl LrRange {
    /// Validates all settings.
    ///
    /// # Errors
    /// A setting is outside its range: the error names it.
    pub fn validate(&self) -> Result<()> {
        let Self { min, max, steps } = *self;
        if !(min.is_finite() && min > 0.0) {
            return Err(setting("min", "a learning rate above 0", min));
        }
        if !(max.is_finite() && max > min) {
            return Err(setting("max", &format!("a learning rate above `min`, {min}"), max));
        }
        if steps < 10 {
            return Err(setting("steps", "at least 10", steps));
        }
        Ok(())
    }

    /// Returns the learning rate of an update, counted from 0.
    fn learning_rate(&self, step: u64) -> f64 {
        let share = step as f64 / (self.steps - 1) as f64;
        self.min * (self.max / self.min).powf(share)
    }
}

impl<M: Model> Trainer<M> {
    /// Runs a learning-rate range test: trains with an increasing learning rate, and returns the loss per learning rate.
    ///
    /// The batches are those of a fit, epoch after epoch. Each parameter group retains the ratio of its learning rate to
    /// that of the optimizer settings. The schedule is ignored, and callbacks are not called. The test ends early if the
    /// smoothed loss exceeds 4 times the best one, or if the loss or the gradients are not finite. Afterwards, weights,
    /// optimizer and run are restored, even after an error; gradients are reset.
    ///
    /// # Errors
    /// A setting is outside its range; the training step does not use the optimizer; a batch or the model fails; the test is
    /// interrupted.
    pub fn lr_range_test(&mut self, train: &dyn Loader<M::Batch>, range: &LrRange) -> Result<LrCurve> {
        range.validate()?;
        if !self.task.step.uses_optimizer() {
            return Err(Error::other(
                "learning-rate range test: expected a training step that uses the optimizer, got one without a learning rate",
            ));
        }
        let ratios = self.lr_ratios();
        self.run_trial(|trainer| {
            let mut curve = CurveBuilder::default();
            trainer.for_each_window(train, range.steps, |trainer, step, window| {
                let rate = range.learning_rate(step);
                trainer
                    .optimization
                    .optimizer
                    .set_learning_rates(&ratios.iter().map(|ratio| rate * ratio).collect::<Vec<_>>());
                match trainer.update_once(window, step, true) {
                    Ok(update) => {
                        let mut sums = LossSums::default();
                        update.losses.iter().try_for_each(|(loss, n)| sums.add(loss, *n))?;
                        Ok(curve.add(rate, sums.means()?.value("loss").unwrap_or(f64::NAN)))
                    }
                    Err(Error::NonFiniteLoss { .. } | Error::NonFiniteGradient { .. }) => {
                        curve.stop_reason = LrRangeEnd::NotFinite;
                        Ok(ControlFlow::Break(()))
                    }
                    Err(error) => Err(error),
                }
            })?;
            Ok(LrCurve { points: curve.points, stop_reason: curve.stop_reason })
        })
    }

    /// Returns the ratio of the learning rate of each parameter group to that of the settings.
    fn lr_ratios(&self) -> Vec<f64> {
        let configured = self.optimization.optimizer.configured_lr();
        let ratio = |rate: &f64| if *rate == configured { 1.0 } else { rate / configured };
        let ratios = self.optimization.optimizer.base_learning_rates().iter().map(ratio);
        // The ratio to a learning rate of 0 is not finite.
        ratios.map(|ratio| if ratio.is_finite() { ratio } else { 1.0 }).collect()
    }
}

/// The curve so far, and its moving average.
#[derive(Default)]
struct CurveBuilder {
    points: Vec<LrPoint>,
    /// Exponential moving average of the losses, which starts at 0.
    mean: f64,
    best: Option<f64>,
    stop_reason: LrRangeEnd,
}

impl CurveBuilder {
    /// Adds the loss of an update; breaks if the test is to end.
    fn add(&mut self, rate: f64, loss: f64) -> ControlFlow<()> {
        if !loss.is_finite() {
            self.stop_reason = LrRangeEnd::NotFinite;
            return ControlFlow::Break(());
        }
        self.mean = SMOOTHING * self.mean + (1.0 - SMOOTHING) * loss;
        // The weights of all losses so far add up to this: bias correction, as in Adam.
        let weight = 1.0 - SMOOTHING.powf(self.points.len() as f64 + 1.0);
        let smoothed = self.mean / weight;
        self.points.push(LrPoint { learning_rate: rate, loss, smoothed });
        let best = self.best.map_or(smoothed, |best| best.min(smoothed));
        self.best = Some(best);
        // For losses above 0 this is `smoothed > DIVERGENCE_FACTOR * best`.
        if smoothed - best > (DIVERGENCE_FACTOR - 1.0) * best.abs() {
            self.stop_reason = LrRangeEnd::Diverged;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learning_rate_grows_by_a_constant_factor() {
        let range = LrRange { min: 1e-4, max: 1.0, steps: 5 };
        let rates: Vec<f64> = (0..5).map(|step| range.learning_rate(step)).collect();
        for (rate, expected) in rates.iter().zip([1e-4, 1e-3, 1e-2, 1e-1, 1.0]) {
            assert!((rate / expected - 1.0).abs() < 1e-12, "{rates:?}");
        }
    }

    #[test]
    fn moving_average_is_bias_corrected() {
        let mut curve = CurveBuilder::default();
        for loss in [2.0, 1.0, 1.0] {
            assert!(curve.add(1.0, loss).is_continue());
        }
        let b = SMOOTHING;
        let expected = [2.0, (b * 2.0 + 1.0) / (b + 1.0), (b * b * 2.0 + b + 1.0) / (b * b + b + 1.0)];
        for (point, expected) in curve.points.iter().zip(expected) {
            assert!((point.smoothed - expected).abs() < 1e-12, "{:?}", curve.points);
        }
    }

    #[test]
    fn test_ends_when_the_loss_diverges_or_is_not_finite() {
        let check = |losses: &[f64], n_points: usize, stop_reason: LrRangeEnd| {
            let mut curve = CurveBuilder::default();
            let _ = losses.iter().find(|loss| curve.add(1.0, **loss).is_break());
            assert_eq!((curve.points.len(), curve.stop_reason), (n_points, stop_reason), "{losses:?}");
        };
        check(&[1.0, 1.0, 1.0], 3, LrRangeEnd::Completed);
        check(&[1.0, 6.0, 1.0], 3, LrRangeEnd::Completed);
        check(&[1.0, 8.0, 1.0], 2, LrRangeEnd::Diverged);
        check(&[1.0, f64::NAN, 1.0], 1, LrRangeEnd::NotFinite);
        check(&[f64::INFINITY], 0, LrRangeEnd::NotFinite);
        // For a loss below 0, the distance from the best one is compared.
        check(&[-1.0, -0.9, -0.8], 3, LrRangeEnd::Completed);
        check(&[-1.0, 6.0], 2, LrRangeEnd::Diverged);
    }

    #[test]
    fn rejects_settings_outside_their_range() {
        let check = |range: LrRange, expected: &str| {
            assert_eq!(range.validate().unwrap_err().to_string(), expected);
        };
        let range = LrRange::default();
        check(LrRange { min: 0.0, ..range }, "min: expected a learning rate above 0, got 0");
        check(LrRange { min: f64::NAN, ..range }, "min: expected a learning rate above 0, got NaN");
        let expected = "max: expected a learning rate above `min`, 0.0000001, got 0.0000001";
        check(LrRange { max: 1e-7, ..range }, expected);
        check(LrRange { steps: 9, ..range }, "steps: expected at least 10, got 9");
        range.validate().unwrap();
    }
}
