//! A server of our own that runs beside a task: `faknow serve` on a free port.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::process;
use crate::program::Program;

/// A server that is ended with this.
pub struct Served {
    child: Child,
    /// Host and port.
    pub address: String,
}

impl Served {
    /// Serves the run `run` of the program's folder, where its log lies too, on a free port.
    pub fn start(program: &Program, run: &str, args: &[&str]) -> Result<Self> {
        let log = program.folder().join("serve.log");
        let mut command = program.command(&["serve", run, "--port", "0", "--device", "cpu"]);
        let mut child = command
            .args(args)
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log)?)
            .spawn()
            .context("cannot start `faknow serve`")?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut server = Self { child, address: String::new() };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let said = || format!("the server does not start: {}", fs::read_to_string(&log).unwrap_or_default());
        let address = line.trim().strip_prefix("listening on http://");
        address.with_context(said)?.clone_into(&mut server.address);
        Ok(server)
    }

    /// All metrics as text.
    pub fn metrics(&self) -> Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    /// Resident memory in MiB, where the system tells it (Linux).
    pub fn resident(&self) -> Result<f64> {
        let path = format!("/proc/{}/status", self.child.id());
        let Ok(status) = fs::read_to_string(&path) else { return Ok(f64::NAN) };
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        Ok(kib.context("no VmRSS")?.parse::<f64>()? / 1024.0)
    }

    /// Asks it to end, which must go well.
    pub fn end(mut self) -> Result<()> {
        process::output(Command::new("kill").args(["-TERM", &self.child.id().to_string()]))?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
