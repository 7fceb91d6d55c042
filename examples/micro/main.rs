//! Micro-benchmarks of the hot parts and their alternatives: `cargo xtask bench --micro`.
//!
//! Sizes are those of TextCNN on the covid posts: batches of 50 texts of 25 to 31 words, 15,000 distinct words, embedding size 300.

mod convolution;
mod data;
mod images;
mod optimizer;

fn main() {
    divan::main();
}

/// Returns the token ids of 50 texts of 25 to 31 words, `[50, 36]`, padded with 0. Frequent words have small ids.
fn tokens() -> Vec<i64> {
    let mut rng = faknow::data::Rng::new(7);
    let mut tokens = vec![0; 50 * 36];
    for (index, text) in tokens.chunks_exact_mut(36).enumerate() {
        for token in &mut text[..25 + index % 7] {
            // About 700 distinct words in total.
            let uniform = rng.next_u64() as f64 / u64::MAX as f64;
            *token = 2 + (14_997.0 * uniform.powi(3)) as i64;
        }
    }
    tokens
}
