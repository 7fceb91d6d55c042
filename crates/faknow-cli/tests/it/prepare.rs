//! Converting raw datasets, and training on the result.

use std::fs;

use faknow::data::raw::RawKind;
use serde_json::{Value, json};

use crate::support::{Sandbox, TINY, posts_of};

/// Number of threads of each sample.
const N: usize = 24;

fn write(sandbox: &Sandbox, name: &str, content: &str) {
    let path = sandbox.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Returns ids, texts and labels of threads.
fn threads(classes: &[&'static str]) -> Vec<(usize, String, &'static str)> {
    posts_of(classes, N, 7)
        .into_iter()
        .enumerate()
        .map(|(id, (text, label))| (id + 100, text, label))
        .collect()
}

fn tweet(id: usize, text: &str, parent: Option<usize>) -> String {
    let created_at =
        if parent.is_some() { "Sat Aug 09 00:00:40 +0000 2014" } else { "Sat Aug 09 00:00:00 +0000 2014" };
    json!({ "id_str": id.to_string(), "text": text, "created_at": created_at, "in_reply_to_status_id": parent })
        .to_string()
}

fn write_acl(sandbox: &Sandbox) {
    let (mut labels, mut texts) = (String::new(), String::new());
    for (id, text, label) in threads(&["true", "false"]) {
        labels += &format!("{label}:{id}\n");
        texts += &format!("{id}\t{text}\n");
        let tree = format!(
            "['ROOT', 'ROOT', '0.0']->['1', '{id}', '0.0']\n['1', '{id}', '0.0']->['2', '{id}', '1.5']\n"
        );
        write(sandbox, &format!("acl2017/tree/{id}.txt"), &tree);
    }
    write(sandbox, "acl2017/label.txt", &labels);
    write(sandbox, "acl2017/source_tweets.txt", &texts);
}

/// Writes threads as one directory each.
fn write_threads(sandbox: &Sandbox, id: usize, text: &str, dir: &str, reactions: &str) {
    write(sandbox, &format!("{dir}/source-tweet/{id}.json"), &tweet(id, text, None));
    let reply = id + 5000;
    write(sandbox, &format!("{dir}/{reactions}/{reply}.json"), &tweet(reply, "is that so", Some(id)));
    write(sandbox, &format!("{dir}/structure.json"), &format!(r#"{{"{id}": {{"{reply}": []}}}}"#));
}

fn write_pheme(sandbox: &Sandbox) {
    for (id, text, label) in threads(&["non-rumours", "rumours"]) {
        let event = ["flood", "storm"][id / 2 % 2];
        let dir = format!("pheme/{event}-all-rnr-threads/{label}/{id}");
        write_threads(sandbox, id, &text, &dir, "reactions");
        let truth = id / 2 % 2;
        let annotation =
            json!({ "is_rumour": label.trim_end_matches('s'), "misinformation": truth, "true": 1 - truth });
        write(sandbox, &format!("{dir}/annotation.json"), &annotation.to_string());
    }
}

fn write_rumoureval(sandbox: &Sandbox) {
    let mut labels = serde_json::Map::new();
    for (id, text, label) in threads(&["true", "false"]) {
        write_threads(sandbox, id, &text, &format!("rumoureval/twitter-english/flood/{id}"), "replies");
        labels.insert(id.to_string(), label.into());
    }
    let key = json!({ "subtaskaenglish": {}, "subtaskbenglish": labels });
    write(sandbox, "rumoureval/train-key.json", &key.to_string());
}

fn write_weibo(sandbox: &Sandbox) {
    let mut list = String::new();
    for (id, text, label) in threads(&["0", "1"]) {
        list += &format!("eid:{id}\tlabel:{label}\t{id}\n");
        let posts = json!([{ "mid": id.to_string(), "parent": null, "text": text, "t": 1_400_000_000 },
            { "mid": (id + 5000).to_string(), "parent": id.to_string(), "text": "转发微博", "t": 1_400_000_060 }]);
        write(sandbox, &format!("weibo/Weibo/{id}.json"), &posts.to_string());
    }
    write(sandbox, "weibo/Weibo.txt", &list);
}

fn write_fakenewsnet(sandbox: &Sandbox) {
    for label in ["real", "fake"] {
        let all = threads(&["real", "fake"]);
        let rows = all.iter().filter(|(_, _, it)| *it == label);
        let rows: String =
            rows.map(|(id, text, _)| format!("politifact{id},http://a,{text},{id}1\t{id}2\n")).collect();
        let table = format!("id,news_url,title,tweet_ids\n{rows}");
        write(sandbox, &format!("fakenewsnet/politifact_{label}.csv"), &table);
    }
}

fn write_mediaeval(sandbox: &Sandbox) {
    let rows: String = threads(&["real", "fake", "humor"])
        .iter()
        .map(|(id, text, label)| format!("{id}\t{text}\t1\tflood_{id}\tann\tMon\t{label}\n"))
        .collect();
    let header = "post_id\tpost_text\tuser_id\timage_id(s)\tusername\ttimestamp\tlabel\n";
    write(sandbox, "mediaeval/posts.txt", &format!("{header}{rows}"));
}

/// Writes a sample in the form of a dataset.
type WriteSample = fn(&Sandbox);

/// The kinds, and functions that write a made-up sample to a directory with the name of the kind.
const SAMPLES: [(RawKind, WriteSample); 6] = [
    (RawKind::Acl2017, write_acl),
    (RawKind::Pheme, write_pheme),
    (RawKind::RumourEval, write_rumoureval),
    (RawKind::Weibo, write_weibo),
    (RawKind::FakeNewsNet, write_fakenewsnet),
    (RawKind::MediaEval, write_mediaeval),
];

/// Returns the commands that the summary prints, without the name of the program.
fn printed_commands(stderr: &str) -> Vec<Vec<String>> {
    let lines = stderr.lines().filter_map(|line| line.strip_prefix("  faknow "));
    lines.map(|line| line.split(' ').map(|word| word.replace('\'', "")).collect()).collect()
}

#[test]
fn every_kind_is_prepared_and_trained_with_the_printed_commands() {
    assert_eq!(SAMPLES.map(|(kind, _)| kind), RawKind::ALL);
    for (kind, write_sample) in SAMPLES {
        let sandbox = Sandbox::new();
        write_sample(&sandbox);
        let name = kind.name();
        let output = sandbox.faknow(&["data", "prepare", name, name, "--out", "out.jsonl"]);
        assert_eq!(output.code, Some(0), "{name}: {}", output.stderr);
        assert_eq!(output.stdout, "", "{name}");
        assert!(output.stderr.contains("threads     24, "), "{name}: {}", output.stderr);
        // The kind is recognized, and the output is the same.
        let recognized = sandbox.faknow(&["data", "prepare", name, "--out", "-"]);
        assert_eq!(recognized.code, Some(0), "{name}: {}", recognized.stderr);
        assert_eq!(recognized.stdout, sandbox.read("out.jsonl"), "{name}");
        let commands = printed_commands(&output.stderr);
        let models: Vec<&str> = commands.iter().map(|command| command[1].as_str()).collect();
        let expected: &[&str] = if kind == RawKind::MediaEval { &["textcnn"] } else { &["textcnn", "bigcn"] };
        assert_eq!(models, expected, "{name}: {}", output.stderr);
        for command in &commands {
            let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
            arguments.extend(["--epochs", "1", "--json", "--out", &command[1]]);
            if command[1] == "textcnn" {
                arguments.extend(TINY);
            }
            let summary = sandbox.faknow(&arguments).json();
            assert_eq!(summary["epochs"], json!(1), "{name}: {arguments:?}");
        }
    }
}

#[test]
fn summary_counts_threads_posts_classes_and_events() {
    let sandbox = Sandbox::new();
    write_pheme(&sandbox);
    let args = ["data", "prepare", "PHEME", "pheme", "--labels", "veracity", "--out", "out.jsonl"];
    let summary = sandbox.faknow(&[&args[..], &["--json"]].concat()).json();
    let expected = json!({ "kind": "pheme", "path": "pheme", "n_threads": 24, "n_posts": 48, "n_without_text": 0,
        "max_posts": 2, "classes": { "false": 6, "non-rumor": 12, "true": 6 }, "events": ["flood", "storm"],
        "left_out": [], "adjusted": [] });
    assert_eq!(summary, expected);
    let output = sandbox.faknow(&args);
    let expected = "pheme (pheme)\nthreads     24, the largest with 2 posts\nposts       48, 0 without text\n\
        labels      non-rumor 12, true 6, false 6\nevents      2: flood, storm\ntrain with:\n  \
        faknow train textcnn --train out.jsonl --text text --label label --classes non-rumor,true,false\n  \
        faknow train bigcn --train out.jsonl --classes non-rumor,true,false\n";
    assert_eq!(output.stderr, expected);
    let first: Value = serde_json::from_str(sandbox.read("out.jsonl").lines().next().unwrap()).unwrap();
    assert_eq!((&first["id"], &first["nodes"][1]["time"]), (&json!("100"), &json!(40.0)));
}

#[test]
fn errors_name_kind_path_and_option() {
    let sandbox = Sandbox::new();
    write_pheme(&sandbox);
    write(&sandbox, "other/notes.txt", "x");
    let prepare = |rest: &[&str], parts: &[&str]| {
        let output = sandbox.faknow(&[&["data", "prepare"], rest].concat());
        output.assert_error(parts);
        assert!(!sandbox.path("out.jsonl").exists(), "{rest:?}");
    };
    let out = ["--out", "out.jsonl"];
    let check = |inputs: &[&str], parts: &[&str]| prepare(&[inputs, &out].concat(), parts);
    check(
        &["phem", "pheme"],
        &["`KIND`: expected one of acl2017, pheme, ", "got `phem`", "did you mean `pheme`?"],
    );
    check(&["zzz", "pheme"], &["`KIND`: expected one of acl2017"]);
    check(&["twitter16"], &["`PATH`: expected a directory with `tree/`", "after `twitter16`, got none"]);
    check(&["missing"], &["missing: No such file"]);
    check(
        &["weibo", "pheme"],
        &["pheme: weibo: expected a directory with `Weibo.txt`", "got the form of pheme"],
    );
    check(
        &["other"],
        &["other: expected raw posts of a known dataset", "got a directory with 1 entry: notes.txt"],
    );
    check(&["pheme", "pheme", "--labels", "truth"], &["`--labels`: expected rumor or veracity, got `truth`"]);
    prepare(&["pheme", "--out", "-", "--json"], &["`--json`: expected --out FILE, got --out -"]);
    prepare(&["pheme", "--out", "missing/out.jsonl"], &["missing/out.jsonl: No such file"]);
    write(&sandbox, "pheme/flood-all-rnr-threads/rumours/101/reactions/5101.json", "{");
    check(&["pheme"], &["reactions/5101.json: expected JSON: ", "; `--skip-broken N` can skip it"]);
    let output = sandbox.faknow(&["data", "prepare", "pheme", "--out", "out.jsonl", "--skip-broken", "1%"]);
    assert_eq!(output.code, Some(2), "1 of 96 files: {}", output.stderr);
    let output = sandbox.faknow(&["data", "prepare", "pheme", "--out", "out.jsonl", "--skip-broken", "1"]);
    assert!(output.stderr.contains("left out    1 broken files or rows: "), "{}", output.stderr);
}

#[test]
fn raw_posts_are_an_error_of_other_commands() {
    let sandbox = Sandbox::new();
    write_pheme(&sandbox);
    let help =
        "these are raw posts (pheme): convert them with `faknow data prepare pheme pheme --out pheme.jsonl`";
    for args in [
        &["train", "textcnn", "--train", "pheme", "--text", "text", "--classes", "a,b"][..],
        &["train", "bigcn", "--train", "pheme", "--classes", "a,b"],
        &["train", "bigcn", "--trees", "pheme", "--labels", "train.csv", "--classes", "a,b"],
    ] {
        sandbox.check_error(args, &[help]);
    }
    let inspected = sandbox.faknow(&["data", "inspect", "pheme", "--json"]).json();
    assert!(
        inspected["command"]
            .as_str()
            .unwrap()
            .starts_with("faknow data prepare pheme pheme --out pheme.jsonl")
    );
}

#[test]
fn tree_models_learn_shapes_if_replies_have_no_text() {
    let sandbox = Sandbox::new();
    let (mut labels, mut texts) = (String::new(), String::new());
    for id in 100..260 {
        let is_chain = id % 2 == 0;
        labels += &format!("{}:{id}\n", if is_chain { "false" } else { "true" });
        texts += &format!("{id}\train at the bridge\n");
        let node = |index: usize| format!("['{index}', '{}', '1.0']", id * 100 + index);
        let edge =
            |index: usize| format!("{}->{}\n", node(if is_chain { index - 1 } else { 0 }), node(index));
        let edges: String = (1..4 + id % 5).map(edge).collect();
        let tree = format!("['ROOT', 'ROOT', '0.0']->{}\n{edges}", node(0));
        write(&sandbox, &format!("acl/tree/{id}.txt"), &tree);
    }
    write(&sandbox, "acl/label.txt", &labels);
    write(&sandbox, "acl/source_tweets.txt", &texts);
    sandbox.faknow(&["data", "prepare", "acl", "--out", "out.jsonl"]).ok();
    let train = ["train", "graphsage", "--train", "out.jsonl", "--classes", "true,false", "--epochs", "20"];
    let summary = sandbox.faknow(&[&train[..], &["--seed", "1", "--json", "--out", "run"]].concat()).json();
    assert!(summary["test"]["accuracy"].as_f64() > Some(0.9), "{}", summary["test"]);
}
