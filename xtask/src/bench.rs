//! `cargo xtask bench`: the benchmark among the examples, on the shared datasets and compared with Python programs if
//! they are there; the micro-benchmarks; and the server's benchmark.

use anyhow::Result;
use xshell::{Shell, cmd};

use crate::workspace::Workspace;
use crate::{load, setup};

#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// Measure the server instead: speed, overload, memory (needs wrk)
    #[arg(long)]
    serve: bool,
    /// Duration of the measurement of the server's memory, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "serve",
          value_parser = clap::value_parser!(u64).range(2..))]
    soak: u64,
    /// Measure only predictions while explanations are requested
    #[arg(long, requires = "serve")]
    explain: bool,
    /// Measure the hot parts by themselves
    #[arg(long, conflicts_with = "serve")]
    micro: bool,
    /// Options of the benchmark
    #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
    options: Vec<String>,
}

/// Runs `cargo xtask bench`.
pub fn run(workspace: &mut Workspace, args: &Args) -> Result<()> {
    setup::ensure(workspace)?;
    if args.serve {
        return load::run(workspace, args.soak, args.explain);
    }
    if args.micro {
        let command = workspace.cargo("bench --profile dev -p faknow-examples --bench micro --");
        return Ok(command.args(&args.options).run()?);
    }
    // Both, so that they have the features of what the tests built, and nothing is built twice.
    workspace.cargo("build --quiet -p faknow-examples -p faknow-cli --bins").run()?;
    let programs = workspace.target_dir()?.join("debug");
    let mut command = workspace.sh.cmd(programs.join("bench"));
    let is_full =
        !args.options.iter().any(|it| ["--quick", "--scale", "--scale-posts"].contains(&it.as_str()));
    if let Some(shared) = workspace.shared().filter(|_| is_full) {
        let program = programs.join(format!("faknow{}", std::env::consts::EXE_SUFFIX));
        command = command.arg("--program").arg(program).arg("--shared").arg(shared);
        let encoder = setup::cache::directory().join("encoders/minilm");
        if encoder.is_dir() {
            command = command.arg("--encoder").arg(encoder);
        }
        match python_with_torch(&workspace.sh) {
            Some(python) => command = command.args(["--python", &python]),
            None => println!("no Python with PyTorch (FAKNOW_PYTHON names one): nothing is compared with it"),
        }
    }
    Ok(command.args(&args.options).run()?)
}

/// Returns a Python that has PyTorch: `FAKNOW_PYTHON`, else `python3`.
pub fn python_with_torch(sh: &Shell) -> Option<String> {
    let python = std::env::var("FAKNOW_PYTHON").unwrap_or_else(|_| "python3".into());
    cmd!(sh, "{python} -c 'import torch'").quiet().ignore_stderr().run().is_ok().then_some(python)
}
