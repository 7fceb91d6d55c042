//! The program `faknow` as it is now, used in a temporary directory, and a server that it runs there.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;
use xshell::{Cmd, Shell, cmd};

use crate::workspace::Workspace;
use crate::{process, setup};

/// Returns a shell that finds the programs in `target`'s debug directory, with nothing in its environment that helps them find libtorch.
pub fn shell(target: &Path, dir: impl AsRef<Path>) -> Result<Shell> {
    let sh = Shell::new()?;
    sh.change_dir(dir);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([target.join("debug")].into_iter().chain(std::env::split_paths(&path)))?;
    sh.set_var("PATH", path);
    for variable in ["LIBTORCH", "LIBTORCH_USE_PYTORCH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
        sh.set_var(variable, "");
    }
    Ok(sh)
}

/// The built program and its directory, which is removed with this.
pub struct Program {
    /// Runs `faknow` in the directory.
    pub sh: Shell,
    dir: TempDir,
}

impl Program {
    /// Builds the program, after libtorch was set up if it was not.
    pub fn build(workspace: &mut Workspace) -> Result<Self> {
        setup::ensure(workspace)?;
        workspace.cargo("build --quiet -p faknow-cli").run()?;
        let dir = tempfile::tempdir()?;
        Ok(Self { sh: shell(&workspace.target_dir()?, dir.path())?, dir })
    }

    /// Returns a path in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs `faknow` with arguments that contain no blanks, and returns its standard output.
    pub fn run(&self, args: &str) -> Result<String> {
        process::capture(self.sh.cmd("faknow").args(args.split_whitespace()))
    }

    /// Serves the run directory `demo` on a free port.
    pub fn serve(&self, args: &[&str]) -> Result<Server> {
        self.serve_run("demo", args)
    }

    /// Serves a run directory on a free port.
    pub fn serve_run(&self, run: &str, args: &[&str]) -> Result<Server> {
        let command = cmd!(self.sh, "faknow serve {run} --port 0 --device cpu {args...}");
        Server::start(command, &self.path("serve.log"))
    }
}

/// A server that is killed with this.
pub struct Server {
    child: Child,
    /// Host and port.
    pub address: String,
}

impl Server {
    /// Starts a command that prints the address of its server, with its standard error in `log`.
    pub fn start(command: Cmd<'_>, log: &Path) -> Result<Self> {
        let mut child = Command::from(command)
            .stdout(Stdio::piped())
            .stderr(fs::File::create(log)?)
            .spawn()
            .context("cannot start the server")?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut server = Self { child, address: String::new() };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let reason = || format!("the server does not start: {}", fs::read_to_string(log).unwrap_or_default());
        server.address = line.trim().strip_prefix("listening on http://").with_context(reason)?.to_owned();
        Ok(server)
    }

    /// Returns all metrics as text.
    pub fn metrics(&self) -> Result<String> {
        self.request("GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    }

    /// Posts JSON, and returns the response with its head.
    pub fn post(&self, path: &str, body: &str) -> Result<String> {
        let head = "host: x\r\nconnection: close\r\ncontent-type: application/json";
        self.request(&format!(
            "POST {path} HTTP/1.1\r\n{head}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    fn request(&self, request: &str) -> Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.write_all(request.as_bytes())?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    /// Returns the resident memory in MiB; NaN where the system does not report it (other than Linux).
    pub fn resident(&self) -> Result<f64> {
        let Ok(status) = fs::read_to_string(format!("/proc/{}/status", self.child.id())) else {
            return Ok(f64::NAN);
        };
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        Ok(kib.context("no VmRSS")?.parse::<f64>()? / 1024.0)
    }

    /// Asks the server to shut down, which must succeed.
    pub fn shut_down(mut self) -> Result<()> {
        let id = self.child.id().to_string();
        Shell::new()?.cmd("kill").args(["-TERM", &id]).quiet().run()?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
