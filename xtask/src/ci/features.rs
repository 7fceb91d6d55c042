//! The features of the crates: the smallest set compiles without a warning, and every feature is documented.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::summary::Summary;
use crate::workspace::Workspace;

/// The smallest sets, each a selection of crates; the full set is what all other steps build.
const SMALLEST: &[&str] = &[
    "-p faknow-data -p faknow-model -p faknow-callbacks -p faknow-trainer",
    "-p faknow -p faknow-serve",
    "-p faknow-cli",
];

/// Where all features are documented, next to the README of each crate.
const TABLE: &str = "docs/features.md";

/// Checks the documentation of the features, and each smallest set.
pub fn check(workspace: &mut Workspace) -> Result<Summary> {
    let mut summary = Summary::of_check("features, documentation", check_documentation(workspace));
    summary.add(Summary::of_check("features, same in every selection", check_selections(workspace)));
    for crates in SMALLEST {
        let command = workspace.cargo("clippy --no-default-features").args(crates.split(' '));
        let outcome = command.args(["--", "-D", "warnings"]).run().map_err(Into::into);
        summary.add(Summary::of_check(&format!("features, smallest set, {crates}"), outcome));
    }
    Ok(summary)
}

/// Compares the features in `Cargo.toml` with the rows of the table and of the README of each crate.
fn check_documentation(workspace: &Workspace) -> Result<()> {
    let metadata: Value =
        serde_json::from_str(&workspace.cargo("metadata --format-version 1 --no-deps").read()?)?;
    let table = workspace.sh.read_file(TABLE)?;
    let mut faults = Vec::new();
    let mut rows = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let features = package["features"].as_object().into_iter().flatten().map(|(feature, _)| feature);
        let features: Vec<&String> =
            features.filter(|it| !["default", "doc-only"].contains(&it.as_str())).collect();
        if package["publish"].is_array() || features.is_empty() {
            continue;
        }
        let is_default = |feature: &str| {
            package["features"]["default"].as_array().is_some_and(|all| all.iter().any(|it| it == feature))
        };
        let readme = workspace.sh.read_file(format!("crates/{name}/README.md"))?;
        for feature in features {
            if !readme.contains(&format!("| `{feature}` | ")) {
                faults.push(format!("crates/{name}/README.md: no row of `{feature}`"));
            }
            rows.push(format!(
                "| `{name}` | `{feature}` | {} | ",
                if is_default(feature) { "yes" } else { "no" }
            ));
        }
    }
    faults.extend(
        rows.iter().filter(|row| !table.contains(*row)).map(|row| format!("{TABLE}: no row `{row}…`")),
    );
    let documented = table.lines().filter(|line| line.starts_with("| `"));
    let is_stale = |line: &&str| !rows.iter().any(|row| line.starts_with(row));
    faults.extend(
        documented.filter(is_stale).map(|line| format!("{TABLE}: no crate has the feature of `{line}`")),
    );
    ensure!(faults.is_empty(), "{}", faults.join("\n  "));
    Ok(())
}

/// Checks that the programs and their dependencies have the same features alone as in the entire workspace with its tests: else cargo would
/// compile our crates once more for each selection.
fn check_selections(workspace: &Workspace) -> Result<()> {
    let resolve = |selection: &str| -> Result<BTreeSet<String>> {
        let tree = workspace
            .cargo("tree --prefix none --format {p}|{f} --edges")
            .args(selection.split(' '))
            .read()?;
        Ok(tree.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect())
    };
    let all = resolve("normal,build,dev --workspace")?;
    let alone = resolve("normal,build -p faknow-cli -p faknow-examples")?;
    let other: Vec<&String> = alone.difference(&all).collect();
    ensure!(other.is_empty(), "other features with `-p faknow-cli` than with `--workspace`: {other:?}");
    Ok(())
}

#[test]
fn features_are_documented_and_the_same_in_every_selection() {
    let workspace = Workspace::open().unwrap();
    check_documentation(&workspace).unwrap();
    check_selections(&workspace).unwrap();
}
