//! What a detector was sure of and wrong, with what led it there.

use maud::{Markup, html};

use crate::format::score;
use crate::{Mistake, Run};

/// Nodes of a mistake that are listed.
const N_NODES: usize = 8;

pub(crate) fn render(run: &Run) -> Markup {
    if run.mistakes.is_empty() {
        return html! {};
    }
    html! {
        section {
            h3 { "Surest mistakes" }
            p {
                "Test samples that were judged wrongly with the highest scores. "
                span.word.for style="--w:60%" { "Such" } " parts speak for the wrong judgment, "
                span.word.against style="--w:60%" { "such" } " against it: words by integrated gradients of the log-odds, nodes by gradient times features. "
                "Labels may be wrong too: look before you blame the model."
            }
            @for mistake in &run.mistakes { (one(mistake)) }
        }
    }
}

fn one(mistake: &Mistake) -> Markup {
    let Mistake { row, id, label, predicted, score: sure, unit, n_parts, parts } = mistake;
    let strongest = parts.iter().map(|part| part.contribution.abs()).fold(f64::MIN_POSITIVE, f64::max);
    let weight = |contribution: f64| format!("--w:{:.0}%", 80.0 * contribution.abs() / strongest);
    html! {
        article {
            p.head {
                "Test sample " (row) @if let Some(id) = id { " (" (id) ")" } ": judged " b { (predicted) } " with " (score(Some(*sure)))
                ", labeled " b { (label) } ", " (n_parts) " " (unit) "s"
            }
            @if unit == "word" {
                p.text {
                    @for part in parts {
                        span.word.for[part.contribution > 0.0].against[part.contribution < 0.0]
                            style=(weight(part.contribution)) title=(format!("{:+.3}", part.contribution)) { (part.name) }
                        " "
                    }
                }
            } @else {
                ul.nodes {
                    @for part in parts.iter().take(N_NODES) {
                        li { (unit) " " (part.name) " " span.word.for[part.contribution > 0.0].against[part.contribution < 0.0]
                            style=(weight(part.contribution)) { (format!("{:+.3}", part.contribution)) } }
                    }
                }
            }
        }
    }
}
