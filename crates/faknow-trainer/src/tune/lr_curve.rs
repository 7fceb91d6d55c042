//! What a learning-rate range test found: the loss by the rate, and the rates that it speaks for.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A test ends when the smoothed loss is this many times the best so far.
pub(crate) const DIVERGED: f64 = 4.0;

/// Of the points, the share at the beginning that suggests nothing: their means are of a few batches yet.
const UNSETTLED: f64 = 0.1;

/// How the loss went while the learning rate grew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LrCurve {
    /// A point for each update, from the lowest rate to the highest that was reached.
    pub points: Vec<LrPoint>,
    /// Why the test ended.
    #[serde(rename = "ended")]
    pub stop_reason: LrRangeEnd,
}

/// An update of a range test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LrPoint {
    /// Its learning rate.
    #[serde(rename = "rate")]
    pub learning_rate: f64,
    /// The loss before it, of its batches.
    pub loss: f64,
    /// The exponential mean of the losses so far, corrected for its beginning.
    pub smoothed: f64,
}

/// Why a range test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LrRangeEnd {
    /// The highest rate was tried.
    #[default]
    Completed,
    /// The smoothed loss was more than 4 times the best.
    Diverged,
    /// The loss or the gradients were not finite.
    NotFinite,
}

impl fmt::Display for LrRangeEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Completed => "all rates were tried",
            Self::Diverged => "the loss was more than 4 times the best",
            Self::NotFinite => "the loss or the gradients were not finite",
        })
    }
}

impl LrCurve {
    /// Writes the curve to `path` as an SVG picture: the loss over the logarithm of the learning rate, with the
    /// suggestion and the steepest point marked.
    ///
    /// What lies far beyond the losses before the lowest one is cut off, so that the fall can be seen.
    ///
    /// # Errors
    /// The file cannot be written, or the feature `plots` is not enabled.
    pub fn write_svg(&self, path: &Path) -> Result<()> {
        let io = |source| Error::Io { path: path.to_path_buf(), source };
        #[cfg(feature = "plots")]
        let picture = self.svg().map_err(|error| std::io::Error::other(error.to_string()));
        #[cfg(not(feature = "plots"))]
        let picture: std::io::Result<String> =
            Err(std::io::Error::other("a picture needs a build with the feature `plots`"));
        std::fs::write(path, picture.map_err(io)?).map_err(io)
    }

    /// The rate to train with: a tenth of that at which the smoothed loss was lowest. There the loss still falls fast,
    /// and noise moves it less than the steepest point.
    ///
    /// `None` if the loss did not fall, or was lowest within a factor of 10 of the first rate: lower rates, or more
    /// updates, may say more.
    pub fn suggestion(&self) -> Option<f64> {
        let lowest = self.lowest()?;
        Some(self.points[lowest].learning_rate / 10.0).filter(|rate| *rate >= self.points[0].learning_rate)
    }

    /// The rate at which the smoothed loss falls most steeply over the logarithm of the rate, before it is lowest.
    ///
    /// `None` if the loss did not fall.
    pub fn steepest(&self) -> Option<f64> {
        let lowest = self.lowest()?;
        let slope = |at: usize| {
            let (before, after) = (&self.points[at - 1], &self.points[at + 1]);
            (after.smoothed - before.smoothed) / (after.learning_rate / before.learning_rate).ln()
        };
        let steepest = (self.n_unsettled()..lowest).min_by(|a, b| slope(*a).total_cmp(&slope(*b)))?;
        Some(self.points[steepest].learning_rate)
    }

    /// The point with the lowest smoothed loss, if there is one that was settled and has one before it.
    fn lowest(&self) -> Option<usize> {
        let smoothed = |at: &usize| self.points[*at].smoothed;
        let lowest = (0..self.points.len()).min_by(|a, b| smoothed(a).total_cmp(&smoothed(b)))?;
        Some(lowest).filter(|lowest| *lowest > self.n_unsettled())
    }

    /// Points at the beginning that suggest nothing, at least 1.
    fn n_unsettled(&self) -> usize {
        ((self.points.len() as f64 * UNSETTLED) as usize).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twenty rates from 1e-6 on, four in each factor of 10, with these losses.
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
    fn suggests_a_tenth_of_the_lowest_and_the_steepest_fall_before_it() {
        // Flat, a fall that is steepest at step 10, lowest at 16, then up.
        let valley = |step: f64| match step {
            s if s <= 16.0 => 1.0 / (1.0 + (s - 10.0).exp()),
            s => s - 15.0,
        };
        check(&curve(valley), Some(1e-6 * 10f64.powf(2.5)), Some(1e-6 * 10f64.powf(3.0)));
    }

    #[test]
    fn a_loss_that_does_not_fall_suggests_nothing() {
        check(&curve(|step| step), None, None);
        check(&LrCurve { points: Vec::new(), stop_reason: LrRangeEnd::NotFinite }, None, None);
        // Lowest at the third point: within a factor of 10 of the first rate there is nothing to go back to.
        let early = curve(|step| (step - 3.0).abs());
        assert!(early.steepest().is_some());
        assert_eq!(early.suggestion(), None);
    }

    #[test]
    fn a_fall_in_the_unsettled_beginning_is_not_the_steepest() {
        let fall =
            |step: f64| if step == 0.0 { 100.0 } else { 20.0 - step - if step > 8.0 { 3.0 } else { 0.0 } };
        let steepest = curve(fall).steepest().unwrap();
        assert!(steepest > 5e-5, "{steepest}");
    }
}
