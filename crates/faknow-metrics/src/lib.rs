//! Classification metrics for fake-news detectors, and the history of a training run.
//!
#![doc = include_str!("../README.md")]

mod bootstrap;
mod builtin;
mod calibrate;
mod calibration;
mod classwise;
mod confusion;
mod decision;
mod direction;
mod error;
mod evaluation;
mod exact;
mod history;
mod mean_std;
mod metric;
mod metrics;
mod prediction;
mod predictions;
mod repeated;
mod report;
mod roc;
mod score;
mod scores;
mod significance;

pub use bootstrap::{ConfidenceInterval, bootstrap};
pub use builtin::{canonical_metric_name, metric_by_name, metric_names};
pub use calibrate::{Calibration, OperatingPoint, Thresholds, operating_points};
pub use calibration::{
    ReliabilityBin, brier_binary, brier_multiclass, expected_calibration_error, log_loss, reliability_bins,
};
pub use classwise::{Averaging, ClassScores};
pub use confusion::ConfusionMatrix;
pub use decision::Decision;
pub use direction::Direction;
pub use error::{Error, Result};
pub use evaluation::Evaluation;
pub use history::{EpochRecord, History};
pub use mean_std::MeanStd;
pub use metric::{FnMetric, Metric, metric_fn};
pub use metrics::Metrics;
pub use prediction::Prediction;
pub use predictions::{Predictions, PredictionsBuilder};
pub use repeated::RepeatedScore;
pub use report::ClassificationReport;
pub use roc::{PrCurve, RocCurve, auc, pr_curve, roc_curve};
pub use score::Score;
pub use scores::Scores;
pub use significance::{Difference, McNemar, mcnemar, paired_bootstrap};
