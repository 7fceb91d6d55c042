//! `cargo xtask deny`: licenses, duplicates, sources and advisories of all dependencies, by cargo-deny with `deny.toml`.

use anyhow::{Result, ensure};
use xshell::cmd;

use super::tools::Tool;
use crate::summary::Summary;
use crate::workspace::Workspace;
use crate::{process, required};

const CARGO_DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2", options: "" };

/// Exceptions of `deny.toml` that nothing needs any more.
const STALE: [&str; 4] =
    ["license-exception-not-encountered", "license-not-encountered", "unmatched-skip", "unnecessary-skip"];

/// Checks the dependencies. Without the database of advisories, which cargo-deny fetches, the advisories are skipped.
pub fn check(workspace: &mut Workspace) -> Result<Summary> {
    let deny = match CARGO_DENY.provide(workspace) {
        Ok(deny) => deny,
        Err(error) => {
            required::skip("cargo-deny", &format!("licenses, bans, sources and advisories: {error:#}"))?;
            return Ok(Summary::default());
        }
    };
    let sh = &workspace.sh;
    let stale = STALE.map(|lint| ["--deny", lint]).concat();
    let run = cmd!(sh, "{deny} --locked check --hide-inclusion-graph {stale...} licenses bans sources");
    let (succeeded, _) = process::tee(run)?;
    let outcome = succeeded.then_some(()).ok_or_else(|| anyhow::anyhow!("see above, and deny.toml"));
    let mut summary = Summary::of_check("deny, licenses, bans and sources", outcome);
    match process::capture(cmd!(sh, "{deny} --locked fetch db")) {
        Ok(_) => {
            let (succeeded, _) = process::tee(cmd!(sh, "{deny} --locked check --disable-fetch advisories"))?;
            let advisories = || -> Result<()> {
                ensure!(succeeded, "an advisory applies to a dependency; see above");
                Ok(())
            };
            summary.add(Summary::of_check("deny, advisories", advisories()));
        }
        Err(error) => {
            let reason = format!(
                "ADVISORIES WERE NOT CHECKED: the database of advisories is not reachable: {error:#}"
            );
            required::skip("advisories", &reason)?;
        }
    }
    Ok(summary)
}
