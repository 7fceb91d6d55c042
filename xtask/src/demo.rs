//! `cargo xtask demo`: from a clone to a trained detector. Sets up what is missing, builds, and runs `faknow demo`.

use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::process;
use crate::setup;
use crate::workspace::Workspace;

/// Runs `cargo xtask demo`; the arguments go to `faknow demo`, paths among them as seen from the user's folder.
pub fn run(workspace: &mut Workspace, args: &[String]) -> Result<()> {
    setup::ensure(workspace)?;
    let target = workspace.target_dir()?;
    let program = target.join("debug").join(format!("faknow{}", std::env::consts::EXE_SUFFIX));
    if !program.exists() {
        eprintln!("Building. The first time takes 5 to 10 minutes, most of it tch's bindings to libtorch.");
    }
    let started = Instant::now();
    process::run(&mut workspace.cargo(["build", "-p", "faknow-cli"]))?;
    if started.elapsed().as_secs() > 10 {
        eprintln!("Built in {} s.", started.elapsed().as_secs());
    }
    let folder = std::env::current_dir().context("the current folder is gone")?;
    let mut command = crate::workspace::built_program(&target, "faknow");
    process::run(command.arg("demo").args(args).current_dir(folder))
}
