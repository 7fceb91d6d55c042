//! Raw forms of public datasets: made-up samples of each form, with the faults that releases have.

use std::fs;
use std::path::{Path, PathBuf};

use faknow_data::graph::{TreeJsonReader, raw_to_trees};
use faknow_data::raw::{RawCount, RawKind, RawLabels, RawOptions, RawSummary, prepare, recognize};
use faknow_data::text::{Tokenizer, TokenizerConfig, VocabOptions};
use faknow_data::{Classes, ColumnMap, ReadOptions, RecordReader};
use serde_json::{Value, json};

/// Creates a directory with these files.
pub(crate) fn dir(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    dir
}

pub(crate) fn run(path: &Path, options: &RawOptions) -> Result<(RawSummary, Vec<Value>), String> {
    let mut out = Vec::new();
    let summary = prepare(path, options, &mut out, Path::new("out.jsonl")).map_err(|e| e.to_string())?;
    let text = String::from_utf8(out).unwrap();
    // All readers accept the output.
    let classes = Classes::new(summary.classes.keys().cloned().chain(["other".to_owned()])).unwrap();
    let reader = TreeJsonReader::from_reader(Box::new(text.as_bytes()), "out.jsonl", Some(&classes));
    let trees: Vec<_> = reader.collect::<Result<_, _>>().unwrap();
    assert_eq!(trees.len(), summary.n_threads);
    let tokenizer = Tokenizer::new(TokenizerConfig::default()).unwrap();
    if let Ok(vocab) = faknow_data::graph::tree_vocab(&trees, &tokenizer, &VocabOptions::default()) {
        raw_to_trees(trees, Some((&tokenizer, &vocab)), None, Path::new("out.jsonl")).unwrap();
    }
    let columns =
        ColumnMap { text: Some("text".into()), label: Some("label".into()), ..ColumnMap::default() };
    let read = ReadOptions { columns, format: Some(faknow_data::Format::Jsonl), ..ReadOptions::default() };
    let records = RecordReader::from_reader(
        Box::new(std::io::Cursor::new(text.clone())),
        "out.jsonl",
        &read,
        Some(&classes),
    );
    assert_eq!(records.unwrap().filter_map(Result::ok).count(), summary.n_threads);
    Ok((summary, text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()))
}

pub(crate) fn with_kind(kind: RawKind) -> RawOptions {
    let mut options = RawOptions::default();
    options.kind = Some(kind);
    options
}

/// Reads a path as the kind that is recognized, which must be `kind`.
pub(crate) fn read(path: &Path, kind: RawKind) -> (RawSummary, Vec<Value>) {
    assert_eq!(recognize(path), Some(kind));
    run(path, &RawOptions::default()).unwrap()
}

/// Names with their numbers.
type Counts<'a> = Vec<(&'a str, usize)>;

/// Returns what was left out, and what was adjusted.
pub(crate) fn counts(summary: &RawSummary) -> (Counts<'_>, Counts<'_>) {
    let list = |all: &[RawCount]| all.iter().map(|it| (it.what, it.count)).collect();
    (list(&summary.left_out), list(&summary.adjusted))
}

/// Returns the nodes as `id<parent@time:text`.
pub(crate) fn nodes(record: &Value) -> Vec<String> {
    let show = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let node = |node: &Value| {
        format!("{}<{}@{}:{}", show(&node["id"]), show(&node["parent"]), node["time"], show(&node["text"]))
    };
    record["nodes"].as_array().unwrap().iter().map(node).collect()
}

pub(crate) fn acl_files() -> Vec<(&'static str, &'static str)> {
    vec![
        ("label.txt", "true:20\r\nnon-rumor:9\r\nfalse:30\r\nunverified:40\r\nunverified:45\r\n"),
        (
            "source_tweets.txt",
            "20\tthe dam broke &amp; fell\n9\tschool starts\n30\tsharks \u{1f988}\n45\tno root\n",
        ),
        (
            "tree/20.txt",
            // A retweet with the id of the source, an edge twice, a parent that follows, one that is missing, a second parent,
            // a post before the source, and edges to the source and to itself.
            "['ROOT', 'ROOT', '0.0']->['u1', '20', '0.0']\n\
             ['u1', '20', '0.0']->['u2', '20', '6.7']\n\
             ['u1', '20', '0.0']->['u2', '20', '6.7']\n\
             ['u4', '22', '2.5']->['u5', '23', '3.0']\n\
             ['u2', '20', '6.7']->['u4', '22', '2.5']\n\
             ['u9', '29', '1.0']->['u6', '24', '-0.5']\n\
             ['u1', '20', '0.0']->['u5', '23', '3.0']\n\
             ['u5', '23', '3.0']->['u1', '20', '0.0']\n\
             ['u5', '23', '3.0']->['u5', '23', '3.0']\n",
        ),
        ("tree/9.txt", "['ROOT', 'ROOT', '0.0']->['u8', '9', '0.0']\n"),
        // Two lines of ROOT, the second with the id of the tree.
        (
            "tree/30.txt",
            "['ROOT', 'ROOT', '0.0']->['u7', '31', '1.0']\n['ROOT', 'ROOT', '0.0']->['u3', '30', '0.0']\n",
        ),
        // No text.
        ("tree/40.txt", "['ROOT', 'ROOT', '0.0']->['u8', '40', '0.0']\n"),
        // No line of ROOT.
        ("tree/45.txt", "['u3', '45', '0.0']->['u3', '46', '2']\n"),
        ("tree/50.txt", "['ROOT', 'ROOT', '0.0']->['u8', '50', '0.0']\n"),
        ("tree/._20.txt", "Mac OS X"),
        (".DS_Store", "x"),
    ]
}

#[test]
fn acl2017_trees_are_repaired_and_counted() {
    let dir = dir(&acl_files());
    let (summary, records) = read(dir.path(), RawKind::Acl2017);
    let ids: Vec<&Value> = records.iter().map(|record| &record["id"]).collect();
    assert_eq!(ids, ["9", "20", "30", "45"], "sorted by number");
    assert_eq!(
        (&records[1]["label"], &records[1]["text"]),
        (&json!("true"), &json!("the dam broke &amp; fell"))
    );
    let expected = [
        "20:u1<null@0.0:the dam broke &amp; fell",
        "20:u2<20:u1@402.0:null",
        "23:u5<22:u4@180.0:null",
        "22:u4<20:u2@150.0:null",
        "24:u6<29:u9@-30.0:null",
        "29:u9<20:u1@60.0:null",
    ];
    assert_eq!(nodes(&records[1]), expected);
    assert_eq!(nodes(&records[2]), ["30:u3<null@0.0:sharks \u{1f988}", "31:u7<30:u3@60.0:null"]);
    assert_eq!(nodes(&records[3]), ["45:u3<null@0.0:no root", "46:u3<45:u3@120.0:null"]);
    assert_eq!(
        (summary.n_threads, summary.n_posts, summary.n_without_text, summary.max_posts),
        (4, 11, 7, 6)
    );
    assert_eq!(summary.class_names(), ["non-rumor", "true", "unverified", "false"]);
    let (left_out, adjusted) = counts(&summary);
    let expected = [
        ("edges that occur before", 1),
        ("edges to a second parent", 1),
        ("edges to the source post", 1),
        ("edges from a post to itself", 1),
        ("threads whose source post has no text", 1),
        ("trees without a label in label.txt", 1),
    ];
    assert_eq!(left_out, expected);
    let expected = [
        ("posts without a parent, attached to the source post", 2),
        ("posts before their source post (negative time), as released", 1),
        ("texts with HTML entities (`&amp;`), written as released", 1),
        ("trees without a line of ROOT", 1),
    ];
    assert_eq!(adjusted, expected);
    let shown = summary.to_string();
    assert!(shown.contains("left out    1 trees without a label in label.txt: 50"), "{shown}");
    let mut options = RawOptions::default();
    options.unescape_html = true;
    let (_, records) = run(dir.path(), &options).unwrap();
    assert_eq!(records[1]["text"], json!("the dam broke & fell"));
}

#[test]
fn acl2017_parts_are_separate() {
    let mut files: Vec<(String, &str)> = Vec::new();
    for part in ["twitter15", "twitter16"] {
        files.extend(acl_files().into_iter().map(|(name, content)| (format!("{part}/{name}"), content)));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(name, content)| (name.as_str(), *content)).collect();
    let dir = dir(&files);
    let error = run(dir.path(), &RawOptions::default()).unwrap_err();
    assert!(error.contains("expected one dataset, got two, which share trees: choose"), "{error}");
    let mut options = with_kind(RawKind::Acl2017);
    options.part = Some("twitter16".to_owned());
    assert_eq!(run(dir.path(), &options).unwrap().0.n_threads, 4);
    let error = run(&dir.path().join("twitter15"), &options).unwrap_err();
    assert!(error.ends_with("got the directory of the other dataset"), "{error}");
}

#[test]
fn acl2017_errors_name_file_and_line() {
    let check = |name: &str, content: &str, expected: &str| {
        let mut files = acl_files();
        files.retain(|(it, _)| *it != name);
        files.push((name, content));
        let dir = dir(&files);
        let error = run(dir.path(), &RawOptions::default()).unwrap_err();
        assert!(error.contains(expected), "{error}");
        assert!(
            error.contains(&Path::new(name).file_name().unwrap().to_string_lossy().into_owned()),
            "{error}"
        );
    };
    check("label.txt", "true:20\nfalse 9\n", "line 2: expected `label:id`, got `false 9`");
    check(
        "label.txt",
        "true:20\nfalse:20\n",
        "line 2: expected one label of tree `20`, got `true` and `false`",
    );
    check("source_tweets.txt", "20 no tab\n", "line 1: expected an id, a tab and a text");
    check(
        "tree/20.txt",
        "\n['a', '1', 'x']->['b', '2', '0']\n",
        "line 2: expected `['user', 'tweet', 'delay']->",
    );
    check("tree/20.txt", "20\tNone\t1\n", "line 1: expected");
}

#[test]
fn mediaeval_reads_the_columns_of_both_years() {
    let check = |text: &str, expected: &str| {
        let dir = dir(&[("devset/posts.txt", text), ("devset/images.txt", "image_id\tannotation\n")]);
        let (_, records) = read(dir.path(), RawKind::MediaEval);
        assert_eq!(records[0].to_string(), expected);
    };
    let nodes = r#""nodes":[{"id":"7","parent":null,"time":0.0,"text":"A \"shark\" swims"}]}"#;
    check(
        "tweetId\ttweetText\tuserId\timageId(s)\tusername\ttimestamp\tlabel\r\n7\tA \"shark\" swims\t1\tfloodA_fake_03,floodA_fake_04\tann\tMon\thumor\r\n",
        &(r#"{"id":"7","label":"humor","event":"flood","text":"A \"shark\" swims","image":"floodA_fake_03","images":["floodA_fake_03","floodA_fake_04"],"#.to_owned() + nodes),
    );
    check(
        "post_id\tpost_text\tuser_id\tusername\timage_id\ttimestamp\tlabel\n7\tA \"shark\" swims\t1\tann\tboats_1\tMon\treal\n",
        &(r#"{"id":"7","label":"real","event":"boats","text":"A \"shark\" swims","image":"boats_1","#
            .to_owned()
            + nodes),
    );
    let header = "post_id\tpost_text\tuser_id\tusername\timage_id\ttimestamp\tlabel\n";
    let row = "7\tx\t1\tann\tboats_1\tMon\treal\n";
    let unlabeled =
        "post_id\tpost_text\tuser_id\tusername\timage_id\ttimestamp\n7\tx\t1\tann\tboats_1\tMon\n";
    let error = |files: &[(&str, &str)]| run(dir(files).path(), &RawOptions::default()).unwrap_err();
    let good = format!("{header}{row}");
    let message = error(&[("posts.txt", unlabeled)]);
    assert!(
        message.contains("posts.txt: no such column `label`; the labels of test posts are in"),
        "{message}"
    );
    let message = error(&[("devset/posts.txt", &good), ("testset/posts_groundtruth.txt", &good)]);
    assert!(message.contains("expected one file of posts, got 2: choose one of"), "{message}");
    let message = error(&[("posts.txt", &format!("{good}8\tone\ttab more\n"))]);
    assert!(message.contains("posts.txt: line 3: expected 7 fields separated by tabs, got 3"), "{message}");
    let (summary, _) = run(
        dir(&[("posts.txt", &format!("{good}{row}")), ("testset.txt", unlabeled)]).path(),
        &RawOptions::default(),
    )
    .unwrap();
    assert_eq!(counts(&summary).0, [("threads whose id occurs before", 1)]);
}

#[test]
fn other_forms_are_refused_by_name() {
    let pheme = crate::raw_threads::pheme();
    let empty = tempfile::tempdir().unwrap();
    let check = |path: &Path, options: &RawOptions, expected: &str| {
        let error = run(path, options).unwrap_err();
        assert!(error.ends_with(expected), "{error}");
    };
    for kind in RawKind::ALL {
        assert!(kind == RawKind::Pheme || recognize(pheme.path()) != Some(kind));
        check(
            empty.path(),
            &with_kind(kind),
            &format!("{kind}: expected {}, got an empty directory", kind.layout()),
        );
    }
    check(pheme.path(), &with_kind(RawKind::Weibo), "and `Weibo/<id>.json`, got the form of pheme");
    check(empty.path(), &RawOptions::default(), "mediaeval), got an empty directory");
    let archive = dir(&[("pheme.tar.bz2", "BZh")]);
    let path = archive.path().join("pheme.tar.bz2");
    check(&path, &RawOptions::default(), "got an archive, which must be unpacked first");
    let missing: PathBuf = empty.path().join("missing");
    assert!(run(&missing, &RawOptions::default()).unwrap_err().contains("missing: No such file"));
    let mut options = with_kind(RawKind::Acl2017);
    options.labels = Some(RawLabels::Veracity);
    let acl = dir(&acl_files());
    check(
        acl.path(),
        &options,
        "labels: expected no choice of labels for acl2017, which has one set, got `veracity`",
    );
    let unlabeled = dir(&[
        ("label.txt", ""),
        ("source_tweets.txt", ""),
        ("tree/1.txt", "['ROOT', 'ROOT', '0.0']->['u', '1', '0.0']"),
    ]);
    check(
        unlabeled.path(),
        &RawOptions::default(),
        "expected threads with labels, got none; left out: 1 trees without a label in label.txt",
    );
}
