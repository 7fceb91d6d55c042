//! `cargo xtask dist`: the program with its libtorch, man pages and completion scripts as an archive that runs wherever it is unpacked.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use xshell::{Shell, cmd};

use crate::workspace::Workspace;
use crate::{process, setup};

/// Where the program looks for libtorch: next to itself.
const NEXT_TO_PROGRAM: &str = "$ORIGIN/../lib";

#[derive(clap::Args)]
pub struct Args {
    /// Build without overflow checks
    #[arg(long)]
    release: bool,
}

/// Runs `cargo xtask dist`.
pub fn run(workspace: &mut Workspace, args: &Args) -> Result<()> {
    ensure!(cfg!(target_os = "linux"), "dist packs for Linux only");
    let libtorch = setup::libtorch(workspace)?.join("lib");
    let (profile, built) = if args.release { ("release", "release") } else { ("dev", "debug") };
    workspace.cargo("build -p faknow-cli --profile").arg(profile).run()?;
    let name = format!("faknow-{}-{}-linux", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    let target = workspace.target_dir()?;
    let sh = &workspace.sh;
    let dist = sh.create_dir(target.join("dist"))?;
    let root = dist.join(&name);
    sh.remove_path(&root)?;
    let program = root.join("bin/faknow");
    sh.copy_file(target.join(built).join("faknow"), &program)?;
    write_completions_and_man_pages(sh, &program, &root)?;
    cmd!(sh, "strip {program}").run()?;
    replace_rpath(&program, &libtorch)?;
    for path in sh.read_dir(&libtorch)? {
        // Static libraries and Python's own part are for building.
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.contains(".so") && !name.contains("python") {
            sh.copy_file(&path, root.join("lib").join(name))?;
        }
    }
    for file in ["LICENSE-APACHE", "LICENSE-MIT", "README.md"] {
        sh.copy_file(file, root.join(file))?;
    }
    let archive = dist.join(format!("{name}.tar.gz"));
    cmd!(sh, "tar -czf {archive} -C {dist} {name}").run()?;
    sh.remove_path(&root)?;
    println!("{}: {:.0} MB", archive.display(), fs::metadata(&archive)?.len() as f64 / 1e6);
    check_elsewhere(&archive, &name)
}

/// Completion scripts: shell and path, where package managers and shells look for them.
const COMPLETIONS: [(&str, &str); 5] = [
    ("bash", "share/bash-completion/completions/faknow"),
    ("zsh", "share/zsh/site-functions/_faknow"),
    ("fish", "share/fish/vendor_completions.d/faknow.fish"),
    ("powershell", "share/faknow/faknow.ps1"),
    ("elvish", "share/faknow/faknow.elv"),
];

/// Runs the program to write its completion scripts and man pages.
fn write_completions_and_man_pages(sh: &Shell, program: &Path, root: &Path) -> Result<()> {
    for (shell, path) in COMPLETIONS {
        let script = cmd!(sh, "{program} completions {shell}").read()?;
        sh.write_file(root.join(path), script)?;
    }
    let man = root.join("share/man/man1");
    cmd!(sh, "{program} man {man}").ignore_stdout().run()?;
    Ok(())
}

/// Replaces the path of libtorch on this machine, which the linker wrote, by the one next to the program.
fn replace_rpath(program: &Path, libtorch: &Path) -> Result<()> {
    let mut bytes = fs::read(program)?;
    let from = [libtorch.as_os_str().as_encoded_bytes(), b"\0"].concat();
    let start = bytes.windows(from.len()).position(|window| window == from);
    let start = start.context("the program names no directory of libtorch")?;
    ensure!(
        NEXT_TO_PROGRAM.len() < from.len(),
        "no room for {NEXT_TO_PROGRAM} in place of {}",
        libtorch.display()
    );
    bytes[start..start + from.len()].fill(0);
    bytes[start..start + NEXT_TO_PROGRAM.len()].copy_from_slice(NEXT_TO_PROGRAM.as_bytes());
    Ok(fs::write(program, bytes)?)
}

/// Unpacks the archive in another directory and uses it there, with an empty environment.
fn check_elsewhere(archive: &Path, name: &str) -> Result<()> {
    let dir = tempfile::Builder::new().prefix("faknow dist ").tempdir()?;
    let sh = Shell::new()?;
    sh.change_dir(dir.path());
    cmd!(sh, "tar -xzf {archive}").run()?;
    let unpacked = dir.path().join(name);
    for path in COMPLETIONS.map(|(_, path)| path).into_iter().chain(["share/man/man1/faknow-train.1"]) {
        ensure!(unpacked.join(path).is_file(), "the archive lacks {path}");
    }
    let program = unpacked.join("bin/faknow");
    let faknow = |args: &str| process::capture(sh.cmd(&program).args(args.split(' ')).env_clear());
    faknow("demo --out run")?;
    let loaded = cmd!(sh, "{program} --version").env_clear().env("LD_DEBUG", "libs").output()?.stderr;
    let loaded = String::from_utf8_lossy(&loaded).into_owned();
    let own = unpacked.to_string_lossy().into_owned();
    let foreign = loaded.lines().filter(|line| line.contains("calling init") && line.contains("torch"));
    let foreign: Vec<&str> = foreign.filter(|line| !line.contains(&own)).collect();
    ensure!(foreign.is_empty(), "libtorch is loaded from elsewhere:\n{}", foreign.join("\n"));
    sh.write_file("one.jsonl", "{\"text\": \"Aliens endorse the mayor\"}\n")?;
    let mut seconds = Vec::new();
    for _ in 0..5 {
        let started = Instant::now();
        faknow("predict run --input one.jsonl")?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    println!(
        "unpacked elsewhere, empty environment: trains and predicts; one text from a cold start {:.2} s",
        seconds[2]
    );
    Ok(())
}
