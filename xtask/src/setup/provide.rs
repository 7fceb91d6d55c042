//! The libtorch in the per-user cache: the CPU one made from wheels, the CUDA one installed by pip into a directory.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use xshell::Shell;

use super::cache::{self, Cache};
use super::libtorch::{self, Libtorch, VERSION};
use super::python::Python;
use super::toolchain;
use super::wheels::{self, Platform};

/// Which libtorch of the cache is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Cpu,
    Cuda,
}

impl Kind {
    /// Returns the option that asks for it.
    pub fn name(self) -> &'static str {
        if self == Self::Cpu { "cpu" } else { "cuda" }
    }

    /// Returns the directory in the cache that setup creates in one step.
    fn place(self) -> PathBuf {
        cache::directory().join(format!("libtorch-{VERSION}-{}", self.name()))
    }

    /// Returns where its `include/` and `lib/` are.
    pub fn root(self) -> PathBuf {
        if self == Self::Cpu { self.place() } else { self.place().join("torch") }
    }

    /// Returns what needs disk space at one time: the wheels, pip's copy of one, and what they unpack to.
    fn space(self) -> u64 {
        if self == Self::Cpu { 1_600_000_000 } else { 9_000_000_000 }
    }
}

/// Returns the libtorch of the cache; makes it if it is missing, corrupted, or `force` asks for a new one.
pub fn provide(sh: &Shell, kind: Kind, force: bool) -> Result<Libtorch> {
    let place = kind.place();
    let found =
        Libtorch { root: kind.root(), origin: "the cache".into(), cuda: kind == Kind::Cuda, fresh: false };
    if !force && place.exists() && cache::is_complete(&place) {
        return Ok(found);
    }
    let platform = Platform::of_this_machine()?;
    if kind == Kind::Cuda && !cfg!(target_os = "linux") {
        bail!("--cuda needs Linux; there is no CUDA libtorch for {}", std::env::consts::OS);
    }
    toolchain::require_compilers(sh)?;
    let python = Python::with_pip(sh)?;
    let cache = Cache::lock()?;
    // The previous holder of the lock may just have created it.
    if !force && place.exists() && cache::is_complete(&place) {
        return Ok(found);
    }
    cache.require_space(kind.space())?;
    let megabytes = if kind == Kind::Cpu { platform.megabytes } else { 2_500 };
    eprintln!("Making a libtorch {VERSION} in {} ({megabytes} MB to fetch, once):", place.display());
    let work = cache.work_dir()?;
    let (made, root) = match kind {
        Kind::Cpu => {
            let made = work.path().join("libtorch");
            make_cpu(platform, &python, &cache, work.path(), &made)?;
            (made.clone(), made)
        }
        Kind::Cuda => {
            let site = work.path().join("site");
            make_cuda(platform, &python, work.path(), &site)?;
            (site.clone(), site.join("torch"))
        }
    };
    toolchain::link_check(sh, &Libtorch { root, ..found.clone() }, work.path())?;
    eprintln!("  a small C++ program links and runs");
    cache::publish(work.path(), &made, &place)?;
    let _ = fs::remove_dir_all(cache.root.join("wheels"));
    Ok(Libtorch { fresh: true, ..found })
}

fn make_cpu(platform: &Platform, python: &Python, cache: &Cache, work: &Path, made: &Path) -> Result<()> {
    // Fetched wheels outlive an interrupted run; all else is made in a directory that is renamed at the end.
    platform.fetch(python, &cache.root.join("wheels"), work, made)?;
    if platform.needs_front {
        toolchain::link_front(&python.sh, &made.join("lib"))?;
    }
    fs::write(made.join("build-version"), format!("{VERSION}+cpu\n")).context("cannot write build-version")
}

fn make_cuda(platform: &Platform, python: &Python, work: &Path, site: &Path) -> Result<()> {
    let temporary = python.sh.create_dir(work.join("tmp"))?;
    let pip = python.pip("install").args(platform.pip_args());
    let pip = pip.args(["--no-compile", "--no-warn-script-location", "--target"]).arg(site);
    wheels::run_pip(pip.arg(format!("torch=={VERSION}")).env("TMPDIR", temporary), "torch with CUDA")?;

    let torch = site.join("torch");
    // The wheel's own version names the CUDA release.
    let own = fs::read_to_string(torch.join("version.py")).unwrap_or_default();
    let version = own.lines().find_map(|line| line.strip_prefix("__version__ = "));
    let version = version.map_or(VERSION, |it| it.trim().trim_matches(['\'', '"']));
    fs::write(torch.join("build-version"), format!("{version}\n")).context("cannot write build-version")?;
    ensure!(
        libtorch::check(&torch, "the cache")?.cuda,
        "the torch {version} that pip installed has no CUDA half"
    );
    Ok(())
}
