//! Test metrics at thresholds other than the one of the detector.

use faknow_metrics::{Decision, OperatingPoint, PrCurve, Predictions, operating_points};
use maud::{Markup, html};

use crate::chart::{Chart, Line};
use crate::format::{percent, score, short};
use crate::{PredictionTable, Result, Run};

/// Maximum number of points per curve.
const N_POINTS: usize = 300;

/// A row of the table.
struct Row {
    name: String,
    threshold: f64,
}

/// Renders precision, recall and F1 of the positive class by threshold; empty for more than two classes.
pub(crate) fn render(run: &Run, table: &PredictionTable, predictions: &Predictions) -> Result<Markup> {
    let [_, class] = &table.classes[..] else { return Ok(html! {}) };
    let Ok(curve) = PrCurve::for_class(predictions, 1) else { return Ok(html! {}) };
    let points = operating_points(&curve.downsample(N_POINTS));
    let line = |label: &str, color, value: fn(&OperatingPoint) -> f64| {
        Line::new(label, color, points.iter().map(|point| (point.threshold, value(point))))
    };
    let chart = Chart {
        title: format!("Class “{class}” by threshold"),
        x: "threshold",
        y: "value",
        lines: vec![
            line("precision", 0, |point| point.precision),
            line("recall", 1, |point| point.recall),
            line("F1", 2, |point| point.f1),
        ],
        markers: run.decision.threshold.map(|x| (x, format!("in use, {}", short(x)))).into_iter().collect(),
        x_range: Some((0.0, 1.0)),
        y_range: Some((0.0, 1.0)),
        ..Chart::default()
    };
    let rows: Vec<(Row, Predictions)> = rows(run)
        .into_iter()
        .map(|row| {
            let decision = Decision { temperature: 1.0, threshold: Some(row.threshold) };
            Ok((row, decision.apply(predictions)?))
        })
        .collect::<Result<_>>()?;
    Ok(html! {
        section {
            h3 { "Thresholds" }
            p {
                "A sample is classified as “" (class) "” if its score for that class is at least the threshold. The detector "
                @match run.decision.threshold {
                    Some(threshold) => { "uses " b { (short(threshold)) } }
                    None => { "predicts the class with the highest score, which corresponds to a threshold of " b { "0.5" } }
                }
                ". Named thresholds were chosen on the validation samples; the metrics below are those of the test samples. "
                "Use " code { "faknow predict --threshold" } " for another threshold."
            }
            div.charts { (chart.render()) }
            div.scroll tabindex="0" { table {
                thead { tr {
                    th { "threshold" } th.n { "value" } th.n { "precision" } th.n { "recall" } th.n { "F1" } th.n { "accuracy" } th.n { "predicted “" (class) "”" }
                } }
                tbody {
                    @for (row, predictions) in &rows {
                        @let scores = &predictions.confusion().per_class()[1];
                        tr.chosen[run.decision.threshold.unwrap_or(0.5) == row.threshold] {
                            th { (row.name) } td.n { (short(row.threshold)) }
                            td.n { (score(scores.precision.value())) } td.n { (score(scores.recall.value())) } td.n { (score(scores.f1.value())) }
                            td.n { (score(predictions.confusion().accuracy().value())) }
                            td.n { (percent(scores.predicted as f64 / predictions.n_samples().max(1) as f64)) }
                        }
                    }
                }
            } }
        }
    })
}

/// Returns the thresholds 0.1 to 0.9, the ones chosen on the validation samples, and the one in use.
fn rows(run: &Run) -> Vec<Row> {
    let round = (1..10).map(|tenth| Row { name: String::new(), threshold: f64::from(tenth) / 10.0 });
    let mut rows: Vec<Row> = round.collect();
    if let Some(thresholds) = run.calibration.as_ref().and_then(|calibration| calibration.thresholds.as_ref())
    {
        rows.push(Row { name: "highest F1".into(), threshold: thresholds.f1.threshold });
        rows.extend(thresholds.precision.map(|point| Row {
            name: format!("precision {}", short(thresholds.target_precision)),
            threshold: point.threshold,
        }));
    }
    if let Some(threshold) =
        run.decision.threshold.filter(|used| rows.iter().all(|row| row.threshold != *used))
    {
        rows.push(Row { name: "in use".into(), threshold });
    }
    rows.sort_by(|a, b| a.threshold.total_cmp(&b.threshold));
    rows
}
