//! What a check needs and does not find: it is skipped, or fails where CI declares that it is there.

use anyhow::{Result, anyhow};

use crate::skip;

/// Prints that a check is skipped, since `resource` is missing; fails if `FAKNOW_REQUIRE` lists it.
pub fn skip(resource: &str, reason: &str) -> Result<()> {
    skip::check(resource).map_err(|error| anyhow!("{error}: {reason}"))?;
    println!("SKIPPED: {reason}");
    Ok(())
}
