//! `cargo xtask ci`: everything that must hold before a change lands, cheapest first.

use std::time::Instant;

use anyhow::Result;

use crate::process::Usage;
use crate::summary::Summary;
use crate::workspace::Workspace;
use crate::{browser, checks, exported, layers, outside, setup, test, tidy, tutorial};

const HELP: &str = "\
cargo xtask ci [--keep-going] [--list] [--skip STEP ...] [STEP ...]

Runs the steps in order, all or those named, and stops at the first that fails; with --keep-going it runs the others
all the same. The last line is `N passed, N failed`. The steps:
";

type Check = fn(&mut Workspace) -> Result<Summary>;

/// One step of the check.
struct Step {
    name: &'static str,
    /// What it makes sure of.
    about: &'static str,
    /// What to do when it fails.
    hint: &'static str,
    check: Check,
}

const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        about: "all code is formatted",
        hint: "run `cargo fmt --all`",
        check: |workspace| one(checks::format(workspace)),
    },
    Step {
        name: "tidy",
        about: "file heads, lengths, leftovers, READMEs",
        hint: "each line above names a file and what is wrong with it",
        check: |workspace| one(tidy::check(workspace).map(drop)),
    },
    Step {
        name: "layers",
        about: "no crate knows what it must not know, and planted edges are noticed",
        hint: "move the code to the layer where it belongs, or write an ADR and change the table",
        check: |workspace| one(layers::run(workspace, &[]).and_then(|()| layers::self_test_passes(workspace))),
    },
    Step {
        name: "tools",
        about: "spelling, licences, unused dependencies, where the tools are installed",
        hint: "the tool says what it found",
        check: |workspace| one(checks::optional_tools(workspace)),
    },
    Step {
        name: "package",
        about: "every crate can be published",
        hint: "complete its Cargo.toml",
        check: |workspace| one(checks::package(workspace)),
    },
    Step {
        name: "metrics",
        about: "faknow-metrics stands alone, without libtorch",
        hint: "nothing in its tree may need tch",
        check: |workspace| one(checks::metrics_alone(workspace)),
    },
    Step {
        name: "setup",
        about: "libtorch is there",
        hint: "docs/setup.md tells what it needs",
        check: |workspace| one(setup::ensure(workspace)),
    },
    Step {
        name: "clippy",
        about: "no warning",
        hint: "mend it, or `#[expect(..., reason = \"...\")]` it",
        check: |workspace| one(checks::clippy(workspace)),
    },
    Step {
        name: "doc",
        about: "the documentation builds without a warning",
        hint: "mend the links and examples that rustdoc names",
        check: |workspace| one(checks::documentation(workspace)),
    },
    Step {
        name: "test",
        about: "all tests pass",
        hint: "run it alone with `cargo xtask test NAME`",
        check: |workspace| test::run_all(workspace, &test::Selection::default()),
    },
    Step {
        name: "examples",
        about: "every example runs",
        hint: "run it with `cargo run -p faknow-examples --bin NAME`",
        check: |workspace| checks::examples(workspace),
    },
    Step {
        name: "browser",
        about: "our pages in a browser: no error, nothing too wide, light and dark",
        hint: "look at them: cargo xtask browser --pictures DIR",
        check: |workspace| browser::check(workspace, None),
    },
    Step {
        name: "exported",
        about: "an exported detector says the same in C++, and in Python where that has PyTorch",
        hint: "cargo xtask exported",
        check: exported::check,
    },
    Step {
        name: "tutorial",
        about: "the tutorial can be followed word for word",
        hint: "cargo xtask tutorial",
        check: tutorial::check,
    },
    Step {
        name: "outside",
        about: "crates outside the workspace build and run",
        hint: "what they use is public: mend it, or change xtask/outside and the changelog",
        check: outside::check,
    },
];

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    keep_going: bool,
    list: bool,
    skipped: Vec<String>,
    only: Vec<String>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self, Usage> {
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--keep-going" => options.keep_going = true,
                "--list" | "--help" | "-h" => options.list = true,
                "--skip" => match args.next() {
                    Some(name) => options.skipped.push(known(name)?),
                    None => return Err(Usage("--skip needs the name of a step".into())),
                },
                name => options.only.push(known(name)?),
            }
        }
        Ok(options)
    }

    fn wants(&self, name: &str) -> bool {
        let is = |it: &String| it == name;
        !self.skipped.iter().any(is) && (self.only.is_empty() || self.only.iter().any(is))
    }
}

fn known(name: &str) -> Result<String, Usage> {
    if STEPS.iter().any(|step| step.name == name) {
        return Ok(name.to_string());
    }
    let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
    Err(Usage(format!("ci has no step `{name}`; there are: {}", names.join(", "))))
}

/// Runs `cargo xtask ci`.
pub fn run(workspace: &mut Workspace, args: &[String]) -> Result<()> {
    let options = Options::parse(args)?;
    if options.list {
        print!("{HELP}");
        for step in STEPS {
            println!("  {:<10}{}", step.name, step.about);
        }
        return Ok(());
    }
    let mut summary = Summary::default();
    let mut failed = Vec::new();
    let mut table = Vec::new();
    for step in STEPS.iter().filter(|step| options.wants(step.name)) {
        eprintln!("\n== {}: {}", step.name, step.about);
        let started = Instant::now();
        let counts = (step.check)(workspace).unwrap_or_else(|error| {
            eprintln!("{error:#}");
            Summary::of_check(false)
        });
        summary.add(counts);
        let state = if counts.failed == 0 { "ok" } else { "FAILED" };
        table.push(format!("  {:<10}{state:<8}{:>7.1} s", step.name, started.elapsed().as_secs_f64()));
        if counts.failed > 0 {
            eprintln!("== {} failed: {}", step.name, step.hint);
            failed.push(step.name);
            if !options.keep_going {
                break;
            }
        }
    }
    eprintln!("\n{}", table.join("\n"));
    if !failed.is_empty() {
        eprintln!("failed: {}", failed.join(", "));
    }
    summary.conclude()
}

/// A step that is one check.
fn one(outcome: Result<()>) -> Result<Summary> {
    outcome.map(|()| Summary::of_check(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        let args: Vec<String> = line.split_whitespace().map(String::from).collect();
        Options::parse(&args).map_err(|error| error.0)
    }

    #[test]
    fn steps_are_chosen_by_name() {
        let check = |line: &str, expected: &[&str]| {
            let options = parse(line).unwrap();
            let names: Vec<&str> =
                STEPS.iter().map(|step| step.name).filter(|name| options.wants(name)).collect();
            assert_eq!(names, expected, "{line}");
        };
        let all: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        check("", &all);
        check("--keep-going", &all);
        check("tidy fmt", &["fmt", "tidy"]);
        check("--skip tidy tidy fmt", &["fmt"]);
        check(
            "--skip test --skip outside",
            &all.iter().copied().filter(|name| !["test", "outside"].contains(name)).collect::<Vec<_>>(),
        );
    }

    #[test]
    fn unknown_steps_are_refused() {
        assert!(parse("tset").unwrap_err().starts_with("ci has no step `tset`; there are: fmt, tidy"));
        assert_eq!(parse("--skip").unwrap_err(), "--skip needs the name of a step");
    }
}
