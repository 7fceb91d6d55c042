//! The most confident errors on the test samples, with the contributions of words or nodes.

use maud::{Markup, html};

use crate::format::score;
use crate::{Mistake, Run};

/// Maximum number of nodes listed per error.
const N_NODES: usize = 8;

pub(crate) fn render(run: &Run) -> Markup {
    if run.mistakes.is_empty() {
        return html! {};
    }
    html! {
        section {
            h3 { "Most confident errors" }
            p {
                "Test samples that were misclassified with the highest confidence. "
                "Parts marked " span.word.for style="--w:60%" { "like this" } " support the wrong prediction, parts marked "
                span.word.against style="--w:60%" { "like this" } " oppose it. Contributions of words are integrated gradients of the log-odds, those of nodes gradient × input. "
                "The label may also be wrong."
            }
            @for mistake in &run.mistakes { (article(mistake)) }
        }
    }
}

fn article(mistake: &Mistake) -> Markup {
    let Mistake { row, id, label, predicted, score: confidence, unit, n_parts, known_tokens, parts } =
        mistake;
    let strongest = parts.iter().map(|part| part.contribution.abs()).fold(f64::MIN_POSITIVE, f64::max);
    let weight = |contribution: f64| format!("--w:{:.0}%", 80.0 * contribution.abs() / strongest);
    html! {
        article {
            p.head {
                "Test sample " (row) @if let Some(id) = id { " (" (id) ")" } ": predicted " b { (predicted) } " with score " (score(Some(*confidence)))
                ", labeled " b { (label) } ", " (n_parts) " " (unit) "s"
                @if *known_tokens == Some(0) { ", " strong { "none of them known to the model" } }
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
