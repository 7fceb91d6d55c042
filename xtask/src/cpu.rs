//! The CPU libtorch in the per-user cache, made from wheels.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::cache::{self, Cache};
use crate::libtorch::{self, Libtorch};
use crate::progress::size;
use crate::python::Python;
use crate::toolchain;
use crate::wheels::Platform;

/// What lies on the disk at most at one time: the wheels, pip's copy of one, and the unpacked libraries.
const SPACE: u64 = 1_600_000_000;

/// Where the CPU libtorch lies once it is made.
pub fn place() -> PathBuf {
    cache::folder().join(format!("libtorch-{}-cpu", libtorch::VERSION))
}

/// The CPU libtorch of the cache; makes it if it is missing, damaged, or `force` asks for a new one.
pub fn provide(force: bool) -> Result<Libtorch> {
    let found = Libtorch { root: place(), origin: "the cache".into(), cuda: false, fresh: false };
    if !force && found.root.exists() && cache::is_complete(&found.root) {
        return Ok(found);
    }
    let platform = Platform::of_this_machine()?;
    toolchain::require_compilers()?;
    let python = Python::with_pip()?;
    let cache = Cache::lock()?;
    // Whoever held the lock before may just have made it.
    if !force && found.root.exists() && cache::is_complete(&found.root) {
        return Ok(found);
    }
    cache.require_space(SPACE)?;
    eprintln!(
        "Making a CPU libtorch {} in {} ({} to fetch, once):",
        libtorch::VERSION,
        cache.root.display(),
        size(platform.bytes())
    );
    make(platform, &python, &cache, &found)?;
    Ok(Libtorch { fresh: true, ..found })
}

fn make(platform: &Platform, python: &Python, cache: &Cache, result: &Libtorch) -> Result<()> {
    // Fetched wheels outlive an interrupted run; all else is made in a folder that is renamed at the end.
    let store = cache.root.join("wheels");
    let work = cache.work_folder()?;
    let made = work.path.join("libtorch");
    let lib = made.join("lib");
    for wheel in platform.wheels {
        if let Some(kept) = wheel.kept(&store) {
            match wheel.unpack(&kept, python, &made) {
                Ok(()) => continue,
                Err(error) => eprintln!("  {error:#}; fetching it again"),
            }
        }
        let file = wheel.fetch(platform, python, &store, &work)?;
        wheel.unpack(&file, python, &made)?;
    }
    if platform.needs_front {
        toolchain::link_front(&lib)?;
    }
    let version = format!("{}+cpu\n", libtorch::VERSION);
    fs::write(made.join("build-version"), version).context("cannot write build-version")?;
    let half_done = Libtorch { root: made.clone(), ..result.clone() };
    toolchain::link_check(&half_done, &work.path)?;
    eprintln!("  a small C++ program links and runs");
    work.publish(&made, &result.root)?;
    let _ = fs::remove_dir_all(store);
    Ok(())
}
