//! Explanations of classifications of images: the contribution of each pixel to a class, by integrated gradients.

use tch::{Kind, Tensor};

use super::words::{gradient, log_odds};
use crate::{Error, ImageModel, Result};

/// Number of steps of the integral; a step takes as long as the training with one image.
const N_STEPS: i64 = 16;

/// Fraction of the smaller side of an image over which the map is smoothed.
const SMOOTHED_FRACTION: i64 = 28;

/// The contribution of each pixel of an image to a class, smoothed over neighbors.
///
/// All values are log-odds of the class: the natural logarithm of its probability over that of all other classes.
#[derive(Debug, Clone, PartialEq)]
pub struct PixelContributions {
    /// Height and width of the image in pixels.
    pub size: [usize; 2],
    /// The contribution of each pixel, in row-major order; positive if the pixel supports the class.
    pub pixels: Vec<f64>,
    /// The log-odds of the image.
    pub output: f64,
    /// The log-odds of an image that has everywhere the mean color of the normalization.
    pub baseline: f64,
}

impl PixelContributions {
    /// Returns the approximation error of the integral: output - baseline - sum of the contributions.
    pub fn residual(&self) -> f64 {
        self.output - self.baseline - self.pixels.iter().sum::<f64>()
    }
}

/// Computes the contribution of each pixel of an image to `class` by integrated gradients (Sundararajan, Taly and Yan, *Axiomatic
/// Attribution for Deep Networks*, ICML 2017, equation 1) with a baseline of the mean color and 16 steps: summed over the colors
/// and smoothed, which does not change the sum.
///
/// Calls `proceed` between the steps; returns `None` if it returned false.
///
/// # Errors
/// `class` is not a class of the model, the image is too small for the model, or libtorch rejects an operation.
pub fn pixel_contributions(
    model: &dyn ImageModel,
    class: usize,
    proceed: &mut dyn FnMut() -> bool,
) -> Result<Option<PixelContributions>> {
    let pixels = tch::no_grad(|| model.pixels())?;
    let [1, _, height, width] = pixels.size()[..] else {
        return Err(Error::Batch {
            model: "integrated gradients",
            expected: "pixels [1, 3, height, width]".into(),
            got: format!("{:?}", pixels.size()),
        });
    };
    let mut sum = pixels.f_zeros_like()?;
    for step in 0..N_STEPS {
        if !proceed() {
            return Ok(None);
        }
        // Midpoint rule.
        let point = pixels.f_mul_scalar((step as f64 + 0.5) / N_STEPS as f64)?;
        let point = point.f_detach()?.f_set_requires_grad(true)?;
        let gradient = gradient(&point, class, &|point| model.logits(point))?;
        let _no_grad = tch::no_grad_guard();
        let _ = sum.f_add_(&gradient)?;
    }
    let _no_grad = tch::no_grad_guard();
    let products = sum.f_div_scalar(N_STEPS as f64)?.f_mul(&pixels)?.f_to_kind(Kind::Double)?;
    let map = products.f_sum_dim_intlist([1].as_slice(), true, Kind::Double)?; // [1, 1, height, width]
    let endpoints = Tensor::f_cat(&[&pixels, &pixels.f_zeros_like()?], 0)?;
    let odds = Vec::<f64>::try_from(log_odds(&model.logits(&endpoints)?, class)?.f_to_kind(Kind::Double)?)?;
    Ok(Some(PixelContributions {
        size: [height as usize, width as usize],
        pixels: smooth(&map)?.f_flatten(0, 3)?.try_into()?,
        output: odds[0],
        baseline: odds[1],
    }))
}

/// Distributes each value of a map `[1, 1, height, width]` evenly over its neighbors, twice.
fn smooth(map: &Tensor) -> Result<Tensor> {
    let side = map.size()[2..].iter().copied().min().unwrap_or(0) / SMOOTHED_FRACTION;
    let half = side / 2;
    let mean = |x: &Tensor| x.f_avg_pool2d([2 * half + 1; 2], [1, 1], [half; 2], false, true, None::<i64>);
    // At the borders, there are fewer neighbors.
    let n_neighbors = mean(&map.f_ones_like()?)?;
    let once = mean(&map.f_div(&n_neighbors)?)?;
    Ok(mean(&once.f_div(&n_neighbors)?)?)
}
