//! `cargo xtask bench`: the benchmark among the examples, with the arguments passed on; on the COVID posts, if they are
//! there.

use anyhow::Result;

use crate::process;
use crate::setup;
use crate::workspace::Workspace;

/// Runs `cargo xtask bench`.
pub fn run(workspace: &mut Workspace, args: &[String]) -> Result<()> {
    setup::ensure(workspace)?;
    let mut command = workspace.cargo(["run", "--quiet", "-p", "faknow-examples", "--bin", "bench", "--"]);
    match workspace.shared() {
        Some(shared) if !args.iter().any(|arg| ["--data", "--quick", "--scale"].contains(&arg.as_str())) => {
            command.arg("--data").arg(shared.join("data/covid"));
        }
        _ => {}
    }
    process::run(command.args(args))
}
