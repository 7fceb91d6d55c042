//! The first example in the help of every command works, on the built-in dataset that the first one writes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Sandbox, signal};

/// All commands in an order in which each finds the files that it needs, and options that make it faster.
const COMMANDS: [(&str, &str); 21] = [
    ("data example", ""),
    ("data inspect", ""),
    ("train", "--epochs 2"),
    ("resume", ""),
    ("test", ""),
    ("predict", ""),
    ("tokens", ""),
    ("report", ""),
    ("export", ""),
    ("serve", "--port 0"),
    ("summary", ""),
    ("cv", ""),
    ("search", ""),
    ("lr-find", "--steps 10"),
    ("batch-size", "--max 64"),
    ("models", ""),
    ("settings", ""),
    ("completions", ""),
    ("man", ""),
    ("data prepare", ""),
    ("demo", "--epochs 1"),
];

/// Returns the first example of a command's help, without its comment.
fn first_example(sandbox: &Sandbox, command: &str) -> String {
    let args: Vec<&str> = command.split(' ').chain(["--help"]).collect();
    let help = sandbox.faknow(&args).ok();
    let line = help.split("\nExamples:\n").nth(1).unwrap().lines().next().unwrap();
    let example = line.split(" #").next().unwrap().trim();
    assert!(example.starts_with(&format!("faknow {command}")), "{command}: {example}");
    example.to_owned()
}

/// Returns the commands that a help lists, without `help`.
fn listed_commands(help: &str) -> Vec<String> {
    let lines =
        help.split("\nCommands:\n").nth(1).unwrap().lines().take_while(|line| !line.trim().is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    names.map(str::to_owned).collect()
}

/// Returns the example as a command of a shell, in which `faknow` is this program.
fn in_shell(sandbox: &Sandbox, line: &str) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_faknow"));
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(sandbox.path(""));
    command.env("PATH", format!("{}:{path}", program.parent().unwrap().display()));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn commands_of_this_test_are_all_commands() {
    let sandbox = Sandbox::new();
    let mut listed = listed_commands(&sandbox.faknow(&["--help"]).ok());
    let nested = listed_commands(&sandbox.faknow(&["data", "--help"]).ok());
    listed.retain(|name| name != "data");
    listed.extend(nested.iter().map(|name| format!("data {name}")));
    listed.sort();
    let mut tested = COMMANDS.map(|(name, _)| name.to_owned());
    tested.sort();
    assert_eq!(listed, tested);
}

#[cfg(unix)]
#[test]
fn first_examples_of_all_commands_work_on_the_built_in_dataset() {
    let sandbox = Sandbox::new();
    for (name, faster) in COMMANDS {
        let example = first_example(&sandbox, name);
        let line = match example.split_once(" > ") {
            Some((command, file)) => format!("{command} {faster} > {file}"),
            None => format!("{example} {faster}"),
        };
        if name == "serve" {
            serve(&sandbox, &line);
            continue;
        }
        let output = in_shell(&sandbox, &line).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}\n{stderr}");
        assert!(!stderr.contains("ERROR") && !stderr.contains("error:"), "{line}\n{stderr}");
    }
    assert!(sandbox.read("predictions.csv").lines().count() > 100);
    // An existing directory is not overwritten.
    sandbox
        .check_error(&["data", "example", "posts"], &["`DIR`", "expected a new or empty directory", "posts"]);
}

/// Starts the server of the example, sends it a request, and ends it.
fn serve(sandbox: &Sandbox, line: &str) {
    let mut server = in_shell(sandbox, &format!("exec {line}")).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut first).unwrap();
    let address = first.trim().strip_prefix("listening on http://").unwrap().to_owned();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /v1/model HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    signal(&server, "TERM");
    assert!(server.wait().unwrap().success());
}
