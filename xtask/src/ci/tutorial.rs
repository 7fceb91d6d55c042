//! `cargo xtask tutorial`: runs the commands of docs/tutorial.md in an empty directory.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use xshell::cmd;

use crate::process;
use crate::summary::Summary;
use crate::workspace::Workspace;

/// Runs the commands, and checks the last output, which is the server's response.
pub fn check(workspace: &mut Workspace) -> Result<Summary> {
    let document = fs::read_to_string(workspace.root.join("docs/tutorial.md"))?;
    let blocks: Vec<&str> =
        document.split("```sh\n").skip(1).filter_map(|block| block.split("```").next()).collect();
    let (build, rest) = blocks.split_first().context("the tutorial has no commands")?;
    let dir = tempfile::tempdir()?;
    // The program is built in the clone, and used in an empty directory. `target` may be elsewhere.
    let build = build.replace("$PWD/target", &workspace.target_dir()?.to_string_lossy());
    let script = format!("{build}\ncd \"$DIR\"\n{}", rest.join("\n"));
    // With job control, for `kill %1`.
    let output = process::capture(cmd!(workspace.sh, "bash -e -m -c {script}").env("DIR", dir.path()))?;
    // The last response ends without a line break.
    println!("{}", output.trim_end());
    let response = output.lines().rev().find(|line| line.contains("\"label\""));
    ensure!(response.is_some_and(|line| line.contains("\"scores\"")), "the server's response is missing");
    // Every file that a command writes or redirects to.
    let words: Vec<&str> = rest.iter().flat_map(|block| block.split_whitespace()).collect();
    let written = words
        .windows(2)
        .filter(|pair| [">", "--out"].contains(&pair[0]))
        .map(|pair| pair[1].trim_end_matches(';'));
    for file in written.chain(["runs/first/report.html"]) {
        ensure!(dir.path().join(file).exists(), "{file} was not written");
    }
    Ok(Summary { passed: 1, failed: 0 })
}
