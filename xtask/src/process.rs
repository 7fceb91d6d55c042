//! Running other programs in the two ways that xshell does not offer: with a time limit, and shown while captured.

use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Read as _, Seek as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use xshell::{Cmd, Shell};

/// The longest that a captured program may take.
const LIMIT: Duration = Duration::from_secs(1800);

/// Runs a command and returns its standard output; shows both outputs only in the error if it fails or takes too long.
pub fn capture(command: Cmd<'_>) -> Result<String> {
    capture_within(command, LIMIT)
}

fn capture_within(command: Cmd<'_>, limit: Duration) -> Result<String> {
    let text = command.to_string();
    let (stdout, stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let mut child = Command::from(command)
        .stdin(Stdio::null())
        .stdout(stdout.try_clone()?)
        .stderr(stderr.try_clone()?)
        .spawn()
        .with_context(|| format!("cannot start `{text}`"))?;
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if started.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            break None;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let [stdout, stderr] = [stdout, stderr].map(|mut file| {
        let mut bytes = Vec::new();
        let _ = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    });
    match status {
        Some(status) if status.success() => Ok(stdout),
        Some(status) => bail!("`{text}` failed ({status}):\n{stdout}{stderr}"),
        None => bail!("`{text}` did not finish within {} s:\n{stdout}{stderr}", limit.as_secs()),
    }
}

/// Runs a command, shows what it writes as it comes, and returns whether it succeeded and all that it wrote.
pub fn tee(command: Cmd<'_>) -> Result<(bool, String)> {
    let text = command.to_string();
    eprintln!("$ {text}");
    let (reader, writer) = io::pipe()?;
    let mut child = Command::from(command)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .with_context(|| format!("cannot start `{text}`"))?;
    let mut written = String::new();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line), Ok(n) if n > 0) {
        // A reader that went away (`| head`) must not stop the tests.
        let _ = io::stdout().write_all(&line);
        written.push_str(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok((child.wait()?.success(), written))
}

/// Returns whether a program of that name can be started.
pub fn exists(sh: &Shell, program: &str) -> bool {
    sh.cmd(program).arg("--version").quiet().ignore_status().ignore_stdout().ignore_stderr().run().is_ok()
}

/// Returns `always` where the output that is passed through a pipe ends on a terminal, else `never`.
pub fn color() -> &'static str {
    let refused = std::env::var_os("NO_COLOR").is_some();
    if io::stderr().is_terminal() && !refused { "always" } else { "never" }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use xshell::cmd;

    #[test]
    fn failures_name_the_command_and_show_its_output() {
        let sh = Shell::new().unwrap();
        let limit = Duration::from_millis(300);
        let check = |command: Cmd<'_>, expected: &str| {
            let error = capture_within(command, limit).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(cmd!(sh, "no-such-program-here"), "cannot start `no-such-program-here`");
        check(cmd!(sh, "sleep 60"), "`sleep 60` did not finish within");
        check(cmd!(sh, "sh -c 'echo out; echo err >&2; exit 3'"), "out\nerr");
        assert!(!exists(&sh, "no-such-program-here"));
        assert_eq!(capture_within(cmd!(sh, "echo a"), limit).unwrap(), "a\n");
        let (succeeded, written) = tee(cmd!(sh, "sh -c 'echo out; echo err >&2; exit 3'")).unwrap();
        assert_eq!((succeeded, written.as_str()), (false, "out\nerr\n"));
    }
}
