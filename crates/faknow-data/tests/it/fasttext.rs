//! fastText's models (`.bin`): vectors of words and of character n-grams.

use faknow_data::text::{WordVectors, load_vectors};

use crate::support::{Dir, vocab};

/// A model with a vector per word and per bucket.
struct Model {
    version: i32,
    words: Vec<&'static str>,
    labels: Vec<&'static str>,
    n_buckets: i32,
    ngrams: [i32; 2],
    dim: i32,
    is_quantized: bool,
    n_pruned: i64,
    values: Vec<f32>,
}

impl Model {
    /// Returns a model of two words and four buckets; value `i` of the matrix is `i`.
    fn new() -> Self {
        Self {
            version: 12,
            words: vec!["</s>", "cat", "dog"],
            labels: vec!["__label__a"],
            n_buckets: 4,
            ngrams: [3, 4],
            dim: 2,
            is_quantized: false,
            n_pruned: -1,
            values: (0..14).map(|value| value as f32).collect(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut ints = |values: &[i32]| values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        let [min, max] = self.ngrams;
        // Window, epochs, minimum count, negative samples, word n-grams, loss (negative sampling), kind (skip-gram).
        ints(&[793_712_314, self.version, self.dim, 5, 5, 1, 5, 1, 2, 2, self.n_buckets, min, max, 100]);
        bytes.extend(1e-4f64.to_le_bytes());
        let (n_words, n_labels) = (self.words.len() as i32, self.labels.len() as i32);
        for value in [n_words + n_labels, n_words, n_labels] {
            bytes.extend(value.to_le_bytes());
        }
        bytes.extend(99i64.to_le_bytes());
        bytes.extend(self.n_pruned.to_le_bytes());
        for (word, kind) in self.words.iter().map(|w| (w, 0)).chain(self.labels.iter().map(|l| (l, 1))) {
            bytes.extend(word.bytes().chain([0]));
            bytes.extend(7i64.to_le_bytes());
            bytes.push(kind);
        }
        bytes.push(u8::from(self.is_quantized));
        let n_rows = self.values.len() as i64 / i64::from(self.dim).max(1);
        bytes.extend(n_rows.to_le_bytes());
        bytes.extend(i64::from(self.dim).to_le_bytes());
        self.values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        bytes
    }
}

/// Returns the bucket of an n-gram of ASCII characters by FNV-1a.
fn bucket(ngram: &str) -> usize {
    let hash = ngram.bytes().fold(2_166_136_261u32, |hash, b| (hash ^ u32::from(b)).wrapping_mul(16_777_619));
    (hash % 4) as usize
}

fn row(vectors: &WordVectors, id: usize) -> Vec<f32> {
    vectors.values[id * vectors.dim..][..vectors.dim].to_vec()
}

#[test]
fn vectors_are_means_of_words_and_ngrams() {
    let dir = Dir::new();
    let vocab = vocab("cat cat cat cow cow a");
    let path = dir.file("model.bin", Model::new().bytes());
    let vectors = load_vectors(&path, &vocab, Some(2), 1).unwrap();
    assert_eq!((vectors.n_found, vectors.n_from_subwords, vectors.n_missing), (1, 2, 1));
    // Rows 0 to 2 are words, rows 3 to 6 buckets; row `i` is [2 i, 2 i + 1].
    let mean = |rows: &[usize]| {
        let mean = rows.iter().map(|&row| 2 * row).sum::<usize>() as f32 / rows.len() as f32;
        vec![mean, mean + 1.0]
    };
    let check = |id: usize, word_rows: &[usize], ngrams: &[&str]| {
        let rows: Vec<usize> =
            word_rows.iter().copied().chain(ngrams.iter().map(|ngram| 3 + bucket(ngram))).collect();
        let (got, expected) = (row(&vectors, id), mean(&rows));
        assert!(got.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5), "{id}: {got:?} {expected:?}");
    };
    check(2, &[1], &["<ca", "<cat", "cat", "cat>", "at>"]);
    check(3, &[], &["<co", "<cow", "cow", "cow>", "ow>"]);
    check(4, &[], &["<a>"]);
    assert_eq!(row(&vectors, 0), [0.0, 0.0]);

    // Without n-grams, words have their own vectors, and others random ones.
    for model in [Model { ngrams: [0, 0], ..Model::new() }, Model { ngrams: [7, 9], ..Model::new() }] {
        let path = dir.file("plain.bin", model.bytes());
        let vectors = load_vectors(&path, &vocab, None, 1).unwrap();
        assert_eq!((vectors.n_found, vectors.n_from_subwords, vectors.n_missing), (1, 0, 3));
        assert_eq!(row(&vectors, 2), [2.0, 3.0]);
    }
}

#[test]
fn rejects_invalid_models() {
    let dir = Dir::new();
    let vocab = vocab("cat dog");
    let check = |bytes: &[u8], expected: &str| {
        let path = dir.file("model.bin", bytes);
        let message = dir.message(load_vectors(&path, &vocab, None, 1));
        assert!(message.starts_with("model.bin: ") && message.contains(expected), "{message}");
    };
    let model = |change: &dyn Fn(&mut Model)| {
        let mut model = Model::new();
        change(&mut model);
        model.bytes()
    };
    check(&model(&|m| m.is_quantized = true), "got a quantized one (.ftz)");
    check(&model(&|m| m.n_pruned = 3), "got a pruned one (.ftz)");
    check(&model(&|m| m.version = 13), "expected version 11 or 12 of fastText's format, got 13");
    check(&model(&|m| m.dim = 0), "vectors of 1 to 4096 values, got 0 values");
    check(&model(&|m| m.dim = i32::MAX), "got 2147483647 values");
    check(
        &model(&|m| m.dim = 7),
        "expected at least 7 vectors of 7 values, got 2 of 7: the model is corrupted",
    );
    check(&model(&|m| m.ngrams = [3, 1 << 20]), "expected n-grams of up to 64 characters");
    check(&model(&|m| m.n_buckets = 0), "in 0 buckets: the model is corrupted");
    check(&model(&|m| m.n_buckets = i32::MAX), "expected at least 2147483650 vectors");
    check(&model(&|m| m.values[4] = f32::NAN), "line 3: expected finite numbers, got `NaN`");
    let bytes = Model::new().bytes();
    for length in 4..bytes.len() {
        check(&bytes[..length], "the file is truncated");
    }
}
