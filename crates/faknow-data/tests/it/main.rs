//! Integration tests of `faknow-data`, one binary since each links libtorch.

mod loader;
mod text;
