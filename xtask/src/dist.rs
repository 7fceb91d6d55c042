//! `cargo xtask dist`: the program with its libtorch as an archive that runs wherever it is unpacked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::process::{self, Usage};
use crate::setup;
use crate::workspace::Workspace;

const LIMIT: Duration = Duration::from_secs(600);
/// Where the program looks for libtorch: beside itself.
const BESIDE: &str = "$ORIGIN/../lib";

/// Runs `cargo xtask dist`.
pub fn run(workspace: &mut Workspace, args: &[String]) -> Result<()> {
    let profile = match args {
        [] => "dev",
        [flag] if flag == "--release" => "release",
        _ => return Err(Usage("dist takes only --release".into()).into()),
    };
    ensure!(cfg!(target_os = "linux"), "dist packs for Linux only");
    let libtorch = setup::libtorch(workspace)?;
    process::run(&mut workspace.cargo(["build", "--profile", profile, "-p", "faknow-cli"]))?;
    let target = workspace.target_dir()?;
    let built = target.join(if profile == "dev" { "debug" } else { profile }).join("faknow");
    let name = format!("faknow-{}-{}-linux", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    let dist = target.join("dist");
    let root = dist.join(&name);
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    fs::create_dir_all(root.join("bin"))?;
    fs::create_dir_all(root.join("lib"))?;
    let program = root.join("bin/faknow");
    fs::copy(&built, &program).with_context(|| format!("cannot copy {}", built.display()))?;
    process::run(Command::new("strip").arg(&program))?;
    look_beside(&program, &libtorch.join("lib"))?;
    for entry in fs::read_dir(libtorch.join("lib"))? {
        let path = entry?.path();
        // Static halves and Python's own part are for building.
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.contains(".so") && !name.contains("python") {
            fs::copy(&path, root.join("lib").join(name))?;
        }
    }
    for file in ["LICENSE-APACHE", "LICENSE-MIT", "README.md"] {
        fs::copy(workspace.root.join(file), root.join(file))?;
    }
    let archive = dist.join(format!("{name}.tar.gz"));
    process::run(Command::new("tar").arg("-czf").arg(&archive).arg("-C").arg(&dist).arg(&name))?;
    fs::remove_dir_all(&root)?;
    let megabytes = fs::metadata(&archive)?.len() as f64 / 1e6;
    println!("{}: {megabytes:.0} MB", archive.display());
    try_elsewhere(&archive, &name)
}

/// Replaces the folder of libtorch on this machine, where the linker wrote that it is, by the one beside the program.
fn look_beside(program: &Path, libtorch: &Path) -> Result<()> {
    let mut bytes = fs::read(program)?;
    let mut from = libtorch.as_os_str().as_encoded_bytes().to_vec();
    from.push(0);
    let at = bytes
        .windows(from.len())
        .position(|window| window == from)
        .context("the program names no folder of libtorch")?;
    ensure!(BESIDE.len() < from.len(), "no room for {BESIDE} in place of {}", libtorch.display());
    bytes[at..at + from.len()].fill(0);
    bytes[at..at + BESIDE.len()].copy_from_slice(BESIDE.as_bytes());
    Ok(fs::write(program, bytes)?)
}

/// Unpacks the archive in another folder and uses it there, with nothing in the environment.
fn try_elsewhere(archive: &Path, name: &str) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("faknow dist ").tempdir()?;
    process::run(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(folder.path()))?;
    let program: PathBuf = folder.path().join(name).join("bin/faknow");
    let faknow = |args: &[&str]| {
        let mut command = Command::new(&program);
        process::run_quietly(command.args(args).current_dir(folder.path()).env_clear(), LIMIT)
    };
    faknow(&["demo", "--out", "run"])?;
    let libraries = Command::new(&program).arg("--version").env_clear().env("LD_DEBUG", "libs").output()?;
    let libraries = String::from_utf8_lossy(&libraries.stderr).into_owned();
    let own = folder.path().join(name).to_string_lossy().into_owned();
    let from_elsewhere =
        libraries.lines().filter(|line| line.contains("calling init") && line.contains("torch"));
    let from_elsewhere: Vec<&str> = from_elsewhere.filter(|line| !line.contains(&own)).collect();
    ensure!(from_elsewhere.is_empty(), "libtorch comes from elsewhere:\n{}", from_elsewhere.join("\n"));
    fs::write(folder.path().join("one.jsonl"), "{\"text\": \"Aliens endorse the mayor\"}\n")?;
    let mut seconds: Vec<f64> = (0..5)
        .map(|_| {
            let started = Instant::now();
            faknow(&["predict", "run", "--input", "one.jsonl"])?;
            Ok(started.elapsed().as_secs_f64())
        })
        .collect::<Result<_>>()?;
    seconds.sort_by(f64::total_cmp);
    println!(
        "unpacked elsewhere, empty environment: demo trains and predicts; one text from a cold start {:.2} s",
        seconds[2]
    );
    Ok(())
}
