//! Weighted n-grams of texts, compared with scikit-learn.

use std::collections::BTreeMap;

use faknow_data::text::{
    NGramEncoder, NGramMatch, NGramOptions, Tokenizer, TokenizerConfig, TokenizerKind, Vocab, VocabOptions,
};
use faknow_data::{Dataset as _, FieldDataset, Record};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    tokenizer: TokenizerKind,
    max_n: usize,
    min_df: usize,
    training: Vec<String>,
    texts: Vec<String>,
    n_features: usize,
    rows: Vec<BTreeMap<String, f64>>,
}

fn records(texts: &[impl AsRef<str>]) -> Vec<faknow_data::Result<Record>> {
    texts.iter().map(|text| Ok(Record::new(text.as_ref()))).collect()
}

fn tokenizer(kind: TokenizerKind) -> Tokenizer {
    Tokenizer::new(TokenizerConfig { kind, ..TokenizerConfig::default() }).unwrap()
}

fn fit(texts: &[&str], options: NGramOptions) -> (FieldDataset, Vocab, NGramEncoder) {
    let tokenizer = tokenizer(TokenizerKind::Words);
    let (data, vocab) = FieldDataset::build(records(texts), &tokenizer, &VocabOptions::default()).unwrap();
    let encoder = NGramEncoder::fit(&data, &options).unwrap();
    (data, vocab, encoder)
}

fn names(encoder: &NGramEncoder, vocab: &Vocab) -> Vec<String> {
    (0..encoder.n_features() as u32).map(|feature| encoder.name(feature, vocab)).collect()
}

#[test]
fn weights_equal_those_of_scikit_learn() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../golden/ngrams.json")).unwrap();
    for case in cases {
        let tokenizer = tokenizer(case.tokenizer);
        let (training, vocab) =
            FieldDataset::build(records(&case.training), &tokenizer, &VocabOptions::default()).unwrap();
        let options = NGramOptions { max_n: case.max_n, min_df: case.min_df };
        let encoder = NGramEncoder::fit(&training, &options).unwrap();
        assert_eq!(encoder.n_features(), case.n_features);
        let texts = FieldDataset::from_records(records(&case.texts), &tokenizer, &vocab, &[]).unwrap();
        let texts = texts.with_ngrams(&encoder).unwrap();
        let all: Vec<usize> = (0..case.texts.len()).collect();
        let batch = texts.batch(&all).unwrap();
        assert!(batch.words().is_err(), "n-grams replace the words of a batch");
        let ngrams = batch.ngrams().unwrap();
        assert_eq!((ngrams.n_texts(), ngrams.n_features), (case.texts.len(), case.n_features));
        let indices = Vec::<i64>::try_from(&ngrams.indices).unwrap();
        let values = Vec::<f32>::try_from(&ngrams.values).unwrap();
        let mut ends: Vec<usize> =
            Vec::<i64>::try_from(&ngrams.offsets).unwrap().into_iter().map(|it| it as usize).collect();
        ends.push(indices.len());
        for (row, (bounds, expected)) in ends.windows(2).zip(&case.rows).enumerate() {
            let range = bounds[0]..bounds[1];
            // scikit-learn separates characters by spaces too, since they are tokens.
            let found: BTreeMap<String, f64> = indices[range.clone()]
                .iter()
                .zip(&values[range])
                .map(|(&feature, &value)| (encoder.name(feature as u32, &vocab), f64::from(value)))
                .collect();
            assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "row {row}");
            for (name, value) in found {
                assert!((value - expected[&name]).abs() < 1e-6, "row {row}, `{name}`: {value}");
            }
        }
    }
}

#[test]
fn features_are_numbered_by_frequency_and_saved() {
    let (data, vocab, encoder) =
        fit(&["b a b a", "a b", "c b a", "c d"], NGramOptions { max_n: 3, min_df: 2 });
    assert_eq!(names(&encoder, &vocab), ["a", "b", "c", "a b", "b a"]);
    let path = tempfile::tempdir().unwrap().path().join("ngrams.tsv");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    encoder.save(&path, &vocab).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, "texts\t4\t3\n3\ta\n3\tb\n2\tc\n2\ta b\n2\tb a\n");
    let loaded = NGramEncoder::load(&path, &vocab).unwrap();
    assert_eq!(names(&loaded, &vocab), names(&encoder, &vocab));
    for index in 0..data.n_samples() {
        let tokens = data.tokens(index).unwrap();
        assert_eq!(loaded.encode(&tokens), encoder.encode(&tokens));
    }
    for (text, expected) in [
        ("", "line 1: expected `texts`, their number and the length of n-grams, got ``"),
        ("texts\t4\t3\n3\tmoon", "line 2: expected a number of texts, a tab, and words of the vocabulary"),
        ("texts\t4\t3\n2\ta b", "after a line of the first of them, got `2\\ta b`"),
        ("texts\t4\t3\nmany\ta", "line 2: expected a number of texts"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = NGramEncoder::load(&path, &vocab).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn occurrences_have_positions_and_known_tokens_are_counted() {
    let (data, vocab, encoder) = fit(&["a b c", "a b d", "x"], NGramOptions::default());
    let mut matches = Vec::new();
    encoder.for_each(&data.tokens(1).unwrap(), |ngram| matches.push(ngram));
    let feature = |name: &str| names(&encoder, &vocab).iter().position(|it| it == name).unwrap() as u32;
    let expected = [(0, 1, "a"), (0, 2, "a b"), (1, 1, "b")];
    let expected =
        expected.map(|(start, n_tokens, name)| NGramMatch { start, n_tokens, feature: feature(name) });
    assert_eq!(matches, expected);
    let known =
        |index: usize| data.tokens(index).unwrap().iter().filter(|&&token| encoder.is_known(token)).count();
    assert_eq!([0, 1, 2].map(known), [2, 2, 0], "words of one text are not features");
}

#[test]
fn subsets_and_fingerprints_include_the_ngrams() {
    let (data, _, encoder) = fit(&["a b", "a b", "b"], NGramOptions::default());
    let subset = data.clone().with_ngrams(&encoder).unwrap().subset(&[2, 0]).unwrap();
    let offsets = Vec::<i64>::try_from(&subset.batch(&[0, 1]).unwrap().ngrams().unwrap().offsets).unwrap();
    assert_eq!(offsets, [0, 1]);
    let other = NGramEncoder::fit(&data, &NGramOptions { max_n: 1, min_df: 2 }).unwrap();
    let fingerprint = |encoder| data.clone().with_ngrams(encoder).unwrap().fingerprint();
    assert_ne!(fingerprint(&encoder), fingerprint(&other));
    assert_ne!(fingerprint(&encoder), data.fingerprint());
    let error = data.clone().with_ngrams(&encoder).unwrap().save("/nowhere/data").unwrap_err().to_string();
    assert_eq!(error, "datasets with n-grams cannot be saved");
}

#[test]
fn rejects_options_out_of_range_and_texts_without_frequent_words() {
    let tokenizer = tokenizer(TokenizerKind::Words);
    let (data, _) =
        FieldDataset::build(records(&["a b", "c"]), &tokenizer, &VocabOptions::default()).unwrap();
    let check = |max_n, min_df, expected: &str| {
        let error = NGramEncoder::fit(&data, &NGramOptions { max_n, min_df }).unwrap_err().to_string();
        assert_eq!(error, expected);
    };
    check(0, 2, "max_n: expected at least 1, got 0");
    check(2, 0, "min_df: expected at least 1, got 0");
    check(2, 2, "n-grams: expected words in at least 2 of 2 texts (`min_df`), got none");
}
