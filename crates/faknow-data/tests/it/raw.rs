//! Raw forms of public datasets: made-up samples of each form, with the faults that releases have.

use std::fs;
use std::path::{Path, PathBuf};

use faknow_data::graph::{TreeJsonReader, raw_to_trees};
use faknow_data::raw::{RawCount, RawKind, RawLabels, RawOptions, RawSummary, prepare, recognize};
use faknow_data::text::{Tokenizer, TokenizerConfig, VocabOptions};
use faknow_data::{Classes, ColumnMap, ReadOptions, RecordReader};
use serde_json::{Value, json};

/// A directory with these files.
fn dir(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    dir
}

fn run(path: &Path, options: &RawOptions) -> Result<(RawSummary, Vec<Value>), String> {
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
    assert_eq!(records.unwrap().map(|record| record.unwrap()).count(), summary.n_threads);
    Ok((summary, text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()))
}

fn with_kind(kind: RawKind) -> RawOptions {
    let mut options = RawOptions::default();
    options.kind = Some(kind);
    options
}

/// Reads a path as the kind that is recognized, which must be `kind`.
fn read(path: &Path, kind: RawKind) -> (RawSummary, Vec<Value>) {
    assert_eq!(recognize(path), Some(kind));
    run(path, &RawOptions::default()).unwrap()
}

/// Returns what was left out, and what was adjusted.
fn counts(summary: &RawSummary) -> (Vec<(&str, usize)>, Vec<(&str, usize)>) {
    let list = |all: &[RawCount]| all.iter().map(|it| (it.what, it.count)).collect();
    (list(&summary.left_out), list(&summary.adjusted))
}

/// Returns the nodes as `id<parent@time:text`.
fn nodes(record: &Value) -> Vec<String> {
    let show = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let node = |node: &Value| {
        format!("{}<{}@{}:{}", show(&node["id"]), show(&node["parent"]), node["time"], show(&node["text"]))
    };
    record["nodes"].as_array().unwrap().iter().map(node).collect()
}

fn acl_files() -> Vec<(&'static str, &'static str)> {
    vec![
        ("label.txt", "true:20\r\nnon-rumor:9\r\nfalse:30\r\nunverified:40\r\n"),
        ("source_tweets.txt", "20\tthe dam broke &amp; fell\n9\tschool starts\n30\tsharks \u{1f988}\n"),
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
        // No line of ROOT, no text.
        ("tree/40.txt", "['u3', '40', '0.0']->['u3', '41', '2']\n"),
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
    assert_eq!(ids, ["9", "20", "30", "40"], "sorted by number");
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
    assert_eq!(nodes(&records[3]), ["40:u3<null@0.0:null", "41:u3<40:u3@120.0:null"]);
    assert_eq!(
        (summary.n_threads, summary.n_posts, summary.n_without_text, summary.max_posts),
        (4, 11, 8, 6)
    );
    assert_eq!(summary.class_names(), ["non-rumor", "true", "unverified", "false"]);
    let (left_out, adjusted) = counts(&summary);
    let expected = [
        ("edges that occur before", 1),
        ("edges to a second parent", 1),
        ("edges to the source post", 1),
        ("edges from a post to itself", 1),
        ("trees without a label in label.txt", 1),
    ];
    assert_eq!(left_out, expected);
    let expected = [
        ("posts without a parent, attached to the source post", 2),
        ("posts before their source post (negative time), as released", 1),
        ("texts with HTML entities (`&amp;`), written as released", 2),
        ("trees without a text in source_tweets.txt", 1),
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

const TWEET: &str = r#"{"text": "a bridge fell", "id": 498280126254428160, "id_str": "498280126254428160",
    "user": {"id": 1}, "created_at": "Sat Aug 09 00:00:00 +0000 2014", "in_reply_to_status_id": null}"#;

fn reply(id: &str, parent: &str, seconds: usize) -> String {
    json!({ "text": format!("reply {id}"), "id_str": id, "in_reply_to_status_id_str": parent,
        "created_at": format!("Sat Aug 09 00:00:{seconds:02} +0000 2014") })
    .to_string()
}

fn pheme() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    let thread = "ferguson-all-rnr-threads/rumours/498280126254428160";
    write(
        &format!("{thread}/annotation.json"),
        r#"{"is_rumour": "rumour", "misinformation": 0, "true": "1"}"#,
    );
    write(&format!("{thread}/source-tweets/498280126254428160.json"), TWEET);
    write(&format!("{thread}/source-tweets/._498280126254428160.json"), "Mac OS X");
    write(
        &format!("{thread}/structure.json"),
        r#"{"498280126254428160": {"11": {"12": [], "15": {"13": []}}}}"#,
    );
    write(&format!("{thread}/reactions/11.json"), &reply("11", "498280126254428160", 5));
    write(&format!("{thread}/reactions/12.json"), &reply("12", "999", 7));
    write(&format!("{thread}/reactions/13.json"), &reply("13", "15", 9));
    // Not in the structure.
    write(&format!("{thread}/reactions/14.json"), &reply("14", "11", 9));
    write(&format!("{thread}/reactions/.DS_Store"), "x");
    let thread = "sydneysiege-all-rnr-threads/non-rumours/7";
    write(&format!("{thread}/annotation.json"), r#"{"is_rumour": "nonrumour"}"#);
    write(
        &format!("{thread}/source-tweet/7.json"),
        r#"{"text": "good morning", "id": 7, "created_at": "?"}"#,
    );
    let thread = "sydneysiege-all-rnr-threads/rumours/8";
    write(&format!("{thread}/annotation.json"), r#"{"misinformation": "1", "true": 1}"#);
    write(&format!("{thread}/source-tweets/8.json"), r#"{"text": "x", "id": 8}"#);
    write(&format!("{thread}/structure.json"), r#"{"8": []}"#);
    write("._sydneysiege-all-rnr-threads", "x");
    dir
}

#[test]
fn pheme_threads_follow_structure_and_replies() {
    let dir = pheme();
    let (summary, records) = read(dir.path(), RawKind::Pheme);
    let labels: Vec<&Value> = records.iter().map(|record| &record["label"]).collect();
    assert_eq!(labels, ["non-rumor", "rumor", "rumor"]);
    assert_eq!(records[2]["event"], json!("ferguson"));
    let expected = [
        "498280126254428160<null@0.0:a bridge fell",
        "11<498280126254428160@5.0:reply 11",
        "12<11@7.0:reply 12",
        "13<15@9.0:reply 13",
        "14<11@9.0:reply 14",
        "15<11@null:null",
    ];
    assert_eq!(nodes(&records[2]), expected);
    assert_eq!(summary.events.iter().collect::<Vec<_>>(), ["ferguson", "sydneysiege"]);
    let expected = [
        ("threads without structure.json, placed by in_reply_to_status_id", 1),
        ("reactions missing in structure.json, placed by in_reply_to_status_id", 1),
        ("posts of structure.json without a file, written without text", 1),
    ];
    assert_eq!(counts(&summary), (vec![], expected.to_vec()));
    // An event, and a directory around the release.
    assert_eq!(
        read(&dir.path().join("sydneysiege-all-rnr-threads"), RawKind::Pheme).1[0]["event"],
        "sydneysiege"
    );
    let mut options = RawOptions::default();
    options.labels = Some(RawLabels::Veracity);
    let (summary, records) = run(dir.path(), &options).unwrap();
    assert_eq!(summary.class_names(), ["non-rumor", "true"]);
    assert_eq!(records.len(), 2);
    assert_eq!(counts(&summary).0, [("rumors whose annotation has no or a contradictory veracity", 1)]);
}

#[test]
fn broken_json_is_an_error_with_its_path() {
    let dir = pheme();
    let file = dir.path().join("ferguson-all-rnr-threads/rumours/498280126254428160/reactions/12.json");
    for (content, expected) in
        [("{", "12.json: expected JSON: "), ("", "12.json: expected JSON, got an empty file")]
    {
        fs::write(&file, content).unwrap();
        let error = run(dir.path(), &RawOptions::default()).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn deep_threads_are_placed_by_their_replies() {
    let dir = pheme();
    let thread = dir.path().join("sydneysiege-all-rnr-threads/rumours/8");
    let (mut structure, mut end) = (r#"{"8": "#.to_owned(), "}".to_owned());
    fs::create_dir_all(thread.join("reactions")).unwrap();
    for id in 100..400 {
        structure += &format!(r#"{{"{id}": "#);
        end += "}";
        let parent = if id == 100 { "8".to_owned() } else { (id - 1).to_string() };
        fs::write(thread.join(format!("reactions/{id}.json")), reply(&id.to_string(), &parent, 1)).unwrap();
    }
    fs::write(thread.join("structure.json"), structure + "[]" + &end).unwrap();
    let (summary, records) = run(dir.path(), &RawOptions::default()).unwrap();
    assert_eq!(summary.max_posts, 301);
    assert_eq!(nodes(&records[1])[300], "399<398@null:reply 399");
    let adjusted = counts(&summary).1;
    assert!(
        adjusted.contains(&("threads with more than 128 levels, placed by in_reply_to_status_id", 1)),
        "{adjusted:?}"
    );
}

#[test]
fn rumoureval_reads_the_keys_of_both_years() {
    let thread = |base: &str| {
        vec![
            (format!("{base}/source-tweet/498280126254428160.json"), TWEET.to_owned()),
            (format!("{base}/replies/11.json"), reply("11", "498280126254428160", 5)),
            (format!("{base}/structure.json"), r#"{"498280126254428160": {"11": []}}"#.to_owned()),
        ]
    };
    let check = |base: &str, keys: &[(&str, &str)], event: Option<&str>, split: &str| {
        let mut files = thread(base);
        files.extend(keys.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned())));
        let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let dir = dir(&files);
        let (summary, records) = read(dir.path(), RawKind::RumourEval);
        let record = &records[0];
        assert_eq!((&record["label"], &record["split"]), (&json!("false"), &json!(split)));
        assert_eq!(record.get("event").and_then(Value::as_str), event);
        assert_eq!(nodes(record)[1], "11<498280126254428160@5.0:reply 11");
        summary
    };
    let key = r#"{"subtaskaenglish": {"11": "deny"}, "subtaskbenglish": {"498280126254428160": "false", "5": "true"}}"#;
    let id = "498280126254428160";
    let summary =
        check(&format!("twitter-english/ferguson/{id}"), &[("dev-key.json", key)], Some("ferguson"), "dev");
    assert_eq!(counts(&summary).0, [("labels without a thread", 1)]);
    let flat = r#"{"498280126254428160": "false"}"#;
    let name = "traindev/rumoureval-subtaskB-train.json";
    check(&format!("rumoureval-data/ferguson/{id}"), &[(name, flat)], Some("ferguson"), "train");
    check(&format!("semeval2017-task8-test-data/{id}"), &[("subtaskb.json", flat)], None, "test");
    let reddit = r#"{"data": {"children": []}}"#;
    let more = [
        ("final-eval-key.json", r#"{"subtaskbenglish": {"498280126254428160": "false", "abc": "true"}}"#),
        ("reddit-test-data/abc/source-tweet/abc.json", reddit),
        ("twitter-en-test-data/ferguson/77/source-tweet/77.json", r#"{"id": 77, "text": "x"}"#),
    ];
    let summary = check(&format!("twitter-en-test-data/ferguson/{id}"), &more, Some("ferguson"), "test");
    let expected = [
        ("threads without a label in the key files", 1),
        ("threads of Reddit (only threads of Twitter are read)", 1),
    ];
    assert_eq!(counts(&summary).0.len(), expected.len());
    assert!(expected.iter().all(|it| counts(&summary).0.contains(it)), "{:?}", summary.left_out);
    let files: Vec<(String, String)> = thread("twitter-english/ferguson/1");
    let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let error = run(dir(&files).path(), &RawOptions::default()).unwrap_err();
    assert!(error.contains("got no key files in a directory with 1 entry: twitter-english"), "{error}");
}

#[test]
fn weibo_reads_list_and_posts() {
    let posts = json!([
        { "mid": "55", "parent": "12", "text": "转发", "t": 1_400_000_060 },
        { "mid": "12", "parent": null, "text": "河里有鲨鱼 &amp; 船", "t": 1_400_000_000 },
        { "mid": 56, "parent": "99", "text": "", "original_text": "真的吗？", "t": 1_400_000_090 },
        { "mid": "55", "parent": "12", "text": "again", "t": 1_400_000_100 },
        { "parent": "12", "text": "no id", "t": 1_400_000_100 },
    ])
    .to_string();
    let single = json!([{ "mid": "13", "parent": null, "text": "今天开学", "t": 1_400_000_000 }]).to_string();
    let dir = dir(&[
        ("Weibo.txt", "eid:13\tlabel:0\t13 \neid:12\tlabel:1\t12 55 56 \neid:14\tlabel:1\t14\n"),
        ("Weibo/12.json", &posts),
        ("Weibo/13.json", &single),
        ("Weibo/15.json", &single),
    ]);
    let (summary, records) = read(dir.path(), RawKind::Weibo);
    assert_eq!((&records[0]["label"], &records[1]["label"]), (&json!("rumor"), &json!("non-rumor")));
    let expected = ["12<null@0.0:河里有鲨鱼 &amp; 船", "55<12@60.0:转发", "56<12@90.0:真的吗？"];
    assert_eq!(nodes(&records[0]), expected);
    let (left_out, adjusted) = counts(&summary);
    for what in [
        "posts whose id occurs before in the thread",
        "posts without an id (`mid`)",
        "events without a file of posts",
        "files of posts without a line in Weibo.txt",
    ] {
        assert!(left_out.contains(&(what, 1)), "{what}: {left_out:?}");
    }
    assert!(
        adjusted.contains(&("posts whose parent is missing, attached to the source post", 1)),
        "{adjusted:?}"
    );
    fs::write(dir.path().join("Weibo.txt"), "eid:13\tlabel:2\t13\n").unwrap();
    let error = run(dir.path(), &RawOptions::default()).unwrap_err();
    assert!(error.contains("Weibo.txt: line 1: expected `eid:ID label:0"), "{error}");
}

#[test]
fn fakenewsnet_reads_tables_by_label() {
    let dir = dir(&[
        (
            "politifact_fake.csv",
            "id,news_url,title,tweet_ids\npolitifact1,http://a,\"Spoons, \"\"explained\"\"\",937349434668498944\t937349434668498945\npolitifact2,,,\n",
        ),
        ("politifact_real.csv", "id,news_url,title,tweet_ids\npolitifact3,http://b,School starts,\n"),
        ("gossipcop_real.csv", "id,news_url,title,tweet_ids\ngossipcop-1,http://c,A wedding,1\n"),
    ]);
    let (summary, records) = read(dir.path(), RawKind::FakeNewsNet);
    assert_eq!(
        summary.classes.iter().map(|(a, b)| (a.as_str(), *b)).collect::<Vec<_>>(),
        [("fake", 1), ("real", 2)]
    );
    let fake = records.iter().find(|record| record["label"] == "fake").unwrap();
    assert_eq!((&fake["text"], &fake["domain"]), (&json!("Spoons, \"explained\""), &json!("politifact")));
    assert_eq!(nodes(fake)[2], "937349434668498945<politifact1@null:null");
    assert_eq!(counts(&summary).0, [("news without an id or a title", 1)]);
    let mut options = with_kind(RawKind::FakeNewsNet);
    options.part = Some("politifact".to_owned());
    assert_eq!(run(dir.path(), &options).unwrap().0.n_threads, 2);
    options.part = Some("gossipcop".to_owned());
    let error = run(dir.path(), &options).unwrap_err();
    assert!(error.contains("got no table of `fake` news next to gossipcop_real.csv"), "{error}");
}

#[test]
fn fakenewsnet_reads_downloaded_directories() {
    let tweet = reply("21", "0", 3);
    let retweets = format!(r#"{{"retweets": [{}]}}"#, reply("31", "0", 9));
    let array = format!("[{}]", reply("32", "0", 10));
    let dir = dir(&[
        (
            "politifact/fake/politifact1/news content.json",
            r#"{"title": "Spoons", "text": "They lied.\n\nSo."}"#,
        ),
        ("politifact/fake/politifact1/tweets/21.json", &tweet),
        ("politifact/fake/politifact1/retweets/21.json", &retweets),
        ("politifact/fake/politifact1/retweets/22.json", &array),
        ("politifact/fake/politifact2/news content.json", "{}"),
        ("politifact/real/politifact3/news content.json", r#"{"title": "", "text": "School starts"}"#),
        ("politifact/real/politifact4/tweets/23.json", &tweet),
    ]);
    let (summary, records) = read(dir.path(), RawKind::FakeNewsNet);
    let expected = [
        "politifact1<null@null:Spoons\nThey lied.\n\nSo.",
        "21<politifact1@0.0:reply 21",
        "31<21@6.0:reply 31",
        "32<politifact1@7.0:reply 32",
    ];
    assert_eq!(nodes(&records[0]), expected);
    assert_eq!((&records[0]["title"], &records[1]["text"]), (&json!("Spoons"), &json!("School starts")));
    let (left_out, adjusted) = counts(&summary);
    assert_eq!(left_out, [("news without title and text", 1), ("news without `news content.json`", 1)]);
    assert_eq!(adjusted, [("posts whose parent is missing, attached to the source post", 1)]);
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
    let pheme = pheme();
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
