//! Test results: metrics, per-class metrics, confusion matrix, curves, calibration.

use faknow_metrics::{
    ClassificationReport, ConfidenceInterval, PrCurve, Predictions, RocCurve, reliability_bins,
};
use maud::{Markup, html};

use crate::chart::{Chart, Line, N_COLORS};
use crate::format::{grouped, marked, percent, score, short};
use crate::scores::{TestResult, n_resamples};
use crate::{PredictionTable, Result, Run, baseline, slices, thresholds};

/// Maximum number of points per curve; more are not distinguishable.
const N_POINTS: usize = 300;
const N_BINS: usize = 10;

/// Renders all sections of the test, or a note if the run was not tested.
pub(crate) fn render(run: &Run, test: Option<&TestResult<'_>>) -> Result<Markup> {
    let Some(TestResult { table, predictions, intervals }) = test else {
        return Ok(html! {
            section { h3 { "Test" } p.note { "This run was not tested, or its directory has no file " code { "predictions/test.csv" } "." } }
            (baseline::render(run))
        });
    };
    let report = ClassificationReport::new(predictions, &table.classes)?;
    Ok(html! {
        section {
            h3 { "Test" }
            (metrics(predictions, intervals))
            (classes(&report))
            (confusion(&report))
        }
        (baseline::render(run))
        section {
            h3 { "Curves" }
            div.charts {
                (roc(predictions, &table.classes).render())
                (precision_recall(predictions, &table.classes).render())
            }
        }
        (calibration(run, table, predictions)?)
        (thresholds::render(run, table, predictions)?)
        (slices::render(table, predictions))
    })
}

fn metrics(predictions: &Predictions, intervals: &[ConfidenceInterval]) -> Markup {
    let n = predictions.n_samples();
    html! {
        div.scroll tabindex="0" { table {
            thead { tr { th { "metric" } th.n { "value" } th.n { "95 % CI low" } th.n { "95 % CI high" } } }
            tbody {
                @for ConfidenceInterval { name, value, low, high } in intervals {
                    tr { th { (name) } td.n { (score(Some(*value))) } td.n { (score(Some(*low))) } td.n { (score(Some(*high))) } }
                }
            }
        } }
        p.small {
            "Confidence intervals from " (n_resamples(predictions)) " bootstrap resamples of the " (grouped(n as u64)) " test samples. "
            "They reflect the sampling of the test set, not the variation from other data or seeds."
        }
    }
}

fn classes(report: &ClassificationReport) -> Markup {
    let areas = report.roc_auc_per_class();
    html! {
        h4 { "Per-class metrics" }
        div.scroll tabindex="0" { table {
            thead { tr { th { "class" } th.n { "samples" } th.n { "precision" } th.n { "recall" } th.n { "F1" } th.n { "ROC-AUC" } } }
            tbody {
                @for ((name, class), area) in report.class_names().iter().zip(report.classes()).zip(&areas) {
                    tr {
                        th { (name) } td.n { (grouped(class.support)) } td.n { (marked(&class.precision)) }
                        td.n { (marked(&class.recall)) } td.n { (marked(&class.f1)) } td.n { (marked(area)) }
                    }
                }
            }
        } }
    }
}

/// Renders the confusion matrix; the shade of a cell is its share of the true class.
fn confusion(report: &ClassificationReport) -> Markup {
    let names = report.class_names();
    let cell = |count: u64, row: &[u64]| count as f64 / row.iter().sum::<u64>().max(1) as f64;
    html! {
        h4 { "Confusion matrix" }
        div.scroll tabindex="0" { table.confusion {
            thead {
                tr { th {} th colspan=(names.len()) { "predicted class" } }
                tr { th { "true class" } @for name in names { th.n { (name) } } }
            }
            tbody {
                @for (name, row) in names.iter().zip(report.confusion().rows()) {
                    tr {
                        th { (name) }
                        @for &count in row {
                            td.n style=(format!("--p:{:.0}%", 70.0 * cell(count, row))) {
                                (grouped(count)) br; span.small { (percent(cell(count, row))) }
                            }
                        }
                    }
                }
            }
        } }
    }
}

/// Returns the classes whose curves are drawn: of two classes only the positive one.
fn curve_classes(classes: &[String]) -> impl Iterator<Item = (usize, &String)> {
    classes.iter().enumerate().skip(usize::from(classes.len() == 2)).take(N_COLORS)
}

fn roc(predictions: &Predictions, classes: &[String]) -> Chart {
    let line = |(class, name): (usize, &String)| {
        let curve = RocCurve::for_class(predictions, class).ok()?;
        let area = curve.area().ok()?;
        let curve = curve.downsample(N_POINTS);
        let points = curve.false_positive_rate.into_iter().zip(curve.true_positive_rate);
        Some(Line::new(format!("{name}, AUC {area:.4}"), class, points))
    };
    let mut lines: Vec<Line> = curve_classes(classes).filter_map(line).collect();
    if !lines.is_empty() {
        lines.push(Line::new("chance", N_COLORS - 1, [(0.0, 0.0), (1.0, 1.0)]).dashed());
    }
    Chart {
        title: "ROC curve".into(),
        x: "false positive rate",
        y: "true positive rate",
        lines,
        ..unit_square()
    }
}

fn precision_recall(predictions: &Predictions, classes: &[String]) -> Chart {
    let line = |(class, name): (usize, &String)| {
        let curve = PrCurve::for_class(predictions, class).ok()?.downsample(N_POINTS);
        Some(Line::new(name.clone(), class, curve.recall.into_iter().zip(curve.precision)))
    };
    let lines = curve_classes(classes).filter_map(line).collect();
    Chart { title: "Precision-recall curve".into(), x: "recall", y: "precision", lines, ..unit_square() }
}

fn unit_square() -> Chart {
    Chart { x_range: Some((0.0, 1.0)), y_range: Some((0.0, 1.0)), ..Chart::default() }
}

fn calibration(run: &Run, table: &PredictionTable, predictions: &Predictions) -> Result<Markup> {
    let (Some(before), Some(after)) = (reliability(&table.predictions), reliability(predictions)) else {
        return Ok(html! {});
    };
    let is_scaled = run.decision.temperature != 1.0;
    let mut lines = vec![Line::new("perfect", N_COLORS - 1, [(0.0, 0.0), (1.0, 1.0)]).dashed()];
    if is_scaled {
        lines.push(Line::new("before temperature scaling", 0, before));
    }
    lines.push(Line::new("detector", 1, after));
    let chart =
        Chart { title: "Reliability diagram".into(), x: "confidence", y: "accuracy", lines, ..unit_square() };
    let bins = reliability_bins(predictions, N_BINS)?;
    let bars = bins.iter().map(|bin| (bin.lower + 0.005, bin.upper - 0.005, bin.n_samples as f64)).collect();
    let counts = Chart {
        title: "Samples by confidence".into(),
        x: "confidence",
        y: "samples",
        bars,
        x_range: Some((0.0, 1.0)),
        ..Chart::default()
    };
    Ok(html! {
        section {
            h3 { "Calibration" }
            @if let Some(calibration) = &run.calibration {
                p {
                    @if is_scaled {
                        "The detector divides its logits by a temperature of " (short(run.decision.temperature)) ", fitted on "
                        (grouped(calibration.n_samples as u64)) " validation samples, where the expected calibration error changed from "
                        (score(calibration.ece[0].value())) " to " (score(calibration.ece[1].value())) " and the log loss from "
                        (score(calibration.log_loss[0].value())) " to " (score(calibration.log_loss[1].value())) "."
                    } @else {
                        "The scores are not temperature-scaled."
                    }
                }
            }
            div.charts { (chart.render()) (counts.render()) }
        }
    })
}

/// Returns confidence and accuracy of the bins that have samples.
fn reliability(predictions: &Predictions) -> Option<Vec<(f64, f64)>> {
    let bins = reliability_bins(predictions, N_BINS).ok()?;
    Some(bins.iter().filter_map(|bin| Some((bin.confidence.defined()?, bin.accuracy.defined()?))).collect())
}
