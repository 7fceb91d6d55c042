//! Tests that need a separate process: for the current directory or libtorch's random generator, which are global to
//! the process.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::path::Path;
use std::process::Command;

/// Runs the test with this path (`module::name`) in a separate process whose current directory is `dir`, and asserts
/// that it passes. Returns whether this is that process: if so, the test has to run its assertions.
pub(crate) fn is_isolated(test: &str, dir: &Path) -> bool {
    const IS_ISOLATED: &str = "FAKNOW_TEST_ALONE";
    if std::env::var_os(IS_ISOLATED).is_some() {
        return true;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args(["--exact", test]).env(IS_ISOLATED, "1").current_dir(dir).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}");
    false
}
