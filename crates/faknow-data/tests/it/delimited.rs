//! Separators, line breaks, quotes and headers of delimited text.

use std::io::Cursor;

use faknow_data::{ColumnMap, Delimiter, Format, ReadOptions, Record, RecordReader, read_all};

fn options(format: Format) -> ReadOptions {
    let columns = ColumnMap { text: Some("text".into()), ..ColumnMap::default() };
    ReadOptions { format: Some(format), columns, ..ReadOptions::default() }
}

fn read_with(options: &ReadOptions, content: &str) -> Result<Vec<Record>, String> {
    let reader = Cursor::new(content.to_owned());
    let records = RecordReader::from_reader(reader, "posts", options, None);
    records.and_then(Iterator::collect).map_err(|error| error.to_string())
}

/// Returns the texts of CSV.
fn texts(content: &str) -> Vec<String> {
    let records = read_with(&options(Format::Csv), content).unwrap();
    records.into_iter().map(|record| record.text).collect()
}

fn check_error(options: &ReadOptions, content: &str, expected: &str) {
    let message = read_with(options, content).expect_err("the content is invalid");
    assert!(message.contains(expected), "{message}\nshould contain\n{expected}");
}

#[test]
fn delimiters_separate_fields() {
    for (delimiter, content) in [
        (";", "text;label\n\"a; b\";1\nc, d;0\n"),
        ("pipe", "text|label\n\"a; b\"|1\nc, d|0\n"),
        ("tab", "text\tlabel\na; b\t1\nc, d\t0\n"),
    ] {
        for format in [Format::Csv, Format::Tsv] {
            let options = ReadOptions { delimiter: Some(delimiter.parse().unwrap()), ..options(format) };
            let records = read_with(&options, content).unwrap();
            assert_eq!(records.iter().map(|it| it.text.as_str()).collect::<Vec<_>>(), ["a; b", "c, d"]);
        }
    }
    let json = ReadOptions { delimiter: Some(Delimiter::TAB), ..options(Format::Jsonl) };
    check_error(&json, "{\"text\": \"a\"}\n", "`delimiter = tab` applies to CSV and TSV files");
}

#[test]
fn the_separator_line_of_excel_is_read() {
    for start in ["sep=;\r\n", "SEP=;\n", "\u{feff}\"sep=;\"\r\n", "sep=;\r"] {
        let line_break = if start.ends_with("\r") { "\r" } else { "\n" };
        assert_eq!(texts(&format!("{start}text;label{line_break}a, b;1{line_break}")), ["a, b"], "{start:?}");
    }
    assert_eq!(texts("sep=\t\ntext\tlabel\na\t1\n"), ["a"]);
    // The given separator takes precedence.
    let given = ReadOptions { delimiter: Some(Delimiter::PIPE), ..options(Format::Csv) };
    assert_eq!(read_with(&given, "sep=;\ntext|label\na;b|1\n").unwrap()[0].text, "a;b");
    check_error(&options(Format::Csv), "sep=;\ntext;label\na;1\nb\n", "got 1 (line 4)");
}

#[test]
fn line_breaks_of_old_mac_programs_are_read() {
    assert_eq!(texts("text,label\ra,1\rb,0"), ["a", "b"]);
    assert_eq!(texts("text,label\r\"a\nb, c\",1\rd,0\r"), ["a\nb, c", "d"]);
    assert_eq!(texts("text,label\na\rb,1\nc,0\n"), ["a\rb", "c"]);
    assert_eq!(texts("text,label\r\na\rb,1\r\nc,0\r\n"), ["a\rb", "c"]);
    assert_eq!(texts("text\ra\r\r\rb\r"), ["a", "b"]);
}

#[test]
fn rows_that_quotes_merge_are_errors() {
    let tsv = options(Format::Tsv);
    let merged =
        "id\ttext\tlabel\n1\t\"Obama said no\t0\n2\tnext claim\t1\n3\tquoted end\"\t1\n4\tplain\t0\n";
    let expected = "posts: record 1: a quoted field merges lines 2 to 4 into one record, but each of these lines has 3 fields if \
                    quotes are plain text: read such a file with `quotes = false`";
    check_error(&tsv, merged, expected);
    let plain = ReadOptions { quotes: false, ..tsv };
    assert_eq!(read_with(&plain, merged).unwrap().len(), 4);
    check_error(
        &options(Format::Csv),
        "label,text\n0,\"He said so\n1,the other says no\"\n",
        "a quoted field merges lines 2 to 3 into one record",
    );
    let no_header = ReadOptions { header: false, ..options(Format::Csv) };
    let no_header =
        ReadOptions { columns: ColumnMap { text: Some("2".into()), ..ColumnMap::default() }, ..no_header };
    check_error(&no_header, "0,a\n0,\"He said so\n1,no\"\n", "merges lines 2 to 3");
}

#[test]
fn quoted_fields_with_line_breaks_are_read() {
    // Without separators, with another number of them, and with an empty line.
    assert_eq!(texts("text,label\n\"a\nb\",1\n"), ["a\nb"]);
    assert_eq!(texts("text,label\n\"a, b, c\nd, e\",1\n"), ["a, b, c\nd, e"]);
    assert_eq!(texts("text,label\n\"a, b\n\nd\",1\n"), ["a, b\n\nd"]);
    // Lines like those of merged rows, in a file that needs quotes elsewhere: before, or after, which is looked up.
    let doubtful = "x,\"a, b\ny, c\",1\n";
    let needs_quotes = "x,\"a, b, c\",1\n";
    let content = format!("id,text,label\n{needs_quotes}{doubtful}");
    assert_eq!(texts(&content), ["a, b, c", "a, b\ny, c"]);
    let content = format!("id,text,label\n{doubtful}{needs_quotes}");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("posts.csv");
    std::fs::write(&path, &content).unwrap();
    assert_eq!(read_all(&path, &options(Format::Csv), None).unwrap().len(), 2);
    std::fs::write(&path, format!("id,text,label\n{doubtful}")).unwrap();
    let message = read_all(&path, &options(Format::Csv), None).unwrap_err().to_string();
    assert!(message.contains("merges lines 2 to 3"), "{message}");
}

#[test]
fn duplicate_columns_are_errors_where_they_are_read() {
    let content = "a,text,a\n1,x,2\n";
    assert_eq!(texts(content), ["x"]);
    let all = ReadOptions { keep_all: true, ..options(Format::Csv) };
    check_error(
        &all,
        content,
        "posts: the header has the column `a` more than once, as columns 1 and 3: rename them",
    );
    check_error(
        &options(Format::Csv),
        "text,text\na,b\n",
        "the column `text` more than once, as columns 1 and 2",
    );
}

#[test]
fn ragged_rows_name_the_line_and_the_cause() {
    let csv = options(Format::Csv);
    check_error(
        &csv,
        "text,label\na,1,\n",
        "expected 2 fields as in the header, got 3 (line 2); the line ends in empty fields",
    );
    check_error(&csv, "text,label\na,b,1\n", "got 3 (line 2); a field that contains a comma must be quoted");
    check_error(
        &csv,
        "text,label\na\nb,1\n",
        "got 1 (line 2); a field that contains a line break must be quoted",
    );
    assert_eq!(texts("text,label,\na,1,\n"), ["a"]);
}

#[test]
fn zero_bytes_are_errors() {
    check_error(
        &options(Format::Csv),
        "text,label\na\0b,1\n",
        "posts: record 1: zero byte at line 2, column 2",
    );
}

#[test]
fn other_content_is_named() {
    let check = |content: &str, expected: &str| check_error(&options(Format::Csv), content, expected);
    check("<!DOCTYPE html>\n<html></html>", "posts: the file is an HTML page: download the file itself");
    check("version https://git-lfs.github.com/spec/v1\n", "posts: the file is a Git LFS pointer");
    check("[{\"text\": 1}]", "posts: the file is JSON: read it with `format = json`");
    check("PAR1xxxx", "posts: the file is Parquet: read it with `format = parquet`");
    let json = options(Format::Json);
    check_error(&json, "text;label\na;1\n", "read with `format = csv` and `delimiter = ;`");
    check_error(&json, "text\tlabel\na\t1\n", "read with `format = tsv`");
}

#[test]
fn json_of_other_shapes_names_the_remedy() {
    let json = options(Format::Json);
    let objects = "{\n  \"text\": \"a}\",\n  \"label\": 1\n}\n\n{\n  \"text\": \"b\"\n}\n{\"text\": \"c\"}\n";
    let records = read_with(&json, objects).unwrap();
    assert_eq!(records.iter().map(|it| it.text.as_str()).collect::<Vec<_>>(), ["a}", "b", "c"]);
    check_error(
        &json,
        "{\n  \"text\": \"a\",\n  \"label\": 1\n}\n{\n  \"text\": 7,,\n}\n",
        "record 2: invalid JSON at line 6, column 13",
    );
    check_error(&json, "{\"text\": {\"0\": \"a\"}}", "as pandas writes by column (`to_json(path)`)");
    check_error(&json, "[[\"a\", 1]]", "orient=\"records\"");
    check_error(
        &json,
        "[{\"text\": \"a\"}]\n[{\"text\": \"b\"}]\n",
        "line 2, column 1: another array starts here",
    );
    check_error(
        &json,
        "{\"text\": \"a\"}{\"text\": \"b\"}\n",
        "trailing characters; expected one object per line",
    );
    check_error(&json, "\"[{\\\"text\\\": 1}]\"", "it was encoded twice");
    check_error(
        &json,
        "{\"text\": \"a\", \"text\": \"b\"}\n",
        "record 1: invalid JSON at line 1, column 20: the key `text` occurs twice",
    );
}
