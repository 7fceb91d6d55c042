//! What a test says at other thresholds than that which the detector uses.

use faknow_metrics::{Decision, OperatingPoint, PrCurve, Predictions, operating_points};
use maud::{Markup, html};

use crate::chart::{Chart, Line};
use crate::format::{percent, score, short};
use crate::{PredictionTable, Result, Run};

/// Points of a line that are drawn.
const N_POINTS: usize = 300;

/// A row of the table.
struct Row {
    name: String,
    threshold: f64,
}

/// For two classes: precision, recall and F1 of the second at thresholds; nothing for more.
pub(crate) fn render(run: &Run, judged: &PredictionTable, predictions: &Predictions) -> Result<Markup> {
    let [_, class] = &judged.classes[..] else { return Ok(html! {}) };
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
        marks: run.decision.threshold.map(|at| (at, format!("used, {}", short(at)))).into_iter().collect(),
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
                "A sample is judged to be “" (class) "” if its score for that class is at least the threshold. The detector "
                @match run.decision.threshold {
                    Some(threshold) => { "uses " b { (short(threshold)) } }
                    None => { "takes the class with the highest score, which is a threshold of " b { "0.5" } }
                }
                "; thresholds that were chosen were chosen on the validation samples, and what they do is shown on the test samples. "
                code { "faknow predict --threshold" } " takes another."
            }
            div.charts { (chart.render()) }
            div.scroll tabindex="0" { table {
                thead { tr {
                    th { "threshold" } th.n { "at" } th.n { "precision" } th.n { "recall" } th.n { "F1" } th.n { "accuracy" } th.n { "judged “" (class) "”" }
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

/// Round thresholds, and those that were chosen.
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
        rows.push(Row { name: "used".into(), threshold });
    }
    rows.sort_by(|a, b| a.threshold.total_cmp(&b.threshold));
    rows
}
