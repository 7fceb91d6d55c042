//! Tests that need a process of their own: for the current directory, or for libtorch's generator, which are one for
//! all threads.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::path::Path;
use std::process::Command;

/// Runs the test of this path (`module::name`) again, alone in a process whose current directory is `dir`, and
/// asserts that it passes. Answers whether this is that process, and so whether the test is to do its work.
pub(crate) fn is_isolated(test: &str, dir: &Path) -> bool {
    const ALONE: &str = "FAKNOW_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    let output = again.args(["--exact", test]).env(ALONE, "1").current_dir(dir).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    false
}
