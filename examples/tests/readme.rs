//! The README's program is `quickstart.rs`, to the letter.

use std::fs;
use std::path::Path;

#[test]
fn readme_shows_the_quickstart() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(examples.join("../README.md")).expect("the workspace has a README.md");
    let quickstart = fs::read_to_string(examples.join("quickstart.rs")).expect("quickstart.rs");
    let program = without_head(&quickstart);
    let shown = rust_blocks(&readme);
    assert!(
        shown.contains(&program),
        "README.md must hold examples/quickstart.rs without its head in a ```rust block:\n\n{program}\n\
         Its Rust blocks are:\n\n{}",
        shown.join("\n---\n")
    );
    assert!(program.lines().count() <= 40, "the quickstart has grown beyond what a README can show");
}

/// A program without the `//!` lines at its top.
fn without_head(program: &str) -> String {
    let lines = program.lines().skip_while(|line| line.starts_with("//!") || line.is_empty());
    lines.map(|line| format!("{line}\n")).collect()
}

/// The contents of the ```rust blocks of a page.
fn rust_blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut inside: Option<String> = None;
    for line in page.lines() {
        match &mut inside {
            Some(_) if line == "```" => blocks.extend(inside.take()),
            Some(block) => *block += &format!("{line}\n"),
            None if line == "```rust" => inside = Some(String::new()),
            None => {}
        }
    }
    blocks
}

#[test]
fn blocks_and_heads_are_found() {
    assert_eq!(without_head("//! A.\n//!\n//! B.\n\nuse a;\n\nfn b() {}\n"), "use a;\n\nfn b() {}\n");
    let page = "text\n```rust\na\n\nb\n```\n```sh\nc\n```\n```rust\nd\n```\n";
    assert_eq!(rust_blocks(page), ["a\n\nb\n", "d\n"]);
}
