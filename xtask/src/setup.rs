//! `cargo xtask setup`: finds or makes libtorch, checks it, and writes where it is for cargo.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::cache::{self, Cache};
use crate::config::{Config, LIBTORCH_TOML};
use crate::libtorch::{self, Libtorch};
use crate::process::Usage;
use crate::workspace::Workspace;
use crate::{cpu, cuda, python, toolchain};

const HELP: &str = "\
cargo xtask setup [--cuda | --cpu] [--force] [--for DIR]

Finds or makes libtorch 2.13.0 and writes .cargo/libtorch.toml, after which plain cargo commands and the built
programs work without environment variables. The first of these that is there is taken:
  1. LIBTORCH, a folder with include/ and lib/
  2. LIBTORCH_USE_PYTORCH=1, the PyTorch of the active Python
  3. what an earlier setup chose
  4. a system libtorch of the right version, in /usr or /usr/local
  5. a CPU libtorch in the cache, made from Python wheels (540 MB to fetch, 490 MB to keep)

  --cuda     a CUDA libtorch in the cache instead (2.5 GB to fetch, 5 GB to keep)
  --cpu      the CPU libtorch in the cache, whatever an earlier setup chose
  --force    make the one in the cache anew
  --for DIR  configure the crate in DIR, which may lie anywhere

The cache is $FAKNOW_CACHE_DIR, else faknow in the user's cache folder. More: docs/setup.md
";

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    device: Option<Device>,
    force: bool,
    for_folder: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Device {
    Cpu,
    Cuda,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self, Usage> {
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--cuda" | "--cpu" if options.device.is_some() => {
                    return Err(Usage("--cuda and --cpu exclude each other".into()));
                }
                "--cuda" => options.device = Some(Device::Cuda),
                "--cpu" => options.device = Some(Device::Cpu),
                "--force" => options.force = true,
                "--for" => match args.next() {
                    Some(folder) => options.for_folder = Some(folder.into()),
                    None => return Err(Usage("--for needs the folder of a crate".into())),
                },
                _ => return Err(Usage(format!("setup takes no `{arg}`\n\n{HELP}"))),
            }
        }
        Ok(options)
    }
}

/// Runs `cargo xtask setup`.
pub fn run(workspace: &mut Workspace, args: &[String]) -> Result<()> {
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        print!("{HELP}");
        return Ok(());
    }
    let options = Options::parse(args)?;
    let libtorch = choose(workspace, options.device, options.force)?;
    if let Some(folder) = &options.for_folder {
        println!("{}", configure_crate(&libtorch, folder)?);
        return Ok(());
    }
    let changed = record(workspace, &libtorch)?;
    let kind = if libtorch.cuda { "CUDA" } else { "CPU" };
    let state = if changed || libtorch.fresh { "ready" } else { "already there" };
    println!(
        "libtorch {} ({kind}, from {}) is {state}: {}",
        libtorch::VERSION,
        libtorch.origin,
        libtorch.root.display()
    );
    if let Some(warning) = cuda::warning().filter(|_| libtorch.cuda) {
        println!("warning: {warning}");
    }
    warn_of_flags();
    Ok(())
}

/// Makes sure that the workspace can be built, for the other tasks: says something only where there is work to do.
pub fn ensure(workspace: &mut Workspace) -> Result<()> {
    let libtorch = choose(workspace, None, false)?;
    if record(workspace, &libtorch)? {
        eprintln!(
            "libtorch {} from {} is ready: {}",
            libtorch::VERSION,
            libtorch.origin,
            libtorch.root.display()
        );
    }
    warn_of_flags();
    Ok(())
}

/// As [`ensure`]; answers the folder of the libtorch.
pub fn libtorch(workspace: &mut Workspace) -> Result<PathBuf> {
    ensure(workspace)?;
    Ok(choose(workspace, None, false)?.root)
}

/// Configures a crate outside the workspace for the libtorch that the workspace uses; tells what it wrote.
pub fn configure_crate_as(workspace: &mut Workspace, folder: &Path) -> Result<String> {
    let libtorch = choose(workspace, None, false)?;
    configure_crate(&libtorch, folder)
}

fn configure_crate(libtorch: &Libtorch, folder: &Path) -> Result<String> {
    with_config(libtorch, |config| config.write_for(folder))
}

/// Picks the libtorch, in the order that the help tells.
fn choose(workspace: &Workspace, device: Option<Device>, force: bool) -> Result<Libtorch> {
    let use_python = std::env::var_os("LIBTORCH_USE_PYTORCH").is_some();
    if let (Some(device), true) = (device, workspace.exported.is_some() || use_python) {
        let name = if workspace.exported.is_some() { "LIBTORCH" } else { "LIBTORCH_USE_PYTORCH" };
        let flag = if device == Device::Cuda { "--cuda" } else { "--cpu" };
        bail!("{name} is set, and cargo would take that one instead of {flag}'s; unset {name} first");
    }
    if let Some(root) = &workspace.exported {
        return libtorch::check(root, "LIBTORCH").map_err(|error| {
            error
                .context("LIBTORCH is set to what cannot be used; set it right, or unset it to have one made")
        });
    }
    if use_python {
        return python::installed_torch();
    }
    match device {
        Some(Device::Cpu) => return cpu::provide(force),
        Some(Device::Cuda) => return cuda::provide(force),
        None => {}
    }
    if let Some(recorded) = &workspace.recorded {
        if *recorded == cpu::place() {
            return cpu::provide(force);
        }
        if *recorded == cuda::place().join("torch") {
            return cuda::provide(force);
        }
        match libtorch::check(recorded, LIBTORCH_TOML) {
            Ok(found) => return Ok(found),
            Err(error) => eprintln!("  {error:#}; looking for another"),
        }
    }
    if let Some(found) = system_libtorch() {
        return Ok(found);
    }
    cpu::provide(force)
}

/// A libtorch among the system's libraries; one of another version is mentioned and passed over.
fn system_libtorch() -> Option<Libtorch> {
    for root in ["/usr", "/usr/local"].map(Path::new) {
        if !root.join("lib/libtorch.so").exists() {
            continue;
        }
        match libtorch::check(root, "the system") {
            Ok(found) => return Some(found),
            Err(error) => eprintln!("  passed over: {error:#}"),
        }
    }
    None
}

/// Writes the workspace's configuration; checks that a program can be linked if that changes it.
fn record(workspace: &mut Workspace, libtorch: &Libtorch) -> Result<bool> {
    let path = workspace.root.join(LIBTORCH_TOML);
    let changed = with_config(libtorch, |config| {
        if std::fs::read_to_string(&path).is_ok_and(|there| config.text().is_ok_and(|text| there == text)) {
            return Ok(false);
        }
        toolchain::require_compilers()?;
        // Without the lock another run would clear the work folder away.
        let cache = Cache::lock()?;
        let work = cache.work_folder()?;
        toolchain::link_check(libtorch, &work.path)?;
        config.write(&path)
    })?;
    workspace.recorded = Some(libtorch.root.clone());
    Ok(changed)
}

fn with_config<T>(libtorch: &Libtorch, then: impl FnOnce(&Config<'_>) -> Result<T>) -> Result<T> {
    if libtorch.cuda && cfg!(target_os = "linux") {
        let (target, linker) = toolchain::write_cuda_linker(&cache::folder())?;
        return then(&Config { libtorch: &libtorch.root, linker: Some((&target, &linker)) });
    }
    then(&Config { libtorch: &libtorch.root, linker: None })
}

fn warn_of_flags() {
    for warning in flag_warnings(|name| std::env::var_os(name).is_some()) {
        eprintln!("warning: {warning}");
    }
}

/// What in the environment makes cargo forget the flags of the configuration.
fn flag_warnings(is_set: impl Fn(&str) -> bool) -> Vec<String> {
    let names = ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTDOCFLAGS", "CARGO_ENCODED_RUSTDOCFLAGS"];
    let names = names.into_iter().filter(|name| is_set(name));
    names
        .map(|name| {
            format!(
                "{name} is set, so cargo ignores the flags in {LIBTORCH_TOML}, and programs will not find libtorch by \
                 themselves; unset it (docs/setup.md)"
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        let parse = |line: &str| {
            let args: Vec<String> = line.split_whitespace().map(String::from).collect();
            Options::parse(&args).map_err(|error| error.0.lines().next().unwrap_or_default().to_string())
        };
        let options = |device, force, folder: Option<&str>| {
            Ok(Options { device, force, for_folder: folder.map(PathBuf::from) })
        };
        assert_eq!(parse(""), options(None, false, None));
        assert_eq!(parse("--cuda --force"), options(Some(Device::Cuda), true, None));
        assert_eq!(parse("--cpu --for ../x"), options(Some(Device::Cpu), false, Some("../x")));
        assert_eq!(parse("--cuda --cpu"), Err("--cuda and --cpu exclude each other".into()));
        assert_eq!(parse("--for"), Err("--for needs the folder of a crate".into()));
        assert_eq!(parse("--gpu"), Err("setup takes no `--gpu`".into()));
    }

    #[test]
    fn variables_that_hide_the_configuration_are_named() {
        assert!(flag_warnings(|_| false).is_empty());
        let warnings = flag_warnings(|name| name == "RUSTFLAGS");
        assert!(matches!(&warnings[..], [one] if one.starts_with("RUSTFLAGS is set")), "{warnings:?}");
    }
}
