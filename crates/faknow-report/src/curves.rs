//! How a run went: losses, metrics and learning rates over its epochs.

use faknow_metrics::EpochRecord;
use maud::{Markup, html};

use crate::Run;
use crate::chart::{Chart, Line};
use crate::format::{duration, score};

/// Metrics of the validation that are shown, beside what the run is judged by.
const SHOWN: [&str; 4] = ["accuracy", "precision", "recall", "f1"];

pub(crate) fn render(run: &Run) -> Markup {
    if run.epochs.is_empty() {
        return html! {
            section { h3 { "Training" } p { "No epoch was finished." } }
        };
    }
    html! {
        section {
            h3 { "Training" }
            div.charts {
                (losses(run).render())
                (metrics(run).render())
                (learning_rate(run).render())
                (gradient_norm(run).render())
            }
            (table(run))
        }
    }
}

/// One value over the epochs.
pub(crate) fn series(run: &Run, key: &str, label: impl Into<String>, color: usize) -> Line {
    let value = |record: &EpochRecord| (record.epoch as f64, record.get(key).and_then(|score| score.value()));
    Line { label: label.into(), points: run.epochs.iter().map(value).collect(), color, dashed: false }
}

fn best(run: &Run) -> Vec<(f64, String)> {
    run.best_epoch().map(|epoch| (epoch as f64, format!("best epoch, {epoch}"))).into_iter().collect()
}

fn losses(run: &Run) -> Chart {
    Chart {
        title: "Loss".into(),
        x: "epoch",
        y: "loss",
        lines: vec![series(run, "train/loss", "training", 0), series(run, "valid/loss", "validation", 1)],
        marks: best(run),
        counts: true,
        ..Chart::default()
    }
}

fn metrics(run: &Run) -> Chart {
    let mut names: Vec<&str> = SHOWN.to_vec();
    names.extend(run.monitor().filter(|name| !SHOWN.contains(name) && *name != "loss"));
    let lines =
        names.into_iter().enumerate().map(|(color, name)| series(run, &format!("valid/{name}"), name, color));
    Chart {
        title: "Validation metrics".into(),
        x: "epoch",
        y: "value",
        lines: lines.collect(),
        marks: best(run),
        counts: true,
        ..Chart::default()
    }
}

/// By steps where they were recorded, since many schedules change it within an epoch.
fn learning_rate(run: &Run) -> Chart {
    let by_steps = run.steps.iter().filter_map(|step| Some((step.step as f64, *step.lr.first()?)));
    let by_epochs =
        run.epochs.iter().filter_map(|epoch| Some((epoch.step as f64, *epoch.learning_rates.first()?)));
    let points: Vec<(f64, f64)> = if run.steps.len() > 1 { by_steps.collect() } else { by_epochs.collect() };
    Chart {
        title: "Learning rate".into(),
        x: "step",
        y: "rate",
        lines: vec![Line::new("learning rate", 2, points)],
        counts: true,
        ..Chart::default()
    }
}

fn gradient_norm(run: &Run) -> Chart {
    let points = run.epochs.iter().map(|record| (record.epoch as f64, record.grad_norm)).collect();
    Chart {
        title: "Mean norm of the gradients before clipping".into(),
        x: "epoch",
        y: "norm",
        lines: vec![Line { label: "norm".into(), points, color: 3, dashed: false }],
        counts: true,
        ..Chart::default()
    }
}

fn table(run: &Run) -> Markup {
    let monitor = run.monitor().filter(|name| !SHOWN.contains(name) && *name != "loss");
    let names: Vec<&str> = ["loss"].into_iter().chain(SHOWN).chain(monitor).collect();
    html! {
        details {
            summary { "All " (run.epochs.len()) " epochs" }
            div.scroll tabindex="0" {
                table {
                    thead { tr {
                        th.n { "epoch" } th.n { "training loss" }
                        @for name in &names { th.n { (name) } }
                        th.n { "time" }
                    } }
                    tbody {
                        @for record in &run.epochs {
                            tr.chosen[run.best_epoch() == Some(record.epoch)] {
                                td.n { (record.epoch) }
                                td.n { (score(record.train.value("loss"))) }
                                @for name in &names {
                                    td.n { (score(record.valid.as_ref().and_then(|valid| valid.value(name)))) }
                                }
                                td.n { (duration(record.train_seconds + record.valid_seconds)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
