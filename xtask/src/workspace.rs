//! Where the workspace lies, how its cargo is called, and which libtorch its configuration names.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{config, process};

/// The workspace that this xtask belongs to.
pub struct Workspace {
    /// The folder of the root `Cargo.toml`.
    pub root: PathBuf,
    /// The folder that `.cargo/libtorch.toml` names, if that file is there.
    pub recorded: Option<PathBuf>,
    /// `LIBTORCH` as the user exported it; cargo's own copy of `recorded` does not count.
    pub exported: Option<PathBuf>,
}

impl Workspace {
    /// Opens the workspace around the running xtask.
    pub fn open() -> Result<Self> {
        // `cargo run` gives the folder as it is now; the built-in one may be older than a move of the clone.
        let manifest_dir = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest_dir.parent().context("xtask lies in no folder")?.to_path_buf();
        let recorded = config::recorded_libtorch(&root.join(config::LIBTORCH_TOML));
        // Cargo hands the `[env]` of its configuration to `cargo run`, hence to xtask.
        let exported = std::env::var_os("LIBTORCH").filter(|it| !it.is_empty()).map(PathBuf::from);
        let exported = exported.filter(|it| Some(it) != recorded.as_ref());
        Ok(Self { root, recorded, exported })
    }

    /// A cargo command that reads the workspace's configuration afresh, also after `setup` changed it.
    ///
    /// It runs in the workspace's root, since cargo looks for its configuration from the current folder upwards.
    pub fn cargo<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = process::cargo();
        command.args(args).current_dir(&self.root);
        if self.exported.is_none() {
            command.env_remove("LIBTORCH");
        }
        command
    }

    /// `cargo metadata` of the whole dependency graph.
    pub fn metadata(&self) -> Result<Value> {
        let output = process::output(&mut self.cargo(["metadata", "--format-version", "1"]))?;
        serde_json::from_str(&output).context("cannot read the answer of `cargo metadata`")
    }

    /// Where cargo puts what it builds.
    pub fn target_dir(&self) -> Result<PathBuf> {
        let output = process::output(&mut self.cargo(["metadata", "--format-version", "1", "--no-deps"]))?;
        let metadata: Value = serde_json::from_str(&output)?;
        let folder =
            metadata["target_directory"].as_str().context("`cargo metadata` names no target folder")?;
        Ok(PathBuf::from(folder))
    }

    /// The folder with the shared data sets and reference values, if this machine has it.
    pub fn shared(&self) -> Option<PathBuf> {
        let folder = match std::env::var_os("FAKNOW_SHARED") {
            Some(it) => PathBuf::from(it),
            None => self.root.parent()?.join("shared"),
        };
        folder.join("data").is_dir().then_some(folder)
    }

    /// A path as the user would write it from the root.
    pub fn relative<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

/// A `Command` for a program that was built here, with nothing in its environment that helps it to find libtorch.
pub fn built_program(target_dir: &Path, name: &str) -> Command {
    let mut command = Command::new(target_dir.join("debug").join(name));
    for variable in ["LIBTORCH", "LIBTORCH_USE_PYTORCH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
        command.env_remove(variable);
    }
    command
}
