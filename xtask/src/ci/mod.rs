//! `cargo xtask ci`: everything that must hold before a change lands, cheapest first.

pub mod book;
pub mod browser;
mod cargo;
pub mod deny;
mod dirs;
mod doc_lines;
mod docs_rs;
mod error_docs;
pub mod exported;
pub mod external_crates;
mod features;
mod file_writes;
pub mod layers;
mod links;
pub mod openapi;
pub mod tidy;
mod tools;
pub mod tutorial;
mod webdriver;
mod words;

use std::time::Instant;

use anyhow::Result;

use crate::summary::Summary;
use crate::workspace::Workspace;
use crate::{setup, test};

#[derive(clap::Args, Default)]
#[command(
    after_help = "Runs the steps in order and stops at the first that fails. The last line is `N passed, N failed`."
)]
pub struct Args {
    /// Run the remaining steps after one has failed
    #[arg(long)]
    keep_going: bool,
    /// List the steps and what each makes sure of
    #[arg(long)]
    list: bool,
    /// Do not run this step (repeatable)
    #[arg(long = "skip", value_name = "STEP", value_parser = names())]
    skipped: Vec<String>,
    /// Run only these steps
    #[arg(value_name = "STEP", value_parser = names())]
    only: Vec<String>,
}

/// What a step runs.
enum Check {
    /// One check.
    One(fn(&mut Workspace) -> Result<()>),
    /// Checks that are counted.
    Many(fn(&mut Workspace) -> Result<Summary>),
}

use Check::{Many, One};

/// The steps: name, what it makes sure of, function.
const STEPS: &[(&str, &str, Check)] = &[
    ("fmt", "all code is formatted (`cargo fmt --all`)", One(cargo::format)),
    (
        "tidy",
        "source files start with their purpose and are short; words, links and error tables are right",
        One(tidy::check),
    ),
    (
        "layers",
        "crates and directories depend on each other only as allowed; planted violations are found",
        One(layers::check),
    ),
    ("package", "every crate can be published, with all metadata", One(cargo::package)),
    (
        "deny",
        "licenses, duplicates, sources and advisories of all dependencies (`deny.toml`)",
        Many(deny::check),
    ),
    ("metrics", "faknow-metrics and its tests compile alone, without libtorch", One(cargo::metrics_alone)),
    ("setup", "libtorch is installed (docs/installation.md)", One(setup::ensure)),
    ("clippy", "clippy reports no warning", One(cargo::clippy)),
    (
        "features",
        "the smallest and the full set of features compile without a warning",
        Many(features::check),
    ),
    ("doc", "the API documentation builds without a warning", One(cargo::documentation)),
    (
        "docs-rs",
        "every published crate has documentation as docs.rs builds it, without libtorch",
        Many(docs_rs::check),
    ),
    ("book", "mdBook builds docs/, and every link of the book leads somewhere", One(book::check)),
    (
        "test",
        "all tests pass (`cargo xtask test NAME` runs some)",
        Many(|it| test::run(it, &test::Args::default())),
    ),
    ("examples", "every example runs (`cargo run -p faknow-examples --bin NAME`)", Many(cargo::examples)),
    (
        "browser",
        "the HTML pages work in a browser (`cargo xtask browser --pictures DIR`)",
        Many(|it| browser::check(it, &browser::Args::default())),
    ),
    ("openapi", "the OpenAPI document of the server agrees with its responses", Many(openapi::check)),
    (
        "exported",
        "an exported detector gives the same scores in C++, and in Python where that has PyTorch",
        Many(exported::check),
    ),
    ("tutorial", "the commands of docs/tutorial.md work", Many(tutorial::check)),
    ("external-crates", "crates outside the workspace build and run", Many(external_crates::check)),
];

fn names() -> Vec<&'static str> {
    STEPS.iter().map(|(name, ..)| *name).collect()
}

impl Args {
    fn selects(&self, step: &str) -> bool {
        let is = |name: &String| name == step;
        !self.skipped.iter().any(is) && (self.only.is_empty() || self.only.iter().any(is))
    }
}

/// Runs `cargo xtask ci`.
pub fn run(workspace: &mut Workspace, args: &Args) -> Result<Option<Summary>> {
    if args.list {
        for (name, purpose, _) in STEPS {
            println!("{name:<16}{purpose}");
        }
        return Ok(None);
    }
    let mut summary = Summary::default();
    let mut table = Vec::new();
    for (name, purpose, check) in STEPS.iter().filter(|(name, ..)| args.selects(name)) {
        eprintln!("\n== {name}: {purpose}");
        let started = Instant::now();
        let counts = match check {
            One(check) => Summary::of_check(name, check(workspace)),
            Many(check) => check(workspace).unwrap_or_else(|error| Summary::of_check(name, Err(error))),
        };
        summary.add(counts);
        let state = if counts.failed == 0 { "ok" } else { "FAILED" };
        table.push(format!("  {name:<16}{state:<8}{:>7.1} s", started.elapsed().as_secs_f64()));
        if counts.failed > 0 && !args.keep_going {
            break;
        }
    }
    eprintln!("\n{}", table.join("\n"));
    Ok(Some(summary))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn selected(line: &str) -> Result<Vec<&'static str>, String> {
        let words = std::iter::once("ci").chain(line.split_whitespace());
        let line = <Line as clap::Parser>::try_parse_from(words).map_err(|error| error.to_string())?;
        Ok(names().into_iter().filter(|name| line.args.selects(name)).collect())
    }

    #[test]
    fn steps_are_selected_by_name() {
        let rest =
            |skipped: &[&str]| names().into_iter().filter(|name| !skipped.contains(name)).collect::<Vec<_>>();
        assert_eq!(selected("--keep-going").unwrap(), names());
        assert_eq!(selected("tidy fmt").unwrap(), ["fmt", "tidy"]);
        assert_eq!(selected("--skip tidy -- tidy fmt").unwrap(), ["fmt"]);
        assert_eq!(selected("--skip test --skip layers").unwrap(), rest(&["test", "layers"]));
        assert!(selected("tset").unwrap_err().contains("possible values: fmt, tidy"));
        assert!(selected("--skip").is_err());
    }

    #[test]
    fn every_step_is_unique_and_documented() {
        assert_eq!(names().iter().collect::<BTreeSet<_>>().len(), STEPS.len());
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let documented = std::fs::read_to_string(format!("{root}/CONTRIBUTING.md")).unwrap();
        for (name, purpose, _) in STEPS {
            assert!(
                documented.contains(&format!("| `{name}` | {purpose} |")),
                "CONTRIBUTING.md: no row of `{name}`"
            );
        }
    }
}
