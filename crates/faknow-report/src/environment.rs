//! Overview of a run: summary, data, time, environment, settings.

use maud::{Markup, html};

use crate::format::{duration, grouped, percent, score};
use crate::{Run, RunSummary};

/// Renders the key figures as tiles.
pub(crate) fn summary(run: &Run) -> Markup {
    let test = run.test.as_ref().map(|test| test.predictions.confusion());
    let Some(summary) = &run.summary else {
        return html! {
            p.note {
                "This run has no " code { "summary.json" } ": it is still running, was interrupted (continue it with " code { "faknow resume" }
                "), or was trained by an older version. The report shows the files that exist."
            }
        };
    };
    html! {
        dl.tiles {
            div { dt { "model" } dd { (summary.model) } }
            @if let Some(test) = test {
                div { dt { "test accuracy" } dd { (score(test.accuracy().value())) } }
                div { dt { "test samples" } dd { (grouped(test.n_samples())) } }
            }
            @if let Some(best) = &summary.best {
                div { dt { "best epoch" } dd { (best.epoch) " of " (summary.n_epochs) } }
                div { dt { "validation " (best.monitor) } dd { (score(Some(best.value))) } }
            } @else {
                div { dt { "epochs" } dd { (summary.n_epochs) } }
            }
            div { dt { "training time" } dd { (duration(summary.seconds)) } }
            div { dt { "parameters" } dd { (grouped(summary.n_weights)) } }
        }
        p { "End of training: " (summary.ended) ". Classes: " (summary.classes.join(", ")) ". Seed " (summary.seed) "." }
    }
}

/// Renders data, time, environment and settings.
pub(crate) fn render(run: &Run) -> Markup {
    html! {
        @if let Some(summary) = &run.summary {
            section {
                h3 { "Data" }
                ul { @for line in &summary.data { li { (line) } } }
            }
            (profile(summary))
            section {
                h3 { "Environment" }
                table { tbody {
                    @for (name, value) in &summary.environment { tr { th { (name) } td { (value) } } }
                    tr { th { "trainable parameters" } td { (grouped(summary.n_trainable)) " of " (grouped(summary.n_weights)) } }
                } }
            }
        }
        section {
            h3 { "Settings and model" }
            details { summary { "config.toml" } pre { (run.config) } }
            @if let Some(summary) = run.summary.as_ref().filter(|summary| !summary.parameters.is_empty()) {
                details { summary { "Parameters" } pre { (summary.parameters) } }
            }
        }
    }
}

/// Renders the time per phase, without phases that took none.
fn profile(summary: &RunSummary) -> Markup {
    let total: f64 = summary.profile.iter().map(|(_, seconds)| seconds).sum();
    if total <= 0.0 {
        return html! {};
    }
    html! {
        section {
            h3 { "Time" }
            div.scroll tabindex="0" { table {
                thead { tr { th { "phase" } th.n { "time" } th.n { "share" } th {} } }
                tbody {
                    @for (name, seconds) in summary.profile.iter().filter(|(_, seconds)| *seconds > 0.0) {
                        tr {
                            th { (name) } td.n { (duration(*seconds)) } td.n { (percent(seconds / total)) }
                            td.wide { span.bar style=(format!("width:{:.1}%", 100.0 * seconds / total)) {} }
                        }
                    }
                }
            } }
        }
    }
}
