//! Each example documents the command that runs it, and is a `[[bin]]` of the package.

use std::fs;
use std::path::Path;

#[test]
fn examples_document_their_command() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(dir.join("Cargo.toml")).expect("Cargo.toml");
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).expect("directory of the examples") {
        let path = entry.expect("directory entry").path();
        let is_example = path.extension().is_some_and(|extension| extension == "rs");
        if !is_example || path.ends_with("docs.rs") {
            continue;
        }
        let name = path.file_stem().expect("file name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("text of an example");
        let header: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
        let command = format!("`cargo run -p faknow-examples --bin {name}");
        assert!(
            header.iter().any(|line| line.contains(&command)),
            "{name}: expected {command}` in its first comment"
        );
        assert!(
            manifest.contains(&format!("name = \"{name}\"\npath = \"{name}.rs\"")),
            "{name}: expected a [[bin]] in Cargo.toml"
        );
        names.push(name);
    }
    assert!(names.len() >= 7, "expected at least 7 examples, got {names:?}");
}
