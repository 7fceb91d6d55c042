//! `cargo xtask tidy`: rules of style that no compiler knows, each with the place and the reason in its message.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use xshell::cmd;

use super::{doc_lines, error_docs, file_writes, links, words};
use crate::workspace::Workspace;

/// The most lines that a source file may have, its unit tests at the end not counted.
const MAX_LINES: usize = 400;

/// The most lines that a file below `tests/` may have.
const MAX_TEST_LINES: usize = 500;

/// Source files that may be longer, each with the reason.
const LONG_FILES: &[(&str, &str)] =
    &[("crates/faknow-trainer/tests/it/events.rs", "snapshots of complete runs are long")];

/// What must not be left in Rust code, and what to do instead; written in two parts so that this file passes.
const LEFTOVERS: &[(&str, &str, &str)] = &[
    ("todo", "!(", "write it, or file an issue"),
    ("unimplemented", "!(", "write it, or return an error"),
    ("dbg", "!(", "remove it"),
    ("#[ign", "ore", "make the test run, or assert what happens now and say why that is wrong"),
    ("#[should", "_panic", "return an error and assert on that"),
];

/// Directories of one machine or another, which mean nothing elsewhere.
const HOMES: &[(&str, &str)] = &[("/ro", "ot/"), ("/ho", "me/"), ("/Us", "ers/"), ("/wo", "rk/")];

/// Addresses in manifests, each with the reason. The project has no address, so a manifest has none.
const MANIFEST_ADDRESSES: &[(&str, &str)] = &[];

/// Addresses that the project would have if it were published; written in two parts so that this file passes.
const OWN_ADDRESSES: &[(&str, &str)] =
    &[("://github.com/", "faknow"), ("://docs.rs/", "faknow"), ("://crates.io/crates/", "faknow")];

/// Extensions of text files of this project.
const TEXT: &[&str] = &["rs", "md", "toml", "sh", "py", "cpp", "in", "yml", "yaml", "css", "js", "html"];

/// Checks all files of the workspace that git knows; the error names each fault.
pub fn check(workspace: &mut Workspace) -> Result<()> {
    let files = files(workspace)?;
    let mut faults = Vec::new();
    for file in &files {
        let name = file.to_string_lossy().replace('\\', "/");
        let bytes = fs::read(workspace.root.join(file)).with_context(|| format!("cannot read {name}"))?;
        match String::from_utf8(bytes) {
            Ok(text) => faults.extend(text_faults(&name, &text)),
            Err(_) => faults.push(format!("{name}: is not valid UTF-8")),
        }
    }
    for dir in crate_dirs(&files) {
        faults.extend(crate_faults(&workspace.root, &dir));
    }
    faults.extend(links::faults(&workspace.root, &files));
    faults.extend(error_docs::faults(&workspace.root, &files));
    if !faults.is_empty() {
        bail!("tidy: {} to fix:\n  {}", faults.len(), faults.join("\n  "));
    }
    println!("tidy: {} files are in order", files.len());
    Ok(())
}

/// Returns the text files of this project, relative to the root. Empty without git, as in an unpacked package.
fn files(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let names = cmd!(workspace.sh, "git ls-files -z --cached --others --exclude-standard").read()?;
    let files: BTreeSet<PathBuf> =
        names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect();
    // A file that was removed but not yet committed is still listed.
    Ok(files.into_iter().filter(|file| is_ours(file) && workspace.root.join(file).is_file()).collect())
}

fn is_ours(file: &Path) -> bool {
    let fixture = file.iter().any(|part| part == "golden" || part == "fixtures");
    let extension = file.extension().and_then(|it| it.to_str()).unwrap_or_default();
    let script = file == Path::new(".ci/run");
    script || (TEXT.contains(&extension) && (!fixture || ["rs", "md"].contains(&extension)))
}

fn text_faults(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |line: usize, what: String| faults.push(format!("{name}:{line}: {what}"));
    for (number, line) in (1..).zip(text.split('\n')) {
        if line.ends_with([' ', '\t', '\r']) {
            fault(number, "blanks or a carriage return at the end of the line".into());
        }
        for home in HOMES.iter().map(|(start, end)| format!("{start}{end}")) {
            if has_absolute(line, &home) {
                fault(number, format!("a path below {home} means nothing on another machine"));
            }
        }
        let is_manifest = name.ends_with("Cargo.toml") || name.ends_with("Cargo.toml.in");
        let is_listed = MANIFEST_ADDRESSES.iter().any(|(address, _)| line.contains(address));
        let is_own = OWN_ADDRESSES.iter().any(|(start, end)| line.contains(&format!("{start}{end}")));
        if is_own || (is_manifest && line.contains("://") && !is_listed) {
            fault(
                number,
                "an address that may not exist; list it in xtask/src/ci/tidy.rs with its source".into(),
            );
        }
        for word in words::faults(name, line) {
            fault(number, word);
        }
        if line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ") {
            fault(number, "a conflict marker".into());
        }
    }
    let n_lines = text.lines().count();
    if !text.is_empty() && (!text.ends_with('\n') || text.ends_with("\n\n")) {
        fault(n_lines, "the file must end with one line break".into());
    }
    if name.ends_with(".rs") {
        rust_faults(name, text, &mut fault);
    }
    faults
}

fn rust_faults(name: &str, text: &str, fault: &mut impl FnMut(usize, String)) {
    let n_lines = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
    let head = text.lines().next().unwrap_or_default();
    if !head.starts_with("//! ") && !head.starts_with("#![doc = include_str!(") {
        fault(1, "the first line must be `//! ` and say what the file is for".into());
    }
    let limit = if name.contains("/tests/") { MAX_TEST_LINES } else { MAX_LINES };
    if n_lines > limit && !LONG_FILES.iter().any(|(long, _)| *long == name) {
        fault(
            n_lines,
            format!("more than {limit} lines; split it, or list it in xtask/src/ci/tidy.rs with a reason"),
        );
    }
    if let Some((_, inside)) = name.split_once("/src/")
        && inside.matches('/').count() > 1
    {
        fault(1, "more than one directory deep in src/".into());
    }
    for (number, doc) in doc_lines::faults(text) {
        fault(
            number,
            format!("a function's documentation must start with what it does, as in `Returns …`: {doc}"),
        );
    }
    for (number, what) in file_writes::faults(name, text) {
        fault(number, what);
    }
    for (number, line) in (1..).zip(text.lines()) {
        for (start, end, instead) in LEFTOVERS {
            let word = format!("{start}{end}");
            if line.contains(&word) {
                fault(number, format!("`{word}` is left over: {instead}"));
            }
        }
    }
}

/// Returns whether a line contains a path that starts with `home`, not only one that contains a directory of that name.
fn has_absolute(line: &str, home: &str) -> bool {
    let is_start = |place: usize| {
        let before = line[..place].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-~}$>*".contains(c))
    };
    line.match_indices(home).any(|(place, _)| is_start(place))
}

fn crate_dirs(files: &[PathBuf]) -> Vec<PathBuf> {
    let manifests = files.iter().filter(|file| file.file_name().is_some_and(|name| name == "Cargo.toml"));
    let dirs = manifests.filter_map(|file| file.parent());
    dirs.filter(|dir| dir.starts_with("crates")).map(Path::to_path_buf).collect()
}

/// Returns what a crate lacks for publication.
fn crate_faults(root: &Path, dir: &Path) -> Vec<String> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let read = |file: &str| fs::read_to_string(root.join(dir).join(file)).unwrap_or_default();
    let (manifest, readme) = (read("Cargo.toml"), read("README.md"));
    let name_line = format!("name = \"{name}\"");
    let needed = [
        &name_line,
        "description = \"",
        "readme = \"README.md\"",
        "license.workspace = true",
        "rust-version.workspace = true",
        "[lints]\nworkspace = true",
    ];
    let missing = needed.iter().filter(|text| !format!("\n{manifest}").contains(&format!("\n{text}")));
    let mut faults: Vec<String> = missing
        .map(|text| format!("{}/Cargo.toml: no line `{}`", dir.display(), text.replace('\n', " ")))
        .collect();
    if !readme.starts_with(&format!("# {name}\n"))
        || readme.lines().filter(|line| !line.trim().is_empty()).count() < 2
    {
        faults.push(format!(
            "{}/README.md: must start with `# {name}` and say what the crate does",
            dir.display()
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, text: &str, expected: &[&str]) {
        let faults = text_faults(name, text);
        assert_eq!(faults.len(), expected.len(), "{faults:?}");
        for (fault, expected) in faults.iter().zip(expected) {
            assert!(fault.contains(expected), "{fault}");
        }
    }

    #[test]
    fn heads_and_ends() {
        check("a.rs", "//! What it is for.\n", &[]);
        check("lib.rs", "#![doc = include_str!(\"../README.md\")]\n", &[]);
        check("a.rs", "use std::fs;\n", &["a.rs:1: the first line"]);
        check("a.md", "one\ntwo \nthree\r\n", &["a.md:2: blanks", "a.md:3: blanks"]);
        check("a.md", "one", &["a.md:1: the file must end"]);
        check("a.md", "one\n\n", &["must end with one line break"]);
        check("a.md", "", &[]);
    }

    #[test]
    fn lengths_and_depths() {
        let long = format!("//! Head.\n{}", "// x\n".repeat(MAX_LINES));
        check("a.rs", &long, &["a.rs:401: more than 400 lines"]);
        check("a.md", &long, &[]);
        check("crates/x/tests/it/a.rs", &long, &[]);
        check("a.rs", &long.replacen("// x", "#[cfg(test)]", 1), &[]);
        check("crates/x/src/a/b.rs", "//! Head.\n", &[]);
        check("crates/x/src/a/b/c.rs", "//! Head.\n", &["one directory deep"]);
    }

    #[test]
    fn leftovers() {
        for (start, end, instead) in LEFTOVERS {
            check("a.rs", &format!("//! Head.\n    {start}{end}\n"), &[instead]);
            check("a.md", &format!("{start}{end}\n"), &[]);
        }
    }

    #[test]
    fn paths_of_one_machine() {
        for (start, end) in HOMES {
            check("a.md", &format!("see {start}{end}x\n"), &["another machine"]);
            check("a.md", &format!("see docs{start}{end}x and ${{X}}{start}{end}x\n"), &[]);
        }
    }

    #[test]
    fn addresses_of_the_project() {
        let repository = format!("repository = \"https{}\"\n", "://example.org/x");
        check("crates/a/Cargo.toml", &repository, &["an address that may not exist"]);
        check("a.md", &repository, &[]);
        for (start, end) in OWN_ADDRESSES {
            check("a.md", &format!("[a](https{start}{end}-x)\n"), &["an address that may not exist"]);
        }
    }

    #[test]
    fn checks_only_files_of_this_project() {
        let check = |file: &str, expected| assert_eq!(is_ours(Path::new(file)), expected, "{file}");
        check("crates/a/src/lib.rs", true);
        check(".ci/run", true);
        check("Cargo.lock", false);
        check("crates/a/tests/golden/a.json", false);
        check("crates/a/tests/fixtures/odd.html", false);
        check("crates/a/tests/fixtures/README.md", true);
    }
}
