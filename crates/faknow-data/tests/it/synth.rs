//! The synthetic corpus as files.

use std::path::PathBuf;

use faknow_data::synth::{CLASS_NAMES, SynthOptions, SynthPost, generate, write_csv, write_jsonl};
use faknow_data::{Classes, ColumnMap, ReadOptions, Record, Result, inspect, read_all};

type Write = fn(PathBuf, &SynthOptions) -> Result<[PathBuf; 3]>;

fn check(write: Write) {
    let dir = tempfile::tempdir().unwrap();
    let corpus = SynthOptions { n_samples: 1_000, seed: 3, ..SynthOptions::default() };
    let paths = write(dir.path().join("new/directory"), &corpus).unwrap();
    let names = paths.each_ref().map(|path| path.file_stem().unwrap().to_str().unwrap());
    assert_eq!(names, ["train", "valid", "test"]);

    let columns = ColumnMap {
        text: Some("text".into()),
        label: Some("label".into()),
        domain: Some("domain".into()),
        ..ColumnMap::default()
    };
    let options = ReadOptions { columns, ..ReadOptions::default() };
    let classes = Classes::new(CLASS_NAMES).unwrap();
    let parts = paths.each_ref().map(|path| read_all(path, &options, Some(&classes)).unwrap());
    assert_eq!(parts.each_ref().map(Vec::len), [700, 100, 200]);

    let written = |record: &Record| (record.text.clone(), record.label, record.domain.clone());
    let generated = |post: &SynthPost| (post.text.clone(), Some(post.label), Some(post.domain.to_owned()));
    let mut written: Vec<_> = parts.iter().flatten().map(written).collect();
    let mut generated: Vec<_> = generate(&corpus).unwrap().iter().map(generated).collect();
    written.sort();
    generated.sort();
    assert_eq!(written, generated);

    let inspection = inspect(&paths[0], &options, Some(&classes)).unwrap();
    assert_eq!((inspection.n_records, inspection.domains.len()), (700, 6));
}

#[test]
fn json_lines_contain_the_corpus() {
    check(write_jsonl);
}

#[test]
fn csv_contains_the_corpus() {
    check(write_csv);
}

#[test]
fn errors_name_a_directory_that_cannot_be_created() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = write_csv(file.join("inside"), &SynthOptions::default()).unwrap_err().to_string();
    assert!(error.contains("inside"), "{error}");
}
