//! Several text columns, paths into nested JSON, and missing values.

use faknow_data::{Classes, ColumnMap, Format, ReadOptions, Record, RecordReader};

fn options(format: Format) -> ReadOptions {
    let columns =
        ColumnMap { text: Some("text".into()), label: Some("label".into()), ..ColumnMap::default() };
    ReadOptions { format: Some(format), columns, ..ReadOptions::default() }
}

#[test]
fn accepts_missing_texts_on_request() {
    let options = ReadOptions { accept_missing_texts: true, ..options(Format::Jsonl) };
    let content =
        "{\"text\": \"None\"}\n{\"text\": null}\n{\"text\": \" \"}\n{}\n{\"text\": \"None of them\"}\n";
    let records = RecordReader::from_reader(content.as_bytes(), "posts", &options, None).unwrap();
    let (texts, are_missing): (Vec<_>, Vec<_>) =
        records.map(|record| record.unwrap()).map(|record| (record.text, record.is_missing)).unzip();
    assert_eq!(texts, ["", "", "", "", "None of them"]);
    assert_eq!(are_missing, [true, true, false, true, false]);
}

#[test]
fn reads_several_text_columns_and_nested_fields() {
    let read = |format, columns: ColumnMap, content: &str| {
        let options = ReadOptions { format: Some(format), columns, ..ReadOptions::default() };
        let classes = Classes::new(["real", "fake"]).unwrap();
        let content = content.to_owned();
        let records =
            RecordReader::from_reader(std::io::Cursor::new(content), "posts", &options, Some(&classes));
        records.and_then(|records| records.collect::<Result<Vec<_>, _>>())
    };
    let columns = |text: &str, label: &str| ColumnMap {
        text: Some(text.into()),
        label: Some(label.into()),
        ..ColumnMap::default()
    };
    let csv = "title,body,label\nOne,Two,0\n,Three,1\nFour,NaN,1\n";
    let texts = |records: Vec<Record>| records.into_iter().map(|record| record.text).collect::<Vec<_>>();
    assert_eq!(
        texts(read(Format::Csv, columns("title,body", "label"), csv).unwrap()),
        ["One\nTwo", "Three", "Four"]
    );
    let nested = "{\"content\": {\"text\": \"a\"}, \"meta\": [{\"label\": \"fake\"}]}\n{\"content\": null, \"meta\": []}\n";
    let error = read(Format::Jsonl, columns("content.text", "meta.0.label"), nested).unwrap_err().to_string();
    assert!(error.contains("record 2, field `content.text`: missing text"), "{error}");
    let first = nested.lines().next().unwrap();
    let records = read(Format::Jsonl, columns("content.text", "meta.0.label"), first).unwrap();
    assert_eq!((records[0].text.as_str(), records[0].label), ("a", Some(1)));
    let error = read(Format::Jsonl, columns("content.txt", "meta.0.label"), first).unwrap_err().to_string();
    assert!(error.contains("no such column `content.txt`: `content` has the keys `text`"), "{error}");
    let error = read(Format::Csv, columns("title,text", "label"), csv).unwrap_err().to_string();
    assert!(error.contains("no such column `text`: the columns are `title`, `body`, `label`"), "{error}");
}

#[test]
fn a_class_may_be_named_like_a_missing_value() {
    let classes = Classes::new(["support", "none"]).unwrap();
    let content = "text,label\na,none\nb,None\nc,support\n";
    let records =
        RecordReader::from_reader(content.as_bytes(), "posts", &options(Format::Csv), Some(&classes))
            .unwrap();
    let labels: Vec<_> = records.map(|record| record.unwrap().label).collect();
    assert_eq!(labels, [Some(1), Some(1), Some(0)]);
    let classes = Classes::new(["real", "fake"]).unwrap();
    let content = "text,label\na,real\nb,None\n";
    let records =
        RecordReader::from_reader(content.as_bytes(), "posts", &options(Format::Csv), Some(&classes));
    let error = records.and_then(|records| records.collect::<Result<Vec<_>, _>>()).unwrap_err().to_string();
    assert!(error.contains("record 2, field `label`: missing label: expected `real`, `fake`"), "{error}");
}
