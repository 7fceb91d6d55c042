//! Reading of valid and invalid files of records in every format.

use std::io::Read;
use std::path::PathBuf;

use faknow_data::{Classes, ColumnMap, Format, ReadOptions, Record, RecordReader, read_all};
use serde_json::json;

fn options(format: Format) -> ReadOptions {
    let columns =
        ColumnMap { text: Some("text".into()), label: Some("label".into()), ..ColumnMap::default() };
    ReadOptions { format: Some(format), columns, ..ReadOptions::default() }
}

fn classes() -> Classes {
    Classes::new(["real", "fake"]).unwrap()
}

fn read_with(options: &ReadOptions, content: &[u8]) -> Result<Vec<Record>, String> {
    let reader = std::io::Cursor::new(content.to_vec());
    let records = RecordReader::from_reader(reader, "posts", options, Some(&classes()));
    records.and_then(Iterator::collect).map_err(|error| error.to_string())
}

/// Returns the texts and labels of the records.
fn pairs(records: &[Record]) -> Vec<(&str, Option<usize>)> {
    records.iter().map(|record| (record.text.as_str(), record.label)).collect()
}

fn check(format: Format, content: &str, expected: &[(&str, usize)]) {
    let records = read_with(&options(format), content.as_bytes()).unwrap();
    let expected: Vec<_> = expected.iter().map(|&(text, label)| (text, Some(label))).collect();
    assert_eq!(pairs(&records), expected, "{content}");
    assert!(records.iter().enumerate().all(|(index, record)| record.number == index + 1));
}

fn check_error(options: &ReadOptions, content: impl AsRef<[u8]>, expected: &str) {
    let message = read_with(options, content.as_ref()).expect_err("the content is invalid");
    assert!(message.contains(expected), "{message}\nshould contain\n{expected}");
}

// Valid files.

#[test]
fn reads_json_array() {
    check(
        Format::Json,
        r#"[{"text": "a", "label": 1}, {"label": "real", "text": "b"}]"#,
        &[("a", 1), ("b", 0)],
    );
    check(
        Format::Json,
        "\u{feff} [\r\n {\"text\": \"a ] } \\\" \\\\\", \"label\": 0}\n,{\"text\":\"é\\n中\",\"label\":1.0}]\n\n",
        &[("a ] } \" \\", 0), ("é\n中", 1)],
    );
    check(Format::Json, r#"[{"text":"a","label":0,"more":[{"b":[1,2]},"]"]}]"#, &[("a", 0)]);
}

#[test]
fn reads_json_lines() {
    check(
        Format::Jsonl,
        "{\"text\": \"a\", \"label\": 1}\r\n\n  {\"text\": \"b\", \"label\": \"FAKE\"}",
        &[("a", 1), ("b", 1)],
    );
}

#[test]
fn json_layout_is_detected_for_any_extension() {
    check(
        Format::Json,
        "{\"text\": \"a\", \"label\": 1}\n{\"text\": \"b\", \"label\": 0}\n",
        &[("a", 1), ("b", 0)],
    );
    check(Format::Jsonl, "[{\"text\": \"a\", \"label\": 1}]", &[("a", 1)]);
    let without = ReadOptions { format: None, ..options(Format::Json) };
    assert_eq!(read_with(&without, b"{\"text\": \"a\", \"label\": 1}").unwrap().len(), 1);
    check_error(&without, "text,label\na,1\n", "expected JSON that starts with `[` or `{`");
}

#[test]
fn reads_csv() {
    check(Format::Csv, "id,text,label\n1,a,fake\n2,b,real\n", &[("a", 1), ("b", 0)]);
    check(
        Format::Csv,
        "\u{feff}text , label\r\n\"one\r\ntwo, \"\"three\"\"\n\",1\r\n\r\n\"four\",0",
        &[("one\r\ntwo, \"three\"\n", 1), ("four", 0)],
    );
    check(Format::Csv, "text,label\nsay \"hi\",1\n5\" pipe,0\n", &[("say \"hi\"", 1), ("5\" pipe", 0)]);
}

#[test]
fn reads_tsv_without_header_and_quotes() {
    let columns = ColumnMap {
        text: Some("3".into()),
        label: Some("1".into()),
        domain: Some("2".into()),
        fields: vec!["2".into()],
        ..ColumnMap::default()
    };
    let options = ReadOptions { header: false, quotes: false, columns, ..ReadOptions::default() };
    let options = ReadOptions { format: Some(Format::Tsv), ..options };
    let records = read_with(&options, b"fake\tnews\t\"open\nreal\t \tclosed\" \"\n").unwrap();
    assert_eq!(pairs(&records), [("\"open", Some(1)), ("closed\" \"", Some(0))]);
    assert_eq!(records[0].domain.as_deref(), Some("news"));
    assert_eq!(records[1].domain, None);
    assert_eq!(records[0].fields, *json!({"2": "news"}).as_object().unwrap());
}

#[test]
fn reads_the_requested_fields() {
    let content =
        br#"[{"id": 7, "text": "a", "label": 1, "domain": 3.0, "x": null}, {"text": "b", "label": 0}]"#;
    let mut options = options(Format::Json);
    options.columns.domain = Some("domain".into());
    options.columns.fields = vec!["x".into(), "text".into(), "id".into()];
    let records = read_with(&options, content).unwrap();
    assert_eq!(serde_json::to_string(&records[0].fields).unwrap(), r#"{"x":null,"text":"a","id":7}"#);
    assert_eq!(serde_json::to_string(&records[1].fields).unwrap(), r#"{"x":null,"text":"b","id":null}"#);
    assert_eq!((records[0].domain.as_deref(), records[1].domain.as_deref()), (Some("3"), None));

    let all = ReadOptions { keep_all: true, ..options };
    let records = read_with(&all, content).unwrap();
    let expected = r#"{"id":7,"text":"a","label":1,"domain":3.0,"x":null}"#;
    assert_eq!(serde_json::to_string(&records[0].fields).unwrap(), expected);
    assert_eq!(records[0].text, "a");

    let mut csv = ReadOptions { format: Some(Format::Csv), keep_all: true, ..ReadOptions::default() };
    csv.columns.text = Some("text".into());
    let records = read_with(&csv, b",text,n\nx,a,1\n").unwrap();
    assert_eq!(serde_json::to_string(&records[0].fields).unwrap(), r#"{"1":"x","text":"a","n":"1"}"#);
}

#[test]
fn labels_are_optional_without_classes() {
    let reader = RecordReader::from_reader(&b"text\na\n"[..], "posts", &options(Format::Csv), None).unwrap();
    assert_eq!(reader.columns(), ["text"]);
    assert_eq!(pairs(&reader.map(Result::unwrap).collect::<Vec<_>>()), [("a", None)]);
}

#[test]
fn csv_and_tsv_round_trip_for_any_content() {
    let mut rng = faknow_data::Rng::new(11);
    let parts = ["a", "\"", ",", "\n", "\r\n", "\t", "中", " ", ""];
    for separator in [b',', b'\t'] {
        let rows: Vec<[String; 3]> = (0..500)
            .map(|_| {
                [0; 3].map(|_| (0..rng.below(6)).map(|_| *rng.choose(&parts).unwrap()).collect::<String>())
            })
            .collect();
        let mut writer = csv::WriterBuilder::new().delimiter(separator).from_writer(Vec::new());
        writer.write_record(["x", "text", "y"]).unwrap();
        rows.iter().for_each(|row| writer.write_record(row).unwrap());
        let format = if separator == b',' { Format::Csv } else { Format::Tsv };
        let options = ReadOptions { keep_all: true, accept_missing_texts: true, ..options(format) };
        let bytes = std::io::Cursor::new(writer.into_inner().unwrap());
        let records = RecordReader::from_reader(bytes, "posts", &options, None).unwrap();
        let got: Vec<[String; 3]> = records
            .map(|record| {
                ["x", "text", "y"]
                    .map(|name| record.as_ref().unwrap().fields[name].as_str().unwrap().to_owned())
            })
            .collect();
        assert_eq!(got, rows);
    }
}

#[test]
fn reads_one_record_at_a_time() {
    // A reader that reads ahead without limit would not terminate on these endless inputs.
    struct Endless {
        record: Vec<u8>,
        position: usize,
    }
    impl Read for Endless {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let n_bytes = out.len().min(self.record.len() - self.position);
            out[..n_bytes].copy_from_slice(&self.record[self.position..self.position + n_bytes]);
            self.position = (self.position + n_bytes) % self.record.len();
            Ok(n_bytes)
        }
    }
    let text = "word ".repeat(400);
    for (format, start, record) in [
        (
            Format::Json,
            "[{\"text\": \"a\", \"label\": 0}",
            format!(", {{\"text\": \"{text}\", \"label\": 1}}"),
        ),
        (Format::Jsonl, "", format!("{{\"text\": \"{text}\", \"label\": 1}}\n")),
        (Format::Csv, "text,label\n", format!("\"{text}\",1\n")),
    ] {
        let endless = Endless { record: record.into_bytes(), position: 0 };
        let reader = std::io::Cursor::new(start.as_bytes().to_vec()).chain(endless);
        let records = RecordReader::from_reader(reader, "posts", &options(format), Some(&classes())).unwrap();
        assert_eq!(records.take(20_000).filter(Result::is_ok).count(), 20_000);
    }
}

#[test]
fn reads_text_of_1_mb() {
    let text = "long é ".repeat(150_000);
    for (format, content) in [
        (Format::Json, format!("[{{\"text\": \"{text}\", \"label\": 1}}]")),
        (Format::Jsonl, format!("{{\"text\": \"{text}\", \"label\": 1}}\n")),
        (Format::Csv, format!("text,label\n\"{text}\",1\n")),
        (Format::Tsv, format!("text\tlabel\n{text}\t1\n")),
    ] {
        let records = read_with(&options(format), content.as_bytes()).unwrap();
        assert!(text.len() > 1 << 20 && records[0].text == text, "{format:?}");
    }
}

// Invalid files.

#[test]
fn rejects_empty_files() {
    for format in [Format::Json, Format::Jsonl, Format::Csv, Format::Tsv] {
        for content in ["", "\n", "\u{feff}", "\r\n\n"] {
            check_error(&options(format), content, "posts: the file is empty");
        }
    }
    check_error(&options(Format::Json), " [ ] ", "posts: the JSON array is empty");
    check_error(&options(Format::Csv), "text,label\n", "posts: expected records after the header, got none");
    check_error(&options(Format::Tsv), "text\tlabel", "posts: expected records after the header, got none");
}

#[test]
fn rejects_missing_column() {
    let not_found = "posts: no such column `text`: the columns are `Tweet`, `label`";
    check_error(&options(Format::Csv), "Tweet,label\na,1\n", not_found);
    check_error(&options(Format::Json), r#"[{"Tweet": "a", "label": 1}]"#, not_found);
    let similar = "no such column `text` (did you mean `Text`?): the columns are `Text`, `label`";
    check_error(&options(Format::Tsv), "Text\tlabel\na\t1\n", similar);
    check_error(&options(Format::Csv), "text\na\n", "no such column `label`: the columns are `text`");
    check_error(
        &options(Format::Csv),
        "text\tlabel\na\t1\n",
        "does the file use another separator? `delimiter = tab`",
    );
    check_error(
        &options(Format::Csv),
        "text,text,label\na,b,1\n",
        "the header has the column `text` more than once, as columns 1 and 2: rename them",
    );

    let without_header = ReadOptions { header: false, ..options(Format::Csv) };
    check_error(
        &without_header,
        "a,1\n",
        "the columns are `1`, `2`; in a file without a header, columns are numbered",
    );
    let mut numbers = options(Format::Csv);
    numbers.columns.text = Some("1".into());
    check_error(&numbers, "text,label\na,1\n", "column numbers apply only to a file without a header");
    let mut further = options(Format::Jsonl);
    further.columns.fields = vec!["image".into()];
    check_error(&further, "{\"text\": \"a\", \"label\": 1}\n", "no such column `image`");
}

#[test]
fn requires_a_text_column() {
    let options = ReadOptions { format: Some(Format::Csv), ..ReadOptions::default() };
    check_error(
        &options,
        "text\na\n",
        "columns.text: expected the name of the column that holds the text, got none",
    );
}

#[test]
fn rejects_unknown_and_missing_labels() {
    let unknown = "posts: record 2, field `label`: unknown label `hoax`: expected `real`, `fake`, or a class index from 0 to 1";
    check_error(&options(Format::Csv), "text,label\na,1\nb,hoax\n", unknown);
    check_error(
        &options(Format::Json),
        r#"[{"text": "a", "label": 7}]"#,
        "record 1, field `label`: unknown label `7`: expected `real`, `fake`",
    );
    let missing = "record 1, field `label`: missing label: expected `real`, `fake`";
    check_error(&options(Format::Csv), "text,label\na,\n", missing);
    check_error(&options(Format::Json), r#"[{"text": "a", "label": null}]"#, missing);
    check_error(
        &options(Format::Json),
        r#"[{"text": "a", "label": [1]}]"#,
        "expected a string or a number, got an array",
    );
}

#[test]
fn rejects_missing_texts() {
    let check = |text: &str, expected: &str| {
        let content = format!("[{{\"text\": \"a\", \"label\": 0}}, {{{text}\"label\": 1}}]");
        check_error(&options(Format::Json), content, &format!("posts: record 2, field `text`: {expected}"));
    };
    check("", "missing text: this record has `label`");
    check("\"text\": null, ", "missing text: expected a string, got null");
    check("\"text\": \"\", ", "missing text: expected a string, got a blank one");
    check("\"text\": \"NaN\", ", "missing text: expected a string, got `NaN`, a missing value");
    check("\"text\": 5, ", "expected a string as text, got the number 5");
    check("\"text\": [\"a\"], ", "expected a string as text, got an array");
}

/// Returns 1,000 valid records, then `bad`, then one valid record.
fn json_with_record_1001(is_array: bool, bad: &str) -> String {
    let valid = "{\"text\": \"é 中\", \"label\": 1}";
    let (start, separator, end) = if is_array { ("[\n", ",\n", "\n]\n") } else { ("", "\n", "\n") };
    let mut records = vec![valid; 1000];
    records.extend([bad, valid]);
    format!("{start}{}{end}", records.join(separator))
}

#[test]
fn invalid_json_in_record_1001_has_its_position() {
    let check = |bad: &str, column: usize, message: &str| {
        for (array, line) in [(true, 1002), (false, 1001)] {
            let expected =
                format!("posts: record 1001: invalid JSON at line {line}, column {column}: {message}");
            check_error(&options(Format::Json), json_with_record_1001(array, bad), &expected);
        }
    };
    check(r#"{"text": "中" "label": 1}"#, 14, "expected `,` or `}`");
    check(r#"{"text": "中", label: 1}"#, 15, "key must be a string");
    check(r#"{"text": "a", "label": tru}"#, 27, "expected ident");
    check(r#"{"text": "a, "label": 1}"#, 15, "expected `,` or `}`");
    check(r#"{"text": "a\q", "label": 1}"#, 13, "invalid escape");
    for array in [true, false] {
        let content = json_with_record_1001(array, "17");
        check_error(
            &options(Format::Json),
            content,
            "posts: record 1001: expected an object, got `17` at line 100",
        );
    }
}

#[test]
fn records_before_a_broken_one_are_returned() {
    let content = json_with_record_1001(true, "{]").into_bytes();
    let reader = std::io::Cursor::new(content);
    let mut records =
        RecordReader::from_reader(reader, "posts", &options(Format::Json), Some(&classes())).unwrap();
    assert_eq!(records.by_ref().take_while(Result::is_ok).count(), 1000);
    assert!(records.next().is_none(), "iteration ends after an error");
}

#[test]
fn rejects_malformed_arrays() {
    let json = options(Format::Json);
    let first = r#"[{"text": "a", "label": 1}"#;
    check_error(
        &json,
        first,
        "record 1: invalid JSON at line 1, column 27: unexpected end of file inside the array",
    );
    check_error(&json, format!("{first},"), "column 28: unexpected end of file inside the array");
    check_error(&json, format!("{first},]"), "column 28: trailing comma in the array");
    check_error(&json, format!("{first} {first}"), "column 28: expected `,` or `]` after this record");
    check_error(&json, format!("{first}] x"), "column 29: unexpected data after the end of the array");
    check_error(
        &json,
        format!("{first}, {{\"text\": \"b"),
        "record 2: invalid JSON at line 1, column 40: unexpected end of file inside this record",
    );
    check_error(
        &json,
        "[{\"text\": \"a\n\", \"label\": 1}]",
        "line 1, column 13: line break inside a string",
    );
    check_error(
        &json,
        "{\n  \"text\": \"a\"\n",
        "line 3, column 1: unexpected end of file inside this record",
    );
    check_error(&json, "hello", "expected JSON");
}

#[test]
fn rejects_rows_with_other_numbers_of_fields() {
    let csv = options(Format::Csv);
    let expected = "posts: record 2: expected 2 fields as in the header, got 3 (line 3); a field that contains a comma must be quoted";
    check_error(&csv, "text,label\na,1\nb,c,0\n", expected);
    check_error(
        &csv,
        "text,label\n\"a\nb\",1\nb\n",
        "record 2: expected 2 fields as in the header, got 1 (line 4)",
    );
    let mut numbers = ReadOptions { header: false, ..options(Format::Tsv) };
    numbers.columns = ColumnMap { text: Some("1".into()), ..ColumnMap::default() };
    check_error(&numbers, "a\tb\nc\n", "record 2: expected 2 fields as in the first row, got 1 (line 2)");
}

#[test]
fn rejects_stray_quotes() {
    let csv = options(Format::Csv);
    let after = "record 1: text after a closing quote at line 3, column 2 (the field starts on line 2)";
    check_error(&csv, "text,label\n\"open,1\n\"b\",0\n", after);
    check_error(
        &csv,
        "text,label\n\"a\" b,1\n",
        "if quotes are plain text in this file, read it with `quotes = false`",
    );
    check_error(
        &csv,
        "text,label\nx,1\n\"open,1\nb,0\n",
        "record 2: unclosed quote: the quoted field that starts on line 3 has no closing quote",
    );
    let plain = ReadOptions { quotes: false, ..csv };
    assert_eq!(pairs(&read_with(&plain, b"text,label\n\"open,1\n").unwrap()), [("\"open", Some(1))]);
}

#[test]
fn text_in_other_encodings_needs_its_name() {
    let encode = |name: &str, text: &str| {
        let encoding: faknow_data::Encoding = name.parse().unwrap();
        encoding_rs::Encoding::for_label(encoding.to_string().as_bytes()).unwrap().encode(text).0.into_owned()
    };
    for (name, text) in
        [("windows-1252", "Größe und Café"), ("gbk", "新闻报道说明天有雨"), ("shift_jis", "明日は雨です")]
    {
        let files = [
            (Format::Csv, format!("text,label\n{text},1\n")),
            (Format::Jsonl, format!("{{\"text\": \"{text}\", \"label\": 1}}\n")),
        ];
        for (format, content) in files {
            let bytes = encode(name, &content);
            check_error(&options(format), &bytes, "posts: expected UTF-8, got the byte 0x");
            check_error(&options(format), &bytes, &format!("with `encoding = {name}`"));
            let named = ReadOptions { encoding: Some(name.parse().unwrap()), ..options(format) };
            assert_eq!(pairs(&read_with(&named, &bytes).unwrap()), [(text, Some(1))]);
        }
    }
    let mut late = json_with_record_1001(true, "{\"text\": \"#\", \"label\": 1}").into_bytes();
    let position = late.iter().position(|&byte| byte == b'#').unwrap();
    late[position] = 0xE9;
    check_error(&options(Format::Json), late, &format!("the byte 0xE9 at byte {position}, line 1002"));
}

#[test]
fn reads_utf_16_with_a_byte_order_mark() {
    let utf_16 = |mark: &str| -> Vec<u8> {
        format!("{mark}[{{\"text\": \"é\", \"label\": 1}}]")
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect()
    };
    assert_eq!(pairs(&read_with(&options(Format::Json), &utf_16("\u{feff}")).unwrap()), [("é", Some(1))]);
    check_error(&options(Format::Json), utf_16(""), "read it with `encoding = utf-16le`");
}

#[test]
fn open_detects_the_format_by_extension() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| -> PathBuf {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let open = ReadOptions { format: None, ..options(Format::Json) };
    for (name, content) in [
        ("a.json", "[{\"text\": \"a\", \"label\": 1}]"),
        ("a.jsonl", "{\"text\": \"a\", \"label\": 1}\n"),
        ("a.CSV", "text,label\na,1\n"),
        ("a.tsv", "text\tlabel\na\t1\n"),
    ] {
        let records = read_all(write(name, content), &open, Some(&classes())).unwrap();
        assert_eq!(pairs(&records), [("a", Some(1))], "{name}");
    }
    let error = read_all(write("a.txt", "x"), &open, None).unwrap_err().to_string();
    assert!(error.contains("a.txt") && error.contains(".jsonl"), "{error}");
    let error = read_all(dir.path().join("none.csv"), &open, None).unwrap_err().to_string();
    assert!(error.contains("none.csv: No such file"), "{error}");
}
