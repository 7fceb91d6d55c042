//! Records in every format, encoding and compression; the first two bytes are the settings.
#![no_main]

use faknow_data::{Classes, ColumnMap, Format, ReadOptions, RecordReader, inspect};
use faknow_fuzz::with_files;

const FORMATS: [Option<Format>; 5] =
    [None, Some(Format::Json), Some(Format::Jsonl), Some(Format::Csv), Some(Format::Tsv)];

const ENCODINGS: [Option<&str>; 6] =
    [None, None, Some("windows-1252"), Some("gbk"), Some("shift_jis"), Some("utf-16le")];

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((&[format, flags], content)) = input.split_first_chunk() else { return };
    let is_set = |bit: u8| flags & 1 << bit != 0;
    let options = ReadOptions {
        format: FORMATS[usize::from(format) % FORMATS.len()],
        encoding: ENCODINGS[usize::from(format >> 3) % ENCODINGS.len()].and_then(|name| name.parse().ok()),
        delimiter: is_set(5).then(|| ";".parse().ok()).flatten(),
        header: is_set(0),
        quotes: is_set(1),
        columns: ColumnMap {
            text: Some(if is_set(0) { "text" } else { "1" }.into()),
            label: is_set(2).then(|| if is_set(0) { "label" } else { "2" }.to_owned()),
            domain: is_set(3).then(|| "domain".to_owned()),
            ..ColumnMap::default()
        },
        ..ReadOptions::default()
    };
    let classes = Classes::new(["real", "fake"]).expect("two classes");
    with_files(&[("records.csv", content)], |dir| {
        let path = dir.join("records.csv");
        if let Ok(records) = RecordReader::open(&path, &options, Some(&classes)) {
            // Like the program, which stops at the first error.
            let _ = records.map_while(Result::ok).count();
        }
        if is_set(4) {
            let _ = inspect(&path, &options, Some(&classes));
        }
    });
});
