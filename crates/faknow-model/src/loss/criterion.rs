//! Configurable loss functions that replace the classification loss of a model.

use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, TchError, Tensor};

use super::class_weights::ClassWeights;
use crate::loss::or_label_error;
use crate::{Error, Result};

/// Default gamma of the focal loss, that of its paper.
const DEFAULT_GAMMA: f64 = 2.0;

/// Lower bound of 1 - p, since the gradient of its power is infinite at 0 for gamma below 1.
const MIN_COMPLEMENT: f64 = 1e-30;

/// Cross entropy or focal loss of class logits, with class weights and label smoothing.
///
/// The loss of a sample with class probabilities `p` is `-Σ q[c] w[c] (1 - p[c])^gamma log p[c]` over the classes `c`, with
/// class weights `w` and the smoothed target `q[c] = (1 - s) [c = label] + s / n` for smoothing `s` and `n` classes. The loss
/// of a batch is the sum over its samples divided by the sum of the weights of their labels.
///
/// For gamma 0 this is PyTorch's cross entropy with `weight` and `label_smoothing`. For gamma above 0 it is the focal loss of
/// Lin et al. (*Focal Loss for Dense Object Detection*, ICCV 2017), whose alpha are the class weights; the paper normalizes
/// differently, since most of its samples are background.
///
/// ```
/// use faknow_model::{ClassWeights, Criterion};
/// use tch::Tensor;
///
/// let weights = ClassWeights::Explicit(vec![1.0, 3.0]);
/// let criterion = Criterion { class_weights: Some(weights), ..Criterion::default() };
/// criterion.validate()?;
/// let logits = Tensor::from_slice(&[0.0, 0.0, 0.0, 2.0]).view([2, 2]);
/// let loss = criterion.loss(&logits, &Tensor::from_slice(&[0i64, 1]))?;
/// let expected = (2f64.ln() + 3.0 * (1.0 + (-2f64).exp()).ln()) / (1.0 + 3.0);
/// assert!((loss.double_value(&[]) - expected).abs() < 1e-15);
/// # Ok::<(), faknow_model::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Criterion {
    /// The loss: `cross_entropy` or `focal`. Default `cross_entropy`.
    pub name: LossName,
    /// Focusing parameter of the focal loss, at least 0: higher values reduce the loss of well-classified samples. Default 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gamma: Option<f64>,
    /// Label smoothing: the fraction of each target that is distributed over all classes, from 0 to below 1. Default 0.
    pub label_smoothing: f64,
    /// Weights of the classes. Default: all equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<ClassWeights>,
}

/// The loss functions of a [`Criterion`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossName {
    /// Cross entropy, the default.
    #[default]
    CrossEntropy,
    /// Focal loss.
    Focal,
}

impl Criterion {
    /// Validates all settings.
    ///
    /// # Errors
    /// A setting is out of range or NaN; the error names the first.
    pub fn validate(&self) -> Result<()> {
        match (self.name, self.gamma) {
            (LossName::CrossEntropy, Some(gamma)) => {
                return Err(invalid_setting("gamma", "no value unless `name` is `focal`", gamma));
            }
            (LossName::Focal, Some(gamma)) if !(gamma.is_finite() && gamma >= 0.0) => {
                return Err(invalid_setting("gamma", "a number of at least 0", gamma));
            }
            _ => {}
        }
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return Err(invalid_setting("label_smoothing", "from 0 to below 1", self.label_smoothing));
        }
        self.class_weights.as_ref().map_or(Ok(()), ClassWeights::validate)
    }

    /// Checks the number of class weights.
    ///
    /// # Errors
    /// It is not the number of classes.
    pub fn check_classes(&self, n_classes: usize) -> Result<()> {
        match &self.class_weights {
            Some(ClassWeights::Explicit(weights)) if weights.len() != n_classes => Err(invalid_setting(
                "class_weights",
                format!("one weight per class ({n_classes})"),
                weights.len(),
            )),
            _ => Ok(()),
        }
    }

    /// Replaces balanced class weights by explicit ones, from the number of training samples of each class; see
    /// [`ClassWeights::Balanced`].
    ///
    /// # Errors
    /// The weights are balanced, and a class has no samples.
    pub fn with_class_counts(mut self, counts: &[usize]) -> Result<Self> {
        if self.class_weights == Some(ClassWeights::Balanced) {
            self.class_weights = Some(ClassWeights::from_counts(counts)?);
        }
        Ok(self)
    }

    /// Computes the loss of a batch, a scalar, from `logits` `[n, n_classes]` and class indices `labels` i64 `[n]`.
    ///
    /// # Errors
    /// A label is not in `0..n_classes`, the class weights are not explicit, or their number is not `n_classes`.
    pub fn loss(&self, logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
        let weights = self.weights_for(logits)?;
        let mean = match self.focal_gamma() {
            None => self.cross_entropy(logits, labels, weights, Reduction::Mean),
            Some(gamma) => {
                self.focal(logits, labels, weights.as_ref(), gamma).and_then(|sum| match weights {
                    Some(weights) => sum.f_div(&weights.f_index_select(0, labels)?.f_sum(sum.kind())?),
                    None => sum.f_div_scalar(labels.numel() as f64),
                })
            }
        };
        or_label_error(mean, logits, labels)
    }

    /// Computes the sum of the losses of the samples, not divided by [`total_weight`](Self::total_weight).
    ///
    /// To split a batch: the sum of the parts' sums, divided by the total weight, is the loss of the batch.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub fn sum(&self, logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
        let weights = self.weights_for(logits)?;
        let sum = match self.focal_gamma() {
            None => self.cross_entropy(logits, labels, weights, Reduction::Sum),
            Some(gamma) => self.focal(logits, labels, weights.as_ref(), gamma),
        };
        or_label_error(sum, logits, labels)
    }

    /// Returns the sum of the weights of `labels`; without class weights their number. Labels out of range have weight 0.
    ///
    /// Synchronizes with the device of the labels.
    ///
    /// # Errors
    /// The class weights are not explicit, or the labels are not a vector of integers.
    pub fn total_weight(&self, labels: &Tensor) -> Result<f64> {
        let Some(weights) = self.explicit_weights()? else { return Ok(labels.numel() as f64) };
        let labels = Vec::<i64>::try_from(labels)?;
        let weight = |label: i64| usize::try_from(label).ok().and_then(|label| weights.get(label));
        Ok(labels.into_iter().filter_map(weight).sum())
    }

    /// Returns the explicit class weights; `None` without class weights.
    ///
    /// # Errors
    /// The weights are balanced, and [`with_class_counts`](Self::with_class_counts) was not called.
    pub fn explicit_weights(&self) -> Result<Option<&[f64]>> {
        match &self.class_weights {
            None => Ok(None),
            Some(ClassWeights::Explicit(weights)) => Ok(Some(weights)),
            Some(ClassWeights::Balanced) => Err(invalid_setting(
                "class_weights",
                "explicit weights (call `with_class_counts` with the training labels)",
                "balanced",
            )),
        }
    }

    fn focal_gamma(&self) -> Option<f64> {
        (self.name == LossName::Focal).then(|| self.gamma.unwrap_or(DEFAULT_GAMMA))
    }

    /// Returns the class weights on the device and in the kind of the logits.
    fn weights_for(&self, logits: &Tensor) -> Result<Option<Tensor>> {
        let n_classes = logits.size().last().copied().unwrap_or(0);
        self.check_classes(usize::try_from(n_classes).unwrap_or(0))?;
        let to_tensor = |weights: &[f64]| {
            Tensor::from_slice(weights).f_to_kind(logits.f_kind()?)?.f_to_device(logits.device())
        };
        Ok(self.explicit_weights()?.map(to_tensor).transpose()?)
    }

    fn cross_entropy(
        &self,
        logits: &Tensor,
        labels: &Tensor,
        weights: Option<Tensor>,
        reduction: Reduction,
    ) -> Result<Tensor, TchError> {
        logits.f_cross_entropy_loss(labels, weights, reduction, -100, self.label_smoothing)
    }

    /// Computes the sum of the focal losses.
    fn focal(
        &self,
        logits: &Tensor,
        labels: &Tensor,
        weights: Option<&Tensor>,
        gamma: f64,
    ) -> Result<Tensor, TchError> {
        let kind = logits.f_kind()?;
        let log_p = logits.f_log_softmax(-1, None::<Kind>)?; // [n, n_classes]
        let complement = log_p.f_expm1()?.f_neg()?.f_clamp_min(MIN_COMPLEMENT)?; // 1 - p, accurate for p near 1
        let mut losses = complement.f_pow_tensor_scalar(gamma)?.f_mul(&log_p)?.f_neg()?;
        if let Some(weights) = weights {
            losses = losses.f_mul(weights)?;
        }
        let at_labels = losses.f_gather(1, &labels.f_unsqueeze(1)?, false)?.f_sum(kind)?;
        if self.label_smoothing == 0.0 {
            return Ok(at_labels);
        }
        let n_classes = logits.size().last().copied().unwrap_or(1) as f64;
        let smoothing = losses.f_sum(kind)?.f_mul_scalar(self.label_smoothing / n_classes)?;
        at_labels.f_mul_scalar(1.0 - self.label_smoothing)?.f_add(&smoothing)
    }
}

/// Creates the error of an invalid setting.
pub(crate) fn invalid_setting(name: &'static str, expected: impl Into<String>, got: impl ToString) -> Error {
    Error::Config { model: "loss", name, expected: expected.into(), got: got.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_error(json: &str, expected: &str) {
        let criterion: Criterion = serde_json::from_str(json).unwrap();
        assert_eq!(criterion.validate().unwrap_err().to_string(), expected, "{json}");
    }

    #[test]
    fn validate_rejects_settings_out_of_range() {
        check_error(r#"{"gamma": 2}"#, "loss: `gamma`: expected no value unless `name` is `focal`, got 2");
        check_error(
            r#"{"name": "focal", "gamma": -1}"#,
            "loss: `gamma`: expected a number of at least 0, got -1",
        );
        check_error(
            r#"{"label_smoothing": 1}"#,
            "loss: `label_smoothing`: expected from 0 to below 1, got 1",
        );
        let smoothing = Criterion { label_smoothing: f64::NAN, ..Criterion::default() };
        assert!(smoothing.validate().unwrap_err().to_string().ends_with("got NaN"));
        let weights = "loss: `class_weights`: expected numbers above 0";
        check_error(r#"{"class_weights": [1, 0]}"#, &format!("{weights}, got 0"));
        check_error(
            r#"{"class_weights": []}"#,
            "loss: `class_weights`: expected one weight per class, got none",
        );
        for valid in ["{}", r#"{"name": "focal"}"#, r#"{"class_weights": "balanced"}"#] {
            serde_json::from_str::<Criterion>(valid).unwrap().validate().unwrap();
        }
    }

    #[test]
    fn loss_rejects_wrong_weights_and_labels() {
        let logits = Tensor::zeros([2, 2], tch::kind::DOUBLE_CPU);
        let check = |json: &str, labels: [i64; 2], expected: &str| {
            let criterion: Criterion = serde_json::from_str(json).unwrap();
            for compute in [Criterion::loss, Criterion::sum] {
                let error = compute(&criterion, &logits, &Tensor::from_slice(&labels)).unwrap_err();
                assert!(error.to_string().contains(expected), "{json}: {error}");
            }
        };
        let three = "`class_weights`: expected one weight per class (2), got 3";
        check(r#"{"class_weights": [1, 2, 3]}"#, [0, 1], three);
        check(
            r#"{"class_weights": "balanced"}"#,
            [0, 1],
            "call `with_class_counts` with the training labels",
        );
        for name in ["cross_entropy", "focal"] {
            check(
                &format!(r#"{{"name": "{name}"}}"#),
                [0, 2],
                "labels: expected 0..=1 (2 classes), got 0..=2",
            );
        }
    }

    #[test]
    fn rejects_unknown_settings_and_losses() {
        let check = |json: &str, expected: &str| {
            let error = serde_json::from_str::<Criterion>(json).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        };
        check(r#"{"smoothing": 0.1}"#, "unknown field `smoothing`, expected one of `name`, `gamma`");
        check(r#"{"name": "hinge"}"#, "unknown variant `hinge`, expected `cross_entropy` or `focal`");
        check(
            r#"{"class_weights": "even"}"#,
            "invalid value: string \"even\", expected `balanced` or a list",
        );
        check(r#"{"class_weights": 3}"#, "invalid type: integer `3`, expected `balanced` or a list");
    }

    #[test]
    fn json_roundtrip_is_exact() {
        for json in [
            r#"{"name":"cross_entropy","label_smoothing":0.0}"#,
            r#"{"name":"focal","gamma":1.5,"label_smoothing":0.1,"class_weights":"balanced"}"#,
            r#"{"name":"focal","label_smoothing":0.0,"class_weights":[1.0,3.0]}"#,
        ] {
            let criterion: Criterion = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&criterion).unwrap(), json);
        }
    }
}
