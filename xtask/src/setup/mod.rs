//! `cargo xtask setup`: finds or makes libtorch, checks it, and writes where it is for cargo.

pub mod cache;
pub mod config;
mod libtorch;
mod provide;
pub mod python;
mod toolchain;
pub mod wheels;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::process;
use crate::workspace::Workspace;
use cache::Cache;
use config::{Config, LIBTORCH_TOML};
use libtorch::Libtorch;
use provide::{Kind, provide};

const HELP: &str = "\
Writes .cargo/libtorch.toml, after which plain cargo commands and the built programs work without environment
variables. The first of these that is there is taken:
  1. LIBTORCH, a directory with include/ and lib/
  2. LIBTORCH_USE_PYTORCH=1, the PyTorch of the active Python
  3. what an earlier setup chose
  4. a system libtorch of the right version, in /usr or /usr/local
  5. a CPU libtorch in the cache, made from Python wheels (540 MB to fetch, 490 MB to keep)

The cache is $FAKNOW_CACHE_DIR, else faknow in the user's cache directory. More: docs/installation.md";

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// Take a CUDA libtorch in the cache instead (2.5 GB to fetch, 5 GB to keep)
    #[arg(long, conflicts_with = "cpu")]
    cuda: bool,
    /// Take the CPU libtorch in the cache, whatever an earlier setup chose
    #[arg(long)]
    cpu: bool,
    /// Make the one in the cache again
    #[arg(long)]
    force: bool,
    /// Configure the crate in this directory, wherever it is
    #[arg(long = "for", value_name = "DIR")]
    for_dir: Option<PathBuf>,
}

/// Runs `cargo xtask setup`.
pub fn run(workspace: &mut Workspace, args: &Args) -> Result<()> {
    let kind = args.cuda.then_some(Kind::Cuda).or(args.cpu.then_some(Kind::Cpu));
    let libtorch = choose(workspace, kind, args.force)?;
    if let Some(dir) = &args.for_dir {
        println!("{}", configuration(workspace, &libtorch)?.write_for(dir)?);
        return Ok(());
    }
    let changed = record(workspace, &libtorch)?;
    let kind = if libtorch.cuda { "CUDA" } else { "CPU" };
    let state = if changed || libtorch.fresh { "ready" } else { "already there" };
    let Libtorch { root, origin, .. } = &libtorch;
    println!("libtorch {} ({kind}, from {origin}) is {state}: {}", libtorch::VERSION, root.display());
    let has_driver =
        || Path::new("/proc/driver/nvidia/version").exists() || process::exists(&workspace.sh, "nvidia-smi");
    if libtorch.cuda && !has_driver() {
        println!("warning: no NVIDIA driver on this machine: programs will run, but on the CPU");
    }
    Ok(())
}

/// Makes sure that the workspace can be built, for the other tasks: prints something only where there is work to do.
pub fn ensure(workspace: &mut Workspace) -> Result<()> {
    libtorch(workspace).map(drop)
}

/// Does the same as [`ensure`] and returns the directory of libtorch.
pub fn libtorch(workspace: &mut Workspace) -> Result<PathBuf> {
    let libtorch = choose(workspace, None, false)?;
    if record(workspace, &libtorch)? {
        let Libtorch { root, origin, .. } = &libtorch;
        eprintln!("libtorch {} from {origin} is ready: {}", libtorch::VERSION, root.display());
    }
    Ok(libtorch.root)
}

/// Configures a crate outside the workspace for the libtorch that the workspace uses; returns what it wrote.
pub fn configure_crate_as(workspace: &Workspace, dir: &Path) -> Result<String> {
    let libtorch = choose(workspace, None, false)?;
    configuration(workspace, &libtorch)?.write_for(dir)
}

/// Picks the libtorch, in the order of the help.
fn choose(workspace: &Workspace, kind: Option<Kind>, force: bool) -> Result<Libtorch> {
    let sh = &workspace.sh;
    let use_python = std::env::var_os("LIBTORCH_USE_PYTORCH").is_some();
    if let (Some(kind), true) = (kind, workspace.exported.is_some() || use_python) {
        let name = if workspace.exported.is_some() { "LIBTORCH" } else { "LIBTORCH_USE_PYTORCH" };
        bail!(
            "{name} is set, and cargo would take that one instead of --{}'s; unset {name} first",
            kind.name()
        );
    }
    if let Some(root) = &workspace.exported {
        let hint = "LIBTORCH cannot be used; set it right, or unset it to have a libtorch made";
        return libtorch::check(root, "LIBTORCH").context(hint);
    }
    if use_python {
        return python::installed_torch(sh);
    }
    if let Some(kind) = kind {
        return provide(sh, kind, force);
    }
    if let Some(recorded) = &workspace.recorded {
        if let Some(kind) = [Kind::Cpu, Kind::Cuda].into_iter().find(|kind| kind.root() == *recorded) {
            return provide(sh, kind, force);
        }
        match libtorch::check(recorded, LIBTORCH_TOML) {
            Ok(found) => return Ok(found),
            Err(error) => eprintln!("  {error:#}; looking for another"),
        }
    }
    for root in
        ["/usr", "/usr/local"].map(Path::new).into_iter().filter(|root| root.join("lib/libtorch.so").exists())
    {
        match libtorch::check(root, "the system") {
            Ok(found) => return Ok(found),
            Err(error) => eprintln!("  passed over: {error:#}"),
        }
    }
    provide(sh, Kind::Cpu, force)
}

/// Writes the workspace's configuration; checks that a program can be linked if that changes it.
fn record(workspace: &mut Workspace, libtorch: &Libtorch) -> Result<bool> {
    let path = workspace.root.join(LIBTORCH_TOML);
    let config = configuration(workspace, libtorch)?;
    let text = config.text()?;
    let is_new = std::fs::read_to_string(&path).ok().as_ref() != Some(&text);
    if is_new {
        toolchain::require_compilers(&workspace.sh)?;
        // Without the lock another run would remove the work directory.
        let cache = Cache::lock()?;
        toolchain::link_check(&workspace.sh, libtorch, cache.work_dir()?.path())?;
        config.write(&path)?;
    }
    workspace.recorded = Some(libtorch.root.clone());
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTDOCFLAGS", "CARGO_ENCODED_RUSTDOCFLAGS"] {
        if std::env::var_os(name).is_some() {
            eprintln!(
                "warning: {name} is set, so cargo ignores the flags in {LIBTORCH_TOML}, and programs will not find \
                 libtorch by themselves; unset it (docs/installation.md)"
            );
        }
    }
    Ok(is_new)
}

fn configuration<'a>(workspace: &Workspace, libtorch: &'a Libtorch) -> Result<Config<'a>> {
    let needs_linker = libtorch.cuda && cfg!(target_os = "linux");
    let linker =
        needs_linker.then(|| toolchain::write_cuda_linker(&workspace.sh, &cache::directory())).transpose()?;
    Ok(Config { libtorch: &libtorch.root, linker })
}
