//! The updates of dual coordinate descent for one sample.

use faknow_model::LinearLoss;

/// Strong convexity of the conjugate of the cross entropy: the loss is 1 / 2-smooth.
const SMOOTHNESS: f64 = 2.0;

/// A linear classifier during dual coordinate descent.
pub(super) struct LinearDual {
    pub(super) loss: LinearLoss,
    /// Weight of the losses.
    pub(super) c: f64,
    pub(super) n_classes: usize,
    /// `[n_features, n_classes]`.
    pub(super) weight: Vec<f32>,
    /// `[n_classes]`, the weights of a feature with the value 1 in all samples.
    pub(super) bias: Vec<f32>,
}

/// The features of a sample, with its label.
pub(super) struct Row<'a> {
    pub(super) indices: &'a [i64],
    pub(super) values: &'a [f32],
    pub(super) label: usize,
}

impl Row<'_> {
    /// Returns the squared norm of the features, including that of the bias.
    fn squared_norm(&self) -> f64 {
        1.0 + self.values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>()
    }
}

impl LinearDual {
    /// Returns the number of dual variables of a sample.
    pub(super) fn n_duals(&self) -> usize {
        match self.loss {
            LinearLoss::SquaredHinge if self.n_classes == 2 => 1,
            _ => self.n_classes,
        }
    }

    /// Updates the dual variables of a sample and the weights; returns the loss before, and writes the `logits` before.
    pub(super) fn update(&mut self, row: &Row<'_>, dual: &mut [f64], logits: &mut [f32]) -> f64 {
        self.logits(row, logits);
        match self.loss {
            LinearLoss::SquaredHinge => self.update_hinge(row, dual, logits),
            LinearLoss::Logistic => self.update_logistic(row, dual, logits),
        }
    }

    fn logits(&self, row: &Row<'_>, logits: &mut [f32]) {
        logits.copy_from_slice(&self.bias);
        for (&index, &value) in row.indices.iter().zip(row.values) {
            let start = index as usize * self.n_classes;
            for (logit, weight) in logits.iter_mut().zip(&self.weight[start..]) {
                *logit += value * weight;
            }
        }
    }

    /// Adds `change[class]` times the features to the weights of each class.
    fn add(&mut self, row: &Row<'_>, change: &[f32]) {
        for (&index, &value) in row.indices.iter().zip(row.values) {
            let start = index as usize * self.n_classes;
            for (weight, change) in self.weight[start..].iter_mut().zip(change) {
                *weight += value * change;
            }
        }
        self.bias.iter_mut().zip(change).for_each(|(bias, change)| *bias += change);
    }

    fn update_hinge(&mut self, row: &Row<'_>, dual: &mut [f64], logits: &[f32]) -> f64 {
        let shift = 1.0 / (2.0 * self.c);
        let curvature = row.squared_norm() + shift;
        let mut change = vec![0.0; self.n_classes];
        let mut loss = 0.0;
        let is_binary = dual.len() == 1;
        for (position, alpha) in dual.iter_mut().enumerate() {
            let class = if is_binary { 1 } else { position };
            let sign = if row.label == class { 1.0 } else { -1.0 };
            let margin = sign * f64::from(logits[class]);
            loss += (1.0 - margin).max(0.0).powi(2);
            let new = (*alpha - (margin - 1.0 + *alpha * shift) / curvature).max(0.0);
            change[class] = (sign * (new - *alpha)) as f32;
            *alpha = new;
        }
        if is_binary {
            change[0] = -change[1];
        }
        if change.iter().any(|&change| change != 0.0) {
            self.add(row, &change);
        }
        loss
    }

    /// Moves the dual variables towards the gradient of the loss. They are the one-hot label minus probabilities p.
    fn update_logistic(&mut self, row: &Row<'_>, dual: &mut [f64], logits: &[f32]) -> f64 {
        let c = if self.n_classes == 2 { self.c / 2.0 } else { self.c };
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exponentials: Vec<f64> = logits.iter().map(|&logit| f64::from(logit - max).exp()).collect();
        let sum: f64 = exponentials.iter().sum();
        let loss = sum.ln() - f64::from(logits[row.label] - max);
        let one_hot = |class: usize| if class == row.label { 1.0 } else { 0.0 };
        // The Fenchel-Young gap between logits and dual variables, and the direction towards the gradient.
        let mut gap = loss;
        let mut direction = vec![0.0; self.n_classes];
        for (class, (&beta, &logit)) in dual.iter().zip(logits).enumerate() {
            let p: f64 = one_hot(class) - beta;
            let entropy = if p > 0.0 { p * p.ln() } else { 0.0 };
            gap += entropy + beta * f64::from(logit);
            direction[class] = one_hot(class) - exponentials[class] / sum - beta;
        }
        let squared: f64 = direction.iter().map(|d| d * d).sum();
        if squared > 0.0 {
            let curvature = SMOOTHNESS + c * row.squared_norm();
            let step = ((gap + 0.5 * SMOOTHNESS * squared) / (squared * curvature)).clamp(0.0, 1.0);
            let change: Vec<f32> = direction.iter().map(|d| (c * step * d) as f32).collect();
            dual.iter_mut().zip(&direction).for_each(|(beta, d)| *beta += step * d);
            self.add(row, &change);
        }
        loss
    }
}
