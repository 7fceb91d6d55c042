//! The result of a learning-rate range test: the loss per learning rate, and the suggested learning rate.

use std::fmt;
use std::io::Write as _;
use std::path::Path;

use faknow_data::common::write_atomically;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Multiple of the best smoothed loss at which a test ends.
pub(crate) const DIVERGENCE_FACTOR: f64 = 4.0;

/// Share of the first points that is ignored for suggestions, since their smoothed losses are means over few batches.
const WARMUP_SHARE: f64 = 0.1;

/// The loss as a function of an increasing learning rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LrCurve {
    /// One point per update, from the lowest learning rate to the highest one that was reached.
    pub points: Vec<LrPoint>,
    /// The reason why the test ended.
    #[serde(rename = "ended")]
    pub stop_reason: LrRangeEnd,
}

/// One update of a range test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LrPoint {
    /// Learning rate of the update.
    #[serde(rename = "rate")]
    pub learning_rate: f64,
    /// Loss of its batches before the update.
    pub loss: f64,
    /// Exponential moving average of the losses so far, with bias correction.
    pub smoothed: f64,
}

/// The reason why a range test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LrRangeEnd {
    /// The highest learning rate was reached.
    #[default]
    Completed,
    /// The smoothed loss exceeded 4 times the best one.
    Diverged,
    /// The loss or the gradients were not finite.
    NotFinite,
}

impl fmt::Display for LrRangeEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Completed => "all learning rates were tried",
            Self::Diverged => "the loss exceeded 4 times the best",
            Self::NotFinite => "the loss or the gradients were not finite",
        })
    }
}

impl LrCurve {
    /// Writes a plot of the curve to `path` as SVG: the loss over the logarithm of the learning rate, with the suggestion
    /// and the steepest point marked.
    ///
    /// Losses far above those before the minimum are clipped, so that the descent is visible.
    ///
    /// # Errors
    /// The file cannot be written, or the feature `plots` is not enabled.
    pub fn write_svg(&self, path: &Path) -> Result<()> {
        let io = |source| Error::Io { path: path.to_path_buf(), source };
        #[cfg(feature = "plots")]
        let svg = self.svg().map_err(|error| std::io::Error::other(error.to_string()));
        #[cfg(not(feature = "plots"))]
        let svg: std::io::Result<String> =
            Err(std::io::Error::other("plots require a build with the feature `plots`"));
        let svg = svg.map_err(io)?;
        write_atomically(path, |file| file.write_all(svg.as_bytes())).map_err(io)
    }

    /// Returns the suggested learning rate: a tenth of the one at the minimum of the smoothed loss. There the loss still
    /// decreases fast, and noise affects it less than the steepest point.
    ///
    /// `None` if the loss did not decrease, or its minimum is within a factor of 10 of the first learning rate: try lower
    /// learning rates or more updates.
    pub fn suggestion(&self) -> Option<f64> {
        let lowest = self.lowest()?;
        Some(self.points[lowest].learning_rate / 10.0)
            .filter(|learning_rate| *learning_rate >= self.points[0].learning_rate)
    }

    /// Returns the learning rate at which the smoothed loss decreases most steeply over the logarithm of the learning rate,
    /// before its minimum.
    ///
    /// `None` if the loss did not decrease.
    pub fn steepest(&self) -> Option<f64> {
        let lowest = self.lowest()?;
        let slope = |index: usize| {
            let (before, after) = (&self.points[index - 1], &self.points[index + 1]);
            (after.smoothed - before.smoothed) / (after.learning_rate / before.learning_rate).ln()
        };
        let steepest = (self.n_warmup_points()..lowest).min_by(|a, b| slope(*a).total_cmp(&slope(*b)))?;
        Some(self.points[steepest].learning_rate)
    }

    /// Returns the index of the minimum of the smoothed loss, if it is after the warm-up points.
    fn lowest(&self) -> Option<usize> {
        let smoothed = |index: &usize| self.points[*index].smoothed;
        let lowest = (0..self.points.len()).min_by(|a, b| smoothed(a).total_cmp(&smoothed(b)))?;
        Some(lowest).filter(|lowest| *lowest > self.n_warmup_points())
    }

    /// Returns the number of first points that are ignored, at least 1.
    fn n_warmup_points(&self) -> usize {
        ((self.points.len() as f64 * WARMUP_SHARE) as usize).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a curve of twenty learning rates from 1e-6, four per decade, with these losses.
    fn curve(smoothed: impl Fn(f64) -> f64) -> LrCurve {
        let point = |step: i32| {
            let smoothed = smoothed(f64::from(step));
            LrPoint { learning_rate: 1e-6 * 10f64.powf(f64::from(step) / 4.0), loss: smoothed, smoothed }
        };
        LrCurve { points: (0..20).map(point).collect(), stop_reason: LrRangeEnd::Completed }
    }

    fn check(curve: &LrCurve, steepest: Option<f64>, suggestion: Option<f64>) {
        let close = |got: Option<f64>, expected: Option<f64>| match (got, expected) {
            (Some(got), Some(expected)) => (got / expected - 1.0).abs() < 1e-9,
            (got, expected) => got == expected,
        };
        assert!(close(curve.steepest(), steepest), "{:?}, expected {steepest:?}", curve.steepest());
        assert!(close(curve.suggestion(), suggestion), "{:?}, expected {suggestion:?}", curve.suggestion());
    }

    #[test]
    fn suggests_a_tenth_of_the_minimum_and_finds_the_steepest_descent() {
        // Flat, steepest descent at step 10, minimum at 16, then ascending.
        let valley = |step: f64| match step {
            s if s <= 16.0 => 1.0 / (1.0 + (s - 10.0).exp()),
            s => s - 15.0,
        };
        check(&curve(valley), Some(1e-6 * 10f64.powf(2.5)), Some(1e-6 * 10f64.powf(3.0)));
    }

    #[test]
    fn suggests_nothing_if_the_loss_does_not_decrease() {
        check(&curve(|step| step), None, None);
        check(&LrCurve { points: Vec::new(), stop_reason: LrRangeEnd::NotFinite }, None, None);
        // Minimum at the third point, within a factor of 10 of the first learning rate.
        let early = curve(|step| (step - 3.0).abs());
        assert!(early.steepest().is_some());
        assert_eq!(early.suggestion(), None);
    }

    #[test]
    fn steepest_ignores_the_warmup_points() {
        let smoothed =
            |step: f64| if step == 0.0 { 100.0 } else { 20.0 - step - if step > 8.0 { 3.0 } else { 0.0 } };
        let steepest = curve(smoothed).steepest().unwrap();
        assert!(steepest > 5e-5, "{steepest}");
    }
}
