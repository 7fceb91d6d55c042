//! Integration tests of faknow-metrics: reference values and edge cases.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "the golden tests print the number of cases")]

mod defects;
mod degenerate;
mod golden;
mod saved_history;
#[path = "../../../skip.rs"]
mod skip;
