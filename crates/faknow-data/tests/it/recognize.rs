//! Recognition of files: layout, columns and classes.

use faknow_data::{ColumnChoice, Confidence, Format, KnownLayout, recognize, recognize_classes};

/// Texts of two kinds, with a label for each.
fn rows(n: usize) -> Vec<(String, bool)> {
    let texts = [
        "central bank keeps its interest rate unchanged this quarter",
        "you will not believe what this miracle fruit does overnight",
        "researchers publish results of a two year school meal study",
        "they lied to you about spoons and here is the hidden truth",
    ];
    (0..n).map(|i| (format!("{} number {i}", texts[i % 4]), i % 2 == 1)).collect()
}

/// Recognizes a file with this name and content, and returns format, separator, header, quotes, text and label.
fn found(name: &str, content: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    std::fs::write(&path, content).unwrap();
    let found = recognize(&path, &KnownLayout::default()).unwrap();
    let column = |choice: &ColumnChoice| match choice {
        ColumnChoice::Found(it) => format!("{} ({:?})", it.value, it.confidence).to_lowercase(),
        ColumnChoice::Ambiguous { candidates, .. } => format!("{}?", candidates.join("|")),
        ColumnChoice::Missing { .. } => "none".to_owned(),
    };
    let layout = match (&found.delimiter, &found.header, &found.quotes) {
        (Some(delimiter), Some(header), Some(quotes)) => {
            format!(" {} {} {}", delimiter.value, header.value, quotes.value)
        }
        _ => String::new(),
    };
    format!("{:?}{layout}: {}, {}", found.format.value, column(&found.text), column(&found.label))
}

fn csv(header: &str, row: impl Fn(usize, &str, bool) -> String) -> String {
    let rows = rows(40);
    let rows = rows.iter().enumerate().map(|(i, (text, is_fake))| row(i, text, *is_fake));
    let header = (!header.is_empty()).then(|| header.to_owned());
    header.into_iter().chain(rows).map(|line| line + "\n").collect()
}

#[test]
fn separators_and_headers_are_recognized_by_content() {
    let label = |is_fake: bool| if is_fake { "fake" } else { "real" };
    for (name, separator) in [(",", ","), ("tab", "\t"), (";", ";"), ("|", "|")] {
        for file in ["a.csv", "a.tsv"] {
            let format = if file.ends_with("csv") { "Csv" } else { "Tsv" };
            let content = csv(&format!("text{separator}label"), |_, text, is_fake| {
                format!("{text}{separator}{}", label(is_fake))
            });
            let expected = format!("{format} {name} true true: text (certain), label (certain)");
            assert_eq!(found(file, &content), expected);
            let content = csv("", |_, text, is_fake| format!("{text}{separator}{}", u8::from(is_fake)));
            let expected = format!("{format} {name} false true: 1 (likely), 2 (guess)");
            assert_eq!(found(file, &content), expected);
        }
    }
    // Commas in texts do not separate.
    let content =
        csv("", |i, text, is_fake| format!("{text}, he said{}\t{}", ",".repeat(i % 3), label(is_fake)));
    assert_eq!(found("a.csv", &content), "Csv tab false true: 1 (likely), 2 (certain)");
}

#[test]
fn quotes_that_do_not_close_are_plain_text() {
    let content = csv("", |i, text, _| {
        let label = ["pants-fire", "false", "barely-true", "half-true", "mostly-true", "true"][i % 6];
        format!("{i}.json\t{label}\t{}{text}\teconomy\tOhio\t3", if i % 9 == 0 { "\"" } else { "" })
    });
    assert_eq!(found("liar.tsv", &content), "Tsv tab false false: 3 (likely), 2 (certain)");
    let content = csv("text,label", |i, text, is_fake| format!("\"{text}, {i}\",{}", u8::from(is_fake)));
    assert_eq!(found("a.csv", &content), "Csv , true true: text (certain), label (certain)");
}

#[test]
fn columns_are_recognized_by_name_and_content() {
    let bit = u8::from;
    let check = |header: &str, row: &dyn Fn(usize, &str, bool) -> String, expected: &str| {
        let found = found("a.csv", &csv(header, row));
        assert_eq!(found.split_once(": ").unwrap().1, expected, "{header}");
    };
    check(
        "id,claim,verdict",
        &|i, text, is_fake| format!("{i},{text},{}", bit(is_fake)),
        "claim (certain), verdict (certain)",
    );
    check(
        "id,tweet_text,annotation",
        &|i, text, is_fake| format!("{i},{text},{}", bit(is_fake)),
        "tweet_text (certain), annotation (certain)",
    );
    check(
        "id,\u{feff}text,label\u{200b}",
        &|i, text, is_fake| format!("{i},{text},{}", bit(is_fake)),
        "\u{feff}text (certain), label\u{200b} (certain)",
    );
    // The longer of a title and a text is chosen; of two texts of equal length none.
    check(
        ",title,text,label",
        &|i, text, is_fake| format!("{i},{},{text},{}", &text[..12], bit(is_fake)),
        "text (certain), label (certain)",
    );
    check(
        "content,body,label",
        &|_, text, is_fake| format!("{text},{text},{}", bit(is_fake)),
        "content|body?, label (certain)",
    );
    // Columns of numbers are not labels because they have few values.
    check("a,b,c", &|i, text, _| format!("{text},{},{}", i % 2, i / 2 % 2), "a (likely), b|c?");
    check(
        "a,retweets,date",
        &|i, text, _| format!("{text},{},2020-01-0{}", i % 2, i % 3 + 1),
        "a (likely), none",
    );
    check(
        "a,b",
        &|_, text, is_fake| format!("{text},{}", if is_fake { "hoax" } else { "legit" }),
        "a (likely), b (certain)",
    );
    check(
        "text,type,source",
        &|i, text, is_fake| format!("{text},{},s{}", if is_fake { "x" } else { "y" }, i % 3),
        "text (certain), type (likely)",
    );
    check(
        "text,label,verdict",
        &|_, text, is_fake| format!("{text},{},{}", bit(is_fake), bit(!is_fake)),
        "text (certain), label|verdict?",
    );
}

#[test]
fn json_is_recognized_by_content() {
    let line = |_: usize, text: &str, is_fake: bool| {
        format!("{{\"text\": {text:?}, \"label\": {}}}", u8::from(is_fake))
    };
    let lines = csv("", line);
    assert_eq!(found("a.jsonl", &lines), "Jsonl: text (certain), label (certain)");
    assert_eq!(found("a.csv", &lines), "Jsonl: text (certain), label (certain)");
    let array = format!("[{}]", lines.trim_end().replace('\n', ",\n"));
    assert_eq!(found("a.txt", &array), "Json: text (certain), label (certain)");
    assert_eq!(
        found("a.json", &csv("text;label", |_, text, _| format!("{text};1"))),
        "Csv ; true true: text (certain), label (certain)"
    );
}

#[test]
fn large_files_are_recognized_by_their_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.csv");
    let row = |i: usize| {
        format!("{i},\"Aliens endorse the mayor of town {i},\nas they said\",{}\n", ["real", "fake"][i % 2])
    };
    let content: String = std::iter::once("id,text,label\n".to_owned()).chain((0..40_000).map(row)).collect();
    assert!(content.len() > 2 << 20);
    std::fs::write(&path, content).unwrap();
    let found = recognize(&path, &KnownLayout::default()).unwrap();
    assert_eq!((found.text.name(), found.label.name()), (Some("text"), Some("label")));
    assert_eq!(found.id.as_ref().map(|it| it.value.as_str()), Some("id"));
    assert_eq!(found.n_examined, 1000);
    assert_eq!((found.format.value, found.format.confidence), (Format::Csv, Confidence::Certain));
    let classes = recognize_classes(&path, &found.read_options()).unwrap();
    assert_eq!(
        (classes.names, classes.counts),
        (vec!["real".to_owned(), "fake".to_owned()], vec![20_000, 20_000])
    );
    let mut options = found.read_options();
    options.columns.label = Some("id".into());
    let message = recognize_classes(&path, &options).unwrap_err().to_string();
    assert!(
        message.contains("column `id`: expected labels, got 100") && message.contains("different values"),
        "{message}"
    );
}

#[test]
fn a_file_without_a_valid_record_reports_its_first_error() {
    let directory = tempfile::tempdir().unwrap();
    let check = |name: &str, content: &str, expected: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        let error = recognize(&path, &KnownLayout::default()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check("values.json", r#"[["a text", "real"], ["another", "fake"]]"#, "expected an object, got `[");
    check("commas.csv", "text,label\na, b,real\nc, d,fake\n", "expected 2 fields as in the header, got 3");
    check("unclosed.jsonl", "{\"text\": \"broken\n", "record 1");
}

#[test]
fn long_values_are_not_labels_and_invisible_characters_are_ignored() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("posts.csv");
    let columns = faknow_data::ColumnMap { label: Some("label".into()), ..Default::default() };
    let options = faknow_data::ReadOptions { columns, ..Default::default() };
    std::fs::write(&path, format!("text,label\nhello,{}\nhi,real\n", "y".repeat(1_000_000))).unwrap();
    let error = recognize_classes(&path, &options).unwrap_err().to_string();
    assert!(error.contains("record 1") && error.len() < 1_000, "{error}");
    std::fs::write(&path, "text,label\nhello,\u{202e}real\nhi,fake\u{200b}\n").unwrap();
    let classes = recognize_classes(&path, &options).unwrap();
    assert_eq!(classes.names, ["real", "fake"]);
    let classes = faknow_data::Classes::new(classes.names).unwrap();
    assert_eq!(classes.parse(&faknow_data::RawLabel::Text("\u{202e}real")).unwrap(), 0);
}
