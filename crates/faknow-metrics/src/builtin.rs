//! The metrics that come with the crate, by name.

use crate::calibration::{brier_binary, brier_multiclass, expected_calibration_error, log_loss};
use crate::roc::{average_precision, roc_auc};
use crate::{Averaging, Direction, Error, Metric, Predictions, Result, Score};

/// The metric of this name; upper and lower case, `-` and `_` are the same.
///
/// Names are those of [`metric_names`], `ece_<bins>` with up to 65535 bins, and the aliases `auc` (`roc_auc`),
/// `pr_auc` (`average_precision`), `kappa` (`cohen_kappa`) and `ece` (`ece_15`).
///
/// - `precision`, `recall`, `f1`: of class 1 if there are two classes (as FaKnow), else macro
/// - `*_binary`: of class 1; `*_macro`, `*_macro_present`, `*_micro`, `*_weighted`: see [`Averaging`]
/// - `roc_auc`, `average_precision`: from the scores of class 1, with more than two classes the mean of each
///   class against the rest
/// - `auc_hard`: what FaKnow calls `auc`, the ROC-AUC of the predicted classes instead of the scores; only
///   for comparison
///
/// ```
/// use faknow_metrics::{Metric, metric_by_name};
///
/// assert_eq!(metric_by_name("AUC")?.name(), "roc_auc");
/// assert!(metric_by_name("acuracy").is_err());
/// # Ok::<(), faknow_metrics::Error>(())
/// ```
///
/// # Errors
/// No metric has this name; the error lists those that exist.
pub fn metric_by_name(name: &str) -> Result<Box<dyn Metric>> {
    let wanted = without_alias(name);
    if let Some(builtin) = BUILTINS.iter().find(|builtin| builtin.name == wanted) {
        return Ok(Box::new(*builtin));
    }
    match wanted.strip_prefix("ece_").and_then(|bins| bins.parse::<u16>().ok()) {
        Some(n_bins) if n_bins > 0 => {
            Ok(Box::new(CalibrationError { name: format!("ece_{n_bins}"), n_bins: usize::from(n_bins) }))
        }
        _ => Err(Error::UnknownMetric {
            name: name.to_owned(),
            known: metric_names().map(str::to_owned).collect(),
        }),
    }
}

/// Returns the name under which a metric is recorded: that of a built-in one for its aliases and other spellings, any other
/// name as it is.
///
/// ```
/// use faknow_metrics::canonical_metric_name;
///
/// assert_eq!(["AUC", "f1-macro", "My-Metric"].map(canonical_metric_name), ["roc_auc", "f1_macro", "My-Metric"]);
/// ```
pub fn canonical_metric_name(name: &str) -> String {
    metric_by_name(name).map_or_else(|_| name.to_owned(), |metric| metric.name().to_owned())
}

fn without_alias(name: &str) -> String {
    let name = name.trim().to_lowercase().replace('-', "_");
    ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| (*name).to_owned())
}

/// Other names of built-in metrics.
const ALIASES: [(&str, &str); 4] =
    [("auc", "roc_auc"), ("pr_auc", "average_precision"), ("kappa", "cohen_kappa"), ("ece", "ece_15")];

/// The names of all built-in metrics, in the order in which reports show them.
pub fn metric_names() -> impl ExactSizeIterator<Item = &'static str> {
    BUILTINS.iter().map(|builtin| builtin.name)
}

/// All built-in metrics.
pub(crate) fn all() -> impl Iterator<Item = Box<dyn Metric>> {
    BUILTINS.iter().map(|builtin| Box::new(*builtin) as Box<dyn Metric>)
}

/// The built-in metrics that are recorded unless others are named.
pub(crate) fn common() -> impl Iterator<Item = Box<dyn Metric>> {
    let chosen = BUILTINS.iter().filter(|builtin| COMMON.contains(&builtin.name));
    chosen.map(|builtin| Box::new(*builtin) as Box<dyn Metric>)
}

/// The names of [`common`] metrics: how often, in which way, in what order, how sure.
const COMMON: [&str; 12] = [
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "f1",
    "f1_macro",
    "f1_weighted",
    "roc_auc",
    "average_precision",
    "mcc",
    "log_loss",
    "ece_15",
];

/// The metrics that need scores, and not only the predicted classes.
const OF_SCORES: [&str; 6] =
    ["roc_auc", "average_precision", "log_loss", "brier_binary", "brier_multiclass", "ece_15"];

/// One row of the table of built-in metrics.
#[derive(Clone, Copy)]
struct Builtin {
    name: &'static str,
    direction: Direction,
    compute: fn(&Predictions) -> Score,
}

impl Metric for Builtin {
    fn name(&self) -> &str {
        self.name
    }

    fn direction(&self) -> Direction {
        self.direction
    }

    fn compute(&self, predictions: &Predictions) -> Result<Score> {
        Ok((self.compute)(predictions))
    }

    fn only_needs_classes(&self) -> bool {
        !OF_SCORES.contains(&self.name)
    }
}

/// `ece_<n_bins>` for numbers of bins that are not in the table.
struct CalibrationError {
    name: String,
    n_bins: usize,
}

impl Metric for CalibrationError {
    fn name(&self) -> &str {
        &self.name
    }

    fn direction(&self) -> Direction {
        Direction::Minimize
    }

    fn compute(&self, predictions: &Predictions) -> Result<Score> {
        Ok(expected_calibration_error(predictions, self.n_bins))
    }
}

const fn more(name: &'static str, compute: fn(&Predictions) -> Score) -> Builtin {
    Builtin { name, direction: Direction::Maximize, compute }
}

const fn less(name: &'static str, compute: fn(&Predictions) -> Score) -> Builtin {
    Builtin { name, direction: Direction::Minimize, compute }
}

/// Binary for two classes, else macro.
fn usual(predictions: &Predictions) -> Averaging {
    if predictions.n_classes() == 2 { Averaging::Binary } else { Averaging::Macro }
}

const BUILTINS: &[Builtin] = &[
    more("accuracy", |p| p.confusion().accuracy()),
    more("precision", |p| p.confusion().precision(usual(p))),
    more("recall", |p| p.confusion().recall(usual(p))),
    more("f1", |p| p.confusion().f1(usual(p))),
    more("balanced_accuracy", |p| p.confusion().balanced_accuracy()),
    more("precision_binary", |p| p.confusion().precision(Averaging::Binary)),
    more("recall_binary", |p| p.confusion().recall(Averaging::Binary)),
    more("f1_binary", |p| p.confusion().f1(Averaging::Binary)),
    more("precision_macro", |p| p.confusion().precision(Averaging::Macro)),
    more("recall_macro", |p| p.confusion().recall(Averaging::Macro)),
    more("f1_macro", |p| p.confusion().f1(Averaging::Macro)),
    more("precision_macro_present", |p| p.confusion().precision(Averaging::MacroPresent)),
    more("recall_macro_present", |p| p.confusion().recall(Averaging::MacroPresent)),
    more("f1_macro_present", |p| p.confusion().f1(Averaging::MacroPresent)),
    more("precision_micro", |p| p.confusion().precision(Averaging::Micro)),
    more("recall_micro", |p| p.confusion().recall(Averaging::Micro)),
    more("f1_micro", |p| p.confusion().f1(Averaging::Micro)),
    more("precision_weighted", |p| p.confusion().precision(Averaging::Weighted)),
    more("recall_weighted", |p| p.confusion().recall(Averaging::Weighted)),
    more("f1_weighted", |p| p.confusion().f1(Averaging::Weighted)),
    more("roc_auc", roc_auc),
    more("average_precision", average_precision),
    more("mcc", |p| p.confusion().mcc()),
    more("cohen_kappa", |p| p.confusion().cohen_kappa()),
    less("log_loss", log_loss),
    less("brier_binary", brier_binary),
    less("brier_multiclass", brier_multiclass),
    less("ece_15", |p| expected_calibration_error(p, 15)),
    more("auc_hard", |p| p.confusion().auc_hard()),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases() {
        let check = |name: &str, expected: &str, direction: Direction| {
            let metric = metric_by_name(name).unwrap();
            assert_eq!((metric.name(), metric.direction()), (expected, direction), "{name}");
        };
        check("Accuracy", "accuracy", Direction::Maximize);
        check(" F1-Macro ", "f1_macro", Direction::Maximize);
        check("AUC", "roc_auc", Direction::Maximize);
        check("pr_auc", "average_precision", Direction::Maximize);
        check("kappa", "cohen_kappa", Direction::Maximize);
        check("ece", "ece_15", Direction::Minimize);
        check("ece_10", "ece_10", Direction::Minimize);
        check("log_loss", "log_loss", Direction::Minimize);
        for name in metric_names() {
            assert_eq!(metric_by_name(name).unwrap().name(), name);
        }
    }

    #[test]
    fn twelve_are_common() {
        let names: Vec<String> = common().map(|metric| metric.name().to_owned()).collect();
        assert_eq!(names.len(), COMMON.len(), "a name of the table is not a metric: {names:?}");
        let expected: Vec<&str> = metric_names().filter(|name| COMMON.contains(name)).collect();
        assert_eq!(names, expected, "in the order of reports");
    }

    /// Scores that are moved without a change of the predicted class change nothing else.
    #[test]
    fn what_only_needs_classes_is_known() {
        let predictions = |sure: f64| {
            let rows = [[sure, 1.0 - sure], [0.4, 0.6], [0.3, 0.7], [1.0 - sure, sure], [0.45, 0.55]];
            Predictions::new(2, vec![0, 1, 0, 1, 0], rows.concat()).unwrap()
        };
        for metric in all() {
            let values = [0.51, 0.99].map(|sure| metric.compute(&predictions(sure)).unwrap());
            assert_eq!(values[0] == values[1], metric.only_needs_classes(), "{}", metric.name());
        }
    }

    #[test]
    fn unknown_names_are_refused_with_the_known_ones() {
        for name in ["acuracy", "", "ece_0", "ece_65536", "ece_x", "loss"] {
            let error = metric_by_name(name).err().unwrap().to_string();
            assert!(error.starts_with(&format!("unknown metric `{name}`; known are accuracy, ")), "{error}");
            assert!(error.contains("roc_auc") && error.contains("ece_15"), "{error}");
        }
    }

    #[test]
    fn the_usual_average_depends_on_the_number_of_classes() {
        let value = |n_classes: usize, name: &str| {
            let scores = (0..3 * n_classes).map(|i| f64::from(i % (n_classes + 1) == 0)).collect();
            let labels = (0..3).map(|i| (i / 2).min(n_classes - 1)).collect();
            let predictions = Predictions::new(n_classes, labels, scores).unwrap();
            metric_by_name(name).unwrap().compute(&predictions).unwrap()
        };
        assert_eq!(value(2, "f1"), value(2, "f1_binary"));
        assert_ne!(value(2, "f1"), value(2, "f1_macro"));
        assert_eq!(value(3, "precision"), value(3, "precision_macro"));
    }
}
