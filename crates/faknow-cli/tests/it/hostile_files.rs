//! No text from a file, and no file name, reaches the terminal as an escape sequence or in full length.

use crate::support::{Sandbox, TINY};

/// Maximum number of characters that a command writes about a file.
const MAX_OUTPUT: usize = 30_000;

/// Sets a title and colors in a terminal, reverses the direction of text, and is invisible.
const HOSTILE: &str = "a\u{1b}[31m\u{1b}]0;PWNED\u{7}\u{9b}2J\u{202e}\u{2066}\u{feff}\u{200b}\u{8}\u{7f}";

/// Returns names and contents of files.
fn files() -> Vec<(String, String)> {
    let long = "x".repeat(1 << 20);
    let rows =
        |text: &str, label: &str| (0..8).map(|it| format!("{text} {it},{label}\n")).collect::<String>();
    let quoted = serde_json::to_string(HOSTILE).unwrap();
    let columns: Vec<String> = (0..10_000).map(|column| format!("{HOSTILE}{column}")).collect();
    let file = |name: &str, content: String| (name.to_owned(), content);
    vec![
        file("columns.csv", format!("te{HOSTILE}xt,la{HOSTILE}bel\n{}", rows("rain", "real"))),
        file("labels.csv", format!("text,label\n{}{}", rows("rain", HOSTILE), rows("storm", "fake"))),
        file("texts.csv", format!("text,label\n{}{}", rows(HOSTILE, "real"), rows(HOSTILE, "fake"))),
        file("long-column.csv", format!("text,label,{long}\n{}", rows("rain", "real,1"))),
        file("only-long-column.csv", format!("{long}\nrain\n")),
        file(
            "long-label.csv",
            format!("text,label\n{}{}", rows("rain", &long[..100_000]), rows("storm", "fake")),
        ),
        file("many-columns.csv", format!("{}\n", columns.join(","))),
        file(
            "many-columns-rows.csv",
            format!("text,label,{}\nrain,real{}\n", columns.join(","), ",1".repeat(10_000)),
        ),
        file("keys.jsonl", format!("{{{quoted}: \"rain\", \"label\": \"real\"}}\n").repeat(4)),
        file("long-key.jsonl", format!("{{\"{long}\": \"rain\"}}\n")),
        file("labels.jsonl", format!("{{\"text\": \"rain\", \"label\": {quoted}}}\n").repeat(4)),
        file("broken.jsonl", format!("{{\"text\": {HOSTILE}{long}\n")),
        file("not-an-object.json", format!("[\"{HOSTILE}{long}\"]")),
        file("nested.jsonl", format!("{{\"text\": [{quoted}], \"label\": {{{quoted}: 1}}}}\n")),
        file("trees.txt", format!("{HOSTILE}\tNone\t1\t1\t1\t{HOSTILE}:1\n")),
        file(&format!("na{HOSTILE}me.csv"), "text,label\nrain,other\n".to_owned()),
        file(&format!("na{HOSTILE}me.jsonl"), "{}\n".to_owned()),
    ]
}

#[test]
fn messages_contain_no_escape_sequences_and_are_short() {
    let sandbox = Sandbox::trained();
    for (name, content) in files() {
        sandbox.write(&name, content);
        let commands: [&[&str]; 7] = [
            &["data", "inspect", &name],
            &["train", "textcnn", "--train", &name, "--epochs", "1", "--out", "new"],
            &["train", "bigcn", "--trees", &name, "--labels", &name, "--epochs", "1", "--out", "new"],
            &["summary", "textcnn", "--train", &name, "--text", "te\u{1b}xt"],
            &["test", "run", "--data", &name, "--text", "text"],
            &["predict", "run", "--input", &name, "--text", "text", "--output", "out.txt"],
            &["train", &name],
        ];
        for args in commands {
            let tiny: &[&str] = if args.contains(&"textcnn") { &TINY } else { &[] };
            check(&sandbox, &[args, tiny].concat());
            let _ = std::fs::remove_dir_all(sandbox.path("new"));
        }
    }
}

#[test]
fn settings_and_arguments_are_escaped_too() {
    let sandbox = Sandbox::trained();
    let quoted = serde_json::to_string(HOSTILE).unwrap();
    sandbox.write("key.toml", format!("[optimizer]\n{quoted} = 1\n"));
    sandbox.write("value.toml", format!("[optimizer]\nname = {quoted}\n"));
    sandbox.write("broken.toml", HOSTILE);
    sandbox.write("value.yaml", format!("model: {HOSTILE}{}\n", "x".repeat(1 << 20)));
    for args in [
        &["train", "key.toml"][..],
        &["train", "value.toml"],
        &["train", "broken.toml"],
        &["train", "value.yaml"],
        &["train", HOSTILE],
        &["train", "--set", &format!("{HOSTILE}=1")],
        &["train", &format!("--{HOSTILE}")],
        &["predict", HOSTILE, "--input", "train.csv"],
        &["data", "inspect", HOSTILE],
        &[HOSTILE],
    ] {
        check(&sandbox, args);
    }
}

/// Runs a command and checks everything that it prints.
fn check(sandbox: &Sandbox, args: &[&str]) {
    let output = sandbox.faknow(args);
    let shown: Vec<&str> = args.iter().map(|it| it.get(..60).unwrap_or(it)).collect();
    for text in [&output.stdout, &output.stderr] {
        let unsafe_character = |it: char| {
            (it.is_control() && !"\n\t".contains(it))
                || matches!(it, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{200b}')
        };
        let found = text.find(unsafe_character);
        let around = found.map(|at| {
            text[..at].chars().rev().take(200).collect::<Vec<_>>().iter().rev().collect::<String>()
        });
        assert!(found.is_none(), "{shown:?}: unsafe character after:\n{}", around.unwrap_or_default());
        assert!(text.len() < MAX_OUTPUT, "{shown:?}: {} bytes", text.len());
    }
    assert!(matches!(output.code, Some(0..=2)), "{shown:?}: {:?}\n{}", output.code, output.stderr);
}
