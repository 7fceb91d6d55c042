//! Records in spreadsheets and Parquet files.

use std::io::{Cursor, Write};
use std::sync::Arc;

use faknow_data::{Classes, ColumnMap, Format, ReadOptions, Record, RecordReader, inspect, read_columns};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::json;

fn options(text: &str) -> ReadOptions {
    let columns = ColumnMap { text: Some(text.into()), label: Some("label".into()), ..ColumnMap::default() };
    ReadOptions { columns, ..ReadOptions::default() }
}

fn read_with(options: &ReadOptions, bytes: Vec<u8>) -> Result<Vec<Record>, String> {
    let classes = Classes::new(["real", "fake"]).unwrap();
    let records = RecordReader::from_reader(Cursor::new(bytes), "posts", options, Some(&classes));
    records.and_then(Iterator::collect).map_err(|error| error.to_string())
}

/// Returns a spreadsheet with these rows of XML cells on each sheet.
fn xlsx(sheets: &[&str]) -> Vec<u8> {
    const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006";
    let numbers = 1..=sheets.len();
    let names: String =
        numbers.clone().map(|n| format!("<sheet name=\"S{n}\" sheetId=\"{n}\" r:id=\"rId{n}\"/>")).collect();
    let relations: String = numbers
        .map(|n| {
            format!(
                "<Relationship Id=\"rId{n}\" Type=\"{OFFICE}/worksheet\" Target=\"worksheets/sheet{n}.xml\"/>"
            )
        })
        .collect();
    let mut parts = vec![
        ("[Content_Types].xml".to_owned(), format!("<Types xmlns=\"{PACKAGE}/content-types\"/>")),
        (
            "_rels/.rels".to_owned(),
            format!(
                "<Relationships xmlns=\"{PACKAGE}/relationships\"><Relationship Id=\"rId1\" Type=\"{OFFICE}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
            ),
        ),
        (
            "xl/workbook.xml".to_owned(),
            format!("<workbook xmlns=\"{MAIN}\" xmlns:r=\"{OFFICE}\"><sheets>{names}</sheets></workbook>"),
        ),
        (
            "xl/_rels/workbook.xml.rels".to_owned(),
            format!(
                "<Relationships xmlns=\"{PACKAGE}/relationships\">{relations}<Relationship Id=\"rId9\" Type=\"{OFFICE}/styles\" Target=\"styles.xml\"/></Relationships>"
            ),
        ),
        (
            "xl/styles.xml".to_owned(),
            format!(
                "<styleSheet xmlns=\"{MAIN}\"><cellXfs count=\"2\"><xf numFmtId=\"0\"/><xf numFmtId=\"14\"/></cellXfs></styleSheet>"
            ),
        ),
    ];
    for (index, rows) in sheets.iter().enumerate() {
        let sheet = format!("<worksheet xmlns=\"{MAIN}\"><sheetData>{rows}</sheetData></worksheet>");
        parts.push((format!("xl/worksheets/sheet{}.xml", index + 1), sheet));
    }
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in parts {
        archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(content.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// Returns a row of cells with text, numbers or dates (`d45943`).
fn row(number: usize, cells: &[(&str, &str)]) -> String {
    let cells: String = cells
        .iter()
        .map(|(column, value)| match (value.strip_prefix('d'), value.parse::<f64>()) {
            (Some(days), _) if days.parse::<f64>().is_ok() => {
                format!("<c r=\"{column}{number}\" s=\"1\"><v>{days}</v></c>")
            }
            (_, Ok(_)) => format!("<c r=\"{column}{number}\"><v>{value}</v></c>"),
            _ => format!("<c r=\"{column}{number}\" t=\"inlineStr\"><is><t>{value}</t></is></c>"),
        })
        .collect();
    format!("<row r=\"{number}\">{cells}</row>")
}

#[test]
fn reads_spreadsheets() {
    let header = row(1, &[("A", "date"), ("B", "text"), ("D", "label")]);
    let rows = [
        header.clone(),
        row(2, &[("A", "d45943"), ("B", "Moon landing"), ("C", "x"), ("D", "1")]),
        // Rows without values are skipped, and cells may be missing.
        row(4, &[("B", "2024"), ("D", "real")]),
    ];
    let bytes = xlsx(&[&rows.concat(), &row(1, &[("A", "other")])]);
    let excel = ReadOptions { format: Some(Format::Excel), keep_all: true, ..options("text") };
    let records = read_with(&excel, bytes.clone()).unwrap();
    assert_eq!(records.len(), 2);
    let fields = json!({"date": "2025-10-13", "text": "Moon landing", "3": "x", "label": "1"});
    assert_eq!(serde_json::Value::from(records[0].fields.clone()), fields);
    assert_eq!((records[1].text.as_str(), records[1].label), ("2024", Some(0)));
    assert_eq!(records[1].fields["date"], "");

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("posts.xlsx");
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(read_columns(&path, &ReadOptions::default()).unwrap(), ["date", "text", "3", "label"]);
    assert_eq!(inspect(&path, &options("text"), None).unwrap().n_records, 2);
    let csv = ReadOptions { format: Some(Format::Csv), ..options("text") };
    let message = read_with(&csv, bytes).unwrap_err();
    assert!(message.contains("the file is a spreadsheet: read it with `format = excel`"), "{message}");

    let outside = xlsx(&[&[header, row(2, &[("B", "a"), ("D", "1"), ("F", "note")])].concat()]);
    let message = read_with(&excel, outside).unwrap_err();
    assert!(message.contains("record 1: expected values in 4 columns, got `note` in column F"), "{message}");
}

#[test]
fn reads_spreadsheets_without_header() {
    let rows = [row(1, &[("A", "1"), ("B", "a")]), row(2, &[("A", "0"), ("B", "b")])].concat();
    let columns = ColumnMap { text: Some("2".into()), label: Some("1".into()), ..ColumnMap::default() };
    let options =
        ReadOptions { format: Some(Format::Excel), header: false, columns, ..ReadOptions::default() };
    let records = read_with(&options, xlsx(&[&rows])).unwrap();
    let pairs: Vec<_> = records.iter().map(|record| (record.text.as_str(), record.label)).collect();
    assert_eq!(pairs, [("a", Some(1)), ("b", Some(0))]);
}

#[test]
fn invalid_spreadsheets_are_errors() {
    let excel = ReadOptions { format: Some(Format::Excel), ..options("text") };
    let check = |bytes: Vec<u8>, expected: &str| {
        let message = read_with(&excel, bytes).unwrap_err();
        assert!(message.starts_with("posts: ") && message.contains(expected), "{message}");
    };
    check(b"text,label\na,1\n".to_vec(), "invalid spreadsheet");
    check(b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1".to_vec(), "invalid spreadsheet");
    check(xlsx(&[""]), "the sheet is empty");
    check(xlsx(&[&row(1, &[("A", "text"), ("B", "label")])]), "expected records, got none");
    check(
        xlsx(&[&row(1, &[("A", "text"), ("B", "text"), ("C", "label")])]),
        "the column `text` more than once",
    );
    let bytes = xlsx(&[&row(1, &[("A", "text")])]);
    check(bytes[..bytes.len() - 30].to_vec(), "invalid spreadsheet");
    let encoded = ReadOptions { encoding: Some("gbk".parse().unwrap()), ..excel.clone() };
    let message = read_with(&encoded, bytes).unwrap_err();
    assert!(message.contains("`encoding = gbk` applies to text files"), "{message}");
}

/// Returns a Parquet file with the columns `text`, `label`, `score` and `meta.source`.
fn parquet(rows: &[(Option<&str>, i64, f64, &str)]) -> Vec<u8> {
    let schema = "message posts { OPTIONAL BINARY text (UTF8); REQUIRED INT64 label; REQUIRED DOUBLE score; \
                  REQUIRED GROUP meta { REQUIRED BINARY source (UTF8); } }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties =
        Arc::new(WriterProperties::builder().set_compression(parquet::basic::Compression::SNAPPY).build());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, properties).unwrap();
    for rows in rows.chunks(2) {
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let texts: Vec<ByteArray> = rows.iter().filter_map(|row| row.0.map(ByteArray::from)).collect();
        let levels: Vec<i16> = rows.iter().map(|row| i16::from(row.0.is_some())).collect();
        column.typed::<ByteArrayType>().write_batch(&texts, Some(&levels), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let labels: Vec<i64> = rows.iter().map(|row| row.1).collect();
        column.typed::<Int64Type>().write_batch(&labels, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let scores: Vec<f64> = rows.iter().map(|row| row.2).collect();
        column.typed::<DoubleType>().write_batch(&scores, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let sources: Vec<ByteArray> = rows.iter().map(|row| ByteArray::from(row.3)).collect();
        column.typed::<ByteArrayType>().write_batch(&sources, None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
    bytes
}

#[test]
fn reads_parquet() {
    let bytes = parquet(&[(Some("a"), 1, 0.5, "x"), (Some("b"), 0, f64::NAN, "y"), (Some("c"), 1, 2.0, "z")]);
    let options = ReadOptions { format: Some(Format::Parquet), ..options("text") };
    let records = read_with(&options, bytes.clone()).unwrap();
    let pairs: Vec<_> = records.iter().map(|record| (record.text.as_str(), record.label)).collect();
    assert_eq!(pairs, [("a", Some(1)), ("b", Some(0)), ("c", Some(1))]);
    assert_eq!(records[2].number, 3);
    let all = ReadOptions { keep_all: true, ..options.clone() };
    let records = read_with(&all, bytes.clone()).unwrap();
    let fields = json!({"text": "a", "label": 1, "score": 0.5, "meta": {"source": "x"}});
    assert_eq!(serde_json::Value::from(records[0].fields.clone()), fields);
    assert_eq!(records[1].fields["score"], serde_json::Value::Null);
    let nested = ReadOptions { format: Some(Format::Parquet), ..self::options("meta.source") };
    assert_eq!(read_with(&nested, bytes).unwrap()[1].text, "y");
}

#[test]
fn invalid_parquet_is_an_error() {
    let bytes = parquet(&[(Some("a"), 1, 0.5, "x"), (None, 0, 1.0, "y")]);
    let parquet = ReadOptions { format: Some(Format::Parquet), ..options("text") };
    let check = |options: &ReadOptions, bytes: &[u8], expected: &str| {
        let message = read_with(options, bytes.to_vec()).unwrap_err();
        assert!(message.contains(expected), "{message}");
    };
    check(&parquet, &bytes, "posts: record 2, field `text`: missing text");
    check(&parquet, &bytes[..bytes.len() / 2], "posts: invalid Parquet");
    check(&options("text"), &bytes, "the file is Parquet: read it with `format = parquet`");
    check(
        &ReadOptions { format: Some(Format::Parquet), ..options("title") },
        &bytes,
        "no such column `title`",
    );
    check(&parquet, b"text,label\n", "invalid Parquet");
}
