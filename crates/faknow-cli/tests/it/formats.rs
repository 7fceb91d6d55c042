//! Files of records in every format, with every kind of label.

use serde_json::{Value, json};

use crate::support::{Bench, jsonl, posts, posts_of};

/// Trains on one file and answers the size of the training part and the test's numbers.
fn check(bench: &Bench, file: &str, content: &str, more: &[&str]) -> Value {
    bench.write(file, content);
    let summary = bench.train(&[&["--train", file, "--out", "run"], more].concat());
    assert_eq!(summary["test"]["support"], json!([8, 8]), "{file} {more:?}");
    let run = bench.path("run");
    std::fs::remove_dir_all(run).unwrap();
    summary["test"].clone()
}

#[test]
fn every_format_holds_the_same_posts() {
    let bench = Bench::new();
    let posts = posts(80, 1);
    let delimited = |separator: char, header: &str| {
        let rows = posts.iter().map(|(text, label)| format!("{label}{separator}{text}\n"));
        header.to_owned() + &rows.collect::<String>()
    };
    let lines = jsonl(&posts);
    let array = format!("[{}]", lines.trim_end().replace('\n', ",\n"));
    let expected = check(&bench, "posts.jsonl", &lines, &[]);
    let same = |file: &str, content: &str, more: &[&str]| {
        assert_eq!(check(&bench, file, content, more), expected, "{file} {more:?}");
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
fn quotes_group_fields_unless_they_are_switched_off() {
    let bench = Bench::new();
    let rows = |quote: &str| {
        let row = |(text, label): (String, &str)| format!("{quote}{text}{quote},{label}\n");
        "text,label\n".to_owned() + &posts(80, 1).into_iter().map(row).collect::<String>()
    };
    let plain = check(&bench, "posts.csv", &rows(""), &[]);
    assert_eq!(check(&bench, "posts.csv", &rows("\""), &[]), plain);
    assert_eq!(check(&bench, "posts.csv", &rows("\""), &["--no-quotes"]), plain, "quotes are no words");
    bench
        .write("stray.tsv", "text\tlabel\n\"open\tfake\n".to_owned() + &"rain\treal\nrain\tfake\n".repeat(8));
    let stray = ["--train", "stray.tsv", "--out", "stray"];
    bench.faknow(&[&["train"], &stray[..]].concat()).refused(&["stray.tsv", "record 1", "quote"]);
    bench.train(&[&stray[..], &["--no-quotes"]].concat());
}

#[test]
fn labels_may_be_names_numbers_or_whatever_is_said_to_mean_a_class() {
    let bench = Bench::new();
    let lines = |real: &str, fake: &str| {
        let label = |label: &str| if label == "real" { real.to_owned() } else { fake.to_owned() };
        let line =
            |(text, of): (String, &str)| format!("{{\"text\": {}, \"label\": {}}}\n", json!(text), label(of));
        posts(80, 1).into_iter().map(line).collect::<String>()
    };
    let names = check(&bench, "a.jsonl", &lines("\"real\"", "\"fake\""), &[]);
    let same = |real: &str, fake: &str, more: &[&str]| {
        assert_eq!(check(&bench, "a.jsonl", &lines(real, fake), more), names, "{real} {fake}");
    };
    same("0", "1", &[]);
    same("\"0\"", "\"1\"", &[]);
    same("0.0", "1.0", &[]);
    same("\" Real \"", "\"FAKE\"", &["--label", "label"]);
    same("true", "false", &["--classes", "real=true,fake=false"]);
    same("\"legit\"", "2", &["--classes", "real=legit|0, fake=hoax|2"]);
    let other = check(&bench, "a.jsonl", &lines("\"yes\"", "\"no\""), &["--classes", "yes,no"]);
    assert_eq!((&other["accuracy"], &other["classes"]), (&names["accuracy"], &json!(["yes", "no"])));
}

#[test]
fn the_second_of_two_classes_is_the_positive_one() {
    let bench = Bench::new();
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
        bench.train(&[&args[..], &["--set", "optimizer.lr=0.01"]].concat())["test"].clone()
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
fn three_classes_and_more() {
    let bench = Bench::new();
    bench.write("train.jsonl", jsonl(&posts_of(&["false", "half-true", "true"], 150, 1)));
    let args =
        ["--train", "train.jsonl", "--classes", "false,half-true,true", "--epochs", "12", "--out", "run"];
    let summary =
        bench.train(&[&args[..], &["--set", "optimizer.lr=0.02", "--set", "loader.batch_size=10"]].concat());
    let test = &summary["test"];
    assert_eq!(test["support"], json!([10, 10, 10]));
    assert_eq!(test["confusion_matrix"].as_array().unwrap().len(), 3);
    assert!(test["accuracy"].as_f64().unwrap() > 0.6, "each class has a word of its own: {test}");
    let judged = bench.faknow(&["predict", "run", "--input", "train.jsonl"]).json_lines();
    assert_eq!(crate::support::keys(&judged[0]["scores"]), ["false", "half-true", "true"]);
}

#[test]
fn chinese_is_cut_into_words() {
    let bench = Bench::new();
    let shared = ["今天的天气", "北京的市场", "学校的老师", "医院的医生"];
    let line = |i: usize| {
        let own = ["官方表示情况属实", "震惊内幕曝光"][i % 2];
        json!({ "content": format!("{}，{own}。", shared[i / 2 % 4]), "label": i % 2 }).to_string() + "\n"
    };
    bench.write("zh.jsonl", (0..80).map(line).collect::<String>());
    let args =
        ["--train", "zh.jsonl", "--text", "content", "--language", "zh", "--out", "run", "--epochs", "10"];
    let quick = ["--set", "optimizer.lr=0.02", "--set", "loader.batch_size=8"];
    let summary = bench.train(&[&args[..], &quick].concat());
    assert!(summary["test"]["accuracy"].as_f64().unwrap() > 0.9, "{}", summary["test"]);
    let vocab = bench.read("run/vocab.txt");
    let words: Vec<&str> = vocab.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(["天气", "北京", "医生", "震惊"].iter().all(|word| words.contains(word)), "{words:?}");
    let input = json!({ "content": "震惊！北京的内幕" }).to_string();
    let judged = bench.faknow_reading(&["predict", "run", "--input", "-"], &input).json_lines();
    assert_eq!((&judged[0]["label"], &judged[0]["content"]), (&json!("fake"), &json!("震惊！北京的内幕")));
}

#[test]
fn a_text_of_a_megabyte_is_a_text() {
    let bench = Bench::new();
    let long = "rain storm ".repeat(100_000);
    let content = bench.read("train.csv") + &format!("80,{long},fake\n81,{long},real\n");
    bench.write("long.csv", content);
    bench.train(&["--train", "long.csv", "--text", "tweet", "--out", "run"]);
    let judged = bench.faknow(&["predict", "run", "--input", "long.csv"]).json_lines();
    assert_eq!((judged.len(), judged[81]["tweet"].as_str()), (82, Some(long.as_str())));
}
