//! Subword tokenizers against the ids of `transformers` (`tests/golden/subwords/generate.py`).

use std::path::{Path, PathBuf};

use faknow_data::text::{EncodedStore, SubwordTokenizer, TokenStorage};
use faknow_data::{Dataset, FieldDataset, NodeFeatureKind, Record, TokenKind};
use serde_json::Value;
use tch::Tensor;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/subwords").join(name)
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

#[test]
fn ids_equal_those_of_transformers() {
    let expected: Value =
        serde_json::from_str(&std::fs::read_to_string(golden("expected.json")).unwrap()).unwrap();
    let texts: Vec<&str> =
        expected["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let copy = tempfile::tempdir().unwrap();
    for case in expected["cases"].as_array().unwrap() {
        let (name, max_length) = (case["name"].as_str().unwrap(), number(&case["max_length"]));
        let tokenizer = SubwordTokenizer::load(golden(name)).unwrap().with_max_length(max_length).unwrap();
        assert_eq!(tokenizer.padding_id() as usize, number(&case["padding"]), "{name}");
        assert_eq!(tokenizer.unknown_id().unwrap() as usize, number(&case["unknown"]), "{name}");
        assert_eq!(tokenizer.mask_id().unwrap() as usize, number(&case["mask"]), "{name}");
        assert_eq!(tokenizer.n_tokens(), number(&case["n_tokens"]), "{name}");
        tokenizer.save(copy.path()).unwrap();
        let copied = SubwordTokenizer::load(copy.path()).unwrap();
        assert_eq!(copied.fingerprint().unwrap(), tokenizer.fingerprint().unwrap(), "{name}");
        for (text, ids) in texts.iter().zip(case["ids"].as_array().unwrap()) {
            let ids: Vec<u32> = ids.as_array().unwrap().iter().map(|id| number(id) as u32).collect();
            let tokens = || ids.iter().map(|&id| tokenizer.token(id)).collect::<Vec<_>>();
            let got = tokenizer.tokenize(text).unwrap();
            assert_eq!(got, ids, "{name}, {max_length}: {text:?} {:?}", tokens());
            assert!(ids.len() <= max_length);
            let subwords = tokenizer.subwords(text).unwrap();
            assert_eq!(subwords.iter().map(|it| it.id).collect::<Vec<_>>(), ids, "{name}: {text:?}");
            assert!(
                subwords
                    .iter()
                    .all(|it| it.range.as_ref().is_none_or(|range| text.get(range.clone()).is_some()))
            );
            assert_eq!(copied.tokenize(text).unwrap(), ids, "{name}, saved: {text:?}");
        }
    }
}

#[test]
fn places_of_subwords_are_bytes_of_the_text() {
    let tokenizer = SubwordTokenizer::load(golden("bert")).unwrap();
    let text = "Café 月球 moon";
    let words: Vec<_> = tokenizer.subwords(text).unwrap().into_iter().map(|it| it.range).collect();
    assert_eq!(words.first().unwrap(), &None);
    assert_eq!(words.last().unwrap(), &None);
    let parts: String = words.into_iter().flatten().map(|range| &text[range]).collect();
    assert_eq!(parts, "Café月球moon");
}

#[test]
fn missing_and_incomplete_directories_are_rejected_with_help() {
    let dir = tempfile::tempdir().unwrap();
    let check = |expected: &str| {
        let error = SubwordTokenizer::load(dir.path().join("encoder")).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check("expected the Hugging Face directory of an encoder; `cargo xtask encoder minilm` fetches");
    let encoder = dir.path().join("encoder");
    std::fs::create_dir(&encoder).unwrap();
    check(
        "expected tokenizer.json, vocab.txt, vocab.json with merges.txt, or a SentencePiece model (*.model), got no files",
    );
    std::fs::write(encoder.join("config.json"), r#"{"model_type": "camembert"}"#).unwrap();
    check("got config.json; `cargo xtask encoder minilm`");
    std::fs::copy(golden("deberta").join("spm.model"), encoder.join("other.model")).unwrap();
    check("other.model: invalid tokenizer: expected an encoder of type `xlm-roberta` or `deberta-v2`");
    std::fs::write(encoder.join("vocab.txt"), "moon\n").unwrap();
    check("vocab.txt: invalid tokenizer: the vocabulary has no token for unknown words: `[UNK]`");
    std::fs::write(encoder.join("vocab.txt"), "moon\n[UNK]\n").unwrap();
    check("the vocabulary has no token for the start of texts");
    std::fs::write(encoder.join("tokenizer.json"), "{").unwrap();
    check("tokenizer.json: invalid tokenizer: EOF");
    let error = SubwordTokenizer::load(golden("bert")).unwrap().with_max_length(2).unwrap_err().to_string();
    assert_eq!(error, "max_length: expected at least 3: 2 special tokens and one of the text, got 2");
}

#[test]
fn datasets_of_subwords_are_the_same_in_memory_in_a_file_and_saved() {
    let tokenizer = SubwordTokenizer::load(golden("bert")).unwrap().with_max_length(12).unwrap();
    let texts = ["The moon", "", "Aliens landed in the city last night, scientists say 月球", "\u{1F680}"];
    let records = || texts.iter().cycle().take(3000).map(|text| Ok(Record::new(*text).with_label(1)));
    let build =
        |storage: &TokenStorage| FieldDataset::from_subwords(records(), &tokenizer, None, storage).unwrap();
    let data = build(&TokenStorage::default());
    for (index, text) in texts.iter().enumerate() {
        assert_eq!(*data.tokens(index).unwrap(), tokenizer.tokenize(text).unwrap());
        assert_eq!(*data.tokens(index + 2996).unwrap(), tokenizer.tokenize(text).unwrap());
    }
    let is_special = |id: u32| tokenizer.decode(&[id]).is_none_or(|text| text.is_empty());
    let kind_of = |id: u32| match Some(id) == tokenizer.unknown_id() {
        true => TokenKind::Unknown,
        false if is_special(id) => TokenKind::Ignored,
        false => TokenKind::Known,
    };
    let some = data.subset(&[0, 1, 2, 3]).unwrap();
    let counts = some.token_counts(kind_of, NodeFeatureKind::TokenIds).unwrap();
    assert_eq!(
        counts.iter().map(|it| (it.n_known, it.n_tokens)).collect::<Vec<_>>(),
        [(2, 2), (0, 0), (10, 10), (0, 1)]
    );
    assert_eq!(data.input_hash(1, kind_of).unwrap(), None);
    assert_eq!(data.n_unknown().unwrap(), 750);
    let batch = data.batch(&[0, 2]).unwrap();
    let subwords = batch.subwords().unwrap();
    assert_eq!(subwords.ids.size(), [2, 12]);
    assert_eq!(Vec::<i64>::try_from(&subwords.lengths).unwrap(), [4, 12]);
    assert_eq!(subwords.ids.int64_value(&[0, 11]), i64::from(tokenizer.padding_id()));
    assert!(batch.words.is_none());
    let dir = tempfile::tempdir().unwrap();
    let storage = TokenStorage { max_bytes: Some(100), dir: Some(dir.path().to_owned()) };
    let on_disk = build(&storage);
    assert!(on_disk.is_on_disk());
    assert_eq!(on_disk.fingerprint(), data.fingerprint());
    data.save(dir.path().join("data")).unwrap();
    let loaded = FieldDataset::load(dir.path().join("data"), &TokenStorage::default()).unwrap();
    assert_eq!(loaded.fingerprint(), data.fingerprint());
    assert!(loaded.has_subwords() && !loaded.has_words());
}

#[test]
fn encoded_texts_are_stored_shared_and_checked() {
    let tokenizer = SubwordTokenizer::load(golden("bert")).unwrap();
    let texts = ["The moon", "Rain", "The moon", ""];
    let records = || texts.iter().map(|text| Ok(Record::new(*text).with_label(1)));
    let data = FieldDataset::from_subwords(records(), &tokenizer, None, &TokenStorage::default()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut store = EncodedStore::open(dir.path(), 3).unwrap();
    let missing = data.not_encoded(&store).unwrap();
    assert_eq!(missing.n_samples(), 3);
    assert!(data.clone().with_encoded(&store).is_err());
    let vectors = |ids: &[u32]| {
        let values: Vec<f32> = ids.iter().flat_map(|&id| [id as f32, 0.5, -1.0]).collect();
        Tensor::from_slice(&values).view([-1, 3])
    };
    // In two files, as after an interruption.
    for range in [0..1, 1..3] {
        let mut writer = store.writer().unwrap();
        for index in range {
            let ids = missing.tokens(index).unwrap();
            writer.push(&ids, &vectors(&ids)).unwrap();
        }
        store.add(writer).unwrap();
    }
    let check = |store: &EncodedStore| {
        let encoded = data.clone().with_encoded(store).unwrap();
        assert_eq!(encoded.fingerprint(), data.fingerprint());
        let batch = encoded.subset(&[3, 2, 1]).unwrap().batch(&[0, 1]).unwrap();
        assert!(batch.subwords.is_none());
        let encoded = batch.encoded.unwrap();
        let ids = data.tokens(2).unwrap();
        assert_eq!(Vec::<i64>::try_from(&encoded.lengths).unwrap(), [2, ids.len() as i64]);
        assert_eq!(encoded.vectors.get(1), vectors(&ids));
        assert_eq!(
            encoded.vectors.get(0).narrow(0, 2, ids.len() as i64 - 2).abs().max().double_value(&[]),
            0.0
        );
    };
    check(&store);
    check(&EncodedStore::open(dir.path(), 3).unwrap());
    assert_eq!(EncodedStore::open(dir.path(), 3).unwrap().n_texts(), 3);
    // A changed byte and a truncated file are noticed; vectors of another size are foreign.
    let files = || {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().path()).collect();
        files.sort();
        files
    };
    assert_eq!(files().len(), 2);
    let mut content = std::fs::read(&files()[0]).unwrap();
    content[5] ^= 1;
    std::fs::remove_file(&files()[0]).unwrap();
    std::fs::write(dir.path().join("a.vectors"), &content).unwrap();
    std::fs::write(dir.path().join("b.vectors"), &content[..content.len() - 9]).unwrap();
    std::fs::write(dir.path().join("c.vectors"), "").unwrap();
    assert!(EncodedStore::open(dir.path(), 3).unwrap().n_texts() < 3);
    assert_eq!(files().len(), 1);
    assert_eq!(EncodedStore::open(dir.path(), 4).unwrap().n_texts(), 0);
    assert_eq!(files().len(), 0);
}
