//! Every page of the documentation is in the table of contents, and every link leads to a file.

use std::path::{Path, PathBuf};

/// Names what is missing among the pages `files`, which are relative to `root`.
pub fn faults(root: &Path, files: &[PathBuf]) -> Vec<String> {
    let pages: Vec<&PathBuf> =
        files.iter().filter(|file| file.extension().is_some_and(|it| it == "md")).collect();
    let read = |file: &Path| std::fs::read_to_string(root.join(file)).unwrap_or_default();
    let contents = read(Path::new("docs/SUMMARY.md"));
    let mut faults = Vec::new();
    for page in pages.iter().filter(|page| page.starts_with("docs") && !page.ends_with("SUMMARY.md")) {
        let name = page.strip_prefix("docs").unwrap_or(page).to_string_lossy().replace('\\', "/");
        if !contents.contains(&format!("]({name})")) {
            faults.push(format!("docs/SUMMARY.md: lacks the page {name}"));
        }
    }
    for page in pages {
        let dir = page.parent().unwrap_or(Path::new(""));
        let text = read(page);
        for target in links(&text).into_iter().filter(|target| is_file(target)) {
            let target = target.split('#').next().unwrap_or(target);
            if !root.join(dir).join(target).exists() {
                faults.push(format!("{}: the link to {target} leads nowhere", page.display()));
            }
        }
    }
    faults
}

/// Returns the targets of the links on a page, without code blocks.
fn links(text: &str) -> Vec<&str> {
    let mut inside_code = false;
    let mut links = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside_code = !inside_code;
        }
        if !inside_code {
            links.extend(line.split("](").skip(1).filter_map(|rest| rest.split(')').next()));
        }
    }
    links
}

/// Returns whether a link is to a file of the repository, rather than to an anchor, another site or a Rust item.
fn is_file(target: &str) -> bool {
    let is_path =
        target.contains('/') || [".md", ".rs", ".png", ".svg"].iter().any(|end| target.contains(end));
    is_path && !target.starts_with('#') && !target.contains("://") && !target.contains("::")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_of_code() {
        let page = "[a](x.md#y) and [b](https://z/)\n```md\n[c](no.md)\n```\n![d](images/d.png)";
        assert_eq!(links(page), ["x.md#y", "https://z/", "images/d.png"]);
        assert!(is_file("x.md#y") && is_file("images/d.png") && !is_file("https://z/") && !is_file("#y"));
        assert!(!is_file("faknow_model::loss") && !is_file("Self::x"));
    }
}
