//! Python: which one to use, whether it has pip, and the PyTorch in it.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use xshell::{Cmd, Shell, cmd};

use super::libtorch::{self, Libtorch, VERSION};

/// A Python that can fetch and unpack wheels.
pub struct Python {
    /// The program's name or path.
    pub program: String,
    /// Runs it.
    pub sh: Shell,
}

impl Python {
    /// Finds a Python with pip: `FAKNOW_PYTHON`, the one of an active virtual environment, or `python3`.
    pub fn with_pip(sh: &Shell) -> Result<Self> {
        let own = "or set LIBTORCH to a custom libtorch 2.13.0 (docs/installation.md)";
        let mut without_pip = None;
        for program in candidates() {
            let needed = "import sys, zipfile, zlib, hashlib; sys.exit(sys.version_info < (3, 7))";
            if cmd!(sh, "{program} -c {needed}").quiet().ignore_stderr().run().is_err() {
                continue;
            }
            if cmd!(sh, "{program} -m pip --version").quiet().ignore_stdout().ignore_stderr().run().is_ok() {
                return Ok(Self { program, sh: sh.clone() });
            }
            without_pip = without_pip.or(Some(program));
        }
        let Some(program) = without_pip else {
            let hint = install_hint("python3 python3-pip");
            bail!("no Python 3.7 or newer: libtorch is fetched with Python's pip. Install it: {hint}; {own}");
        };
        let hint = install_hint("python3-pip");
        bail!(
            "`{program}` has no pip, which fetches libtorch. Install it: {hint}, or `{program} -m ensurepip --user`; {own}"
        )
    }

    /// Returns a command that runs pip, without questions and whatever else a user's settings may add.
    pub fn pip(&self, task: &str) -> Cmd<'_> {
        let program = &self.program;
        let command =
            cmd!(self.sh, "{program} -m pip {task} --no-input --no-cache-dir --disable-pip-version-check");
        command.env("PIP_REQUIRE_VIRTUALENV", "0").env("PYTHONUNBUFFERED", "1")
    }
}

/// Returns the libtorch inside an installed PyTorch, of the same Python that tch's build script runs.
pub fn installed_torch(sh: &Shell) -> Result<Libtorch> {
    let program = if std::env::var_os("VIRTUAL_ENV").is_some() { "python" } else { "python3" };
    let origin = "LIBTORCH_USE_PYTORCH";
    let code = "import os, torch; print(torch.__version__, os.path.dirname(torch.__file__), sep='\\n')";
    let hint = || {
        format!(
            "{origin} is set, but `{program}` cannot import torch {VERSION}; run `{program} -m pip install torch=={VERSION}`, or unset {origin}"
        )
    };
    let output = cmd!(sh, "{program} -c {code}").read().with_context(hint)?;
    let (version, path) = output.split_once('\n').with_context(hint)?;
    let is_right = libtorch::plain(version) == VERSION || libtorch::is_version_check_bypassed();
    ensure!(is_right, "{}: it has torch {version}", hint());
    libtorch::check(path.as_ref(), origin)
}

fn candidates() -> Vec<String> {
    if let Ok(own) = std::env::var("FAKNOW_PYTHON") {
        return vec![own];
    }
    let environment = std::env::var_os("VIRTUAL_ENV").map(|it| PathBuf::from(it).join("bin/python"));
    let environment = environment.map(|path| path.to_string_lossy().into_owned());
    environment.into_iter().chain(["python3", "/usr/bin/python3", "python"].map(String::from)).collect()
}

fn install_hint(debian: &str) -> String {
    if cfg!(target_os = "macos") {
        return "xcode-select --install (it brings python3)".into();
    }
    format!("`apt-get install {debian}`, or your system's packages of that name")
}
