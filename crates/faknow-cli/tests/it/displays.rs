//! What fails only to show something is dropped: the command continues to its end, with all files and exit code 0.
#![cfg(unix)]

use std::process::{Command, Stdio};

use crate::support::{Sandbox, TINY, wait_for};

/// A command, with the file that it writes last.
struct Case {
    name: &'static str,
    args: &'static [&'static str],
    last_file: &'static str,
}

const COMMANDS: [Case; 7] = [
    Case { name: "train", args: &["train", "textcnn", "--out", "out"], last_file: "out/report.html" },
    Case {
        name: "train -v",
        args: &["train", "textcnn", "-v", "--out", "out"],
        last_file: "out/report.html",
    },
    Case {
        name: "--tui",
        args: &["train", "textcnn", "--tui", "--out", "out"],
        last_file: "out/report.html",
    },
    Case {
        name: "--json",
        args: &["train", "textcnn", "--json", "--out", "out"],
        last_file: "out/report.html",
    },
    Case { name: "cv", args: &["cv", "textcnn", "--folds", "2", "--out", "out"], last_file: "out/report.md" },
    Case {
        name: "search",
        args: &["search", "textcnn", "--grid", "optimizer.lr=0.1,0.2", "--out", "out"],
        last_file: "out/report.md",
    },
    Case { name: "resume", args: &["resume", "run", "--tui"], last_file: "run/report.html" },
];

/// Displays without a terminal: name, and the shell command that runs `"$@"`.
const BROKEN: [(&str, &str); 8] = [
    ("closed standard output", r#""$@" >&-"#),
    ("closed standard error", r#""$@" 2>&-"#),
    ("all closed", r#""$@" <&- >&- 2>&-"#),
    ("closed pipe", r#"{ "$@"; echo $? > code; } | true; exit "$(cat code)""#),
    ("closed pipe of errors", r#"{ "$@" 2>&1 >/dev/null; echo $? > code; } | true; exit "$(cat code)""#),
    ("one line is read", r#"{ "$@" 2>&1; echo $? > code; } | head -n 1 >/dev/null; exit "$(cat code)""#),
    ("full disk for errors", r#""$@" 2>/dev/full"#),
    ("no terminal", r#"TERM=dumb "$@""#),
];

/// Terminals: name, and the shell command before the program.
const TERMINALS: [(&str, &str); 6] = [
    ("dumb", "export TERM=dumb;"),
    ("unknown", "unset TERM;"),
    ("one row", "stty rows 1 cols 80;"),
    ("one column", "stty rows 24 cols 1;"),
    ("one cell", "stty rows 1 cols 1;"),
    ("no size", "stty rows 0 cols 0;"),
];

impl Case {
    /// Returns the arguments for a tiny run.
    fn args(&self, epochs: &'static str) -> Vec<&'static str> {
        if self.args[0] == "resume" {
            return [self.args, &["--epochs", epochs]].concat();
        }
        let data = ["--train", "train.csv", "--text", "tweet", "--threads", "1", "--epochs", epochs];
        [self.args, &data, &TINY].concat()
    }

    /// Removes the outputs of an earlier command.
    fn clear(&self, sandbox: &Sandbox) {
        let _ = std::fs::remove_dir_all(sandbox.path("out"));
        let _ = std::fs::remove_file(sandbox.path(self.last_file));
    }
}

/// Returns the commands that show most, and another one.
fn commands(index: usize) -> [&'static Case; 3] {
    let [train, verbose, tui, others @ ..] = &COMMANDS;
    let others = [&[train], &others.iter().collect::<Vec<_>>()[..]].concat();
    [verbose, tui, others[index % others.len()]]
}

#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn has_script() -> bool {
    let has = Command::new("script").arg("--version").output().is_ok_and(|output| output.status.success());
    if !has {
        crate::skip::check("script").unwrap();
        println!("SKIPPED: the program `script`, which opens a terminal, is not installed");
    }
    has
}

/// Runs a shell script in the sandbox, with the program and its arguments as `"$@"`.
fn shell(sandbox: &Sandbox, script: &str, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_faknow")]).args(args);
    command.current_dir(sandbox.path("")).env("OMP_NUM_THREADS", "1").env("TERM", "xterm");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Returns a shell command that runs the arguments, preceded by `before`, in a separate terminal.
fn in_terminal(before: &str, run: &str, args: &[&str]) -> String {
    let words = args.iter().map(|arg| format!("'{arg}'")).collect::<Vec<_>>().join(" ");
    let command =
        format!("{before} {}", run.replace("PROGRAM", &format!("{} {words}", env!("CARGO_BIN_EXE_faknow"))));
    format!("script -qec \"{command}\" /dev/null")
}

#[test]
fn broken_outputs_end_no_command() {
    let sandbox = Sandbox::trained();
    for (index, (display, script)) in BROKEN.iter().enumerate() {
        for case in commands(index) {
            case.clear(&sandbox);
            let status = shell(&sandbox, script, &case.args("3")).status().unwrap();
            assert_eq!(status.code(), Some(0), "{}: {display}", case.name);
            assert!(sandbox.path(case.last_file).exists(), "{}: {display}", case.name);
        }
    }
}

#[test]
fn unusual_terminals_end_no_command() {
    if !has_script() {
        return;
    }
    let sandbox = Sandbox::trained();
    for (index, (display, before)) in TERMINALS.iter().enumerate() {
        for case in commands(index) {
            case.clear(&sandbox);
            let script = in_terminal(before, "PROGRAM", &case.args("3"));
            let status = shell(&sandbox, &script, &[]).status().unwrap();
            assert_eq!(status.code(), Some(0), "{}: {display}", case.name);
            assert!(sandbox.path(case.last_file).exists(), "{}: {display}", case.name);
        }
    }
}

#[test]
fn commands_outlive_their_terminal() {
    if !has_script() {
        return;
    }
    let sandbox = Sandbox::trained();
    for case in &COMMANDS {
        case.clear(&sandbox);
        // The terminal is closed as soon as the first line of the log is written.
        let log = match case.name {
            "cv" => "out/fold-1/metrics.csv",
            "search" => "out/trials/0001/metrics.csv",
            _ => case.last_file,
        };
        let log = log.replace("report.html", "metrics.csv");
        let run = format!("rm -f run/metrics.csv; setsid PROGRAM & until [ -s {log} ]; do sleep 0.01; done");
        let script = in_terminal("", &run, &case.args("40"));
        shell(&sandbox, &script, &[]).status().unwrap();
        wait_for(case.name, || sandbox.path(case.last_file).exists());
    }
}

#[test]
fn live_view_without_its_terminal_can_be_stopped() {
    if !has_script() {
        return;
    }
    let sandbox = Sandbox::new();
    let case = &COMMANDS[2];
    let run = "setsid PROGRAM & echo \\$! > pid; until [ -s out/metrics.csv ]; do sleep 0.01; done";
    let args = [&case.args("1000000")[..], &["--set", "early_stopping.enabled=false"]].concat();
    shell(&sandbox, &in_terminal("", run, &args), &[]).status().unwrap();
    let pid = sandbox.read("pid").trim().to_owned();
    assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
    wait_for("the end", || sandbox.read("out/history.jsonl").contains("\"reason\":\"interrupted\""));
}

#[cfg(target_os = "linux")]
#[test]
fn results_that_cannot_be_written_are_an_error_after_the_run() {
    let sandbox = Sandbox::trained();
    for case in &COMMANDS {
        case.clear(&sandbox);
        let mut command = shell(&sandbox, r#""$@" >/dev/full"#, &case.args("3"));
        let output = command.stderr(Stdio::piped()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{}: {stderr}", case.name);
        let last = stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("error: cannot write the result to standard output: "), "{stderr}");
        assert!(sandbox.path(case.last_file).exists(), "{}", case.name);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn paths_that_are_not_unicode_are_shown_approximately() {
    let sandbox = Sandbox::trained();
    for case in COMMANDS.iter().filter(|case| case.args[0] != "resume") {
        let directory = format!("{}-$(printf '\\377')", case.args[0]);
        let script = format!("\"$@\" --json --out {directory}");
        let args: Vec<_> =
            case.args("2").into_iter().filter(|arg| !["--json", "--out", "out"].contains(arg)).collect();
        let output = shell(&sandbox, &format!("rm -rf {directory}; {script}"), &args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}: {:?}",
            case.name,
            String::from_utf8_lossy(&output.stderr)
        );
        let stdout = String::from_utf8(output.stdout).unwrap();
        let result: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
        let path = result.get("run").or_else(|| result.get("dir")).unwrap();
        assert_eq!(path, &format!("{}-\u{fffd}", case.args[0]), "{}", case.name);
    }
}
