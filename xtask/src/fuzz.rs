//! Fuzzing the readers of data files: `fuzz/` is a separate workspace, with a target per reader.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use xshell::{Shell, cmd};

use crate::summary::Summary;
use crate::workspace::Workspace;

/// Limits of a target: memory in MiB, a single allocation in MiB, size of an input in bytes, seconds per input.
const LIMITS: [&str; 4] = ["-rss_limit_mb=2048", "-malloc_limit_mb=1024", "-max_len=16384", "-timeout=20"];

/// Arguments of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub struct Args {
    /// Target; all of them by default
    target: Option<String>,
    /// Duration per target
    #[arg(long, value_name = "N", default_value_t = 600)]
    seconds: u64,
}

/// Builds the targets and runs them one after the other; a finding is a failure.
pub fn run(workspace: &Workspace, args: &Args) -> Result<Summary> {
    let sh = &workspace.sh;
    let dir = workspace.root.join("fuzz");
    let targets = targets(&dir)?;
    let selected: Vec<&String> = match &args.target {
        None => targets.iter().collect(),
        Some(name) => targets.iter().filter(|target| *target == name).collect(),
    };
    if let (Some(name), true) = (&args.target, selected.is_empty()) {
        bail!("no target `{name}`; expected one of {}", targets.join(", "));
    }
    prepare(sh)?;
    // One thread, so that an input always takes the same path.
    let _threads = sh.push_env("RAYON_NUM_THREADS", "1");
    let mut summary = Summary::default();
    for target in selected {
        let corpus = dir.join("corpus").join(target);
        fs::create_dir_all(&corpus)?;
        let seeds = dir.join("seeds").join(target);
        ensure!(seeds.is_dir(), "no inputs to start from in {}", seeds.display());
        let time = format!("-max_total_time={}", args.seconds);
        let options = LIMITS.iter().copied().chain([time.as_str(), "-print_final_stats=1"]);
        match cmd!(sh, "cargo +nightly fuzz run {target} {corpus} {seeds} -- {options...}").run() {
            Ok(()) => summary.passed += 1,
            Err(_) => {
                summary.failed += 1;
                eprintln!("{target}: see fuzz/artifacts/{target}; turn the input into a test of the reader");
            }
        }
    }
    Ok(summary)
}

/// Returns the names of the targets.
fn targets(dir: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(dir.join("fuzz_targets")).context("no fuzz targets")?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        names.extend(path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// Installs cargo-fuzz if it is missing; a nightly toolchain must exist, since coverage needs unstable options.
fn prepare(sh: &Shell) -> Result<()> {
    let help = "needs a nightly toolchain: rustup toolchain install nightly --profile minimal";
    cmd!(sh, "cargo +nightly --version").quiet().ignore_stderr().read().context(help)?;
    if cmd!(sh, "cargo fuzz --version").quiet().ignore_stderr().read().is_err() {
        cmd!(sh, "cargo install --locked cargo-fuzz").run()?;
    }
    Ok(())
}
