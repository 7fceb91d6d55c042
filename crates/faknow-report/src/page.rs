//! The layout of the report: one self-contained HTML file with its style sheet.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::scores::TestResult;
use crate::{Result, Run, comparison, curves, environment, mistakes, quality};

const STYLE: &str = include_str!("style.css");

/// Renders an HTML report of one run, or of several runs with a comparison first.
///
/// # Errors
/// A metric cannot be computed.
pub fn render(runs: &[Run]) -> Result<String> {
    let names = names(runs);
    let title = match &names[..] {
        [name] => name.clone(),
        names => format!("{} runs", names.len()),
    };
    let tests: Vec<Option<TestResult<'_>>> = runs.iter().map(TestResult::new).collect::<Result<_>>()?;
    let comparison = if runs.len() > 1 { Some(comparison::render(runs, &names, &tests)?) } else { None };
    let sections = runs.iter().zip(&tests).map(|(run, test)| run_sections(run, test.as_ref()));
    let sections: Vec<Markup> = sections.collect::<Result<_>>()?;
    let html = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content=(concat!("faknow ", env!("CARGO_PKG_VERSION")));
                title { (title) " – faknow" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    header {
                        h1 { (title) }
                        @if runs.len() > 1 {
                            nav { ul {
                                li { a href="#comparison" { "Comparison" } }
                                @for (number, name) in names.iter().enumerate() { li { a href=(format!("#run-{number}")) { (name) } } }
                            } }
                        }
                    }
                    @if let Some(comparison) = comparison { (comparison) }
                    @for (number, (section, name)) in sections.iter().zip(&names).enumerate() {
                        article.run id=(format!("run-{number}")) {
                            @if runs.len() > 1 { h2 { (name) } }
                            (section)
                        }
                    }
                    footer { p.small { "Created by faknow " (env!("CARGO_PKG_VERSION")) ". This report is self-contained: it loads nothing from the network." } }
                }
            }
        }
    };
    Ok(html.into_string())
}

fn run_sections(run: &Run, test: Option<&TestResult<'_>>) -> Result<Markup> {
    Ok(html! {
        (environment::summary(run))
        @for warning in &run.warnings { p { strong { "Warning: " } (warning) } }
        (curves::render(run))
        (quality::render(run, test)?)
        (mistakes::render(run))
        (environment::render(run))
    })
}

/// Returns the names of the run directories, or their paths where names are equal.
fn names(runs: &[Run]) -> Vec<String> {
    let short: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    let name = |run: &Run| match short.iter().filter(|name| **name == run.name).count() {
        1 => run.name.clone(),
        _ => run.path.display().to_string(),
    };
    runs.iter().map(name).collect()
}
