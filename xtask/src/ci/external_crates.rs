//! `cargo xtask external-crates`: two small crates outside the workspace, built and run as a user's own would be.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use xshell::{Shell, cmd};

use crate::summary::Summary;
use crate::workspace::Workspace;
use crate::{process, program, setup};

/// A crate that is written outside the workspace from a template.
struct Crate {
    name: &'static str,
    manifest: &'static str,
    /// Files of `src`, by their names.
    sources: &'static [(&'static str, &'static str)],
    needs_libtorch: bool,
    /// Uses the built program, which a shell finds, in a separate directory.
    try_it: fn(&Shell, &Path) -> Result<()>,
}

const CRATES: &[Crate] = &[
    Crate {
        name: "metrics",
        manifest: include_str!("../../external_crates/metrics/Cargo.toml.in"),
        sources: &[("main.rs", include_str!("../../external_crates/metrics/main.rs"))],
        needs_libtorch: false,
        try_it: |sh, _| says_good(sh, "external-metrics"),
    },
    Crate {
        name: "custom_detector",
        manifest: include_str!("../../../examples/custom_detector/Cargo.toml"),
        sources: &[
            ("main.rs", include_str!("../../../examples/custom_detector/src/main.rs")),
            ("sum_of_words.rs", include_str!("../../../examples/custom_detector/src/sum_of_words.rs")),
        ],
        needs_libtorch: true,
        try_it: every_command,
    },
];

/// Builds and runs the crates; each is one check.
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
        let mut manifest = self.manifest.replace("@ROOT@", root).replace("../..", root);
        if self.needs_libtorch {
            manifest += &profiles(&fs::read_to_string(workspace.root.join("Cargo.toml"))?);
            // Ours are not members there, and would be optimized as other dependencies are; here they need not be fast.
            for path in workspace.sh.read_dir("crates")? {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                manifest += &format!("\n[profile.dev.package.{name}]\nopt-level = 0\n");
            }
        }
        sh.write_file(dir.join("Cargo.toml"), manifest)?;
        for (name, source) in self.sources {
            sh.write_file(dir.join("src").join(name), source)?;
        }
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
            // A build that looks for libtorch without need must fail instead of finding the system's.
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
        (self.try_it)(&program::shell(&target, &dir)?, &dir)?;
        Ok(sh.remove_path(&dir)?)
    }
}

fn says_good(sh: &Shell, program: &str) -> Result<()> {
    let output = process::capture(sh.cmd(program))?;
    let last = output.trim().lines().last().unwrap_or_default();
    ensure!(last.ends_with("good"), "{program} did not end with `good`:\n{output}");
    eprintln!("  {last}");
    Ok(())
}

/// Checks that a program with a custom model has every command of `faknow`.
fn every_command(sh: &Shell, dir: &Path) -> Result<()> {
    let posts = |(number, word): (usize, &str)| {
        format!("{word} post {number} about the {word} mayor,{}\n", number % 2)
    };
    let words = ["calm", "shocking"].into_iter().cycle().take(60);
    sh.write_file(
        dir.join("posts.csv"),
        format!("text,label\n{}", words.enumerate().map(posts).collect::<String>()),
    )?;
    let run = |args: &str| process::capture(sh.cmd("custom-detector").args(args.split_whitespace()));
    ensure!(run("models")?.contains("sum-of-words"), "`models` does not list the model");
    let settings = "--train posts.csv --epochs 2 --threads 1 --device cpu";
    run(&format!("train sum-of-words {settings} --set model.embedding_size=4 --out run"))?;
    run("resume run --epochs 3")?;
    run(&format!("cv sum-of-words {settings} --folds 2 --out cv"))?;
    run(&format!("search sum-of-words {settings} --grid model.embedding_size=2,4 --out search"))?;
    run("summary run")?;
    run("test run --data posts.csv --device cpu")?;
    let predictions = run("predict run --input posts.csv --explain --device cpu")?;
    ensure!(
        predictions.lines().count() == 60 && predictions.contains("\"predicted_score\""),
        "predict:\n{predictions}"
    );
    run("export run --out exported")?;
    run("report run search/trials/0001 --out report.html")?;
    for file in ["exported/model.pt", "report.html", "cv/report.md", "search/report.md"] {
        ensure!(dir.join(file).exists(), "there is no {file}");
    }
    let server = cmd!(sh, "custom-detector serve run --port 0 --device cpu");
    program::Server::start(server, &dir.join("serve.log"))?.shut_down()?;
    eprintln!("  custom-detector: every command knows its model: good");
    Ok(())
}

/// Returns the `[profile...]` tables of a manifest.
fn profiles(manifest: &str) -> String {
    // Profiles of single packages do not apply there.
    let is_wanted = |table: &&str| {
        table.starts_with("profile.") && (!table.contains(".package.") || table.contains("package.\"*\""))
    };
    manifest.split("\n[").filter(is_wanted).map(|table| format!("\n[{}\n", table.trim_end())).collect()
}

#[test]
fn only_profiles_are_copied() {
    let manifest = "[workspace]\nmembers = []\n\n[profile.dev]\nopt-level = 2\n\n[profile.dev.package.xtask]\nopt-level = 0\n\n\
                    [profile.dev.package.\"*\"]\ndebug = false\n\n[workspace.lints]\nx = 1\n";
    let expected = "\n[profile.dev]\nopt-level = 2\n\n[profile.dev.package.\"*\"]\ndebug = false\n";
    assert_eq!(profiles(manifest), expected);
}
