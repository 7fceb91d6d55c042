//! Word vectors in every format, which the content determines.
#![no_main]

use std::path::Path;

use faknow_data::text::{VocabBuilder, VocabOptions, read_vectors};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let mut builder = VocabBuilder::new();
    ["cat", "dog", "ox", "наука", "a", "1"].into_iter().for_each(|word| builder.add(word));
    let vocab = builder.build(&VocabOptions::default()).expect("words");
    if let Ok(vectors) = read_vectors(input, Path::new("vectors"), &vocab, None, 1) {
        assert_eq!(vectors.values.len(), vocab.len() * vectors.dim);
        assert!(vectors.values[..vectors.dim].iter().all(|&value| value == 0.0));
    }
});
