//! The built-in metrics, by name.

use crate::calibration::{brier_binary, brier_multiclass, expected_calibration_error, log_loss};
use crate::roc::{average_precision, roc_auc};
use crate::{Averaging, Direction, Error, Metric, Predictions, Result, Score};

/// Returns the built-in metric `name`; case is ignored, and `-` is the same as `_`.
///
/// Names are those of [`metric_names`], `ece_<bins>` with up to 65535 bins, and the aliases `auc` (`roc_auc`),
/// `pr_auc` (`average_precision`), `kappa` (`cohen_kappa`) and `ece` (`ece_15`).
///
/// - `precision`, `recall`, `f1`: of class 1 with two classes (as in FaKnow), else the macro average
/// - `*_binary`: of class 1; `*_macro`, `*_macro_present`, `*_micro`, `*_weighted`: see [`Averaging`]
/// - `roc_auc`, `average_precision`: from the scores of class 1; with more than two classes, the mean over the classes,
///   each against the rest
/// - `auc_hard`: FaKnow's `auc`, the ROC-AUC of the predicted classes instead of the scores; only for comparison
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
/// No metric has this name; the error lists the known names.
pub fn metric_by_name(name: &str) -> Result<Box<dyn Metric>> {
    let canonical = resolve_alias(name);
    if let Some(builtin) = BUILTINS.iter().find(|builtin| builtin.name == canonical) {
        return Ok(Box::new(*builtin));
    }
    match canonical.strip_prefix("ece_").and_then(|bins| bins.parse::<u16>().ok()) {
        Some(n_bins) if n_bins > 0 => {
            Ok(Box::new(CalibrationError { name: format!("ece_{n_bins}"), n_bins: usize::from(n_bins) }))
        }
        _ => Err(Error::UnknownMetric {
            name: name.to_owned(),
            known: metric_names().map(str::to_owned).collect(),
        }),
    }
}

/// Returns the name under which a metric is recorded: for aliases and other spellings of a built-in metric its name, else
/// `name` unchanged.
///
/// ```
/// use faknow_metrics::canonical_metric_name;
///
/// assert_eq!(["AUC", "f1-macro", "My-Metric"].map(canonical_metric_name), ["roc_auc", "f1_macro", "My-Metric"]);
/// ```
pub fn canonical_metric_name(name: &str) -> String {
    metric_by_name(name).map_or_else(|_| name.to_owned(), |metric| metric.name().to_owned())
}

fn resolve_alias(name: &str) -> String {
    let name = name.trim().to_lowercase().replace('-', "_");
    ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| (*name).to_owned())
}

/// Aliases of built-in metrics.
const ALIASES: [(&str, &str); 4] =
    [("auc", "roc_auc"), ("pr_auc", "average_precision"), ("kappa", "cohen_kappa"), ("ece", "ece_15")];

/// Returns the names of all built-in metrics, in the order of reports.
pub fn metric_names() -> impl ExactSizeIterator<Item = &'static str> {
    BUILTINS.iter().map(|builtin| builtin.name)
}

/// Returns all built-in metrics.
pub(crate) fn all() -> impl Iterator<Item = Box<dyn Metric>> {
    BUILTINS.iter().map(|builtin| Box::new(*builtin) as Box<dyn Metric>)
}

/// Returns the built-in metrics that are recorded by default.
pub(crate) fn common() -> impl Iterator<Item = Box<dyn Metric>> {
    let builtins = BUILTINS.iter().filter(|builtin| COMMON.contains(&builtin.name));
    builtins.map(|builtin| Box::new(*builtin) as Box<dyn Metric>)
}

/// The names of the [`common`] metrics.
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

/// The metrics that need scores, not only predicted classes.
const SCORE_BASED: [&str; 6] =
    ["roc_auc", "average_precision", "log_loss", "brier_binary", "brier_multiclass", "ece_15"];

/// A built-in metric.
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
        !SCORE_BASED.contains(&self.name)
    }
}

/// `ece_<n_bins>` with a number of bins that is not in [`BUILTINS`].
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

const fn maximize(name: &'static str, compute: fn(&Predictions) -> Score) -> Builtin {
    Builtin { name, direction: Direction::Maximize, compute }
}

const fn minimize(name: &'static str, compute: fn(&Predictions) -> Score) -> Builtin {
    Builtin { name, direction: Direction::Minimize, compute }
}

/// Returns binary averaging for two classes, else macro.
fn default_averaging(predictions: &Predictions) -> Averaging {
    if predictions.n_classes() == 2 { Averaging::Binary } else { Averaging::Macro }
}

const BUILTINS: &[Builtin] = &[
    maximize("accuracy", |p| p.confusion().accuracy()),
    maximize("precision", |p| p.confusion().precision(default_averaging(p))),
    maximize("recall", |p| p.confusion().recall(default_averaging(p))),
    maximize("f1", |p| p.confusion().f1(default_averaging(p))),
    maximize("balanced_accuracy", |p| p.confusion().balanced_accuracy()),
    maximize("precision_binary", |p| p.confusion().precision(Averaging::Binary)),
    maximize("recall_binary", |p| p.confusion().recall(Averaging::Binary)),
    maximize("f1_binary", |p| p.confusion().f1(Averaging::Binary)),
    maximize("precision_macro", |p| p.confusion().precision(Averaging::Macro)),
    maximize("recall_macro", |p| p.confusion().recall(Averaging::Macro)),
    maximize("f1_macro", |p| p.confusion().f1(Averaging::Macro)),
    maximize("precision_macro_present", |p| p.confusion().precision(Averaging::MacroPresent)),
    maximize("recall_macro_present", |p| p.confusion().recall(Averaging::MacroPresent)),
    maximize("f1_macro_present", |p| p.confusion().f1(Averaging::MacroPresent)),
    maximize("precision_micro", |p| p.confusion().precision(Averaging::Micro)),
    maximize("recall_micro", |p| p.confusion().recall(Averaging::Micro)),
    maximize("f1_micro", |p| p.confusion().f1(Averaging::Micro)),
    maximize("precision_weighted", |p| p.confusion().precision(Averaging::Weighted)),
    maximize("recall_weighted", |p| p.confusion().recall(Averaging::Weighted)),
    maximize("f1_weighted", |p| p.confusion().f1(Averaging::Weighted)),
    maximize("roc_auc", roc_auc),
    maximize("average_precision", average_precision),
    maximize("mcc", |p| p.confusion().mcc()),
    maximize("cohen_kappa", |p| p.confusion().cohen_kappa()),
    minimize("log_loss", log_loss),
    minimize("brier_binary", brier_binary),
    minimize("brier_multiclass", brier_multiclass),
    minimize("ece_15", |p| expected_calibration_error(p, 15)),
    maximize("auc_hard", |p| p.confusion().auc_hard()),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_metrics_by_name_and_alias() {
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
    fn common_metrics_are_in_report_order() {
        let names: Vec<String> = common().map(|metric| metric.name().to_owned()).collect();
        assert_eq!(names.len(), COMMON.len(), "unknown name in COMMON: {names:?}");
        let expected: Vec<&str> = metric_names().filter(|name| COMMON.contains(name)).collect();
        assert_eq!(names, expected, "order of reports");
    }

    // Changes the scores without changing the predicted classes.
    #[test]
    fn only_needs_classes_is_true_if_scores_do_not_matter() {
        let predictions = |confidence: f64| {
            let rows = [
                [confidence, 1.0 - confidence],
                [0.4, 0.6],
                [0.3, 0.7],
                [1.0 - confidence, confidence],
                [0.45, 0.55],
            ];
            Predictions::new(2, vec![0, 1, 0, 1, 0], rows.concat()).unwrap()
        };
        for metric in all() {
            let values = [0.51, 0.99].map(|confidence| metric.compute(&predictions(confidence)).unwrap());
            assert_eq!(values[0] == values[1], metric.only_needs_classes(), "{}", metric.name());
        }
    }

    #[test]
    fn unknown_name_error_lists_known_names() {
        for name in ["acuracy", "", "ece_0", "ece_65536", "ece_x", "loss"] {
            let error = metric_by_name(name).err().unwrap().to_string();
            assert!(
                error.starts_with(&format!("unknown metric `{name}`: expected one of accuracy, ")),
                "{error}"
            );
            assert!(error.contains("roc_auc") && error.contains("ece_15"), "{error}");
        }
    }

    #[test]
    fn default_averaging_depends_on_the_number_of_classes() {
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
