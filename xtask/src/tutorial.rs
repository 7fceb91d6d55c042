//! `cargo xtask tutorial`: the commands of docs/tutorial.md, word for word, in a folder of their own.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::process::{self, Usage};
use crate::summary::Summary;
use crate::workspace::Workspace;

const LIMIT: Duration = Duration::from_secs(1800);

/// Runs `cargo xtask tutorial`.
pub fn run(workspace: &mut Workspace, args: &[String]) -> Result<()> {
    if !args.is_empty() {
        return Err(Usage("tutorial takes no arguments".into()).into());
    }
    check(workspace)?.conclude()
}

/// Runs the page, and looks at the last answer, which is the server's.
pub fn check(workspace: &mut Workspace) -> Result<Summary> {
    let page = fs::read_to_string(workspace.root.join("docs/tutorial.md"))?;
    let blocks = shell(&page);
    let Some((build, rest)) = blocks.split_first() else { anyhow::bail!("the tutorial has no commands") };
    let folder = tempfile::tempdir()?;
    // The program is built in the clone, and used from a folder where nothing is yet. `target` may lie elsewhere.
    let target = workspace.target_dir()?;
    let build = build.replace("$PWD/target", &target.to_string_lossy());
    let script = format!("{build}\ncd \"$FOLDER\"\n{}", rest.join("\n"));
    // With job control, for `kill %1`.
    let mut command = Command::new("bash");
    command.args(["-e", "-m", "-c", &script]).current_dir(&workspace.root).env("FOLDER", folder.path());
    let said = process::run_quietly(&mut command, LIMIT)?;
    // The last answer ends without a new line.
    println!("{}", said.trim_end());
    let answer = said.lines().rev().find(|line| line.contains("\"label\""));
    ensure!(answer.is_some_and(|line| line.contains("\"scores\"")), "the server's answer is missing");
    for file in ["posts.csv", "runs/first/report.html", "comparison.html", "judged.csv"] {
        ensure!(folder.path().join(file).exists(), "{file} was not made");
    }
    Ok(Summary::of_check(true))
}

/// The blocks of shell commands on a page.
fn shell(page: &str) -> Vec<String> {
    let blocks = page.split("```sh\n").skip(1);
    blocks.filter_map(|block| block.split("```").next()).map(str::to_owned).collect()
}
