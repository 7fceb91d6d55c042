//! No circular imports between the directories of a crate, so that each can be read alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Result, ensure};

use super::cargo::rust_files;
use crate::workspace::Workspace;

/// Cycles that are known, as crate and directories; the list may only get shorter.
const KNOWN: &[(&str, &[&str])] = &[("faknow", &["config", "models"])];

/// Names the directories of each crate that import each other.
pub fn check(workspace: &Workspace) -> Result<()> {
    let mut faults = Vec::new();
    for dir in workspace.sh.read_dir("crates")? {
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let src = dir.join("src");
        let mut files = Vec::new();
        for path in rust_files(&src) {
            files.push((directory(&path, &src), workspace.sh.read_file(&path)?));
        }
        let root = std::fs::read_to_string(src.join("lib.rs")).unwrap_or_default();
        let found = cycles(&imports(&root, &files));
        let known: Vec<_> =
            KNOWN.iter().filter(|(of, _)| *of == name).map(|(_, cycle)| cycle.to_vec()).collect();
        let fault = |cycle: &Vec<&str>, what: &str| format!("{name}: {} {what}", cycle.join(", "));
        faults.extend(found.iter().filter(|it| !known.contains(it)).map(|it| fault(it, "import each other")));
        let is_gone = |cycle: &&Vec<&str>| !found.contains(cycle);
        faults.extend(known.iter().filter(is_gone).map(|it| fault(it, "do not: remove them from KNOWN")));
    }
    ensure!(faults.is_empty(), "directories: {} to fix:\n  {}", faults.len(), faults.join("\n  "));
    Ok(())
}

/// Returns the directory of a file in `src`: `fit` for `fit.rs`, `fit/mod.rs` and `fit/sums.rs`; empty for other files in `src` itself.
fn directory(path: &Path, src: &Path) -> String {
    let relative = path.strip_prefix(src).unwrap_or(path).with_extension("");
    let first = relative.iter().next().unwrap_or_default();
    if src.join(first).is_dir() { first.to_string_lossy().into_owned() } else { String::new() }
}

/// Returns which directory imports which, by the paths that start with `crate::` outside of unit tests.
fn imports<'a>(root: &'a str, files: &'a [(String, String)]) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let directories: BTreeSet<&str> =
        files.iter().map(|(name, _)| name.as_str()).filter(|it| !it.is_empty()).collect();
    // What the crate's root re-exports belongs to the directory that it comes from.
    let mut exported: BTreeMap<&str, &str> = BTreeMap::new();
    for statement in root.split("pub use ").skip(1).filter_map(|rest| rest.split(';').next()) {
        let (directory, items) = statement.split_once("::").unwrap_or((statement, ""));
        let words = items.split(|c: char| !c.is_alphanumeric() && c != '_');
        exported.extend(words.map(|item| (item, directory)));
    }
    let mut imports: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, text) in files.iter().filter(|(name, _)| !name.is_empty()) {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for item in roots(code) {
            let target = directories.get(item).or_else(|| directories.get(exported.get(item)?));
            if let Some(target) = target.filter(|target| **target != name.as_str()) {
                imports.entry(name).or_default().insert(target);
            }
        }
    }
    imports
}

/// Returns what follows each `crate::`: a name, or the first names in braces.
fn roots(code: &str) -> Vec<&str> {
    let word = |text: &'_ str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let mut roots = Vec::new();
    for (start, _) in code.match_indices("crate::") {
        let line = code[..start].rsplit('\n').next().unwrap_or_default();
        if line.trim_start().starts_with("//") {
            continue;
        }
        let rest = &code[start + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            roots.push(&rest[..word(rest)]);
            continue;
        };
        let (mut depth, mut is_first) = (0, true);
        for (start, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => is_first = true,
                c if is_first && c.is_alphabetic() => {
                    roots.push(&group[start..start + word(&group[start..])]);
                    is_first = false;
                }
                _ => {}
            }
        }
    }
    roots
}

/// Returns the groups of modules that reach each other, each sorted.
fn cycles<'a>(imports: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Vec<Vec<&'a str>> {
    let reachable = |start: &'a str| {
        let mut seen = BTreeSet::new();
        let mut stack = vec![start];
        while let Some(next) = stack.pop() {
            stack.extend(imports.get(next).into_iter().flatten().filter(|it| seen.insert(**it)));
        }
        seen
    };
    let all: BTreeMap<&str, BTreeSet<&str>> = imports.keys().map(|name| (*name, reachable(name))).collect();
    let group = |name: &&'a str| -> Vec<&'a str> {
        let returns = |other: &&'a str| all.get(other).is_some_and(|reach| reach.contains(*name));
        all[*name].iter().copied().filter(returns).collect()
    };
    let groups: BTreeSet<Vec<&str>> = imports.keys().map(group).filter(|group| !group.is_empty()).collect();
    groups.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_after_crate_are_found() {
        let check = |code: &str, expected: &[&str]| assert_eq!(roots(code), expected, "{code}");
        check("use crate::fit::sums;", &["fit"]);
        check("/// [`A`](crate::a::A) and [`B`](crate::b::B).\nuse crate::c;", &["c"]);
        check("use crate::Trainer;\nlet x: crate::step::Step = y;", &["Trainer", "step"]);
        check("use crate::{Error, fit::{self, sums}, step::Step};\nuse std::fs;", &["Error", "fit", "step"]);
        check("use crate::{\n    a::B,\n    c::{d::E, f},\n};", &["a", "c"]);
    }

    #[test]
    fn directories_that_import_each_other_are_noticed() {
        let root = "pub use b::{B, c::D};";
        let check = |files: &[(&str, &str)], expected: &[&[&str]]| {
            let files: Vec<_> =
                files.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
            assert_eq!(cycles(&imports(root, &files)), expected, "{files:?}");
        };
        check(&[("a", "use crate::b::X;"), ("b", "use crate::b::Y;")], &[]);
        check(&[("a", "use crate::B;"), ("b", "use crate::a::Y;")], &[&["a", "b"]]);
        check(&[("a", "use crate::D;"), ("b", "crate::c::f()"), ("c", "use crate::a;")], &[&["a", "b", "c"]]);
        check(&[("a", "use crate::b::X;"), ("b", "// crate::a\n#[cfg(test)]\nuse crate::a;")], &[]);
        check(&[("a", "use crate::b::X;"), ("", "use crate::a;"), ("b", "use crate::error::E;")], &[]);
    }
}
