//! Losses and gradients of the toy model in plain Rust, as the reference for libtorch.

use crate::toy::Point;

/// Weights of the toy: `w[class][feature]` and `b[class]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Linear {
    pub(crate) w: [[f64; 2]; 2],
    pub(crate) b: [f64; 2],
}

/// Initial weights of `Toy::new`.
pub(crate) const START: Linear = Linear { w: [[0.1, -0.2], [0.3, 0.05]], b: [0.0, 0.1] };

impl Linear {
    /// Returns the softmax of the logits.
    pub(crate) fn scores(&self, x: [f64; 2]) -> [f64; 2] {
        let logits = [0, 1].map(|c| self.w[c][0] * x[0] + self.w[c][1] * x[1] + self.b[c]);
        let exp = logits.map(f64::exp);
        exp.map(|e| e / (exp[0] + exp[1]))
    }

    /// Returns the mean cross entropy.
    pub(crate) fn loss(&self, points: &[Point]) -> f64 {
        let sum: f64 = points.iter().map(|(x, label)| -self.scores(*x)[*label as usize].ln()).sum();
        sum / points.len() as f64
    }

    /// Returns the gradient of the mean cross entropy: (score - truth) · x.
    pub(crate) fn gradient(&self, points: &[Point]) -> Self {
        let mut gradient = Self { w: [[0.0; 2]; 2], b: [0.0; 2] };
        for (x, label) in points {
            let scores = self.scores(*x);
            for class in [0, 1] {
                let error = (scores[class] - f64::from(class as i64 == *label)) / points.len() as f64;
                gradient.w[class][0] += error * x[0];
                gradient.w[class][1] += error * x[1];
                gradient.b[class] += error;
            }
        }
        gradient
    }

    /// Applies `f` to each value.
    pub(crate) fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self { w: self.w.map(|row| row.map(&f)), b: self.b.map(&f) }
    }

    /// Returns `self + factor * other`.
    pub(crate) fn plus(&self, factor: f64, other: &Self) -> Self {
        let add = |a: [f64; 2], b: [f64; 2]| [a[0] + factor * b[0], a[1] + factor * b[1]];
        Self { w: [add(self.w[0], other.w[0]), add(self.w[1], other.w[1])], b: add(self.b, other.b) }
    }

    /// Returns the Euclidean norm of all values.
    pub(crate) fn norm(&self) -> f64 {
        self.values().iter().map(|v| v * v).sum::<f64>().sqrt()
    }

    fn values(&self) -> [f64; 6] {
        let [[a, b], [c, d]] = self.w;
        [a, b, c, d, self.b[0], self.b[1]]
    }
}

/// Asserts that the variables of a toy equal the expected ones up to rounding.
pub(crate) fn assert_weights(vars: &tch::nn::VarStore, expected: &Linear, label: &str) {
    let got = crate::toy::weights(vars);
    let got: Vec<f64> = [&got["weight"][..], &got["bias"]].concat();
    for (got, expected) in got.iter().zip(expected.values()) {
        assert!((got - expected).abs() < 1e-12, "{label}: expected {expected}, got {got}");
    }
}
