//! The program `faknow` as it is now, used in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::process;
use crate::setup;
use crate::workspace::{Workspace, built_program};

/// The longest that one call of the program may take.
const LIMIT: Duration = Duration::from_secs(900);

/// The program, and a folder that goes with this.
pub struct Program {
    target: PathBuf,
    folder: TempDir,
}

impl Program {
    /// Builds it, after libtorch was set up if it was not.
    pub fn build(workspace: &mut Workspace) -> Result<Self> {
        setup::ensure(workspace)?;
        process::run(&mut workspace.cargo(["build", "--quiet", "-p", "faknow-cli"]))?;
        Ok(Self { target: workspace.target_dir()?, folder: tempfile::tempdir()? })
    }

    /// The folder in which it is used.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A call of it, to be made in the folder.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = built_program(&self.target, "faknow");
        command.args(args).current_dir(self.folder());
        command
    }

    /// Calls it, and answers its standard output; whatever it says is shown only if it fails.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        process::run_quietly(&mut self.command(args), LIMIT)
    }
}
