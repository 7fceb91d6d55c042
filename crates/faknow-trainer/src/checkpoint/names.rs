//! The names of a run's checkpoints.

/// The newest checkpoint of the run.
pub(crate) const LAST: &str = "last";
/// The previous content of `last`.
pub(crate) const PREVIOUS: &str = "previous";
/// The checkpoint of the best validation.
pub(crate) const BEST: &str = "best";
/// The checkpoint of a run that failed in the middle of an update.
pub(crate) const FAILED: &str = "failed";

/// Returns the name of a retained checkpoint: after its epoch or, within an epoch, its step. The first branch of a run
/// has number 0 and no suffix.
pub(crate) fn retained(epoch: usize, step: u64, is_mid_epoch: bool, branch: u32) -> String {
    let name = if is_mid_epoch { format!("step-{step:08}") } else { format!("epoch-{epoch:04}") };
    match branch {
        0 => name,
        branch => with_branch(&name, branch),
    }
}

/// Returns the name under which the `last` or `best` of a branch is retained when another branch takes over.
pub(crate) fn with_branch(name: &str, branch: u32) -> String {
    format!("{name}-b{branch}")
}

/// Returns whether a name has the form of those that [`retained`] returns.
pub(crate) fn is_retained(name: &str) -> bool {
    name.starts_with("epoch-") || name.starts_with("step-")
}

/// Returns the name of the best checkpoint by an additional monitor.
pub(crate) fn best_by(monitor: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    format!("{BEST}-{}", monitor.chars().map(plain).collect::<String>())
}
