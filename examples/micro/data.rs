//! Tokenization and metrics.

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use faknow::data::synth::{SynthOptions, generate};
use faknow::data::text::TokenizerKind;
use faknow::metrics::PredictionsBuilder;
use faknow::prelude::*;

fn texts() -> Vec<String> {
    let posts = generate(&SynthOptions { n_samples: 2000, ..SynthOptions::default() }).unwrap();
    posts.into_iter().map(|post| post.text).collect()
}

#[divan::bench]
fn tokenize(bencher: Bencher) {
    let texts = texts();
    let tokenizer = Tokenizer::new(TokenizerConfig::default()).unwrap();
    let n_bytes: usize = texts.iter().map(String::len).sum();
    bencher.counter(BytesCount::new(n_bytes)).bench_local(|| {
        let mut n = 0;
        texts.iter().for_each(|text| tokenizer.tokenize(text, &mut |_| n += 1));
        n
    });
}

#[divan::bench]
fn tokenize_chinese(bencher: Bencher) {
    let text = "网传某地发生地震，多人受伤，官方随后辟谣称消息不实，请大家不信谣不传谣。".repeat(3);
    let tokenizer =
        Tokenizer::new(TokenizerConfig { kind: TokenizerKind::Jieba, ..TokenizerConfig::default() }).unwrap();
    bencher.counter(BytesCount::new(text.len())).bench_local(|| {
        let mut n = 0;
        tokenizer.tokenize(&text, &mut |_| n += 1);
        n
    });
}

#[divan::bench]
fn all_metrics(bencher: Bencher) {
    let n = 100_000i64;
    let labels: Vec<i64> = (0..n).map(|i| i64::from(i % 3 == 0)).collect();
    let positive = |i: i64| (i * 7919 % n) as f64 / n as f64;
    let scores: Vec<f64> = (0..n).flat_map(|i| [1.0 - positive(i), positive(i)]).collect();
    bencher.counter(ItemsCount::new(n as usize)).bench_local(|| {
        let mut builder = PredictionsBuilder::new(2);
        builder.extend(&labels, &scores).unwrap();
        Metrics::all().compute(&builder.finish().unwrap()).unwrap()
    });
}
