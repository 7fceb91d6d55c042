//! Samples that are in several parts of the data: warnings, and errors for the same file.

use serde_json::{Value, json};

use crate::support::{Bench, csv, posts};

/// Returns the warnings in the summary of a run.
fn warnings(bench: &Bench, run: &str) -> Vec<String> {
    let summary: Value = serde_json::from_str(&bench.read(&format!("{run}/summary.json"))).unwrap();
    let lines = summary["data"].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
    lines.filter_map(|line| line.strip_prefix("warning: ")).map(str::to_owned).collect()
}

#[test]
fn texts_in_two_parts_are_counted() {
    let mut train = posts(60);
    train[1].0 += "!";
    let bench = Bench::new(&train);
    assert!(warnings_of_split(&bench).is_empty());
    let mut valid = posts(40).split_off(30);
    // Other texts of known words.
    valid.iter_mut().for_each(|(text, _)| *text = text.split(' ').rev().collect::<Vec<_>>().join(" "));
    let mut test: Vec<(String, &str)> = posts(20);
    test.iter_mut().for_each(|(text, _)| *text += " extra");
    // Case, whitespace and punctuation make no difference; the second has another class.
    test[0] = (format!("  {}!", posts(60)[0].0.to_uppercase()), "real");
    test[2] = (posts(60)[2].0.replace(' ', "  "), "fake");
    test[4] = valid[0].clone();
    test[5] = ("\u{1F600}".to_owned(), "fake");
    bench.write("valid.csv", csv(&valid));
    bench.write("test.csv", csv(&test));
    let settings =
        ["valid", "test"].map(|part| format!("data.{part}={}", bench.path(&format!("{part}.csv")).display()));
    bench.train("files", &[&settings[0], &settings[1]]);
    let warnings = warnings(&bench, "files");
    // The third is about the text without a known token.
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    let first = "2 of 20 test texts are training texts too, 1 of them with another class, so the test scores are too high; \
                 remove them from one part: `";
    assert!(warnings[0].starts_with(first), "{warnings:?}");
    assert!(warnings[1].starts_with("1 of 20 test texts are validation texts too, so"), "{warnings:?}");
}

/// Returns the warnings of a run whose file is split.
fn warnings_of_split(bench: &Bench) -> Vec<String> {
    bench.train("split", &[]);
    warnings(bench, "split")
}

#[test]
fn duplicates_within_a_file_that_are_split_are_counted() {
    let mut twice = posts(40);
    twice.extend(posts(40));
    let warnings = warnings_of_split(&Bench::new(&twice));
    assert!(warnings.iter().any(|line| line.contains("test texts are training texts too")), "{warnings:?}");
}

#[test]
fn the_same_file_for_two_parts_is_an_error() {
    let bench = Bench::new(&posts(40));
    let error = |key: &str, name: &str| {
        let setting = format!("data.{key}={}", bench.path(name).display());
        let error = bench.try_train("rejected", &[&setting]).unwrap_err();
        assert!(error.is_input() && !bench.path("rejected").exists());
        error.to_string()
    };
    let expected =
        ["`data.test`: expected each file once, got `", "which is in `data.train` too: scores on training"];
    let same = error("test", "train.csv");
    assert!(expected.iter().all(|part| same.contains(part)), "{same}");
    bench.write("copy.csv", bench.read("train.csv"));
    let copy = error("valid", "copy.csv");
    assert!(
        copy.starts_with("`data.valid`: expected different files, got `") && copy.contains("a copy of `"),
        "{copy}"
    );
}

#[test]
fn trees_in_two_parts_are_counted() {
    let mut bench = Bench::new(&posts(10));
    let line = |number: usize| {
        let label = ["real", "fake"][number % 2];
        let nodes = json!([{ "id": 1, "features": { "0": 1.0, "3": number } }]);
        json!({ "id": format!("t{number}"), "label": label, "nodes": nodes }).to_string()
    };
    let file = |name: &str, numbers: &[usize], rename: &str| {
        let lines: Vec<String> =
            numbers.iter().map(|&number| line(number).replace("\"t", &format!("\"{rename}"))).collect();
        bench.write(name, lines.join("\n"))
    };
    let train = file("train.jsonl", &(0..30).collect::<Vec<_>>(), "t");
    let test = file("test.jsonl", &[3, 40, 41, 7, 42], "u");
    let mut config = faknow::Config::for_model("gcn")
        .unwrap()
        .set_all(&[
            "device=cpu",
            "threads=1",
            "trainer.epochs=1",
            "model.hidden_size=4",
            "data.split=[1.0, 0.0, 0.0]",
        ])
        .unwrap();
    (config.data.train, config.data.test) = (Some(train.into()), Some(test.into()));
    bench.config = config;
    bench.train("run", &[]);
    let expected = "2 of 5 test trees are training trees too, so the test scores are too high; remove them from one part: \
                    `u3`, `u7`";
    assert_eq!(warnings(&bench, "run"), [expected]);
}
