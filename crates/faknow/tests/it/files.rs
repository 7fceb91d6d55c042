//! Several data files: their order, and labels by file.

use std::fs;

use faknow::config::{DataConfig, DataFiles};
use faknow::detector::Detector;
use faknow::resume;
use faknow::tch::Device;
use faknow::train::{ResumeOptions, RunContext};

use crate::support::{Bench, csv, distance, posts};

/// Returns a bench with the posts of each class in `real.csv` and `fake.csv`, and all in this order in `train.csv`.
fn bench_by_class() -> Bench {
    let by_class = |class| posts(60).into_iter().filter(|(_, label)| *label == class).collect::<Vec<_>>();
    let (real, fake) = (by_class("real"), by_class("fake"));
    let bench = Bench::new(&[real.clone(), fake.clone()].concat());
    for (name, posts) in [("real.csv", real), ("fake.csv", fake)] {
        // The label column is not read.
        bench.write(name, csv(&posts).replace(",real", ",").replace(",fake", ","));
    }
    bench
}

fn assert_same_weights(bench: &Bench, a: &str, b: &str) {
    let (a, b) = (bench.last_weights(a), bench.last_weights(b));
    assert!(!a.is_empty() && a.iter().all(|(name, tensor)| distance(tensor, &b[name]) == 0.0));
}

#[test]
fn labels_of_files_are_those_of_a_column() {
    let mut bench = bench_by_class();
    bench.train("column", &[]);
    let files = [("real", bench.path("real.csv")), ("fake", bench.path("fake.csv"))];
    bench.config.data.train = Some(DataFiles::with_labels(files));
    bench.train("files", &[]);
    assert_same_weights(&bench, "column", "files");

    let resumed = ResumeOptions { set: vec!["trainer.epochs=3".into()], ..ResumeOptions::default() };
    for run in ["column", "files"] {
        resume(&bench.path(run), &resumed, RunContext::default()).unwrap();
    }
    assert_same_weights(&bench, "column", "files");

    let detector = Detector::load(&bench.path("files"), Device::Cpu).unwrap();
    let data = detector.config().data.clone();
    let report = detector.test(data.train.clone().unwrap(), &data).unwrap().report;
    assert_eq!(report.confusion().support(), [30, 30]);
    let unknown = DataFiles::with_labels([("hoax", bench.path("fake.csv"))]);
    let error = detector.test(unknown, &data).unwrap_err().to_string();
    assert!(error.contains("unknown label `hoax`"), "{error}");
}

#[test]
fn several_files_are_read_one_after_the_other() {
    let mut bench = bench_by_class();
    bench.config.data.classes = vec!["real".into(), "fake".into()];
    bench.train(
        "one",
        &["text.cache='CACHE'".replace("CACHE", &bench.path("cache").display().to_string()).as_str()],
    );
    let lines = bench.read("train.csv");
    let (header, rows) = lines.split_once('\n').unwrap();
    let rows: Vec<&str> = rows.lines().collect();
    for (name, rows) in [("a.csv", &rows[..7]), ("b.csv", &rows[7..])] {
        bench.write(name, format!("{header}\n{}\n", rows.join("\n")));
    }
    bench.config.data.train = Some(DataFiles::new([bench.path("a.csv"), bench.path("b.csv")]));
    bench.train("two", &[]);
    assert_same_weights(&bench, "one", "two");

    fs::write(bench.path("b.csv"), format!("{header}\nrain,real\nrain,hoax\n")).unwrap();
    let error = bench.try_train("error", &[]).unwrap_err().to_string();
    assert!(error.contains("b.csv: record 2, field `label`: unknown label `hoax`"), "{error}");
    bench.config.data.train = Some(DataFiles::new([bench.path("a.csv"), bench.path("missing.csv")]));
    let error = bench.try_train("error", &[]).unwrap_err().to_string();
    assert!(error.contains("missing.csv: "), "{error}");
    bench.config.data.train = Some(DataFiles::new([bench.path("a.csv"), bench.path("./a.csv")]));
    let error = bench.try_train("error", &[]).unwrap_err().to_string();
    assert!(error.starts_with("`data.train`: expected each file once"), "{error}");
}

#[test]
fn labels_of_files_are_the_classes() {
    let mut bench = bench_by_class();
    let files = [("trusted", bench.path("real.csv")), ("hoax", bench.path("fake.csv"))];
    bench.config.data.train = Some(DataFiles::with_labels(files));
    bench.train("run", &["trainer.epochs=1"]);
    let detector = Detector::load(&bench.path("run"), Device::Cpu).unwrap();
    assert_eq!(detector.classes(), ["trusted", "hoax"]);
    bench.config.data.classes = vec!["hoax".into(), "trusted".into()];
    bench.train("given", &["trainer.epochs=1"]);
    let detector = Detector::load(&bench.path("given"), Device::Cpu).unwrap();
    assert_eq!(detector.classes(), ["hoax", "trusted"]);
}

/// Returns posts with every tenth one of the class `satire`, and rows of broken records in between.
fn satire(broken: &[&str]) -> String {
    let mut rows: Vec<String> = posts(60).iter().map(|(text, label)| format!("{text},{label}")).collect();
    for index in (0..60).step_by(10) {
        rows[index] = rows[index].replace(",real", ",Satire");
    }
    for (index, row) in broken.iter().enumerate() {
        rows.insert(7 * (index + 1), (*row).to_owned());
    }
    format!("text,label\n{}\n", rows.join("\n"))
}

#[test]
fn records_of_dropped_labels_are_left_out() {
    let mut bench = Bench::new(&posts(60));
    bench.config.data.classes = vec!["real".into(), "fake".into()];
    bench.write("train.csv", satire(&[]));
    let error = bench.try_train("none", &[]).unwrap_err().to_string();
    assert!(error.contains("record 1, field `label`: unknown label `Satire`"), "{error}");
    let without = satire(&[]).lines().filter(|line| !line.ends_with("Satire")).collect::<Vec<_>>().join("\n");
    bench.write("without.csv", without);
    let cache = format!("text.cache='{}'", bench.path("cache").display());
    let drop = "data.drop_classes=['satire']";
    // Also from cached tokens.
    for run in ["dropped", "cached"] {
        bench.train(run, &[drop, &cache]);
    }
    bench.train("without", &[format!("data.train='{}'", bench.path("without.csv").display()).as_str()]);
    assert_same_weights(&bench, "dropped", "without");
    assert_same_weights(&bench, "dropped", "cached");
    let check = |setting: &str, expected: &str| {
        let error = bench.try_train("error", &[setting]).unwrap_err().to_string();
        assert!(error.starts_with("`data.drop_classes`: expected ") && error.contains(expected), "{error}");
    };
    check("data.drop_classes=['satire', 'satyre']", "got `satyre`, which no record has");
    check("data.drop_classes=['Fake']", "got `Fake`, a label of the class `fake`");
    check("data.drop_classes=['1']", "got `1`, a label of the class `fake`");
    check("data.drop_classes=[' ']", "got a blank one");

    let detector = Detector::load(&bench.path("dropped"), Device::Cpu).unwrap();
    let data = detector.config().data.clone();
    let report = detector.test(bench.path("train.csv"), &data).unwrap().report;
    assert_eq!(report.confusion().support(), [24, 30]);
    // In other files the labels dropped in training may be missing, but not new ones.
    detector.test(bench.path("without.csv"), &data).unwrap();
    let new = DataConfig { drop_classes: vec!["satire".into(), "parody".into()], ..data };
    let error = detector.test(bench.path("without.csv"), &new).unwrap_err().to_string();
    assert!(error.contains("got `parody`, which no record has"), "{error}");
}

#[test]
fn broken_records_are_skipped_up_to_the_limit() {
    let broken = ["one field", "a,b,c", ",fake", "NaN,real", "rain,"];
    let mut bench = Bench::new(&posts(60));
    bench.config.data.classes = vec!["real".into(), "fake".into()];
    bench.write("train.csv", satire(&broken));
    bench.write("without.csv", satire(&[]));
    let drop = "data.drop_classes=['satire']";
    let check = |limit: &str, expected: &[&str]| {
        let setting = format!("data.skip_broken={limit}");
        let error = bench.try_train("error", &[drop, &setting]).unwrap_err().to_string();
        assert!(expected.iter().all(|part| error.contains(part)), "{limit}: {error}");
    };
    check("0", &["train.csv: record 8: expected 2 fields", "got 1"]);
    check(
        "4",
        &["expected at most 4 broken records (`skip_broken`), got 5 in the first 36 records: record 8: "],
    );
    check("'7.6%'", &["expected at most 7.6% broken records (`skip_broken`), got 5 of 65 records", "; …"]);
    check("-1", &["`data.skip_broken`"]);
    check("'many'", &["`data.skip_broken`", "1%"]);
    for (run, limit) in [("number", "5"), ("percent", "'7.7%'")] {
        bench.train(run, &[drop, format!("data.skip_broken={limit}").as_str()]);
    }
    bench.train("without", &[drop, format!("data.train='{}'", bench.path("without.csv").display()).as_str()]);
    assert_same_weights(&bench, "number", "without");
    assert_same_weights(&bench, "percent", "without");
    // Unknown labels are not broken.
    bench.write("train.csv", satire(&["rain,hoax"]));
    check("9", &["record 8, field `label`: unknown label `hoax`"]);
}
