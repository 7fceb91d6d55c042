//! Tests with real datasets, which are skipped where these are not available.

use std::path::{Path, PathBuf};

use faknow_data::{Classes, ColumnMap, ProblemKind, ReadOptions, Record, inspect, read_all};

/// Returns the directory `data` in `FAKNOW_SHARED` (default: `shared` next to the workspace); prints a message and returns `None`
/// if it does not exist.
pub(crate) fn shared_data(test: &str) -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let data = std::env::var_os("FAKNOW_SHARED").map_or(default, PathBuf::from).join("data");
    if data.is_dir() {
        return Some(data);
    }
    crate::skip::check("data").unwrap();
    eprintln!("SKIPPED: {test} needs the real datasets; {} is not a directory", data.display());
    None
}

fn options(text: &str, label: &str) -> ReadOptions {
    let columns = ColumnMap { text: Some(text.into()), label: Some(label.into()), ..ColumnMap::default() };
    ReadOptions { columns, ..ReadOptions::default() }
}

fn per_class(records: &[Record], n_classes: usize) -> Vec<usize> {
    let n_of_class = |class| records.iter().filter(|record| record.label == Some(class)).count();
    (0..n_classes).map(n_of_class).collect()
}

#[test]
fn shared_covid() {
    let Some(data) = shared_data("shared_covid") else { return };
    let classes = Classes::new(["real", "fake"]).unwrap();
    let options = options("tweet", "label");
    let expected =
        [("train", 6420, [3360, 3060]), ("valid", 2140, [1120, 1020]), ("test", 2140, [1120, 1020])];
    let mut n_multi_line = 0;
    for (part, n_records, counts) in expected {
        let path = data.join(format!("covid/{part}.csv"));
        let records = read_all(&path, &options, Some(&classes)).unwrap();
        assert_eq!(records.len(), n_records, "{part}");
        assert_eq!(per_class(&records, 2), counts, "{part}");
        n_multi_line += records.iter().filter(|record| record.text.contains('\n')).count();
        let inspection = inspect(&path, &options, Some(&classes)).unwrap();
        assert_eq!((inspection.n_records, inspection.n_broken), (n_records, 0));
        assert!(inspection.words.unwrap().median > 10);
    }
    assert_eq!(n_multi_line, 410);
}

const LIAR: [&str; 6] = ["pants-fire", "false", "barely-true", "half-true", "mostly-true", "true"];

#[test]
fn shared_liar() {
    let Some(data) = shared_data("shared_liar") else { return };
    let classes = Classes::new(LIAR).unwrap();
    let options = ReadOptions { header: false, quotes: false, ..options("3", "2") };
    for (part, counts) in [
        ("train", [842, 1998, 1657, 2123, 1966, 1683]),
        ("valid", [116, 263, 237, 248, 251, 169]),
        ("test", [92, 250, 214, 267, 249, 211]),
    ] {
        let records = read_all(data.join(format!("liar/{part}.tsv")), &options, Some(&classes)).unwrap();
        assert_eq!(per_class(&records, 6), counts, "{part}");
        assert_eq!(records.len(), counts.iter().sum::<usize>());
    }
}

#[test]
fn shared_liar_with_quoting_on() {
    // Lenient readers silently merge rows into 10,240.
    let Some(data) = shared_data("shared_liar_with_quoting_on") else { return };
    let options = ReadOptions { header: false, ..options("3", "2") };
    let error = read_all(data.join("liar/train.tsv"), &options, None).unwrap_err().to_string();
    assert!(error.contains("`quotes = false`"), "{error}");
}

#[test]
fn shared_weibo21() {
    let Some(data) = shared_data("shared_weibo21") else { return };
    let classes = Classes::new(["real", "fake"]).unwrap();
    let mut options = options("text", "label");
    options.columns.domain = Some("domain".into());
    for (part, counts) in
        [("train.jsonl", [2773, 2700]), ("valid.jsonl", [927, 898]), ("test.jsonl", [940, 890])]
    {
        let records = read_all(data.join("weibo21").join(part), &options, Some(&classes)).unwrap();
        assert_eq!(per_class(&records, 2), counts, "{part}");
    }
    let faknow = read_all(data.join("weibo21/faknow.json"), &options, Some(&classes)).unwrap();
    let train = read_all(data.join("weibo21/train.jsonl"), &options, Some(&classes)).unwrap();
    assert_eq!(train.len(), 5473);
    assert_eq!(faknow, train[..500]);

    let inspection = inspect(data.join("weibo21/train.jsonl"), &options, Some(&classes)).unwrap();
    assert_eq!(inspection.domains.len(), 9);
    assert_eq!((inspection.domains[0].value.as_str(), inspection.domains[0].n_records), ("8", 1601));
    assert!(inspection.problems.iter().any(|problem| problem.kind == ProblemKind::HtmlEscapes));
}

#[test]
fn shared_mediaeval() {
    let Some(data) = shared_data("shared_mediaeval") else { return };
    let classes = Classes::new(["real", "fake"]).unwrap();
    let mut options = options("text", "label");
    options.columns.domain = Some("event".into());
    options.columns.fields = vec!["image".into()];
    for (part, counts) in [("train", [6207, 7556]), ("test", [200, 498])] {
        let path = data.join(format!("mediaeval/{part}.jsonl"));
        let records = read_all(&path, &options, Some(&classes)).unwrap();
        assert_eq!(per_class(&records, 2), counts);
        assert!(records.iter().all(|record| record.fields["image"].is_string() && record.domain.is_some()));
        let inspection = inspect(&path, &options, Some(&classes)).unwrap();
        let n_duplicates =
            inspection.problems.iter().find(|p| p.kind == ProblemKind::Duplicates).map(|p| p.n_records);
        if part == "train" {
            assert_eq!(n_duplicates, Some(13_763 - 12_040));
        }
    }
}
