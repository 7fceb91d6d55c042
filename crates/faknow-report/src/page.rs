//! The page as a whole: one file with its style, without anything from elsewhere.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::scores::Tested;
use crate::{Result, Run, comparison, curves, environment, mistakes, quality};

const STYLE: &str = include_str!("style.css");

/// The page of these runs as HTML: of one run, or of several with a comparison before them.
///
/// # Errors
/// A metric cannot be computed.
pub fn render(runs: &[Run]) -> Result<String> {
    let names = names(runs);
    let title = match &names[..] {
        [name] => name.clone(),
        names => format!("{} runs", names.len()),
    };
    let tests: Vec<Option<Tested<'_>>> = runs.iter().map(Tested::of).collect::<Result<_>>()?;
    let comparison = if runs.len() > 1 { Some(comparison::render(runs, &names, &tests)?) } else { None };
    let pages = runs.iter().zip(&tests).map(|(run, tested)| of_run(run, tested.as_ref()));
    let pages: Vec<Markup> = pages.collect::<Result<_>>()?;
    let page = html! {
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
                    @for (number, (page, name)) in pages.iter().zip(&names).enumerate() {
                        article.run id=(format!("run-{number}")) {
                            @if runs.len() > 1 { h2 { (name) } }
                            (page)
                        }
                    }
                    footer { p.small { "Made by faknow " (env!("CARGO_PKG_VERSION")) ". This page needs no network." } }
                }
            }
        }
    };
    Ok(page.into_string())
}

fn of_run(run: &Run, tested: Option<&Tested<'_>>) -> Result<Markup> {
    Ok(html! {
        (environment::summary(run))
        (curves::render(run))
        (quality::render(run, tested)?)
        (mistakes::render(run))
        (environment::render(run))
    })
}

/// The names of the runs' directories, with those of the directories around them where they are alike.
fn names(runs: &[Run]) -> Vec<String> {
    let short: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    let whole = |run: &Run| run.path.display().to_string();
    let name = |run: &Run| match short.iter().filter(|name| **name == run.name).count() {
        1 => run.name.clone(),
        _ => whole(run),
    };
    runs.iter().map(name).collect()
}
