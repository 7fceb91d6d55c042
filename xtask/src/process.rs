//! Running other programs: shown, measured, and with errors that name the whole command line.

use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Read, Write};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// A wrong call of xtask: exit code 2.
#[derive(Debug)]
pub struct Usage(pub String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Something failed that was told already: exit code 1, without a further line behind the last one.
#[derive(Debug)]
pub struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed")
    }
}

impl std::error::Error for Failed {}

/// The cargo that runs this xtask.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The command as one would type it.
pub fn describe(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program()).file_name().unwrap_or_default();
    let mut words = Vec::new();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            words.push(format!("{}={}", name.to_string_lossy(), quoted(value)));
        }
    }
    words.push(quoted(program));
    words.extend(command.get_args().map(quoted));
    words.join(" ")
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.into_owned() } else { format!("'{word}'") }
}

/// Shows and runs a command; anything but success is an error.
pub fn run(command: &mut Command) -> Result<()> {
    let text = describe(command);
    eprintln!("$ {text}");
    let status = command.status().with_context(|| format!("cannot start `{text}`"))?;
    succeeded(&text, status)
}

/// Runs a command and gives what it wrote to standard output.
pub fn output(command: &mut Command) -> Result<String> {
    let text = describe(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{text}`"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("`{text}` failed ({}): {}", output.status, stderr.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Shows and runs a command; shows what it writes as it comes, and gives it back.
pub fn tee(command: &mut Command) -> Result<(ExitStatus, String)> {
    let text = describe(command);
    eprintln!("$ {text}");
    let (mut child, stdout, stderr) = start_piped(command, &text)?;
    let errors = std::thread::spawn(move || copy_lines(stderr, std::io::stderr()));
    let mut written = copy_lines(stdout, std::io::stdout());
    written.push_str(&errors.join().unwrap_or_default());
    let status = child.wait().with_context(|| format!("cannot wait for `{text}`"))?;
    Ok((status, written))
}

/// Shows and runs a command for at most `limit`, without showing what it writes unless it fails.
pub fn run_quietly(command: &mut Command, limit: Duration) -> Result<String> {
    let text = describe(command);
    let started = Instant::now();
    let (mut child, stdout, stderr) = start_piped(command, &text)?;
    let output = std::thread::spawn(move || read_all(stdout));
    let errors = std::thread::spawn(move || read_all(stderr));
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if started.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            break None;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let (output, errors) = (output.join().unwrap_or_default(), errors.join().unwrap_or_default());
    match status {
        Some(status) if status.success() => Ok(output),
        Some(status) => bail!("`{text}` failed ({status}):\n{output}{errors}"),
        None => bail!("`{text}` did not end within {} s:\n{output}{errors}", limit.as_secs()),
    }
}

fn start_piped(command: &mut Command, text: &str) -> Result<(Child, ChildStdout, ChildStderr)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{text}`"))?;
    let stdout = child.stdout.take().context("no standard output")?;
    let stderr = child.stderr.take().context("no standard error")?;
    Ok((child, stdout, stderr))
}

/// Whether a program of that name can be started.
pub fn exists(program: &str) -> bool {
    let answer = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    answer.is_ok()
}

/// `--color always` where a person looks at the output of a command that writes into our pipe.
pub fn color() -> &'static str {
    let asked_off = std::env::var_os("NO_COLOR").is_some();
    if std::io::stderr().is_terminal() && !asked_off { "always" } else { "never" }
}

fn succeeded(text: &str, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("`{text}` failed ({status})");
    }
    Ok(())
}

fn copy_lines(from: impl Read, mut to: impl Write) -> String {
    let mut all = String::new();
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line), Ok(n) if n > 0) {
        // A reader that went away (`| head`) must not stop the tests.
        let _ = to.write_all(&line);
        let _ = to.flush();
        all.push_str(&String::from_utf8_lossy(&line));
        line.clear();
    }
    all
}

fn read_all(mut from: impl Read) -> String {
    let mut bytes = Vec::new();
    let _ = from.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_typed() {
        let mut command = Command::new("/usr/bin/cargo");
        command.args(["run", "a b", ""]).env("X", "1");
        assert_eq!(describe(&command), "X=1 cargo run 'a b' ''");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = output(&mut Command::new("no-such-program-here")).unwrap_err();
        assert_eq!(error.to_string(), "cannot start `no-such-program-here`");
        assert!(!exists("no-such-program-here"));
    }

    #[cfg(unix)]
    #[test]
    fn a_command_that_hangs_is_ended() {
        let error = run_quietly(Command::new("sleep").arg("60"), Duration::from_millis(100)).unwrap_err();
        assert!(error.to_string().contains("did not end within"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_failure_shows_what_the_program_said() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        let error = run_quietly(&mut command, Duration::from_secs(10)).unwrap_err().to_string();
        assert!(error.contains("out\nerr") && error.contains("3"), "{error}");
    }
}
