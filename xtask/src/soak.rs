//! `cargo xtask soak`: the tests of what a run survives, as long as one likes.

use anyhow::Result;

use crate::process::Usage;
use crate::setup;
use crate::test::{count, with_test_environment};
use crate::workspace::Workspace;

const HELP: &str = "\
cargo xtask soak [--kills N] [--cases N]

Kills a real training N times (default 300) at random moments with `kill -9`, lets it go on, and compares what it ends
with to a run that was not killed, bit by bit. Then interrupts N runs (default 300) with random settings at random
events, likewise. The last line is `N passed, N failed`.
";

/// Runs `cargo xtask soak`.
pub fn run(workspace: &mut Workspace, args: &[String]) -> Result<()> {
    let (mut kills, mut cases) = (300, 300);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let count = match arg.as_str() {
            "--help" | "-h" => {
                print!("{HELP}");
                return Ok(());
            }
            "--kills" => &mut kills,
            "--cases" => &mut cases,
            other => return Err(Usage(format!("soak takes --kills N and --cases N, not `{other}`")).into()),
        };
        let number = args.next().and_then(|n| n.parse::<usize>().ok()).filter(|n| *n > 0);
        *count = number.ok_or_else(|| Usage(format!("{arg} takes a number above 0")))?;
    }
    setup::ensure(workspace)?;
    // Not through nextest, which ends a test that takes long.
    let mut command = workspace.cargo(["test", "--workspace", "--test", "it", "--"]);
    command.args(["killed_at_random_moments", "interrupted_anywhere", "--nocapture", "--test-threads=1"]);
    command.env("FAKNOW_KILLS", kills.to_string()).env("FAKNOW_CASES", cases.to_string());
    count(&mut with_test_environment(command))?.conclude()
}
