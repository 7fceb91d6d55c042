//! Precision, recall and F1 per class, and their averages.

use serde::{Deserialize, Serialize};

use crate::confusion::{NO_SAMPLES, absent, needs_two_classes};
use crate::{ConfusionMatrix, Score};

/// How per-class values are averaged: scikit-learn's `average`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Averaging {
    /// The value of class 1, the positive class; undefined unless there are two classes.
    Binary,
    /// The mean over all classes; classes without samples count as 0 by convention.
    Macro,
    /// The mean over the classes that occur in the labels or the predictions, scikit-learn's `macro`.
    MacroPresent,
    /// Computed from the total counts over all classes; for single-label classification this equals the accuracy.
    Micro,
    /// The mean over the classes, weighted by their support.
    Weighted,
}

/// The scores of one class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassScores {
    /// Fraction of the predictions of this class that are correct; undefined if it is never predicted.
    pub precision: Score,
    /// Fraction of the samples of this class that are predicted as it; undefined if it does not occur.
    pub recall: Score,
    /// Harmonic mean of both, `2 tp / (2 tp + fp + fn)`; undefined if the class neither occurs nor is
    /// predicted.
    pub f1: Score,
    /// Number of samples of this class.
    pub support: u64,
    /// Number of samples predicted as this class.
    pub predicted: u64,
}

impl ConfusionMatrix {
    /// Returns precision, recall and F1 of every class, `[n_classes]`.
    pub fn per_class(&self) -> Vec<ClassScores> {
        let empty = self.n_samples() == 0;
        let ratio = |numerator: u64, denominator: u64, reason: String| match denominator {
            0 if empty => Score::undefined(NO_SAMPLES),
            0 => Score::undefined_or(reason, 0.0),
            _ => Score::Defined(numerator as f64 / denominator as f64),
        };
        let sums = self.support().into_iter().zip(self.predicted());
        sums.enumerate()
            .map(|(class, (support, predicted))| {
                let true_positives = self.get(class, class);
                let neither = format!("class {class} neither occurs nor is predicted");
                ClassScores {
                    precision: ratio(true_positives, predicted, format!("class {class} is never predicted")),
                    recall: ratio(true_positives, support, absent(class)),
                    f1: ratio(2 * true_positives, support + predicted, neither),
                    support,
                    predicted,
                }
            })
            .collect()
    }

    /// Returns the averaged precision; undefined if that of a contributing class is.
    pub fn precision(&self, averaging: Averaging) -> Score {
        self.average(averaging, |class| &class.precision)
    }

    /// Returns the averaged recall; undefined if that of a contributing class is.
    pub fn recall(&self, averaging: Averaging) -> Score {
        self.average(averaging, |class| &class.recall)
    }

    /// Returns the averaged F1 (not the F1 of averages); undefined if that of a contributing class is.
    pub fn f1(&self, averaging: Averaging) -> Score {
        self.average(averaging, |class| &class.f1)
    }

    fn average(&self, averaging: Averaging, value: impl Fn(&ClassScores) -> &Score) -> Score {
        if self.n_samples() == 0 {
            return Score::undefined(NO_SAMPLES);
        }
        let classes = self.per_class();
        let weight = |class: &ClassScores| match averaging {
            Averaging::Weighted => class.support as f64,
            Averaging::MacroPresent if class.support + class.predicted == 0 => 0.0,
            _ => 1.0,
        };
        match averaging {
            Averaging::Binary if self.n_classes() == 2 => value(&classes[1]).clone(),
            Averaging::Binary => Score::undefined(needs_two_classes(self.n_classes())),
            // Each sample has one prediction and one label, so all three have the same numerator and denominator.
            Averaging::Micro => self.accuracy(),
            Averaging::Macro | Averaging::MacroPresent | Averaging::Weighted => {
                weighted_mean(classes.iter().map(|class| (value(class), weight(class))))
            }
        }
    }
}

/// Returns the weighted mean of scores; those of weight 0 are ignored.
///
/// Undefined if one of the others is: by convention the mean of their values, if all of them have one.
pub(crate) fn weighted_mean<'a>(scores: impl Iterator<Item = (&'a Score, f64)>) -> Score {
    let (mut sum, mut weights) = (Some(0.0), 0.0);
    let (mut reason, mut n_more) = (None, 0_usize);
    for (score, weight) in scores.filter(|(_, weight)| *weight > 0.0) {
        sum = sum.zip(score.value()).map(|(sum, value)| sum + weight * value);
        weights += weight;
        match (score.reason(), reason) {
            (Some(first), None) => reason = Some(first),
            (Some(_), Some(_)) => n_more += 1,
            (None, _) => {}
        }
    }
    let mean = sum.map(|sum| sum / weights);
    match (reason, mean) {
        (None, Some(mean)) => Score::from(mean),
        (None, None) => Score::undefined(NO_SAMPLES),
        (Some(reason), convention) => {
            let reason = match n_more {
                0 => reason.to_owned(),
                1 => format!("{reason}, and likewise for 1 more class"),
                _ => format!("{reason}, and likewise for {n_more} more classes"),
            };
            Score::Undefined { reason, convention }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a matrix: class 0 has 3 correct samples; class 1 one correct, one predicted as 0; class 2 occurs once and is
    /// never predicted; class 3 is absent.
    fn matrix() -> ConfusionMatrix {
        ConfusionMatrix::new(4, &[0, 0, 0, 1, 1, 2], &[0, 0, 0, 1, 0, 1]).unwrap()
    }

    fn undefined(reason: &str, convention: f64) -> Score {
        Score::undefined_or(reason, convention)
    }

    #[test]
    fn per_class_scores_are_defined_or_have_reasons() {
        let classes = matrix().per_class();
        let check = |class: usize, precision: Score, recall: Score, f1: Score, support, predicted| {
            assert_eq!(classes[class], ClassScores { precision, recall, f1, support, predicted }, "{class}");
        };
        let defined = Score::Defined;
        check(0, defined(0.75), defined(1.0), defined(6.0 / 7.0), 3, 4);
        check(1, defined(0.5), defined(0.5), defined(0.5), 2, 2);
        check(2, undefined("class 2 is never predicted", 0.0), defined(0.0), defined(0.0), 1, 0);
        check(
            3,
            undefined("class 3 is never predicted", 0.0),
            undefined("class 3 does not occur in the labels", 0.0),
            undefined("class 3 neither occurs nor is predicted", 0.0),
            0,
            0,
        );
    }

    #[test]
    fn averages() {
        let m = matrix();
        let never = "class 2 is never predicted";
        let check = |got: Score, expected: Score| {
            let (a, b) = (got.value(), expected.value());
            assert!(a.zip(b).map_or(a == b, |(a, b)| (a - b).abs() < 1e-15), "{got:?} {expected:?}");
            assert_eq!(got.reason(), expected.reason());
        };
        check(
            m.precision(Averaging::Macro),
            undefined(&format!("{never}, and likewise for 1 more class"), 1.25 / 4.0),
        );
        check(m.precision(Averaging::MacroPresent), undefined(never, 1.25 / 3.0));
        check(m.precision(Averaging::Weighted), undefined(never, (3.0 * 0.75 + 2.0 * 0.5) / 6.0));
        check(m.recall(Averaging::Macro), undefined("class 3 does not occur in the labels", 1.5 / 4.0));
        check(m.recall(Averaging::MacroPresent), Score::Defined(0.5));
        check(m.recall(Averaging::Weighted), Score::Defined(4.0 / 6.0));
        check(m.f1(Averaging::MacroPresent), Score::Defined((6.0 / 7.0 + 0.5) / 3.0));
        check(m.f1(Averaging::Micro), Score::Defined(4.0 / 6.0));
        check(m.f1(Averaging::Binary), Score::undefined("expected 2 classes, got 4"));
        let two = ConfusionMatrix::new(2, &[0, 1], &[0, 0]).unwrap();
        check(two.precision(Averaging::Binary), undefined("class 1 is never predicted", 0.0));
        check(two.f1(Averaging::Binary), Score::Defined(0.0));
        let empty = ConfusionMatrix::new(2, &[], &[]).unwrap();
        check(empty.f1(Averaging::Macro), Score::undefined("there are no samples"));
        check(empty.recall(Averaging::Binary), Score::undefined("there are no samples"));
    }
}
