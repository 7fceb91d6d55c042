//! End-to-end tests of a server: real connections, real detectors, and predictors that misbehave.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failing test shows the line")]

mod endpoints;
mod hostile;
mod limits;
mod load;
mod protocol;
mod sharing;
mod support;
