//! Where the workspace is, how its cargo is called, and which libtorch its configuration names.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::Value;
use xshell::{Cmd, Shell};

use crate::setup::config;

/// The workspace that this xtask belongs to.
pub struct Workspace {
    /// The directory of the root `Cargo.toml`.
    pub root: PathBuf,
    /// Runs programs in `root`.
    pub sh: Shell,
    /// The directory that `.cargo/libtorch.toml` names, if that file exists.
    pub recorded: Option<PathBuf>,
    /// `LIBTORCH` as the user exported it; cargo's own copy of `recorded` does not count.
    pub exported: Option<PathBuf>,
}

impl Workspace {
    /// Opens the workspace around the running xtask.
    pub fn open() -> Result<Self> {
        // `cargo run` sets the current directory of the crate; the built-in one may be older than a move of the clone.
        let manifest_dir =
            std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
        let root =
            PathBuf::from(manifest_dir).parent().context("xtask has no parent directory")?.to_path_buf();
        let recorded = config::recorded_libtorch(&root.join(config::LIBTORCH_TOML));
        // Cargo hands the `[env]` of its configuration to `cargo run`, hence to xtask.
        let exported = std::env::var_os("LIBTORCH").filter(|it| !it.is_empty()).map(PathBuf::from);
        let exported = exported.filter(|it| Some(it) != recorded.as_ref());
        let sh = Shell::new()?;
        sh.change_dir(&root);
        Ok(Self { root, sh, recorded, exported })
    }

    /// Returns a cargo command that reads the workspace's configuration again, also after `setup` changed it.
    ///
    /// It runs in the workspace's root, since cargo looks for its configuration from the current directory upwards.
    pub fn cargo(&self, args: &str) -> Cmd<'_> {
        let command = self.sh.cmd("cargo").args(args.split_whitespace());
        if self.exported.is_none() { command.env_remove("LIBTORCH") } else { command }
    }

    /// Returns `cargo metadata` of the entire dependency graph.
    pub fn metadata(&self) -> Result<Value> {
        let output = self.cargo("metadata --format-version 1").read()?;
        serde_json::from_str(&output).context("cannot parse the output of `cargo metadata`")
    }

    /// Returns where cargo writes what it builds.
    pub fn target_dir(&self) -> Result<PathBuf> {
        let metadata: Value =
            serde_json::from_str(&self.cargo("metadata --format-version 1 --no-deps").read()?)?;
        let path =
            metadata["target_directory"].as_str().context("`cargo metadata` names no target directory")?;
        Ok(PathBuf::from(path))
    }

    /// Returns the directory with the shared datasets and reference values, if this machine has it.
    pub fn shared(&self) -> Option<PathBuf> {
        let path = match std::env::var_os("FAKNOW_SHARED") {
            Some(it) => PathBuf::from(it),
            None => self.root.parent()?.join("shared"),
        };
        path.join("data").is_dir().then_some(path)
    }
}

/// Returns the packages of the workspace that are published, from `cargo metadata`.
pub fn published(metadata: &Value) -> Result<Vec<&Value>> {
    let members = metadata["workspace_members"].as_array().context("`cargo metadata` names no members")?;
    let packages = metadata["packages"].as_array().context("`cargo metadata` names no packages")?;
    let is_published = |it: &&Value| members.contains(&it["id"]) && !it["publish"].is_array();
    Ok(packages.iter().filter(is_published).collect())
}
