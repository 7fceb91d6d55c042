//! Tests of the examples as documentation: the README shows one of them, and each says how to run it.

mod heads;
mod readme;
