//! `docs/errors.md` has a row per public error type and variant of each crate.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/errors.md";

/// Names each public error without a row on the page, and each row without an error.
pub fn faults(root: &Path, files: &[PathBuf]) -> Vec<String> {
    let read = |file: &Path| fs::read_to_string(root.join(file)).unwrap_or_default();
    let mut defined = BTreeSet::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|it| it == "rs")) {
        let name = file.to_string_lossy().replace('\\', "/");
        if let Some((krate, _)) = name.strip_prefix("crates/").and_then(|it| it.split_once("/src/")) {
            defined.extend(errors(&read(file)).into_iter().map(|error| format!("{krate}: {error}")));
        }
    }
    let page = read(Path::new(PAGE));
    let documented = rows(&page);
    let missing = defined.difference(&documented).map(|it| format!("{PAGE}: lacks {it}"));
    let unknown = documented.difference(&defined).map(|it| format!("{PAGE}: there is no {it}"));
    missing.chain(unknown).collect()
}

/// Returns the variants of the public error enums of a source file, and its error structs.
fn errors(source: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let mut current: Option<&str> = None;
    for line in source.lines() {
        let name = |rest: &'static str| {
            let name = line.strip_prefix(rest)?.split(|c: char| !c.is_alphanumeric()).next()?;
            name.ends_with("Error").then_some(name)
        };
        if let Some(name) = name("pub enum ") {
            current = Some(name);
        } else if let Some(name) = name("pub struct ") {
            errors.push(name.to_owned());
        } else if line == "}" {
            current = None;
        } else if let (Some(name), Some(variant)) = (current, line.strip_prefix("    "))
            && variant.starts_with(|c: char| c.is_ascii_uppercase())
        {
            let end = variant.find(|c: char| !c.is_alphanumeric()).unwrap_or(variant.len());
            errors.push(format!("{name}::{}", &variant[..end]));
        }
    }
    errors
}

/// Returns the first cells of the tables, each after the crate that the heading above it names.
fn rows(page: &str) -> BTreeSet<String> {
    let mut krate = "";
    let mut rows = BTreeSet::new();
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            krate = heading.trim_matches('`');
        } else if let Some((error, _)) = line.strip_prefix("| `").and_then(|it| it.split_once("` |")) {
            rows.insert(format!("{krate}: {error}"));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_variants_and_structs() {
        let source = "pub enum Error {\n    /// Text.\n    #[error(\"x\")]\n    Io {\n        Path: u8,\n    },\n    Other(Box),\n}\n\
            pub struct HookError {\n    Field: u8,\n}\npub(crate) enum InnerError {\n    A,\n}\npub enum Kind {\n    B,\n}\n";
        assert_eq!(errors(source), ["Error::Io", "Error::Other", "HookError"]);
    }

    #[test]
    fn compares_the_page_with_the_sources() {
        let root = tempfile::tempdir().unwrap();
        let source = Path::new("crates/a/src/error.rs");
        fs::create_dir_all(root.path().join("crates/a/src")).unwrap();
        fs::create_dir(root.path().join("docs")).unwrap();
        fs::write(root.path().join(source), "pub enum Error {\n    Io,\n    Data,\n}\n").unwrap();
        fs::write(root.path().join(PAGE), "## a\n\n| `Error::Io` | x |\n| `Error::Old` | x |\n").unwrap();
        let expected = ["docs/errors.md: lacks a: Error::Data", "docs/errors.md: there is no a: Error::Old"];
        assert_eq!(faults(root.path(), &[source.to_path_buf()]), expected);
    }
}
