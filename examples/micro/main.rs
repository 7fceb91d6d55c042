//! Micro-benchmarks of the hot parts, each beside the forms that it was chosen from: `cargo xtask bench --micro`.
//!
//! Sizes are those of TextCNN on the COVID posts: 50 texts of 25 to 31 words, 15,000 words, vectors of 300 values.

mod convolution;
mod data;
mod optimizer;

fn main() {
    divan::main();
}

/// Tokens of 50 texts of 25 to 31 words, frequent ones first as in a language, i64 `[50, 36]`.
fn tokens() -> Vec<i64> {
    let mut rng = faknow::data::Rng::new(7);
    let mut tokens = vec![0; 50 * 36];
    for (number, text) in tokens.chunks_exact_mut(36).enumerate() {
        for token in &mut text[..25 + number % 7] {
            // The more frequent a word the smaller its number; some 700 distinct ones in all.
            let uniform = rng.next_u64() as f64 / u64::MAX as f64;
            *token = 2 + (14_997.0 * uniform.powi(3)) as i64;
        }
    }
    tokens
}
