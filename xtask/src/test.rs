//! `cargo xtask test`: the tests of all crates, the documentation tests, the layer check, and one plain last line.

use std::process::Command;

use anyhow::Result;

use crate::process;
use crate::summary::Summary;
use crate::workspace::Workspace;
use crate::{layers, setup};

const HELP: &str = "\
cargo xtask test [-p CRATE ...] [FILTER or option of the test runner ...]

Runs all tests of the workspace, its documentation tests, and the layer check; the last line is `N passed, N failed`.
With cargo-nextest, where it is installed, each test is a process of its own; else `cargo test` runs one test at a
time, since libtorch's random generator belongs to the process. With a filter, only the tests are run.

Tests that compare with reference values look for them in $FAKNOW_SHARED, or in ../shared beside the workspace, and
say SKIPPED where there are none.
";

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// `-p CRATE` pairs; empty for the whole workspace.
    packages: Vec<String>,
    /// Everything else, for the test runner.
    filters: Vec<String>,
}

impl Selection {
    fn parse(args: &[String]) -> Self {
        let mut selection = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let is_package = arg == "-p" || arg == "--package";
            match args.as_slice().first() {
                Some(name) if is_package => {
                    selection.packages.extend(["-p".to_string(), name.clone()]);
                    args.next();
                }
                _ if arg.starts_with("--package=") => selection.packages.push(arg.clone()),
                _ => selection.filters.push(arg.clone()),
            }
        }
        selection
    }

    fn is_everything(&self) -> bool {
        self.packages.is_empty() && self.filters.is_empty()
    }

    /// The crates to build, as cargo's arguments.
    fn crates(&self) -> Vec<&str> {
        if self.packages.is_empty() {
            return vec!["--workspace"];
        }
        self.packages.iter().map(String::as_str).collect()
    }
}

/// Runs `cargo xtask test`.
pub fn run(workspace: &mut Workspace, args: &[String]) -> Result<()> {
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        print!("{HELP}");
        return Ok(());
    }
    let summary = match setup::ensure(workspace) {
        Ok(()) => run_all(workspace, &Selection::parse(args))?,
        Err(error) => {
            eprintln!("error: {error:#}");
            Summary::of_check(false)
        }
    };
    summary.conclude()
}

/// Runs the selected tests, shows their output, and counts them.
pub fn run_all(workspace: &Workspace, selection: &Selection) -> Result<Summary> {
    let mut summary = count(&mut unit_and_integration(workspace, selection))?;
    if selection.filters.is_empty() {
        let mut command = workspace.cargo(["test", "--doc", "--no-fail-fast"]);
        command.args(selection.crates());
        summary.add(count(&mut with_test_environment(command))?);
    }
    if selection.is_everything() {
        let layers = layers::check(&workspace.metadata()?);
        match &layers {
            Ok(edges) => eprintln!("layers: all {edges} edges between crates are allowed"),
            Err(error) => eprintln!("{error:#}"),
        }
        summary.add(Summary::of_check(layers.is_ok()));
    }
    Ok(summary)
}

fn unit_and_integration(workspace: &Workspace, selection: &Selection) -> Command {
    let filters = selection.filters.iter().map(String::as_str);
    let command = if has_nextest(workspace) {
        let mut command = workspace.cargo(["nextest", "run", "--no-fail-fast", "--no-tests", "pass"]);
        let config = workspace.root.join("xtask/nextest.toml");
        command.arg("--tool-config-file").arg(format!("xtask:{}", config.display()));
        let threads = std::thread::available_parallelism().map_or(2, |it| it.get());
        command.args(selection.crates()).args(["--test-threads", &threads.to_string()]).args(filters);
        command
    } else {
        let mut command = workspace.cargo(["test", "--no-fail-fast", "--lib", "--bins", "--tests"]);
        let (before, after): (Vec<_>, Vec<_>) =
            (filters.take_while(|it| *it != "--").collect(), after_dashes(selection));
        command.args(selection.crates()).args(before).args(["--", "--test-threads=1"]).args(after);
        command
    };
    with_test_environment(command)
}

fn after_dashes(selection: &Selection) -> Vec<&str> {
    selection.filters.iter().map(String::as_str).skip_while(|it| *it != "--").skip(1).collect()
}

/// Tests run beside each other, so each gets one of libtorch's threads: they spin, and would take the cores from all.
pub fn with_test_environment(mut command: Command) -> Command {
    for variable in ["OMP_NUM_THREADS", "MKL_NUM_THREADS"] {
        if std::env::var_os(variable).is_none() {
            command.env(variable, "1");
        }
    }
    command.env("CARGO_TERM_COLOR", process::color());
    command
}

fn has_nextest(workspace: &Workspace) -> bool {
    process::output(&mut workspace.cargo(["nextest", "--version"])).is_ok()
}

/// Runs tests, shows their output, and counts them.
pub fn count(command: &mut Command) -> Result<Summary> {
    let (status, written) = process::tee(command)?;
    Ok(Summary::of_run(&written, status.success()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_and_filters_are_told_apart() {
        let check = |line: &str, packages: &[&str], filters: &[&str]| {
            let args: Vec<String> = line.split_whitespace().map(String::from).collect();
            let selection = Selection::parse(&args);
            assert_eq!(
                (&selection.packages[..], &selection.filters[..]),
                (&strings(packages)[..], &strings(filters)[..])
            );
        };
        check("", &[], &[]);
        check("-p faknow-data golden", &["-p", "faknow-data"], &["golden"]);
        check("--package a -p b -- --nocapture", &["-p", "a", "-p", "b"], &["--", "--nocapture"]);
        check("--package=a -p", &["--package=a"], &["-p"]);
    }

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|it| it.to_string()).collect()
    }

    #[test]
    fn the_whole_workspace_is_the_default() {
        assert_eq!(Selection::default().crates(), ["--workspace"]);
        assert!(Selection::default().is_everything());
        let one = Selection::parse(&strings(&["-p", "faknow-data"]));
        assert_eq!(one.crates(), ["-p", "faknow-data"]);
        assert!(!one.is_everything());
    }
}
