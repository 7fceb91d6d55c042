//! The loss that training minimizes where it is to be another than the model's own.

use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, TchError, Tensor};

use super::class_weights::ClassWeights;
use crate::loss::or_wrong_labels;
use crate::{Error, Result};

/// Gamma of the focal loss that its authors found best.
const FOCAL_GAMMA: f64 = 2.0;

/// Probabilities of the wrong are not taken to be smaller, since the slope of a root at 0 is infinite.
const SMALLEST: f64 = 1e-30;

/// Cross entropy or focal loss of class logits, with class weights and label smoothing.
///
/// Of a sample with the class probabilities `p`, with the class weights `w`, the smoothing `s` and `n` classes, the loss
/// is `-Σ q[c] w[c] (1 - p[c])^gamma log p[c]` over the classes `c`, where `q` is `1 - s` at the label, and `s / n` more at
/// every class. The loss of a batch is the sum of those of its samples divided by the sum of the weights of their labels.
///
/// At a gamma of 0 this is cross entropy, to the last bits PyTorch's with `weight` and `label_smoothing`. With a gamma
/// above 0 it is the focal loss of Lin et al. (*Focal Loss for Dense Object Detection*, ICCV 2017), whose alpha are the
/// class weights; theirs is divided by another number, since most of their samples are background.
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
    /// Which loss: `cross_entropy` or `focal`. Default `cross_entropy`.
    pub name: LossName,
    /// How little samples count that are classified well already, at least 0; of the focal loss alone. Default 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gamma: Option<f64>,
    /// Share of each target that is spread over all classes, from 0 to below 1. Default 0.
    pub label_smoothing: f64,
    /// How much the samples of each class count. Default: all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<ClassWeights>,
}

/// The losses that a [`Criterion`] can be.
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
    /// Checks every setting.
    ///
    /// # Errors
    /// Names the first that is outside its range, NaN included.
    pub fn validate(&self) -> Result<()> {
        match (self.name, self.gamma) {
            (LossName::CrossEntropy, Some(gamma)) => {
                return Err(wrong("gamma", "`name` to be focal beside it", gamma));
            }
            (LossName::Focal, Some(gamma)) if !(gamma.is_finite() && gamma >= 0.0) => {
                return Err(wrong("gamma", "a number of at least 0", gamma));
            }
            _ => {}
        }
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return Err(wrong("label_smoothing", "from 0 to below 1", self.label_smoothing));
        }
        self.class_weights.as_ref().map_or(Ok(()), ClassWeights::validate)
    }

    /// Checks that there are as many class weights as classes.
    ///
    /// # Errors
    /// There are more, or fewer.
    pub fn check_classes(&self, n_classes: usize) -> Result<()> {
        match &self.class_weights {
            Some(ClassWeights::Explicit(weights)) if weights.len() != n_classes => Err(wrong(
                "class_weights",
                format!("one weight for each of the {n_classes} classes"),
                weights.len(),
            )),
            _ => Ok(()),
        }
    }

    /// Returns the same loss with numbers for balanced class weights, from how many training samples each class has; see
    /// [`ClassWeights::Balanced`].
    ///
    /// # Errors
    /// The weights are to be balanced, and a class has no sample.
    pub fn with_class_counts(mut self, counts: &[usize]) -> Result<Self> {
        if self.class_weights == Some(ClassWeights::Balanced) {
            self.class_weights = Some(ClassWeights::from_counts(counts)?);
        }
        Ok(self)
    }

    /// Returns the loss of a batch, a scalar: of `logits` `[n, n_classes]` against class numbers `labels` i64 `[n]`.
    ///
    /// # Errors
    /// A label is no class; the class weights are not numbers yet, or not as many as classes.
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
        or_wrong_labels(mean, logits, labels)
    }

    /// Returns the sum of the losses of a batch's samples, which is yet to be divided by [`total_weight`](Self::total_weight).
    ///
    /// For who takes a batch apart: the sums of the parts, divided by the weight of all, add up to the loss of the whole.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub fn sum(&self, logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
        let weights = self.weights_for(logits)?;
        let sum = match self.focal_gamma() {
            None => self.cross_entropy(logits, labels, weights, Reduction::Sum),
            Some(gamma) => self.focal(logits, labels, weights.as_ref(), gamma),
        };
        or_wrong_labels(sum, logits, labels)
    }

    /// Returns the sum of the weights of `labels`; without class weights their number. A label that is no class weighs nothing.
    ///
    /// Waits for the device that the labels are on.
    ///
    /// # Errors
    /// The class weights are not numbers yet; the labels are no list of integers.
    pub fn total_weight(&self, labels: &Tensor) -> Result<f64> {
        let Some(weights) = self.explicit_weights()? else { return Ok(labels.numel() as f64) };
        let labels = Vec::<i64>::try_from(labels)?;
        let weight = |label: i64| usize::try_from(label).ok().and_then(|label| weights.get(label));
        Ok(labels.into_iter().filter_map(weight).sum())
    }

    /// Returns the class weights as numbers; `None` if all classes count the same.
    ///
    /// # Errors
    /// They are to be balanced, and [`with_class_counts`](Self::with_class_counts) was not called.
    pub fn explicit_weights(&self) -> Result<Option<&[f64]>> {
        match &self.class_weights {
            None => Ok(None),
            Some(ClassWeights::Explicit(weights)) => Ok(Some(weights)),
            Some(ClassWeights::Balanced) => Err(wrong(
                "class_weights",
                "numbers, which `with_class_counts` makes of the training labels",
                "balanced",
            )),
        }
    }

    fn focal_gamma(&self) -> Option<f64> {
        (self.name == LossName::Focal).then(|| self.gamma.unwrap_or(FOCAL_GAMMA))
    }

    /// The class weights where the logits are, and of their kind.
    fn weights_for(&self, logits: &Tensor) -> Result<Option<Tensor>> {
        let n_classes = logits.size().last().copied().unwrap_or(0);
        self.check_classes(usize::try_from(n_classes).unwrap_or(0))?;
        let there = |weights: &[f64]| {
            Tensor::from_slice(weights).f_to_kind(logits.f_kind()?)?.f_to_device(logits.device())
        };
        Ok(self.explicit_weights()?.map(there).transpose()?)
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

    /// The sum of the focal losses.
    fn focal(
        &self,
        logits: &Tensor,
        labels: &Tensor,
        weights: Option<&Tensor>,
        gamma: f64,
    ) -> Result<Tensor, TchError> {
        let kind = logits.f_kind()?;
        let log_p = logits.f_log_softmax(-1, None::<Kind>)?; // [n, n_classes]
        let of_the_others = log_p.f_expm1()?.f_neg()?.f_clamp_min(SMALLEST)?; // 1 - p, also where p is almost 1
        let mut losses = of_the_others.f_pow_tensor_scalar(gamma)?.f_mul(&log_p)?.f_neg()?;
        if let Some(weights) = weights {
            losses = losses.f_mul(weights)?;
        }
        let at_labels = losses.f_gather(1, &labels.f_unsqueeze(1)?, false)?.f_sum(kind)?;
        if self.label_smoothing == 0.0 {
            return Ok(at_labels);
        }
        let n_classes = logits.size().last().copied().unwrap_or(1) as f64;
        let spread = losses.f_sum(kind)?.f_mul_scalar(self.label_smoothing / n_classes)?;
        at_labels.f_mul_scalar(1.0 - self.label_smoothing)?.f_add(&spread)
    }
}

/// The error of a setting of a loss.
pub(crate) fn wrong(name: &'static str, expected: impl Into<String>, got: impl ToString) -> Error {
    Error::Config { model: "loss", name, expected: expected.into(), got: got.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(json: &str, expected: &str) {
        let criterion: Criterion = serde_json::from_str(json).unwrap();
        assert_eq!(criterion.validate().unwrap_err().to_string(), expected, "{json}");
    }

    #[test]
    fn settings_outside_their_range_are_named() {
        says(r#"{"gamma": 2}"#, "loss: `gamma`: expected `name` to be focal beside it, got 2");
        says(r#"{"name": "focal", "gamma": -1}"#, "loss: `gamma`: expected a number of at least 0, got -1");
        says(r#"{"label_smoothing": 1}"#, "loss: `label_smoothing`: expected from 0 to below 1, got 1");
        let smoothing = Criterion { label_smoothing: f64::NAN, ..Criterion::default() };
        assert!(smoothing.validate().unwrap_err().to_string().ends_with("got NaN"));
        let weights = "loss: `class_weights`: expected numbers above 0";
        says(r#"{"class_weights": [1, 0]}"#, &format!("{weights}, got 0"));
        says(r#"{"class_weights": []}"#, "loss: `class_weights`: expected one for each class, got none");
        for right in ["{}", r#"{"name": "focal"}"#, r#"{"class_weights": "balanced"}"#] {
            serde_json::from_str::<Criterion>(right).unwrap().validate().unwrap();
        }
    }

    #[test]
    fn what_cannot_be_computed_with_is_named() {
        let logits = Tensor::zeros([2, 2], tch::kind::DOUBLE_CPU);
        let check = |json: &str, labels: [i64; 2], expected: &str| {
            let criterion: Criterion = serde_json::from_str(json).unwrap();
            for computed in [Criterion::loss, Criterion::sum] {
                let error = computed(&criterion, &logits, &Tensor::from_slice(&labels)).unwrap_err();
                assert!(error.to_string().contains(expected), "{json}: {error}");
            }
        };
        let three = "`class_weights`: expected one weight for each of the 2 classes, got 3";
        check(r#"{"class_weights": [1, 2, 3]}"#, [0, 1], three);
        check(r#"{"class_weights": "balanced"}"#, [0, 1], "`with_class_counts` makes of the training labels");
        for name in ["cross_entropy", "focal"] {
            check(
                &format!(r#"{{"name": "{name}"}}"#),
                [0, 2],
                "2 classes (0..=1), the batch holds labels 0..=2",
            );
        }
    }

    #[test]
    fn unknown_settings_and_losses_are_refused() {
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
    fn a_criterion_survives_its_file() {
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
