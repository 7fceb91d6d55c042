//! Programs that are installed in the cache by cargo where none is on the `PATH`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::process;
use crate::setup::cache;
use crate::workspace::Workspace;

/// A program in the registry of crates.
pub struct Tool {
    /// Name of the crate and of the program.
    pub name: &'static str,
    pub version: &'static str,
    /// More options of `cargo install`.
    pub options: &'static str,
}

impl Tool {
    /// Returns the program from the `PATH`, or else from the cache, where it is installed first.
    pub fn provide(&self, workspace: &Workspace) -> Result<PathBuf> {
        let Self { name, version, options } = self;
        if process::exists(&workspace.sh, name) {
            return Ok(name.into());
        }
        let root = cache::directory().join(format!("{name}-{version}"));
        let program = root.join("bin").join(name);
        if !program.is_file() {
            println!("installing {name} {version} in the cache");
            let target = root.join("target");
            let install = workspace
                .cargo(&format!("install {name}@{version} --locked --debug {options}"))
                .arg("--root")
                .arg(&root)
                .env("CARGO_TARGET_DIR", &target)
                .env("CARGO_PROFILE_DEV_DEBUG", "false");
            process::capture(install)
                .with_context(|| format!("cannot install {name}; put `{name}` on the PATH"))?;
            fs::remove_dir_all(&target)?;
        }
        Ok(program)
    }
}
