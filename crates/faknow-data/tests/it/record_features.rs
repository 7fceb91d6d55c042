//! Numeric features and comments of records, and their standardization.

use faknow_data::text::{Tokenizer, TokenizerConfig, VocabOptions};
use faknow_data::{
    Classes, ColumnMap, Dataset as _, FieldDataset, ReadOptions, Record, RecordReader, Result,
};

use crate::support::Dir;

fn options() -> ReadOptions {
    let columns = ColumnMap {
        text: Some("text".into()),
        label: Some("label".into()),
        features: [("emotions".to_owned(), "emo".to_owned())].into(),
        comments: Some("replies".into()),
        ..ColumnMap::default()
    };
    ReadOptions { columns, ..ReadOptions::default() }
}

fn read(dir: &Dir, name: &str, content: &str) -> Result<Vec<Record>> {
    let classes = Classes::new(["real", "fake"]).unwrap();
    RecordReader::open(dir.file(name, content), &options(), Some(&classes))?.collect()
}

const POSTS: &str = r#"{"text": "a", "label": 0, "emo": [1, 5], "replies": ["yes", null, "no"]}
{"text": "b", "label": 1, "emo": [3.0, 5], "replies": null}
"#;

#[test]
fn arrays_of_numbers_and_comments_are_read() {
    let dir = Dir::new();
    let records = read(&dir, "posts.jsonl", POSTS).unwrap();
    assert_eq!(records[0].features["emotions"], [1.0, 5.0]);
    assert_eq!(
        (records[0].comments.as_slice(), records[1].comments.len()),
        (&["yes".into(), "no".into()][..], 0)
    );
    let csv = "text,label,emo,replies\na,0,\"[1, 5]\",\"[\"\"yes\"\", \"\"no\"\"]\"\nb,1,3 5,\n";
    let same = read(&dir, "posts.csv", csv).unwrap();
    for (json, csv) in records.iter().zip(&same) {
        assert_eq!((&json.features, &json.comments), (&csv.features, &csv.comments));
    }
}

#[test]
fn errors_name_file_record_and_field() {
    let dir = Dir::new();
    let check = |second: &str, expected: &str| {
        let first = POSTS.lines().next().unwrap();
        let line = format!(r#"{{"text": "b", "label": 1, "replies": [], {second}}}"#);
        let result = read(&dir, "posts.jsonl", &format!("{first}\n{line}\n"));
        assert_eq!(dir.message(result), format!("posts.jsonl: record 2, field `emo`: {expected}"));
    };
    check(r#""emo": [1]"#, "expected 2 numbers, as in record 1, got 1");
    check(r#""emo": [1, "x"]"#, "expected an array of numbers, got `\"x\"`");
    check(r#""emo": null"#, "expected numbers of the feature `emotions`, got none");
    check(r#""emo": [1, 1e39]"#, "expected finite numbers, got inf as number 2");
    let missing = read(&dir, "other.jsonl", "{\"text\": \"a\", \"label\": 0, \"replies\": []}\n");
    let message = dir.message(missing);
    assert!(message.starts_with("other.jsonl: no such column `emo`"), "{message}");
}

#[test]
fn datasets_have_the_features_of_their_records() {
    let dir = Dir::new();
    let tokenizer = Tokenizer::new(TokenizerConfig::default()).unwrap();
    let records = || read(&dir, "posts.jsonl", POSTS).unwrap().into_iter().map(Ok);
    let (data, vocab) = FieldDataset::build(records(), &tokenizer, &VocabOptions::default()).unwrap();
    let values = |data: &FieldDataset, indices: &[usize]| -> Vec<f32> {
        let feature = data.batch(indices).unwrap().features["emotions"].flatten(0, -1);
        Vec::try_from(feature).unwrap()
    };
    assert_eq!((data.feature_size("emotions"), data.feature_size("other")), (Some(2), None));
    assert_eq!(values(&data, &[1, 0]), [3.0, 5.0, 1.0, 5.0]);
    let fitted = data.fit_standardization("emotions").unwrap();
    let standardized = data.standardize("emotions", &fitted).unwrap();
    assert_eq!(values(&standardized, &[0, 1]), [-1.0, 0.0, 1.0, 0.0]);
    // Subsets are fitted by their own samples.
    let fitted = standardized.subset(&[1]).unwrap().fit_standardization("emotions").unwrap();
    assert_eq!((fitted.mean, fitted.std), (vec![1.0, 0.0], vec![0.0, 0.0]));

    let mixed = records().enumerate().map(|(index, record): (usize, Result<Record>)| {
        record.map(|record| if index == 1 { Record::new("c").with_label(0) } else { record })
    });
    let error = FieldDataset::from_records(mixed, &tokenizer, &vocab, &[]).unwrap_err().to_string();
    assert_eq!(error, "record 2: expected the feature `emotions`, as in the first record, got none");
}
