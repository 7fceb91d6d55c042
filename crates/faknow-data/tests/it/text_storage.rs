//! Tokens in memory, in a temporary file, and saved to disk.
#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

use faknow_data::synth::{SynthOptions, generate};
use faknow_data::text::{TokenStorage, Tokenizer, TokenizerConfig, Vocab, VocabOptions};
use faknow_data::{DataLoader, Dataset, FieldDataset, Loader, Record, Result};

/// Returns more than one chunk of posts; every third has one of two domains.
fn records() -> Vec<Record> {
    let posts = generate(&SynthOptions { n_samples: 2500, ..SynthOptions::default() }).unwrap();
    let record = |(i, post): (usize, faknow_data::synth::SynthPost)| Record {
        domain: (i % 3 == 0).then(|| ["sports", "health"][i % 2].to_owned()),
        ..Record::new(post.text).with_label(post.label)
    };
    posts.into_iter().enumerate().map(record).collect()
}

fn record_results() -> impl Iterator<Item = Result<Record>> {
    records().into_iter().map(Ok)
}

fn tokenizer() -> Tokenizer {
    Tokenizer::new(TokenizerConfig::default()).unwrap()
}

fn build(storage: &TokenStorage) -> (FieldDataset, Vocab) {
    let options = VocabOptions { min_count: 2, max_size: Some(300) };
    FieldDataset::build_in(record_results(), &tokenizer(), &options, storage).unwrap()
}

fn limited(max_bytes: u64) -> TokenStorage {
    TokenStorage { max_bytes: Some(max_bytes), dir: None }
}

/// Returns everything that a training run reads from a dataset.
fn content(data: &FieldDataset) -> (u64, Vec<Vec<u32>>, usize, Vec<String>) {
    let data = data.clone().with_extra_padding(2);
    let subset = data.subset(&(0..data.n_samples()).rev().step_by(7).collect::<Vec<_>>()).unwrap();
    let loader = DataLoader::builder(subset.clone()).batch_size(30).shuffle(1).buckets(3).build().unwrap();
    let mut rows = Vec::new();
    for batch in loader.batches(1, 0) {
        let batch = batch.unwrap();
        let tokens = Vec::<i64>::try_from(&batch.words().unwrap().ids.view(-1)).unwrap();
        rows.push(tokens.into_iter().map(|token| token as u32).collect());
        rows.push(batch.indices.iter().map(|&index| subset.domain(index).unwrap_or(9) as u32).collect());
        rows.push(batch.indices.iter().map(|&index| subset.class(index).unwrap() as u32).collect());
    }
    rows.extend((0..data.n_samples()).map(|index| data.tokens(index).unwrap().into_owned()));
    let n_unknown = data.n_unknown().unwrap() + 1_000_000 * subset.n_unknown().unwrap();
    (data.fingerprint().unwrap() ^ subset.fingerprint().unwrap(), rows, n_unknown, data.domains().to_vec())
}

#[test]
fn datasets_in_memory_and_on_disk_are_equal() {
    let (in_memory, vocab) = build(&TokenStorage::default());
    assert!(!in_memory.is_on_disk());
    let dir = tempfile::tempdir().unwrap();
    for max_bytes in [0, 1, 10_000, 4 * in_memory.n_tokens() as u64 - 1] {
        let storage = TokenStorage { max_bytes: Some(max_bytes), dir: Some(dir.path().to_owned()) };
        let (on_disk, same_vocab) = build(&storage);
        assert!(on_disk.is_on_disk(), "{max_bytes}");
        assert_eq!(vocab.fingerprint(), same_vocab.fingerprint());
        assert!(content(&on_disk) == content(&in_memory), "{max_bytes}");
        let again = FieldDataset::from_records_in(
            record_results(),
            &tokenizer(),
            &vocab,
            in_memory.domains(),
            &storage,
        );
        assert!(content(&again.unwrap()) == content(&in_memory), "{max_bytes}");
        assert_eq!(dir.path().read_dir().unwrap().count(), 0, "the temporary file is unnamed");
    }
    assert!(!build(&limited(4 * in_memory.n_tokens() as u64)).0.is_on_disk());
}

#[test]
fn saved_datasets_load_into_memory_and_on_disk() {
    let (data, _) = build(&TokenStorage::default());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("train");
    data.save(&path).unwrap();
    let in_memory = FieldDataset::load(&path, &TokenStorage::default()).unwrap();
    let on_disk = FieldDataset::load(&path, &limited(100)).unwrap();
    assert!(!in_memory.is_on_disk() && on_disk.is_on_disk());
    assert!(content(&in_memory) == content(&data));
    assert!(content(&on_disk) == content(&data));
    // From disk to disk.
    on_disk.save(dir.path().join("again")).unwrap();
    assert!(content(&FieldDataset::load(dir.path().join("again"), &limited(0)).unwrap()) == content(&data));
}

#[test]
fn load_rejects_corrupted_files() {
    let (data, _) = build(&TokenStorage::default());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("train");
    let check = |change: &dyn Fn(), part: &str| {
        data.save(&path).unwrap();
        change();
        for storage in [TokenStorage::default(), limited(0)] {
            let message = FieldDataset::load(&path, &storage).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    };
    let [tokens, index] = ["tokens", "json"].map(|extension| path.with_extension(extension));
    let write = |file: &std::path::Path, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = std::fs::read(file).unwrap();
        change(&mut bytes);
        std::fs::write(file, bytes).unwrap();
    };
    check(&|| write(&tokens, &|bytes| bytes[1000] ^= 1), "train.tokens: corrupted");
    check(&|| write(&tokens, &|bytes| bytes.truncate(bytes.len() - 1)), "train.tokens: expected");
    check(&|| std::fs::remove_file(&tokens).unwrap(), "train.tokens");
    check(
        &|| write(&index, &|bytes| bytes.truncate(100)),
        "train.json: expected the index of a tokenized dataset",
    );
    check(
        &|| write(&index, &|bytes| *bytes = b"{}".to_vec()),
        "train.json: expected the index of a tokenized dataset",
    );
    let fewer_labels = |bytes: &mut Vec<u8>| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        *bytes = text
            .replacen("\"labels\":[0,", "\"labels\":[", 1)
            .replacen("\"labels\":[1,", "\"labels\":[", 1)
            .into();
    };
    check(&|| write(&index, &fewer_labels), "train.json: corrupted");
}

#[test]
fn errors_name_an_unwritable_directory() {
    let storage = TokenStorage { max_bytes: Some(10), dir: Some("/no/such/directory".into()) };
    let result = FieldDataset::build_in(record_results(), &tokenizer(), &VocabOptions::default(), &storage);
    assert!(result.unwrap_err().to_string().contains("/no/such/directory"));
}
