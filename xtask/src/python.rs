//! Python: which one to use, whether it has pip, and what a PyTorch in it says of itself.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::libtorch::{self, Libtorch};
use crate::process;

const TORCH_DETAILS: &str =
    "import os, torch; print(torch.__version__); print(os.path.dirname(torch.__file__))";

/// A Python that can fetch and unpack wheels.
pub struct Python {
    program: OsString,
}

impl Python {
    /// Finds a Python with pip: `FAKNOW_PYTHON`, the one of an active virtual environment, or `python3`.
    pub fn with_pip() -> Result<Self> {
        let mut without_pip = None;
        for program in candidates() {
            match state(&program) {
                State::Absent => {}
                State::WithoutPip(reason) => without_pip = without_pip.or(Some((program, reason))),
                State::Ready => return Ok(Self { program }),
            }
        }
        let own = "or set LIBTORCH to a libtorch 2.13.0 of your own (docs/setup.md)";
        let Some((program, reason)) = without_pip else {
            bail!(
                "no Python 3.7 or newer: libtorch is fetched with Python's pip. Install it: {}; {own}",
                install_hint("python3 python3-pip")
            );
        };
        let program = program.to_string_lossy();
        bail!(
            "`{program}` has no pip ({reason}), which fetches libtorch. Install it: {}, or `{program} -m ensurepip \
             --user`; {own}",
            install_hint("python3-pip")
        );
    }

    /// A command that runs this Python.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.stdin(Stdio::null()).env("PYTHONUNBUFFERED", "1");
        command
    }

    /// A command that runs pip, without questions, bars and whatever else a user's settings may add.
    pub fn pip(&self, task: &str) -> Command {
        let mut command = self.command();
        command.args(["-m", "pip", task, "--no-input", "--progress-bar", "off", "--no-cache-dir"]);
        command.arg("--disable-pip-version-check").env("PIP_REQUIRE_VIRTUALENV", "0");
        command
    }
}

/// The libtorch inside an installed PyTorch, asked from the same Python that tch's build script asks.
pub fn installed_torch() -> Result<Libtorch> {
    let program = if std::env::var_os("VIRTUAL_ENV").is_some() { "python" } else { "python3" };
    let origin = "LIBTORCH_USE_PYTORCH";
    let answer = match process::output(Command::new(program).args(["-c", TORCH_DETAILS])) {
        Ok(answer) => answer,
        Err(error) => {
            let version = libtorch::VERSION;
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default();
            bail!(
                "{origin} is set, but `{program}` cannot import torch ({reason}); run `{program} -m pip install \
                 torch=={version}`, or unset {origin}"
            );
        }
    };
    let lines: Vec<&str> = answer.lines().collect();
    let [version, folder] = lines[..] else {
        bail!("{origin} is set, but `{program}` answers `{}` when asked for torch", answer.trim());
    };
    if libtorch::plain(version) != libtorch::VERSION
        && std::env::var_os("LIBTORCH_BYPASS_VERSION_CHECK").is_none()
    {
        bail!(
            "{origin} is set, but `{program}` has torch {version}; it must be exactly {}: run `{program} -m pip \
             install torch=={}`, or unset {origin}",
            libtorch::VERSION,
            libtorch::VERSION
        );
    }
    libtorch::check(Path::new(folder), origin)
}

enum State {
    Absent,
    WithoutPip(String),
    Ready,
}

fn candidates() -> Vec<OsString> {
    if let Some(own) = std::env::var_os("FAKNOW_PYTHON") {
        return vec![own];
    }
    let environment = std::env::var_os("VIRTUAL_ENV").map(|it| PathBuf::from(it).join("bin/python").into());
    environment.into_iter().chain(["python3", "/usr/bin/python3", "python"].map(OsString::from)).collect()
}

fn state(program: &OsString) -> State {
    let version = "import sys, zipfile, zlib, hashlib; sys.exit(sys.version_info < (3, 7))";
    if process::output(Command::new(program).args(["-c", version])).is_err() {
        return State::Absent;
    }
    match process::output(Command::new(program).args(["-m", "pip", "--version"])) {
        Ok(_) => State::Ready,
        Err(error) => {
            let reason = error.to_string();
            State::WithoutPip(reason.lines().last().unwrap_or_default().trim().to_string())
        }
    }
}

fn install_hint(debian: &str) -> String {
    if cfg!(target_os = "macos") {
        return "xcode-select --install (it brings python3)".into();
    }
    format!("`apt-get install {debian}`, or your system's packages of that name")
}
