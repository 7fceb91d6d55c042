//! Integration tests of faknow-metrics: golden numbers, and inputs at the edge.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "the golden tests say how many cases ran")]

mod defects;
mod degenerate;
mod golden;
mod saved_history;
