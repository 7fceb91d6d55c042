//! `cargo xtask test`: the tests of all crates, the documentation tests and the layer check, counted.

use anyhow::Result;
use xshell::Cmd;

use crate::ci::layers;
use crate::process;
use crate::setup;
use crate::summary::Summary;
use crate::workspace::Workspace;

const HELP: &str = "\
The last line is `N passed, N failed`. With cargo-nextest, where it is installed, each test runs in a separate process;
else `cargo test` runs one test at a time, since libtorch's random generator belongs to the process. With a filter,
the documentation tests and the layer check are left out.

Tests that compare with reference values look for them in $FAKNOW_SHARED, or in ../shared next to the workspace, and
print SKIPPED where they are missing.";

#[derive(clap::Args, Default)]
#[command(after_help = HELP)]
pub struct Args {
    /// Test only this crate (repeatable)
    #[arg(short, long = "package", value_name = "CRATE")]
    packages: Vec<String>,
    /// Filters and options of the test runner
    #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
    filters: Vec<String>,
}

/// Runs the selected tests, shows their output, and counts them.
pub fn run(workspace: &mut Workspace, args: &Args) -> Result<Summary> {
    if let Err(error) = setup::ensure(workspace) {
        return Ok(Summary::of_check("setup", Err(error)));
    }
    let mut summary = count(unit_and_integration(workspace, args))?;
    if args.filters.is_empty() {
        summary.add(count(crates(workspace.cargo("test --doc --no-fail-fast"), args))?);
        if args.packages.is_empty() {
            summary.add(Summary::of_check("layers", layers::check(workspace)));
        }
    }
    Ok(summary)
}

fn unit_and_integration<'a>(workspace: &'a Workspace, args: &Args) -> Cmd<'a> {
    if workspace.cargo("nextest --version").quiet().ignore_stdout().ignore_stderr().run().is_ok() {
        let config = workspace.root.join("xtask/nextest.toml");
        let threads = std::thread::available_parallelism().map_or(2, |it| it.get());
        let command = workspace.cargo("nextest run --no-fail-fast --no-tests pass --test-threads");
        let command = command.arg(threads.to_string()).arg("--tool-config-file");
        return crates(command.arg(format!("xtask:{}", config.display())), args).args(&args.filters);
    }
    let end = args.filters.iter().position(|filter| filter == "--").unwrap_or(args.filters.len());
    let (filters, options) = args.filters.split_at(end);
    let command = crates(workspace.cargo("test --no-fail-fast --tests"), args).args(filters);
    command.args(["--", "--test-threads=1"]).args(options.iter().skip(1))
}

fn crates<'a>(command: Cmd<'a>, args: &Args) -> Cmd<'a> {
    if args.packages.is_empty() {
        return command.arg("--workspace");
    }
    command.args(args.packages.iter().flat_map(|name| ["-p", name]))
}

/// Runs tests, shows their output, and counts them.
///
/// Tests run next to each other, so each gets one of libtorch's threads: they spin, and would take the cores from all.
fn count(command: Cmd<'_>) -> Result<Summary> {
    let threads = ["OMP_NUM_THREADS", "MKL_NUM_THREADS"];
    let threads = threads.into_iter().filter(|name| std::env::var_os(name).is_none()).map(|name| (name, "1"));
    let command = command.envs(threads).env("CARGO_TERM_COLOR", process::color());
    let (succeeded, written) = process::tee(command)?;
    Ok(Summary::of_run(&written, succeeded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn crates_and_filters() {
        let check = |line: &str, packages: &[&str], filters: &[&str]| {
            let words = std::iter::once("test").chain(line.split_whitespace());
            let args = <Line as clap::Parser>::parse_from(words).args;
            assert_eq!((args.packages, args.filters), (strings(packages), strings(filters)), "{line}");
        };
        check("", &[], &[]);
        check("-p faknow-data golden", &["faknow-data"], &["golden"]);
        check("--package a -p b golden -- --nocapture", &["a", "b"], &["golden", "--", "--nocapture"]);
        check("--no-capture golden", &[], &["--no-capture", "golden"]);
    }

    // Each line that says SKIPPED first checks that the resource is not required.
    #[test]
    fn nothing_is_skipped_where_it_is_required() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut n_skips = 0;
        let mut dirs = vec![root.join("crates"), root.join("xtask/src")];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.ends_with("target") {
                    dirs.push(path);
                } else if path.extension().is_some_and(|it| it == "rs")
                    && !["load.rs", "required.rs"].iter().any(|name| path.ends_with(name))
                {
                    let text = std::fs::read_to_string(&path).unwrap();
                    let lines: Vec<&str> = text.lines().collect();
                    for (n, line) in lines.iter().enumerate().filter(|(_, line)| line.contains("\"SKIPPED")) {
                        if line.contains(r#"\"SKIPPED"#) {
                            continue;
                        }
                        let before = &lines[n.saturating_sub(3)..n];
                        let is_checked = before.iter().any(|line| line.contains("skip::check(\""));
                        assert!(is_checked, "{}:{}: no `skip::check`", path.display(), n + 1);
                        n_skips += 1;
                    }
                }
            }
        }
        assert!(n_skips > 15, "{n_skips}");
        // `.ci/run` requires what it finds.
        let ci = std::fs::read_to_string(root.join(".ci/run")).unwrap();
        for (name, _) in crate::skip::RESOURCES {
            assert!(ci.contains(&format!("require {name}")), ".ci/run never requires `{name}`");
        }
    }

    #[test]
    fn unknown_resources_are_rejected() {
        let error = crate::skip::check("chromum").unwrap_err();
        assert!(error.ends_with("got `chromum`"), "{error}");
    }

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }
}
