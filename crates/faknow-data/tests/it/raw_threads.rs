//! Raw forms with one file per post or event: made-up samples, with the faults that releases have.

use std::fs;

use faknow_data::SkipBroken;
use faknow_data::raw::{RawKind, RawLabels, RawOptions};
use serde_json::{Value, json};

use crate::raw::{counts, dir, nodes, read, run, with_kind};

const TWEET: &str = r#"{"text": "a bridge fell", "id": 498280126254428160, "id_str": "498280126254428160",
    "user": {"id": 1}, "created_at": "Sat Aug 09 00:00:00 +0000 2014", "in_reply_to_status_id": null}"#;

fn reply(id: &str, parent: &str, seconds: usize) -> String {
    json!({ "text": format!("reply {id}"), "id_str": id, "in_reply_to_status_id_str": parent,
        "created_at": format!("Sat Aug 09 00:00:{seconds:02} +0000 2014") })
    .to_string()
}

pub(crate) fn pheme() -> tempfile::TempDir {
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
        assert!(error.contains(expected) && error.ends_with("; `skip_broken` can skip it"), "{error}");
    }
    let mut options = RawOptions::default();
    options.skip_broken = SkipBroken::records(1);
    let (summary, records) = run(dir.path(), &options).unwrap();
    assert_eq!(nodes(&records[2])[2], "13<15@9.0:reply 13");
    assert_eq!(counts(&summary).0, [("broken files or rows", 1)]);
    // It remains in the structure, without a text.
    assert!(nodes(&records[2]).contains(&"12<11@null:null".to_owned()));
    options.skip_broken = SkipBroken::percent(1.0).unwrap();
    let error = run(dir.path(), &options).unwrap_err();
    assert!(
        error.contains("expected at most 1% broken files or rows (`skip_broken`), got 1 of 12: "),
        "{error}"
    );
    fs::write(dir.path().join("sydneysiege-all-rnr-threads/non-rumours/7/source-tweet/7.json"), "{").unwrap();
    options.skip_broken = SkipBroken::records(1);
    let error = run(dir.path(), &options).unwrap_err();
    assert!(error.contains("expected at most 1 broken files or rows (`skip_broken`), got 2: "), "{error}");
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
