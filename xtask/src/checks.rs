//! The single checks of `cargo xtask ci` that are a cargo command or a few.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::process;
use crate::summary::Summary;
use crate::workspace::{Workspace, built_program};

/// The longest that an example may take.
const EXAMPLE_LIMIT: Duration = Duration::from_secs(600);

/// All Rust code is formatted, that of the crates outside too.
pub fn format(workspace: &Workspace) -> Result<()> {
    // rustfmt colors its output also where no terminal is.
    let color = ["--color", process::color()];
    process::run(workspace.cargo(["fmt", "--all", "--check", "--"]).args(color))?;
    let mut command = std::process::Command::new("rustfmt");
    command.args(color).args(["--check", "--edition", "2024", "--config-path"]).arg(&workspace.root);
    for name in ["facade", "metrics"] {
        command.arg(workspace.root.join("xtask/outside").join(name).join("main.rs"));
    }
    process::run(&mut command)
}

/// Spelling, licences and unused dependencies, as far as the tools for them are installed.
pub fn optional_tools(workspace: &Workspace) -> Result<()> {
    if process::exists("typos") {
        process::run(std::process::Command::new("typos").current_dir(&workspace.root))?;
    }
    if process::exists("cargo-deny") && workspace.root.join("deny.toml").exists() {
        process::run(&mut workspace.cargo(["deny", "check", "bans", "licenses", "sources"]))?;
    }
    if process::exists("cargo-machete") {
        process::run(&mut workspace.cargo(["machete"]))?;
    }
    Ok(())
}

/// clippy without a warning. Its normal features, since tch's `doc-only` would build the bindings' crate once more.
pub fn clippy(workspace: &Workspace) -> Result<()> {
    process::run(&mut workspace.cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

/// The documentation without a warning.
pub fn documentation(workspace: &Workspace) -> Result<()> {
    let mut command = workspace.cargo(["doc", "--workspace", "--no-deps"]);
    process::run(command.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Each example runs to its end, in an empty folder and with nothing in its environment.
pub fn examples(workspace: &Workspace) -> Result<Summary> {
    process::run(&mut workspace.cargo(["build", "-p", "faknow-examples", "--bins"]))?;
    let target = workspace.target_dir()?;
    let folder = std::env::temp_dir().join(format!("faknow-examples-{}", std::process::id()));
    let mut summary = Summary::default();
    for name in example_names(&workspace.metadata()?)? {
        let place = folder.join(&name);
        fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
        let started = Instant::now();
        let mut command = built_program(&target, &name);
        if name == "bench" {
            // Not to measure, only to see that it runs.
            command.arg("--quick");
        }
        let outcome = process::run_quietly(command.current_dir(&place), EXAMPLE_LIMIT);
        summary.add(Summary::of_check(outcome.is_ok()));
        match outcome {
            Ok(_) => eprintln!("  example {name}: {:.1} s", started.elapsed().as_secs_f64()),
            Err(error) => eprintln!("  example {name}: {error:#}"),
        }
    }
    let _ = fs::remove_dir_all(folder);
    Ok(summary)
}

/// The binaries among the examples, the benchmark with them.
fn example_names(metadata: &Value) -> Result<Vec<String>> {
    let packages = metadata["packages"].as_array().context("`cargo metadata` names no packages")?;
    let package =
        packages.iter().find(|it| it["name"] == "faknow-examples").context("no package faknow-examples")?;
    let targets = package["targets"].as_array().into_iter().flatten();
    let names = targets.filter(|it| it["kind"][0] == "bin").filter_map(|it| it["name"].as_str());
    Ok(names.map(String::from).collect())
}

/// `faknow-metrics` builds and passes its tests alone, and nothing in its tree needs libtorch.
pub fn metrics_alone(workspace: &Workspace) -> Result<()> {
    let tree = process::output(&mut workspace.cargo([
        "tree",
        "-p",
        "faknow-metrics",
        "--edges",
        "normal,build,dev",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]))?;
    let torch = tree.lines().find(|line| line.starts_with("tch ") || line.starts_with("torch-sys "));
    ensure!(torch.is_none(), "the tree of faknow-metrics holds {}", torch.unwrap_or_default());
    process::run(&mut workspace.cargo(["test", "--quiet", "-p", "faknow-metrics"]))
}

/// Every crate that is meant for publication can be packaged, with all that a registry asks for.
pub fn package(workspace: &Workspace) -> Result<()> {
    let metadata = workspace.metadata()?;
    let members = metadata["workspace_members"].as_array().context("`cargo metadata` names no members")?;
    let packages = metadata["packages"].as_array().context("`cargo metadata` names no packages")?;
    let private = packages.iter().filter(|it| members.contains(&it["id"]) && it["publish"].is_array());
    let mut command = workspace.cargo(["package", "--workspace", "--no-verify", "--allow-dirty"]);
    for name in private.filter_map(|package| package["name"].as_str()) {
        command.args(["--exclude", name]);
    }
    let (status, written) = process::tee(&mut command)?;
    ensure!(status.success(), "cargo refuses to package a crate");
    let warning = written.lines().find(|line| line.starts_with("warning:"));
    ensure!(warning.is_none(), "cargo packages with a warning: {}", warning.unwrap_or_default());
    includes_stay_inside(workspace)
}

/// No source includes a file from outside its crate: it would build here, and nowhere else.
fn includes_stay_inside(workspace: &Workspace) -> Result<()> {
    let crates = workspace.root.join("crates");
    let mut files = Vec::new();
    for entry in fs::read_dir(&crates).with_context(|| format!("cannot read {}", crates.display()))? {
        let folder = entry?.path();
        list_rust(&folder.join("src"), &mut files);
        for file in files.drain(..) {
            let text = fs::read_to_string(&file)?;
            for path in included(&text) {
                let target = file.parent().context("a file in no folder")?.join(path);
                let inside = target.canonicalize().is_ok_and(|it| it.starts_with(&folder));
                if !inside {
                    bail!(
                        "{} includes {path}, which is not inside its crate",
                        workspace.relative(&file).display()
                    );
                }
            }
        }
    }
    Ok(())
}

fn list_rust(folder: &std::path::Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            list_rust(&path, files);
        } else if path.extension().is_some_and(|it| it == "rs") {
            files.push(path);
        }
    }
}

/// The paths in `include_str!("...")` and `include_bytes!("...")`.
fn included(text: &str) -> impl Iterator<Item = &str> {
    let starts = ["include_str!(\"", "include_bytes!(\""];
    starts
        .into_iter()
        .flat_map(move |start| text.split(start).skip(1).filter_map(|rest| rest.split('"').next()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn examples_are_the_binaries() {
        let target = |name: &str, kind: &str| json!({ "name": name, "kind": [kind] });
        let targets = [target("quickstart", "bin"), target("bench", "bin"), target("it", "test")];
        let metadata =
            json!({ "packages": [{ "name": "x" }, { "name": "faknow-examples", "targets": targets }] });
        assert_eq!(example_names(&metadata).unwrap(), ["quickstart", "bench"]);
        assert!(example_names(&json!({ "packages": [] })).is_err());
    }

    #[test]
    fn includes_are_found() {
        let text = "#![doc = include_str!(\"../README.md\")]\nlet x = include_bytes!(\"a.bin\");";
        assert_eq!(included(text).collect::<Vec<_>>(), ["../README.md", "a.bin"]);
        assert_eq!(included("nothing").count(), 0);
    }
}
