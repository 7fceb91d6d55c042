//! The tests named in `docs/parity.md` exist, and every defect is listed.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The number of defects that the table must list.
const N_DEFECTS: usize = 41;

#[test]
fn every_defect_is_listed_and_every_named_test_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let Ok(text) = fs::read_to_string(root.join("docs/parity.md")) else {
        crate::skip::check("docs").unwrap();
        println!("SKIPPED: docs/parity.md is not in the repository");
        return;
    };
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|row| row.split(" | ").collect())
        .collect();
    let numbers: Vec<usize> = rows.iter().filter_map(|row| row[0].parse().ok()).collect();
    assert_eq!(numbers, (1..=N_DEFECTS).collect::<Vec<_>>(), "each defect has one row, in order");

    let mut known = BTreeSet::new();
    tests_below(&root.join("crates"), &mut known);
    let named: BTreeSet<String> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|code| {
            let (file, test) = code.split_once("::")?;
            file.ends_with(".rs").then(|| format!("{file}::{test}"))
        })
        .collect();
    assert!(named.len() > 60, "only {} tests are named", named.len());
    let missing: Vec<&String> = named.iter().filter(|test| !known.contains(*test)).collect();
    assert!(missing.is_empty(), "docs/parity.md names tests that do not exist: {missing:#?}");
    // Conversely, every test of a defect is in the table.
    let unlisted: Vec<&String> =
        known.iter().filter(|test| test.contains("::defect_") && !named.contains(*test)).collect();
    assert!(unlisted.is_empty(), "docs/parity.md does not name: {unlisted:#?}");
}

/// Collects every test function below a directory, as in `faknow-data/tests/it/loader.rs::name_of_test`.
fn tests_below(dir: &Path, tests: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_below(&path, tests);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let (_, name) = path.to_str().unwrap().rsplit_once("/crates/").unwrap();
            let text = fs::read_to_string(&path).unwrap();
            let functions = text.split("#[test]").skip(1);
            let names = functions.filter_map(|rest| rest.split_once("fn ")?.1.split_once('('));
            tests.extend(names.map(|(function, _)| format!("{name}::{function}")));
        }
    }
}
