//! Each example says in its head what it shows and how to run it, and is a program of the package.

use std::fs;
use std::path::Path;

#[test]
fn each_example_says_how_to_run_it() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(dir.join("Cargo.toml")).expect("Cargo.toml");
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).expect("the directory of the examples") {
        let path = entry.expect("an entry").path();
        let is_example = path.extension().is_some_and(|ending| ending == "rs");
        if !is_example || path.ends_with("docs.rs") || path.ends_with("bench.rs") {
            continue;
        }
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("an example");
        let head: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
        let command = format!("`cargo run -p faknow-examples --bin {name}");
        assert!(head.iter().any(|line| line.contains(&command)), "{name}: its head must hold {command}`");
        assert!(
            manifest.contains(&format!("name = \"{name}\"\npath = \"{name}.rs\"")),
            "{name} is no [[bin]]"
        );
        names.push(name);
    }
    assert!(names.len() >= 7, "examples are missing: {names:?}");
}
