//! The checks of `cargo xtask ci` that are one cargo command or a few.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use xshell::cmd;

use crate::summary::Summary;
use crate::workspace::{Workspace, published};
use crate::{process, program};

/// Checks that all Rust code is formatted, also that of the crates outside the workspace.
pub fn format(workspace: &mut Workspace) -> Result<()> {
    // rustfmt colors its output also where there is no terminal.
    let color = process::color();
    workspace.cargo("fmt --all --check -- --color").arg(color).run()?;
    let external = ["xtask/external_crates/metrics/main.rs", "examples/custom_detector/src/main.rs"];
    let root = &workspace.root;
    Ok(cmd!(
        workspace.sh,
        "rustfmt --color {color} --check --edition 2024 --config-path {root} {external...}"
    )
    .run()?)
}

/// Runs clippy with warnings as errors. With the normal features, since tch's `doc-only` would compile the bindings again.
pub fn clippy(workspace: &mut Workspace) -> Result<()> {
    Ok(workspace.cargo("clippy --workspace --all-targets -- -D warnings").run()?)
}

/// Builds the API documentation with warnings as errors.
pub fn documentation(workspace: &mut Workspace) -> Result<()> {
    Ok(workspace.cargo("doc --workspace --no-deps").env("RUSTDOCFLAGS", "-D warnings").run()?)
}

/// Runs each example in an empty directory with an empty environment.
pub fn examples(workspace: &mut Workspace) -> Result<Summary> {
    // With the program, so that both have the features of what the tests built, and nothing is built twice.
    workspace.cargo("build -p faknow-examples -p faknow-cli --bins").run()?;
    let target = workspace.target_dir()?;
    let dir = tempfile::tempdir()?;
    let mut summary = Summary::default();
    for name in example_names(&workspace.metadata()?)? {
        let place = dir.path().join(&name);
        let started = Instant::now();
        let sh = program::shell(&target, workspace.sh.create_dir(place)?)?;
        let command = sh.cmd(&name);
        // The benchmark is not an example, but must run.
        let command = if name == "bench" { command.arg("--quick") } else { command };
        let outcome = process::capture(command).map(drop);
        if outcome.is_ok() {
            eprintln!("  example {name}: {:.1} s", started.elapsed().as_secs_f64());
        }
        summary.add(Summary::of_check(&format!("  example {name}"), outcome));
    }
    Ok(summary)
}

/// Returns the names of the example binaries, including the benchmark.
fn example_names(metadata: &Value) -> Result<Vec<String>> {
    let mut packages = metadata["packages"].as_array().context("`cargo metadata` names no packages")?.iter();
    let package =
        packages.find(|it| it["name"] == "faknow-examples").context("no package faknow-examples")?;
    let targets = package["targets"].as_array().into_iter().flatten();
    let names = targets.filter(|it| it["kind"][0] == "bin").filter_map(|it| it["name"].as_str());
    Ok(names.map(String::from).collect())
}

/// Checks that `faknow-metrics` and its tests compile alone and do not depend on libtorch.
pub fn metrics_alone(workspace: &mut Workspace) -> Result<()> {
    let tree = workspace
        .cargo("tree -p faknow-metrics --edges normal,build,dev --prefix none --format {p}")
        .read()?;
    let torch = tree.lines().find(|line| line.starts_with("tch ") || line.starts_with("torch-sys "));
    ensure!(torch.is_none(), "the tree of faknow-metrics contains {}", torch.unwrap_or_default());
    Ok(workspace.cargo("check --tests -p faknow-metrics").env("LIBTORCH", "no-libtorch").run()?)
}

/// What cargo says about a crate without an address; the project has none.
const NO_ADDRESS: &str = "warning: manifest has no documentation, homepage or repository";

/// Checks that every published crate can be packaged with all metadata that a registry requires.
pub fn package(workspace: &mut Workspace) -> Result<()> {
    let metadata = workspace.metadata()?;
    let packages = published(&metadata)?;
    let missing: Vec<String> = packages.iter().flat_map(|it| missing_metadata(it)).collect();
    ensure!(missing.is_empty(), "{}", missing.join("\n  "));
    let names = packages.iter().filter_map(|package| package["name"].as_str());
    let command = workspace.cargo("package --no-verify --allow-dirty");
    let (succeeded, written) = process::tee(command.args(names.flat_map(|name| ["-p", name])))?;
    ensure!(succeeded, "cargo refuses to package a crate");
    let mut warnings = written.lines().filter(|line| line.starts_with("warning:"));
    let warning = warnings.find(|line| !line.starts_with(NO_ADDRESS));
    ensure!(warning.is_none(), "cargo packages with a warning: {}", warning.unwrap_or_default());
    includes_stay_inside(workspace)
}

/// Names the metadata that a package lacks, and what the registry would reject.
fn missing_metadata(package: &Value) -> Vec<String> {
    let name = package["name"].as_str().unwrap_or_default();
    let texts = ["description", "license", "readme", "rust_version"];
    let is_empty = |field: &&str| package[*field].as_str().is_none_or(str::is_empty);
    let mut missing: Vec<String> = texts
        .into_iter()
        .filter(is_empty)
        .map(|field| format!("{name}: no `{field}` in its Cargo.toml"))
        .collect();
    for field in ["keywords", "categories"] {
        let n = package[field].as_array().map_or(0, Vec::len);
        if !(1..=5).contains(&n) {
            missing.push(format!("{name}: expected 1 to 5 {field}, got {n}"));
        }
    }
    missing
}

/// Checks that no source includes a file outside of its crate, which a published crate would lack.
fn includes_stay_inside(workspace: &Workspace) -> Result<()> {
    for dir in workspace.sh.read_dir("crates")? {
        for file in rust_files(&dir.join("src")) {
            let text = workspace.sh.read_file(&file)?;
            for path in included(&text) {
                let target = file.parent().unwrap_or(&dir).join(path);
                let is_inside = target.canonicalize().is_ok_and(|it| it.starts_with(&dir));
                ensure!(is_inside, "{} includes {path}, which is not inside its crate", file.display());
            }
        }
    }
    Ok(())
}

/// Returns all Rust files below a directory.
pub fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let files = entries.map(|entry| entry.path()).flat_map(|path| match path.is_dir() {
        true => rust_files(&path),
        false => vec![path],
    });
    files.filter(|path| path.extension().is_some_and(|it| it == "rs")).collect()
}

/// Returns the paths in `include_str!("...")` and `include_bytes!("...")`.
fn included(text: &str) -> impl Iterator<Item = &str> {
    let starts = ["include_str!(\"", "include_bytes!(\""].into_iter();
    starts.flat_map(move |start| text.split(start).skip(1).filter_map(|rest| rest.split('"').next()))
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
    fn missing_metadata_is_named() {
        let mut package = json!({
            "name": "x", "description": "y", "license": "MIT", "readme": "README.md", "rust_version": "1.95",
            "keywords": ["a"], "categories": ["science"],
        });
        assert!(missing_metadata(&package).is_empty());
        package["license"] = Value::Null;
        package["description"] = json!("");
        package["keywords"] = json!(["a", "b", "c", "d", "e", "f"]);
        let expected = [
            "x: no `description` in its Cargo.toml",
            "x: no `license` in its Cargo.toml",
            "x: expected 1 to 5 keywords, got 6",
        ];
        assert_eq!(missing_metadata(&package), expected);
    }

    #[test]
    fn every_published_crate_has_its_metadata() {
        let metadata = Workspace::open().unwrap().metadata().unwrap();
        let missing: Vec<String> =
            published(&metadata).unwrap().into_iter().flat_map(missing_metadata).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn includes_are_found() {
        let text = "#![doc = include_str!(\"../README.md\")]\nlet x = include_bytes!(\"a.bin\");";
        assert_eq!(included(text).collect::<Vec<_>>(), ["../README.md", "a.bin"]);
        assert_eq!(included("nothing").count(), 0);
    }
}
