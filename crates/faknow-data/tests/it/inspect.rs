//! Inspection of files: counts, problems and duplicates.

use expect_test::expect;
use faknow_data::{Classes, ColumnMap, Inspection, ProblemKind, ReadOptions, inspect, overlap};

fn inspect_content(name: &str, content: &str, classes: Option<&Classes>) -> Inspection {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    let columns = ColumnMap {
        text: Some("text".into()),
        label: Some("label".into()),
        domain: Some("domain".into()),
        ..ColumnMap::default()
    };
    let mut inspection = inspect(&path, &ReadOptions { columns, ..ReadOptions::default() }, classes).unwrap();
    inspection.path = name.into();
    inspection
}

const ODD: &str = r#"
{"text": "one two", "label": 0, "domain": "a"}
{"text": "one two", "label": 0, "domain": "a"}
{"text": "one two", "label": 1, "domain": "b"}
{"text": "broken" "label": 1}
{"text": "", "label": 1, "domain": "a"}
{"text": null, "label": 1, "domain": "a"}
{"text": "salt &amp; pepper 中文", "label": null, "domain": "a"}
{"text": "who knows", "label": "maybe", "domain": null}
[1]
{"text": "the end", "label": "fake", "domain": "b"}
"#;

#[test]
fn report_with_classes() {
    let classes = Classes::new(["real", "fake"]).unwrap();
    let inspection = inspect_content("odd.jsonl", ODD, Some(&classes));
    expect![[r#"
        odd.jsonl (JSONL): 8 records, 2 broken
        columns     `text`, `label`, `domain`
        labels      real           2   33.3 %
                    fake           4   66.7 %
        domains     a           5   71.4 %
                    b           2   28.6 %
        words       min 2, median 2, mean 2.5, 95th percentile 5, max 5
        characters  min 7, median 7, mean 9.5, 95th percentile 20, max 20
        problems
          error: 2 × broken records; first: invalid JSON at line 5, column 19: expected `,` or `}` (records 4, 9)
              help: fix or delete these records, or skip them with --skip-broken
          error: 2 × missing text; first: expected a string, got a blank one (records 5, 6)
              help: select another column or several with --text, or skip these records with --skip-broken
          error: 1 × missing label; training needs a label for every record (record 7)
              help: label these records, or skip them with --skip-broken; prediction needs no labels
          error: 1 × labels that map to no class; first: unknown label `maybe`: expected `real`, `fake`, or a class index from 0 to 1 (record 8)
              help: map these values to classes: --classes 'real=true|1,fake=false|0'
          warning: 1 × texts that an earlier record has with a different label (record 3)
              help: choose one label for each text
          warning: 2 × exact duplicates of an earlier text; duplicates across splits inflate test scores (records 2, 3)
              help: keep one copy of each before splitting the file
          note: 1 × texts with HTML escapes such as `&amp;` (record 7)
              help: replace them with the characters that they represent"#]].assert_eq(&inspection.to_string());
    let json = serde_json::to_value(&inspection).unwrap();
    assert_eq!(json["n_records"], 8);
    assert_eq!(json["classes"][1], serde_json::json!({"value": "fake", "n_records": 4}));
    assert_eq!(json["problems"][0]["kind"], "broken_records");
    assert_eq!(json["problems"][0]["first"], serde_json::json!([4, 9]));
}

#[test]
fn report_without_classes() {
    let content = "id,text,label,domain\n1,Good day,yes,x\n2,Bad day,no,y\n3,Bad night,no,y\n";
    expect![[r#"
        plain.csv (CSV): 3 records
        columns     `id`, `text`, `label`, `domain`
        labels      no            2   66.7 %
                    yes           1   33.3 %
        domains     y           2   66.7 %
                    x           1   33.3 %
        words       min 2, median 2, mean 2.0, 95th percentile 2, max 2
        characters  min 7, median 8, mean 8.0, 95th percentile 9, max 9
        problems    none found"#]]
    .assert_eq(&inspect_content("plain.csv", content, None).to_string());
}

#[test]
fn arrays_continue_after_a_broken_element() {
    let content = ODD.trim().replace('\n', ",\n");
    let inspection = inspect_content("odd.json", &format!("[{content}]"), None);
    assert_eq!((inspection.n_records, inspection.n_broken), (8, 2));
}

fn problems(inspection: &Inspection) -> Vec<(ProblemKind, usize)> {
    inspection.problems.iter().map(|problem| (problem.kind, problem.n_records)).collect()
}

#[test]
fn reports_an_unreadable_rest() {
    let row = "a b,1,x\n";
    let content = format!("text,label,domain\n{row}{row}c,0\n\"open,{row}");
    let inspection = inspect_content("truncated.csv", &content, None);
    assert_eq!((inspection.n_records, inspection.n_broken), (2, 2));
    let kinds = problems(&inspection);
    assert_eq!(kinds[..2], [(ProblemKind::Unreadable, 1), (ProblemKind::BrokenRecords, 1)]);
    assert_eq!(inspection.problems[0].first, [4]);
}

#[test]
fn reports_empty_and_imbalanced_classes() {
    let classes = Classes::new(["real", "fake", "satire"]).unwrap();
    let mut content = "text,label,domain\n".to_owned();
    for index in 0..23 {
        content += &format!("text {index},{},x\n", if index < 2 { "fake" } else { "real" });
    }
    let inspection = inspect_content("classes.csv", &content, Some(&classes));
    let counts: Vec<usize> = inspection.classes.iter().map(|class| class.n_records).collect();
    assert_eq!(counts, [21, 2, 0]);
    assert_eq!(problems(&inspection), [(ProblemKind::EmptyClass, 0), (ProblemKind::Imbalance, 0)]);
}

#[test]
fn reports_long_texts_and_many_labels() {
    let mut content = "text,label,domain\n".to_owned() + &"word ".repeat(10_001) + ",a,x\n";
    for index in 0..1_500 {
        content += &format!("post {index},{index},x\n");
    }
    let inspection = inspect_content("many.csv", &content, None);
    assert_eq!(problems(&inspection), [(ProblemKind::ManyLabels, 501), (ProblemKind::LongTexts, 1)]);
    assert_eq!(inspection.words.map(|words| (words.median, words.p95, words.max)), Some((2, 2, 10_001)));
}

#[test]
fn inspects_a_file_without_named_columns() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    std::fs::write(&path, "x,y\n1,2\n").unwrap();
    let inspection = inspect(&path, &ReadOptions::default(), None).unwrap();
    assert_eq!((inspection.n_records, inspection.columns), (1, vec!["x".to_owned(), "y".to_owned()]));
    assert_eq!((inspection.words, inspection.problems), (None, vec![]));

    std::fs::write(&path, "x,y\n").unwrap();
    let error = inspect(&path, &ReadOptions::default(), None).unwrap_err().to_string();
    assert!(error.ends_with("expected records after the header, got none"), "{error}");
}

#[test]
fn reports_one_sided_domains() {
    let line = |i: usize, label: usize, domain: &str| {
        format!("{{\"text\": \"post {i}\", \"label\": {label}, \"domain\": \"{domain}\"}}\n")
    };
    let mixed = (0..400).map(|i| line(i, i % 2, "health"));
    let one_sided = (400..430).map(|i| line(i, usize::from(i == 400), "politics"));
    let content: String = mixed.chain(one_sided).collect();
    let inspection = inspect_content("posts.jsonl", &content, None);
    let problem_of = |kind| inspection.problems.iter().find(|problem| problem.kind == kind).unwrap();
    let problem = problem_of(ProblemKind::OneSidedDomains);
    assert_eq!(problem.message, "1 of 2 domains consist almost entirely of one class: `politics`");
    assert!(problem.advice.contains("test on domains that are not in the training data"));
    assert!(problem_of(ProblemKind::DomainImbalance).message.contains("`health` is more than 10 times"));
}

#[test]
fn finds_duplicates_within_and_across_files() {
    let dir = tempfile::tempdir().unwrap();
    let words = |from: usize| (from..from + 30).map(|word| format!("w{word}")).collect::<Vec<_>>().join(" ");
    let write = |name: &str, rows: &[(String, &str)]| {
        let path = dir.path().join(name);
        let rows: String = rows.iter().map(|(text, label)| format!("{text},{label}\n")).collect();
        std::fs::write(&path, format!("text,label\n{rows}")).unwrap();
        let columns =
            ColumnMap { text: Some("text".into()), label: Some("label".into()), ..ColumnMap::default() };
        (path, ReadOptions { columns, ..ReadOptions::default() })
    };
    let train: Vec<(String, &str)> =
        (0..50).map(|i| (words(100 * i), "real")).chain([(words(0), "fake")]).collect();
    let test = [
        (words(0), "real"),
        (format!("{} changed", words(100)), "fake"),
        (words(100 * 70), "real"),
        (String::new(), "real"),
    ];
    let result = overlap(&[write("train.csv", &train), write("test.csv", &test)], None).unwrap();
    assert_eq!(result.n_texts, [51, 3]);
    let [across, within] = &result.findings[..] else { panic!("{result:?}") };
    assert_eq!(
        (across.file, across.earlier, across.n_exact, across.n_near, across.n_conflicts),
        (1, 0, 1, 1, 1)
    );
    assert_eq!((across.examples[1].record, across.examples[1].earlier), (2, 2));
    assert!(across.examples[1].conflict && across.examples[1].jaccard > 0.9);
    assert_eq!((within.file, within.earlier, within.n_exact, within.n_conflicts), (0, 0, 1, 1));
    let report = result.to_string();
    for part in [
        "test.csv: 1 exact duplicates of texts in ",
        "1 near-duplicates (66.7 %)",
        "help: remove them from the later file",
    ] {
        assert!(report.contains(part), "{report}");
    }
    // Label values that map to the same class do not conflict.
    let classes = Classes::new(["truth", "lie"]).unwrap().with_values("truth", ["real", "fake"]).unwrap();
    let result = overlap(&[write("train.csv", &train), write("test.csv", &test)], Some(&classes)).unwrap();
    assert!(result.findings.iter().all(|finding| finding.n_conflicts == 0), "{result:?}");
    let unique = overlap(&[write("other.csv", &test[2..3])], None).unwrap();
    assert!(
        unique.findings.is_empty() && unique.to_string().contains("no duplicate or near-duplicate texts")
    );
}
