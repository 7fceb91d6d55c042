//! Integration tests of faknow-model: equality with PyTorch, invariants and invalid input.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and prints the number of cases"
)]

mod attention_models;
mod batch_norm;
mod criterion;
mod domain_models;
mod encoder;
mod encoder_classifier;
mod golden;
mod golden_attention;
mod golden_bert;
mod golden_domains;
mod golden_emotion;
mod golden_fang;
mod golden_gnncl;
mod golden_multimodal;
mod golden_trustrd;
mod image_encoder;
mod multimodal;
mod multimodal_losses;
mod pickles;
mod posts;
mod pytorch;
#[path = "../../../skip.rs"]
mod skip;
mod social;
mod textcnn;

/// Locks libtorch's random generator, which belongs to the process, for a test that draws from it: another test in between
/// would change its numbers. Cargo runs the tests one at a time (`.cargo/config.toml`); with several threads, this does.
fn generator() -> std::sync::MutexGuard<'static, ()> {
    static GENERATOR: std::sync::Mutex<()> = std::sync::Mutex::new(());
    GENERATOR.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
