//! Several data files: their order, and labels by file.

use std::fs;

use faknow::config::DataFiles;
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
    let (_, report) = detector.test(data.train.clone().unwrap(), &data).unwrap();
    assert_eq!(report.confusion().support(), [30, 30]);
    let unknown = DataFiles::with_labels([("hoax", bench.path("fake.csv"))]);
    let error = detector.test(unknown, &data).unwrap_err().to_string();
    assert!(error.contains("unknown label `hoax`"), "{error}");
}

#[test]
fn several_files_are_read_one_after_the_other() {
    let mut bench = bench_by_class();
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
