//! Record files of each format, with each kind of label.

use serde_json::{Value, json};

use crate::support::{Sandbox, jsonl, posts, posts_of};

/// Trains on one file and returns the test metrics.
fn check(sandbox: &Sandbox, file: &str, content: &str, more: &[&str]) -> Value {
    sandbox.write(file, content);
    let summary = sandbox.train(&[&["--train", file, "--out", "run"], more].concat());
    assert_eq!(summary["test"]["support"], json!([8, 8]), "{file} {more:?}");
    let run = sandbox.path("run");
    std::fs::remove_dir_all(run).unwrap();
    summary["test"].clone()
}

#[test]
fn all_formats_give_the_same_result() {
    let sandbox = Sandbox::new();
    let posts = posts(80, 1);
    let delimited = |separator: char, header: &str| {
        let rows = posts.iter().map(|(text, label)| format!("{label}{separator}{text}\n"));
        header.to_owned() + &rows.collect::<String>()
    };
    let lines = jsonl(&posts);
    let array = format!("[{}]", lines.trim_end().replace('\n', ",\n"));
    let expected = check(&sandbox, "posts.jsonl", &lines, &[]);
    let same = |file: &str, content: &str, more: &[&str]| {
        assert_eq!(check(&sandbox, file, content, more), expected, "{file} {more:?}");
    };
    same("posts.json", &array, &[]);
    same("posts.csv", &delimited(',', "label,text\n"), &[]);
    same("posts.tsv", &delimited('\t', "label\ttext\n"), &[]);
    same("posts.csv", &delimited(',', ""), &["--no-header", "--text", "2", "--label", "1"]);
    same("posts.tsv", &delimited('\t', ""), &["--no-header", "--text", "2", "--label", "1"]);
    same("posts.txt", &delimited('\t', "label\ttext\n"), &["--format", "tsv"]);
    same("posts.csv", &delimited(',', "Label,Tweet\n"), &["--text", "Tweet", "--label", "Label"]);
    same("posts.csv", &("\u{feff}".to_owned() + &delimited(',', "label,text\n")), &[]);
    same("posts.csv", &delimited(',', "label,text\n").replace('\n', "\r\n"), &[]);
}

#[test]
fn no_quotes_disables_quoting() {
    let sandbox = Sandbox::new();
    let rows = |quote: &str| {
        let row = |(text, label): (String, &str)| format!("{quote}{text}{quote},{label}\n");
        "text,label\n".to_owned() + &posts(80, 1).into_iter().map(row).collect::<String>()
    };
    let plain = check(&sandbox, "posts.csv", &rows(""), &[]);
    assert_eq!(check(&sandbox, "posts.csv", &rows("\""), &[]), plain);
    assert_eq!(
        check(&sandbox, "posts.csv", &rows("\""), &["--no-quotes", "--set", "text.punctuation=false"]),
        plain,
        "quotes are not part of words"
    );
    sandbox
        .write("stray.tsv", "text\tlabel\n\"open\tfake\n".to_owned() + &"rain\treal\nrain\tfake\n".repeat(8));
    let stray = ["--train", "stray.tsv", "--out", "stray"];
    // A quote that does not close is recognized as plain text.
    sandbox.train(&stray);
    let config = sandbox.read("stray/config.toml");
    assert!(config.contains("quotes = false"), "{config}");
}

#[test]
fn labels_are_names_indices_or_custom_values() {
    let sandbox = Sandbox::new();
    let lines = |real: &str, fake: &str| {
        let label = |label: &str| if label == "real" { real.to_owned() } else { fake.to_owned() };
        let line = |(text, class): (String, &str)| {
            format!("{{\"text\": {}, \"label\": {}}}\n", json!(text), label(class))
        };
        posts(80, 1).into_iter().map(line).collect::<String>()
    };
    let names = check(&sandbox, "a.jsonl", &lines("\"real\"", "\"fake\""), &[]);
    let same = |real: &str, fake: &str, more: &[&str]| {
        assert_eq!(check(&sandbox, "a.jsonl", &lines(real, fake), more), names, "{real} {fake}");
    };
    let classes = ["--classes", "real,fake"];
    same("0", "1", &classes);
    same("\"0\"", "\"1\"", &classes);
    same("0.0", "1.0", &classes);
    same("\" Real \"", "\"FAKE\"", &[&classes[..], &["--label", "label"]].concat());
    same("true", "false", &["--classes", "real=true,fake=false"]);
    same("\"legit\"", "2", &["--classes", "real=legit|0, fake=hoax|2"]);
    let other = check(&sandbox, "a.jsonl", &lines("\"yes\"", "\"no\""), &["--classes", "yes,no"]);
    assert_eq!((&other["accuracy"], &other["classes"]), (&names["accuracy"], &json!(["yes", "no"])));
}

#[test]
fn second_of_two_classes_is_positive() {
    let sandbox = Sandbox::new();
    let test = |out: &str, classes: &str| {
        let args = [
            "--valid",
            "valid.csv",
            "--test",
            "test.csv",
            "--classes",
            classes,
            "--epochs",
            "6",
            "--out",
            out,
        ];
        sandbox.train(&[&args[..], &["--set", "optimizer.lr=0.01"]].concat())["test"].clone()
    };
    let (fake, real) = (test("fake", "real,fake"), test("real", "fake,real"));
    for summary in [&fake, &real] {
        for metric in ["precision", "recall", "f1"] {
            assert_eq!(summary[metric], summary[format!("{metric}_per_class")][1]);
        }
    }
    assert_eq!((&fake["classes"], &real["classes"]), (&json!(["real", "fake"]), &json!(["fake", "real"])));
}

#[test]
fn supports_three_classes() {
    let sandbox = Sandbox::new();
    sandbox.write("train.jsonl", jsonl(&posts_of(&["false", "half-true", "true"], 150, 1)));
    let args =
        ["--train", "train.jsonl", "--classes", "false,half-true,true", "--epochs", "12", "--out", "run"];
    let summary = sandbox
        .train(&[&args[..], &["--set", "optimizer.lr=0.02", "--set", "loader.batch_size=10"]].concat());
    let test = &summary["test"];
    assert_eq!(test["support"], json!([10, 10, 10]));
    assert_eq!(test["confusion_matrix"].as_array().unwrap().len(), 3);
    assert!(test["accuracy"].as_f64().unwrap() > 0.6, "each class has a distinctive word: {test}");
    let predictions = sandbox.faknow(&["predict", "run", "--input", "train.jsonl"]).json_lines();
    assert_eq!(crate::support::keys(&predictions[0]["scores"]), ["false", "half-true", "true"]);
}

#[test]
fn segments_chinese_into_words() {
    let sandbox = Sandbox::new();
    let shared = ["今天的天气", "北京的市场", "学校的老师", "医院的医生"];
    let line = |i: usize| {
        let suffix = ["官方表示情况属实", "震惊内幕曝光"][i % 2];
        json!({ "content": format!("{}，{suffix}。", shared[i / 2 % 4]), "label": i % 2 }).to_string() + "\n"
    };
    sandbox.write("zh.jsonl", (0..80).map(line).collect::<String>());
    let args = [
        "--train",
        "zh.jsonl",
        "--text",
        "content",
        "--classes",
        "real,fake",
        "--language",
        "zh",
        "--out",
        "run",
        "--epochs",
        "10",
    ];
    let quick = ["--set", "optimizer.lr=0.02", "--set", "loader.batch_size=8"];
    let summary = sandbox.train(&[&args[..], &quick].concat());
    assert!(summary["test"]["accuracy"].as_f64().unwrap() > 0.9, "{}", summary["test"]);
    let vocab = sandbox.read("run/vocab.txt");
    let words: Vec<&str> = vocab.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(["天气", "北京", "医生", "震惊"].iter().all(|word| words.contains(word)), "{words:?}");
    let input = json!({ "content": "震惊！北京的内幕" }).to_string();
    let predictions = sandbox.faknow_with_stdin(&["predict", "run", "--input", "-"], &input).json_lines();
    assert_eq!(
        (&predictions[0]["predicted_label"], &predictions[0]["content"]),
        (&json!("fake"), &json!("震惊！北京的内幕"))
    );
}

#[test]
fn accepts_texts_of_a_megabyte() {
    let sandbox = Sandbox::new();
    let long = "rain storm ".repeat(100_000);
    let content = sandbox.read("train.csv") + &format!("80,{long},fake\n81,{long},real\n");
    sandbox.write("long.csv", content);
    sandbox.train(&["--train", "long.csv", "--text", "tweet", "--out", "run"]);
    let predictions = sandbox.faknow(&["predict", "run", "--input", "long.csv"]).json_lines();
    assert_eq!((predictions.len(), predictions[81]["tweet"].as_str()), (82, Some(long.as_str())));
}
