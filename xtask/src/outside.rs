//! `cargo xtask outside`: two tiny crates that lie outside the workspace, built and run as a user's own would be.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::process::{self, Usage};
use crate::setup;
use crate::summary::Summary;
use crate::workspace::{Workspace, built_program};

/// The longest that one of the programs may take.
const LIMIT: Duration = Duration::from_secs(300);

/// A crate that is made outside the workspace from a template.
struct Crate {
    name: &'static str,
    manifest: &'static str,
    source: &'static str,
    needs_libtorch: bool,
}

const CRATES: &[Crate] = &[
    Crate {
        name: "metrics",
        manifest: include_str!("../outside/metrics/Cargo.toml.in"),
        source: include_str!("../outside/metrics/main.rs"),
        needs_libtorch: false,
    },
    Crate {
        name: "facade",
        manifest: include_str!("../outside/facade/Cargo.toml.in"),
        source: include_str!("../outside/facade/main.rs"),
        needs_libtorch: true,
    },
];

/// Runs `cargo xtask outside`.
pub fn run(workspace: &mut Workspace, args: &[String]) -> Result<()> {
    if !args.is_empty() {
        return Err(Usage("outside takes no arguments".into()).into());
    }
    check(workspace)?.conclude()
}

/// Builds and runs both crates.
pub fn check(workspace: &mut Workspace) -> Result<Summary> {
    let mut summary = Summary::default();
    for it in CRATES {
        let outcome = it.check(workspace);
        if let Err(error) = &outcome {
            eprintln!("outside/{}: {error:#}", it.name);
        }
        summary.add(Summary::of_check(outcome.is_ok()));
    }
    Ok(summary)
}

impl Crate {
    fn check(&self, workspace: &mut Workspace) -> Result<()> {
        // The name is the same each time, so that what cargo builds for it is built once.
        let name = format!("faknow-outside-{}", fingerprint(&workspace.root));
        let folder = std::env::temp_dir().join(name).join(self.name);
        let _ = fs::remove_dir_all(&folder);
        self.write(workspace, &folder)?;
        if self.needs_libtorch {
            eprintln!("{}", setup::configure_crate_as(workspace, &folder)?);
        }
        // The bindings to libtorch take minutes: they are shared, as versions, profile and flags are the same.
        let target = workspace.target_dir()?;
        process::run(&mut self.cargo(&folder, &target, &["build"]))?;
        if !self.needs_libtorch {
            let tree = process::output(&mut self.cargo(&folder, &target, &["tree", "--prefix", "none"]))?;
            ensure!(!tree.contains("torch-sys"), "it depends on libtorch:\n{tree}");
        }
        let program = format!("outside-{}", self.name);
        let output = process::run_quietly(built_program(&target, &program).current_dir(&folder), LIMIT)?;
        eprintln!("  outside/{}: {}", self.name, output.trim().lines().last().unwrap_or_default());
        ensure!(output.trim().ends_with("good"), "outside/{} did not end with `good`:\n{output}", self.name);
        let _ = fs::remove_dir_all(&folder);
        Ok(())
    }

    fn write(&self, workspace: &Workspace, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder.join("src"))
            .with_context(|| format!("cannot make {}", folder.display()))?;
        let root_manifest = fs::read_to_string(workspace.root.join("Cargo.toml"))?;
        let root = workspace.root.to_str().context("the workspace's path is not valid UTF-8")?;
        let mut manifest = self.manifest.replace("@ROOT@", &root.replace('\\', "/"));
        if self.needs_libtorch {
            manifest.push_str(&profiles(&root_manifest));
        }
        fs::write(folder.join("Cargo.toml"), manifest)?;
        fs::write(folder.join("src/main.rs"), self.source)?;
        fs::copy(workspace.root.join("Cargo.lock"), folder.join("Cargo.lock"))
            .context("cannot copy Cargo.lock")?;
        Ok(())
    }

    /// A cargo command that knows nothing of the workspace: it runs in the crate's folder, without our variables.
    fn cargo(&self, folder: &Path, target: &Path, args: &[&str]) -> Command {
        let mut command = process::cargo();
        command.args(args).current_dir(folder).env("CARGO_TARGET_DIR", target);
        command.env_remove("LIBTORCH").env_remove("LIBTORCH_USE_PYTORCH");
        if !self.needs_libtorch {
            // Whoever looks for libtorch all the same must fail, and not find one of the system.
            command.env("LIBTORCH", PathBuf::from("no-libtorch-here"));
        }
        command
    }
}

/// The `[profile...]` tables of a manifest.
fn profiles(manifest: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            // xtask is no dependency of a crate outside.
            inside = line.starts_with("[profile.") && !line.contains("package.xtask");
            if inside {
                text.push('\n');
            }
        }
        if inside && !line.trim().is_empty() && !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// A short name for a path: the same for the same path, on every run.
fn fingerprint(path: &Path) -> String {
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = path.as_os_str().as_encoded_bytes().iter().fold(0xcbf2_9ce4_8422_2325, fnv);
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_profiles_are_copied() {
        let manifest = "[workspace]\nmembers = []\n\n# Why.\n[profile.dev]\nopt-level = 2\n\n\
                        [profile.dev.package.xtask]\nopt-level = 0\n\n\
                        [profile.dev.package.\"*\"]\ndebug = false\n\n[workspace.lints]\nx = 1\n";
        let expected = "\n[profile.dev]\nopt-level = 2\n\n[profile.dev.package.\"*\"]\ndebug = false\n";
        assert_eq!(profiles(manifest), expected);
        assert_eq!(profiles("[package]\nname = \"x\"\n"), "");
    }

    #[test]
    fn fingerprints_differ() {
        let [one, same, other] = ["/a/b", "/a/b", "/a/c"].map(|path| fingerprint(Path::new(path)));
        assert_eq!(one, same);
        assert_ne!(one, other);
        assert_eq!(one.len(), 16);
    }
}
