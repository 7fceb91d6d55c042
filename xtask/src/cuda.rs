//! The CUDA libtorch in the per-user cache: PyTorch with all that it needs, installed by pip into a folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::cache::{self, Cache};
use crate::libtorch::{self, Libtorch};
use crate::process;
use crate::python::Python;
use crate::toolchain;
use crate::wheels::{self, Platform};

/// The wheels (2.5 GB) beside what they unpack to (5 GB), with a margin.
const SPACE: u64 = 9_000_000_000;

/// Where the CUDA libtorch lies once it is made.
pub fn place() -> PathBuf {
    cache::folder().join(format!("libtorch-{}-cuda", libtorch::VERSION))
}

/// The CUDA libtorch of the cache; makes it if it is missing, damaged, or `force` asks for a new one.
pub fn provide(force: bool) -> Result<Libtorch> {
    let place = place();
    let found = Libtorch { root: place.join("torch"), origin: "the cache".into(), cuda: true, fresh: false };
    if !force && place.exists() && cache::is_complete(&place) {
        return Ok(found);
    }
    let platform = Platform::of_this_machine()?;
    if !cfg!(target_os = "linux") {
        bail!("--cuda needs Linux; there is no CUDA libtorch for {}", std::env::consts::OS);
    }
    toolchain::require_compilers()?;
    let python = Python::with_pip()?;
    let cache = Cache::lock()?;
    if !force && place.exists() && cache::is_complete(&place) {
        return Ok(found);
    }
    cache.require_space(SPACE)?;
    eprintln!(
        "Installing a CUDA libtorch {} in {} (2.5 GB to fetch, once):",
        libtorch::VERSION,
        place.display()
    );
    make(platform, &python, &cache, &place)?;
    Ok(Libtorch { fresh: true, ..found })
}

fn make(platform: &Platform, python: &Python, cache: &Cache, place: &Path) -> Result<()> {
    let work = cache.work_folder()?;
    let site = work.path.join("site");
    let temporary = work.path.join("tmp");
    fs::create_dir_all(&temporary).with_context(|| format!("cannot make {}", temporary.display()))?;
    let mut pip = python.pip("install");
    pip.args(platform.pip_args()).args(["--no-compile", "--no-warn-script-location", "--target"]).arg(&site);
    pip.arg(format!("torch=={}", libtorch::VERSION)).env("TMPDIR", &temporary);
    wheels::watch(pip, &work.path, "torch with CUDA", None)?;

    let torch = site.join("torch");
    // An empty name after the plus would do; the wheel's own tells the CUDA release.
    let own = fs::read_to_string(torch.join("version.py")).unwrap_or_default();
    let version = python_version(&own).unwrap_or_else(|| libtorch::VERSION.to_string());
    fs::write(torch.join("build-version"), format!("{version}\n")).context("cannot write build-version")?;
    let half_done = libtorch::check(&torch, "the cache")?;
    if !half_done.cuda {
        bail!("the torch {version} that pip installed has no CUDA half");
    }
    toolchain::link_check(&half_done, &work.path)?;
    eprintln!("  a small C++ program links and runs");
    work.publish(&site, place)
}

/// What to tell a user about the GPU of this machine, if something is amiss.
pub fn warning() -> Option<&'static str> {
    let driver = Path::new("/proc/driver/nvidia/version").exists() || process::exists("nvidia-smi");
    (!driver).then_some("no NVIDIA driver is seen on this machine: programs will run, but on the CPU")
}

/// The version in the text of `torch/version.py`.
fn python_version(text: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
    Some(value.trim().trim_matches(['\'', '"']).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_the_wheel() {
        let check =
            |text: &str, expected: Option<&str>| assert_eq!(python_version(text).as_deref(), expected);
        check(
            "from typing import Optional\n__version__ = '2.13.0+cu130'\ndebug = False\n",
            Some("2.13.0+cu130"),
        );
        check("__version__ = \"2.13.0\"\n", Some("2.13.0"));
        check("debug = False\n", None);
    }
}
