//! `cargo xtask external-crates`: two tiny crates outside the workspace, built and run as a user's own would be.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use anyhow::{Context as _, Result, ensure};
use xshell::Shell;

use crate::summary::Summary;
use crate::workspace::Workspace;
use crate::{process, program, setup};

/// A crate that is written outside the workspace from a template.
struct Crate {
    name: &'static str,
    manifest: &'static str,
    source: &'static str,
    needs_libtorch: bool,
}

const CRATES: &[Crate] = &[
    Crate {
        name: "metrics",
        manifest: include_str!("../../external_crates/metrics/Cargo.toml.in"),
        source: include_str!("../../external_crates/metrics/main.rs"),
        needs_libtorch: false,
    },
    Crate {
        name: "facade",
        manifest: include_str!("../../external_crates/facade/Cargo.toml.in"),
        source: include_str!("../../external_crates/facade/main.rs"),
        needs_libtorch: true,
    },
];

/// Builds and runs both crates.
pub fn check(workspace: &mut Workspace) -> Result<Summary> {
    let mut summary = Summary::default();
    for it in CRATES {
        summary.add(Summary::of_check(&format!("external crate {}", it.name), it.check(workspace)));
    }
    Ok(summary)
}

impl Crate {
    fn check(&self, workspace: &mut Workspace) -> Result<()> {
        // The name is the same each time, so that what cargo builds for it is built once.
        let mut hasher = DefaultHasher::new();
        workspace.root.hash(&mut hasher);
        let name = format!("faknow-external-{:016x}", hasher.finish());
        let dir = std::env::temp_dir().join(name).join(self.name);
        let sh = Shell::new()?;
        sh.remove_path(&dir)?;
        let root = workspace.root.to_str().context("the workspace's path is not valid UTF-8")?;
        let mut manifest = self.manifest.replace("@ROOT@", root);
        if self.needs_libtorch {
            manifest += &profiles(&fs::read_to_string(workspace.root.join("Cargo.toml"))?);
        }
        sh.write_file(dir.join("Cargo.toml"), manifest)?;
        sh.write_file(dir.join("src/main.rs"), self.source)?;
        sh.copy_file(workspace.root.join("Cargo.lock"), dir.join("Cargo.lock"))?;
        if self.needs_libtorch {
            eprintln!("{}", setup::configure_crate_as(workspace, &dir)?);
        }

        // A shell that knows nothing of the workspace: it runs in the crate's directory, without our variables.
        sh.change_dir(&dir);
        // The bindings to libtorch take minutes: they are shared, as versions, profile and flags are the same.
        let target = workspace.target_dir()?;
        sh.set_var("CARGO_TARGET_DIR", &target);
        let cargo = |args: &str| {
            let command = sh.cmd("cargo").args(args.split(' ')).env_remove("LIBTORCH_USE_PYTORCH");
            // Whoever looks for libtorch although it is not needed must fail, and not find the system's.
            if self.needs_libtorch {
                command.env_remove("LIBTORCH")
            } else {
                command.env("LIBTORCH", "no-libtorch")
            }
        };
        cargo("build").run()?;
        if !self.needs_libtorch {
            let tree = cargo("tree --prefix none").read()?;
            ensure!(!tree.contains("torch-sys"), "it depends on libtorch:\n{tree}");
        }
        let program = format!("external-{}", self.name);
        let output = process::capture(program::shell(&target, &dir)?.cmd(&program))?;
        let last = output.trim().lines().last().unwrap_or_default();
        ensure!(last.ends_with("good"), "{program} did not end with `good`:\n{output}");
        eprintln!("  {last}");
        Ok(sh.remove_path(&dir)?)
    }
}

/// The `[profile...]` tables of a manifest.
fn profiles(manifest: &str) -> String {
    // xtask is not a dependency of a crate outside.
    let is_wanted = |table: &&str| table.starts_with("profile.") && !table.contains("package.xtask");
    manifest.split("\n[").filter(is_wanted).map(|table| format!("\n[{}\n", table.trim_end())).collect()
}

#[test]
fn only_profiles_are_copied() {
    let manifest = "[workspace]\nmembers = []\n\n[profile.dev]\nopt-level = 2\n\n[profile.dev.package.xtask]\nopt-level = 0\n\n\
                    [profile.dev.package.\"*\"]\ndebug = false\n\n[workspace.lints]\nx = 1\n";
    let expected = "\n[profile.dev]\nopt-level = 2\n\n[profile.dev.package.\"*\"]\ndebug = false\n";
    assert_eq!(profiles(manifest), expected);
}
