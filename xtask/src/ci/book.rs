//! `cargo xtask book`: builds the documentation with mdBook and follows every link between its pages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use xshell::cmd;

use super::tools::Tool;
use crate::process;
use crate::workspace::Workspace;

const MDBOOK: Tool =
    Tool { name: "mdbook", version: "0.5.4", options: "--no-default-features --features search" };

/// The directory of the book with copies of files outside of `docs/`.
const COPIES: &str = "files";

/// Builds the book and checks its links.
pub fn check(workspace: &mut Workspace) -> Result<()> {
    let dir = build(workspace)?;
    let faults = broken_links(&dir)?;
    ensure!(faults.is_empty(), "links of the book that lead nowhere:\n  {}", faults.join("\n  "));
    println!("book: {}", dir.join("index.html").display());
    Ok(())
}

/// Builds the book and returns its directory.
pub fn build(workspace: &mut Workspace) -> Result<PathBuf> {
    let mdbook = MDBOOK.provide(workspace)?;
    let (docs, dir) = (workspace.root.join("docs"), workspace.target_dir()?.join("book"));
    process::capture(cmd!(workspace.sh, "{mdbook} build --dest-dir {dir} {docs}"))?;
    for (name, page) in pages(&dir)? {
        let (linked, files) = link_to_copies(&name, &page, &workspace.root);
        if linked != page {
            workspace.sh.write_file(dir.join(name), linked)?;
        }
        for file in files {
            let content = workspace.sh.read_binary_file(workspace.root.join(&file))?;
            workspace.sh.write_file(dir.join(COPIES).join(file), content)?;
        }
    }
    Ok(dir)
}

/// Replaces links to files of the repository outside of `docs/`, such as examples, by links to copies in the book; returns
/// the page and the files.
fn link_to_copies(name: &str, page: &str, root: &Path) -> (String, Vec<String>) {
    let mut linked = page.to_owned();
    let mut files = Vec::new();
    let to_root = "../".repeat(name.matches('/').count());
    let targets: BTreeSet<&str> = attributes(page, "href").filter(|it| it.starts_with("../")).collect();
    for target in targets {
        let path = join(&format!("docs/{name}"), target.split('#').next().unwrap_or(target));
        // mdBook takes every Markdown file for a page of the book.
        let source = path.strip_suffix(".html").map_or_else(|| path.clone(), |it| format!("{it}.md"));
        if !source.starts_with("docs/") && root.join(&source).is_file() {
            let copy = format!("href=\"{to_root}{COPIES}/{source}\"");
            linked = linked.replace(&format!("href=\"{target}\""), &copy);
            files.push(source);
        }
    }
    (linked, files)
}

/// Returns the pages of the book by name.
fn pages(dir: &Path) -> Result<BTreeMap<String, String>> {
    let mut pages = BTreeMap::new();
    for sub in [dir.to_path_buf(), dir.join("adr")] {
        for entry in fs::read_dir(&sub)? {
            let path = entry?.path();
            let name = path.strip_prefix(dir)?.to_string_lossy().replace('\\', "/");
            // These repeat the links of the other pages, from another directory.
            let is_copy = ["print.html", "404.html", "toc.html"].contains(&&*name);
            if path.extension().is_some_and(|it| it == "html") && !is_copy {
                pages.insert(name, fs::read_to_string(&path)?);
            }
        }
    }
    Ok(pages)
}

/// Names each link of a page that leads to no file of the book, or to no place on its page.
fn broken_links(dir: &Path) -> Result<Vec<String>> {
    let pages = pages(dir)?;
    let places: BTreeMap<&str, BTreeSet<&str>> =
        pages.iter().map(|(name, page)| (name.as_str(), attributes(page, "id").collect())).collect();
    let mut faults = Vec::new();
    for (name, page) in &pages {
        let targets = attributes(page, "href").chain(attributes(page, "src"));
        for target in targets.filter(|it| !it.contains(':') && !it.is_empty()) {
            let (file, place) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { name.clone() } else { join(name, file) };
            let is_known = match places.get(path.as_str()) {
                Some(places) => place.is_empty() || places.contains(place),
                None => dir.join(&path).is_file() && !path.starts_with(".."),
            };
            if !is_known {
                faults.push(format!("{name}: {target}"));
            }
        }
    }
    faults.dedup();
    Ok(faults)
}

/// Returns the values of an attribute on a page.
fn attributes<'a>(page: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let start = format!(" {name}=\"");
    let values: Vec<&str> =
        page.split(&start).skip(1).filter_map(|rest| rest.split_once('"')).map(|(value, _)| value).collect();
    values.into_iter()
}

/// Returns the path of a link's file, which is relative to its page, from the root of the book.
fn join(page: &str, file: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in file.split('/') {
        match part {
            "." => {}
            ".." if !parts.is_empty() && parts.last() != Some(&"..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_links_that_lead_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("adr")).unwrap();
        let page = r##"<h2 id="top"></h2><a href="#top"></a><a href="#gone"></a><a href="adr/a.html#x"></a>
            <a href="none.html"></a><a href="https://example.org/"></a><img src="i.png"><a href="../outside.md"></a>"##;
        fs::write(dir.path().join("index.html"), page).unwrap();
        fs::write(dir.path().join("adr/a.html"), r#"<p id="x"><a href="../index.html#top"></a>"#).unwrap();
        fs::write(dir.path().join("i.png"), "").unwrap();
        let expected = ["index.html: #gone", "index.html: none.html", "index.html: ../outside.md"];
        assert_eq!(broken_links(dir.path()).unwrap(), expected);
    }

    #[test]
    fn links_files_outside_of_the_documentation_to_copies() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("MAP.md"), "").unwrap();
        let check = |name: &str, target: &str, expected: &str, files: &[&str]| {
            let linked = link_to_copies(name, &format!("<a href=\"{target}\">"), root.path());
            assert_eq!(
                linked,
                (format!("<a href=\"{expected}\">"), files.iter().map(ToString::to_string).collect())
            );
        };
        check("a.html", "../MAP.html#x", "files/MAP.md", &["MAP.md"]);
        check("adr/a.html", "../../MAP.html", "../files/MAP.md", &["MAP.md"]);
        check("a.html", "../none.rs", "../none.rs", &[]);
        check("adr/a.html", "../a.html", "../a.html", &[]);
    }
}
