//! `cargo xtask bench`: the benchmark among the examples, with the arguments passed on; on the shared data sets and beside Python
//! programs, if they are there. With `--serve` the server's instead.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{load, process, setup};

/// Runs `cargo xtask bench`.
pub fn run(workspace: &mut Workspace, args: &[String]) -> Result<()> {
    setup::ensure(workspace)?;
    if args.iter().any(|arg| arg == "--serve") {
        return load::run(workspace, &args.iter().filter(|arg| *arg != "--serve").collect::<Vec<_>>());
    }
    if args.iter().any(|arg| arg == "--micro") {
        let more = args.iter().filter(|arg| *arg != "--micro");
        let mut command =
            workspace.cargo(["bench", "--profile", "dev", "-p", "faknow-examples", "--bench", "micro", "--"]);
        return process::run(command.args(more));
    }
    let mut command = workspace.cargo(["run", "--quiet", "-p", "faknow-examples", "--bin", "bench", "--"]);
    let whole = !args.iter().any(|arg| ["--quick", "--scale", "--scale-posts"].contains(&arg.as_str()));
    if let Some(shared) = workspace.shared().filter(|_| whole) {
        process::run(&mut workspace.cargo(["build", "--quiet", "-p", "faknow-cli"]))?;
        let program = format!("faknow{}", std::env::consts::EXE_SUFFIX);
        command.arg("--program").arg(workspace.target_dir()?.join("debug").join(program));
        command.arg("--shared").arg(shared);
        match python_with_torch() {
            Some(python) => drop(command.arg("--python").arg(python)),
            None => println!("no Python with PyTorch (FAKNOW_PYTHON names one): nothing is compared with it"),
        }
    }
    process::run(command.args(args))
}

/// A Python that has PyTorch: `FAKNOW_PYTHON`, else `python3`.
pub fn python_with_torch() -> Option<PathBuf> {
    let python = std::env::var_os("FAKNOW_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from);
    has_torch(&python).then_some(python)
}

fn has_torch(python: &Path) -> bool {
    let mut command = Command::new(python);
    command.args(["-c", "import torch"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
