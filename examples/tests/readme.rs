//! README.md contains `quickstart.rs` verbatim.

use std::fs;
use std::path::Path;

#[test]
fn readme_shows_the_quickstart() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(examples.join("../README.md")).expect("README.md");
    let quickstart = fs::read_to_string(examples.join("quickstart.rs")).expect("quickstart.rs");
    let program = without_header(&quickstart);
    let blocks = rust_blocks(&readme);
    assert!(
        blocks.contains(&program),
        "README.md: expected a ```rust block equal to examples/quickstart.rs without its first comment:\n\n{program}\n\
         got:\n\n{}",
        blocks.join("\n---\n")
    );
    assert!(
        program.lines().count() <= 40,
        "quickstart.rs: expected at most 40 lines, so that README.md can show it"
    );
}

/// Returns a program without its leading `//!` lines.
fn without_header(program: &str) -> String {
    let lines = program.lines().skip_while(|line| line.starts_with("//!") || line.is_empty());
    lines.map(|line| format!("{line}\n")).collect()
}

/// Returns the contents of the ```rust blocks of a Markdown document.
fn rust_blocks(document: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open_block: Option<String> = None;
    for line in document.lines() {
        match &mut open_block {
            Some(_) if line == "```" => blocks.extend(open_block.take()),
            Some(block) => *block += &format!("{line}\n"),
            None if line == "```rust" => open_block = Some(String::new()),
            None => {}
        }
    }
    blocks
}

#[test]
fn helpers_extract_rust_blocks_and_drop_headers() {
    assert_eq!(without_header("//! A.\n//!\n//! B.\n\nuse a;\n\nfn b() {}\n"), "use a;\n\nfn b() {}\n");
    let document = "text\n```rust\na\n\nb\n```\n```sh\nc\n```\n```rust\nd\n```\n";
    assert_eq!(rust_blocks(document), ["a\n\nb\n", "d\n"]);
}
