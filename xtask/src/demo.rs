//! `cargo xtask demo`: from a clone to a trained detector. Sets up what is missing, builds, and runs `faknow demo`.

use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::workspace::Workspace;
use crate::{program, setup};

#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// Options of `faknow demo`
    #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
    options: Vec<String>,
}

/// Runs `cargo xtask demo`; paths among the options are relative to the user's directory.
pub fn run(workspace: &mut Workspace, args: &Args) -> Result<()> {
    setup::ensure(workspace)?;
    let target = workspace.target_dir()?;
    if !target.join("debug").join(format!("faknow{}", std::env::consts::EXE_SUFFIX)).exists() {
        eprintln!("Building. The first time takes 5 to 10 minutes, most of it tch's bindings to libtorch.");
    }
    let started = Instant::now();
    workspace.cargo("build -p faknow-cli").run()?;
    if started.elapsed().as_secs() > 10 {
        eprintln!("Built in {} s.", started.elapsed().as_secs());
    }
    let dir = std::env::current_dir().context("the current directory does not exist")?;
    program::shell(&target, dir)?.cmd("faknow").arg("demo").args(&args.options).run()?;
    Ok(())
}
