//! A server from the outside: real connections, real detectors, and judges that misbehave.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]

mod answers;
mod hostile;
mod limits;
mod load;
mod support;
