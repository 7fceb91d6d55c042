//! `cargo xtask bench`: the benchmark among the examples, with the arguments passed on.

use anyhow::Result;

use crate::process;
use crate::setup;
use crate::workspace::Workspace;

/// Runs `cargo xtask bench`.
pub fn run(workspace: &mut Workspace, args: &[String]) -> Result<()> {
    setup::ensure(workspace)?;
    let mut command = workspace.cargo(["run", "--quiet", "-p", "faknow-examples", "--bin", "bench", "--"]);
    process::run(command.args(args))
}
