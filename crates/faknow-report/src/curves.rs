//! Learning curves of a run: losses, metrics and learning rates by epoch.

use faknow_metrics::{EpochRecord, metric_by_name};
use maud::{Markup, html};

use crate::Run;
use crate::chart::{Chart, Line};
use crate::format::{duration, score};

/// Validation metrics that are shown, in addition to the monitored one.
const SHOWN: [&str; 4] = ["accuracy", "precision", "recall", "f1"];

pub(crate) fn render(run: &Run) -> Markup {
    if run.epochs.is_empty() {
        return html! {
            section { h3 { "Training" } p { "No epoch was completed." } }
        };
    }
    html! {
        section {
            h3 { "Training" }
            div.charts {
                (losses(run).render())
                (metrics(run).render())
                @if !logged_keys(run).is_empty() { (logged_values(run).render()) }
                (learning_rate(run).render())
                (gradient_norm(run).render())
            }
            (table(run))
        }
    }
}

/// Returns the line of one value over the epochs.
pub(crate) fn series(run: &Run, key: &str, label: impl Into<String>, color: usize) -> Line {
    let value = |record: &EpochRecord| (record.epoch as f64, record.get(key).and_then(|score| score.value()));
    Line { label: label.into(), points: run.epochs.iter().map(value).collect(), color, dashed: false }
}

fn best_epoch_marker(run: &Run) -> Vec<(f64, String)> {
    run.best_epoch().map(|epoch| (epoch as f64, format!("best epoch, {epoch}"))).into_iter().collect()
}

fn losses(run: &Run) -> Chart {
    Chart {
        title: "Loss".into(),
        x: "epoch",
        y: "loss",
        lines: vec![series(run, "train/loss", "training", 0), series(run, "valid/loss", "validation", 1)],
        markers: best_epoch_marker(run),
        is_integer_x: true,
        ..Chart::default()
    }
}

fn metrics(run: &Run) -> Chart {
    let mut names: Vec<&str> = SHOWN.to_vec();
    names.extend(run.monitor().filter(|name| !SHOWN.contains(name) && *name != "loss"));
    let mut lines: Vec<Line> = names
        .into_iter()
        .enumerate()
        .map(|(color, name)| series(run, &format!("valid/{name}"), name, color))
        .collect();
    if run.epochs.iter().any(|record| record.get("train/accuracy").is_some()) {
        lines.push(Line { dashed: true, ..series(run, "train/accuracy", "training accuracy", 0) });
    }
    Chart {
        title: "Validation metrics".into(),
        x: "epoch",
        y: "value",
        lines,
        markers: best_epoch_marker(run),
        is_integer_x: true,
        ..Chart::default()
    }
}

/// Returns the keys, with phase, of values that are neither losses nor built-in metrics: values logged by callbacks and steps,
/// and custom metrics.
fn logged_keys(run: &Run) -> Vec<String> {
    let mut keys = Vec::new();
    for record in &run.epochs {
        for (phase, scores) in [("train", Some(&record.train)), ("valid", record.valid.as_ref())] {
            for name in scores.into_iter().flat_map(|scores| scores.names()) {
                let key = format!("{phase}/{name}");
                let is_loss = name == "loss" || name.starts_with("loss/");
                if !is_loss && metric_by_name(name).is_err() && !keys.contains(&key) {
                    keys.push(key);
                }
            }
        }
    }
    keys
}

fn logged_values(run: &Run) -> Chart {
    let lines = logged_keys(run).into_iter().enumerate();
    Chart {
        title: "Logged values".into(),
        x: "epoch",
        y: "value",
        lines: lines.map(|(color, key)| series(run, &key, key.as_str(), color)).collect(),
        markers: best_epoch_marker(run),
        is_integer_x: true,
        ..Chart::default()
    }
}

/// Plots the learning rate by step where steps were recorded, since many schedules change it within an epoch.
fn learning_rate(run: &Run) -> Chart {
    let by_steps = run.steps.iter().filter_map(|step| Some((step.step as f64, *step.lr.first()?)));
    let by_epochs =
        run.epochs.iter().filter_map(|epoch| Some((epoch.step as f64, *epoch.learning_rates.first()?)));
    let points: Vec<(f64, f64)> = if run.steps.len() > 1 { by_steps.collect() } else { by_epochs.collect() };
    Chart {
        title: "Learning rate".into(),
        x: "step",
        y: "learning rate",
        lines: vec![Line::new("learning rate", 2, points)],
        is_integer_x: true,
        ..Chart::default()
    }
}

fn gradient_norm(run: &Run) -> Chart {
    let points = run.epochs.iter().map(|record| (record.epoch as f64, record.grad_norm)).collect();
    Chart {
        title: "Mean gradient norm before clipping".into(),
        x: "epoch",
        y: "norm",
        lines: vec![Line { label: "norm".into(), points, color: 3, dashed: false }],
        is_integer_x: true,
        ..Chart::default()
    }
}

fn table(run: &Run) -> Markup {
    let monitor = run.monitor().filter(|name| !SHOWN.contains(name) && *name != "loss");
    let names: Vec<&str> = ["loss"].into_iter().chain(SHOWN).chain(monitor).collect();
    let logged = logged_keys(run);
    html! {
        details {
            summary { "All " (run.epochs.len()) " epochs" }
            div.scroll tabindex="0" {
                table {
                    thead { tr {
                        th.n { "epoch" } th.n { "training loss" }
                        @for name in &names { th.n { (name) } }
                        @for key in &logged { th.n { (key) } }
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
                                @for key in &logged {
                                    td.n { (score(record.get(key).and_then(|score| score.value()))) }
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
