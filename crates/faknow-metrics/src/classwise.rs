//! Precision, recall and F1, of each class and averaged.

use serde::{Deserialize, Serialize};

use crate::confusion::{NO_SAMPLES, absent, needs_two_classes};
use crate::{ConfusionMatrix, Score};

/// How values of the classes become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Averaging {
    /// The value of class 1, the positive one; undefined unless there are two classes.
    Binary,
    /// The mean over all classes; those without samples count, as 0 by convention.
    Macro,
    /// The mean over the classes that occur in the labels or the predictions, scikit-learn's `macro`.
    MacroPresent,
    /// All classes' counts added up; for single-label classification this equals the accuracy.
    Micro,
    /// The mean over the classes, weighted by how often they occur in the labels.
    Weighted,
}

/// How well one class was recognized.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassScores {
    /// Share of the samples predicted as this class that are of it; undefined if it is never predicted.
    pub precision: Score,
    /// Share of the class's samples that were predicted as it; undefined if it does not occur.
    pub recall: Score,
    /// Harmonic mean of both, `2 tp / (2 tp + fp + fn)`; undefined if the class neither occurs nor is
    /// predicted.
    pub f1: Score,
    /// How many samples are truly of this class.
    pub support: u64,
    /// How many samples were predicted as this class.
    pub predicted: u64,
}

impl ConfusionMatrix {
    /// Precision, recall and F1 of every class, `[n_classes]`.
    pub fn per_class(&self) -> Vec<ClassScores> {
        let empty = self.n_samples() == 0;
        let share = |part: u64, whole: u64, reason: String| match whole {
            0 if empty => Score::undefined(NO_SAMPLES),
            0 => Score::undefined_or(reason, 0.0),
            _ => Score::Defined(part as f64 / whole as f64),
        };
        let sums = self.support().into_iter().zip(self.predicted());
        sums.enumerate()
            .map(|(class, (support, predicted))| {
                let hits = self.get(class, class);
                let neither = format!("class {class} neither occurs nor is predicted");
                ClassScores {
                    precision: share(hits, predicted, format!("class {class} is never predicted")),
                    recall: share(hits, support, absent(class)),
                    f1: share(2 * hits, support + predicted, neither),
                    support,
                    predicted,
                }
            })
            .collect()
    }

    /// Averaged precision; undefined where that of a class which counts is.
    pub fn precision(&self, average: Averaging) -> Score {
        self.average(average, |class| &class.precision)
    }

    /// Averaged recall; undefined where that of a class which counts is.
    pub fn recall(&self, average: Averaging) -> Score {
        self.average(average, |class| &class.recall)
    }

    /// Averaged F1 (not the F1 of averages); undefined where that of a class which counts is.
    pub fn f1(&self, average: Averaging) -> Score {
        self.average(average, |class| &class.f1)
    }

    fn average(&self, average: Averaging, value: impl Fn(&ClassScores) -> &Score) -> Score {
        if self.n_samples() == 0 {
            return Score::undefined(NO_SAMPLES);
        }
        let classes = self.per_class();
        let weight = |class: &ClassScores| match average {
            Averaging::Weighted => class.support as f64,
            Averaging::MacroPresent if class.support + class.predicted == 0 => 0.0,
            _ => 1.0,
        };
        match average {
            Averaging::Binary if self.n_classes() == 2 => value(&classes[1]).clone(),
            Averaging::Binary => Score::undefined(needs_two_classes(self.n_classes())),
            // Each sample is one prediction and one label, so that all three share numerator and denominator.
            Averaging::Micro => self.accuracy(),
            Averaging::Macro | Averaging::MacroPresent | Averaging::Weighted => {
                weighted_mean(classes.iter().map(|class| (value(class), weight(class))))
            }
        }
    }
}

/// The mean of scores by weight; those of weight 0 do not matter.
///
/// Undefined if one of the others is: with the mean of the conventions if all of them have one.
pub(crate) fn weighted_mean<'a>(scores: impl Iterator<Item = (&'a Score, f64)>) -> Score {
    let (mut sum, mut weights) = (Some(0.0), 0.0);
    let (mut reason, mut more) = (None, 0_usize);
    for (score, weight) in scores.filter(|(_, weight)| *weight > 0.0) {
        sum = sum.zip(score.value()).map(|(sum, value)| sum + weight * value);
        weights += weight;
        match (score.reason(), reason) {
            (Some(first), None) => reason = Some(first),
            (Some(_), Some(_)) => more += 1,
            (None, _) => {}
        }
    }
    let mean = sum.map(|sum| sum / weights);
    match (reason, mean) {
        (None, Some(mean)) => Score::from(mean),
        (None, None) => Score::undefined(NO_SAMPLES),
        (Some(reason), convention) => {
            let reason = match more {
                0 => reason.to_owned(),
                1 => format!("{reason}, and the like for 1 more class"),
                _ => format!("{reason}, and the like for {more} more classes"),
            };
            Score::Undefined { reason, convention }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Class 0: 3 right; class 1: 1 right, 1 taken for 0; class 2 occurs once, never predicted; class 3 is
    /// absent.
    fn matrix() -> ConfusionMatrix {
        ConfusionMatrix::new(4, &[0, 0, 0, 1, 1, 2], &[0, 0, 0, 1, 0, 1]).unwrap()
    }

    fn undefined(reason: &str, convention: f64) -> Score {
        Score::undefined_or(reason, convention)
    }

    #[test]
    fn each_class() {
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
            undefined(&format!("{never}, and the like for 1 more class"), 1.25 / 4.0),
        );
        check(m.precision(Averaging::MacroPresent), undefined(never, 1.25 / 3.0));
        check(m.precision(Averaging::Weighted), undefined(never, (3.0 * 0.75 + 2.0 * 0.5) / 6.0));
        check(m.recall(Averaging::Macro), undefined("class 3 does not occur in the labels", 1.5 / 4.0));
        check(m.recall(Averaging::MacroPresent), Score::Defined(0.5));
        check(m.recall(Averaging::Weighted), Score::Defined(4.0 / 6.0));
        check(m.f1(Averaging::MacroPresent), Score::Defined((6.0 / 7.0 + 0.5) / 3.0));
        check(m.f1(Averaging::Micro), Score::Defined(4.0 / 6.0));
        check(m.f1(Averaging::Binary), Score::undefined("it is for 2 classes, there are 4"));
        let two = ConfusionMatrix::new(2, &[0, 1], &[0, 0]).unwrap();
        check(two.precision(Averaging::Binary), undefined("class 1 is never predicted", 0.0));
        check(two.f1(Averaging::Binary), Score::Defined(0.0));
        let empty = ConfusionMatrix::new(2, &[], &[]).unwrap();
        check(empty.f1(Averaging::Macro), Score::undefined("there are no samples"));
        check(empty.recall(Averaging::Binary), Score::undefined("there are no samples"));
    }
}
