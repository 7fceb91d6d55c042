//! Reports of run directories.

#![expect(clippy::unwrap_used, reason = "a failing test shows the line")]

use std::fs;
use std::path::Path;

use faknow_metrics::Predictions;
use faknow_report::{Mistake, MistakePart, PredictionTable, Run, RunSummary, TEST_PREDICTIONS, render};
use tempfile::TempDir;

const EPOCH: &str = r#"{"type":"epoch","epoch":1,"step":10,"samples":100,"train":{"loss":0.7,"accuracy":0.9,"reward":2.5},"valid":{"loss":0.6,"accuracy":0.8,"f1":null},"learning_rates":[0.001],"grad_norm":1.5,"train_seconds":1.0,"valid_seconds":0.2}"#;

fn predictions(shift: f64) -> PredictionTable {
    let labels: Vec<usize> = (0..60).map(|row| row % 2).collect();
    let score = |row: usize| (0.2 + 0.6 * (row % 2) as f64 + shift * (row % 5) as f64).clamp(0.01, 0.99);
    let scores = (0..60).flat_map(|row| [1.0 - score(row), score(row)]).collect();
    PredictionTable {
        predictions: Predictions::new(2, labels, scores).unwrap(),
        classes: vec!["real".into(), "fa,\"ke".into()],
        rows: (0..60).map(|row| 2 * row).collect(),
        lengths: (1..61).collect(),
        domains: (0..60).map(|row| if row % 3 == 0 { "health" } else { "" }.to_owned()).collect(),
        inputs: (0..60).map(|row| if row % 4 == 0 { "text" } else { "text and image" }.to_owned()).collect(),
    }
}

fn write_predictions(run: &Path, table: &PredictionTable) {
    fs::create_dir_all(run.join("predictions")).unwrap();
    fs::write(run.join(TEST_PREDICTIONS), table.to_csv().unwrap()).unwrap();
}

/// Writes the files of a run.
fn run_dir(dir: &Path, seed: u64, shift: f64) {
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("config.toml"), format!("seed = {seed}\n[model]\nname = \"textcnn\"\n")).unwrap();
    fs::write(dir.join("history.jsonl"), format!("{EPOCH}\n{{\"type\":\"end\"}}\n")).unwrap();
    let summary = RunSummary {
        model: "textcnn".into(),
        classes: vec!["real".into(), "fa,\"ke".into()],
        seed,
        n_epochs: 1,
        profile: vec![("forward".into(), 1.0), ("data".into(), 0.0)],
        ..RunSummary::default()
    };
    fs::write(dir.join("summary.json"), serde_json::to_string(&summary).unwrap()).unwrap();
    let part = |name: &str, contribution| MistakePart { name: name.into(), contribution };
    let mistake = Mistake {
        row: 3,
        id: None,
        label: "real".into(),
        predicted: "fake".into(),
        score: 0.9,
        unit: "word".into(),
        n_parts: 2,
        known_tokens: Some(0),
        parts: vec![part("<script>alert(1)</script>", 0.5), part("rain", -0.1)],
    };
    fs::write(dir.join("mistakes.json"), serde_json::to_string(&[mistake]).unwrap()).unwrap();
    write_predictions(dir, &predictions(shift));
}

#[test]
fn predictions_round_trip_through_csv() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(TEST_PREDICTIONS);
    let read = || PredictionTable::read(dir.path(), TEST_PREDICTIONS);
    assert_eq!(read().unwrap(), None);
    write_predictions(dir.path(), &predictions(0.1));
    assert_eq!(read().unwrap().unwrap(), predictions(0.1));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("row,label,predicted,length,domain,inputs,score_real,"), "{text}");
    let cases = [
        (text[..text.len() - 3].to_owned(), "expected a complete last line"),
        (text.replacen("label", "lable", 1), "expected a column `label`"),
        (text.replacen("\n2,", "\nx,", 1), "row 1: expected an index, got `x`"),
        (
            text.replacen("real,", "unreal,", 2).replacen("unreal,", "real,", 1),
            "expected a class, got `unreal`",
        ),
        (text.replacen("0.8", "NaN", 1), "expected a finite number"),
    ];
    for (content, expected) in cases {
        fs::write(&path, content).unwrap();
        let error = read().unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("test.csv"), "{error}");
    }
}

#[test]
fn report_has_all_sections_and_no_script() {
    let dir = tempfile::tempdir().unwrap();
    run_dir(&dir.path().join("a"), 1, 0.1);
    let html = render(&[Run::read(&dir.path().join("a")).unwrap()]).unwrap();
    let parts = [
        "<h1>a</h1>",
        "Validation metrics",
        "training accuracy",
        "Logged values",
        "train/reward",
        "Confusion matrix",
        "ROC curve",
        "By domain",
        "health",
        "forward",
    ];
    for part in parts {
        assert!(html.contains(part), "no {part}");
    }
    assert!(html.contains("&lt;script&gt;alert(1)") && !html.contains("<script"), "data is escaped");
    assert!(html.contains("none of them known to the model"), "{html}");
    for external in ["http://", "https://", "url(", "<link", "<img", "onload"] {
        let position = html.replace("http://www.w3.org/2000/svg", "").find(external);
        assert_eq!(position, None, "{external} refers to an external resource");
    }
}

#[test]
fn compares_several_runs() {
    let dir = tempfile::tempdir().unwrap();
    for (name, seed, shift) in [("a", 1, 0.0), ("b", 2, 0.12), ("c", 3, 0.0)] {
        run_dir(&dir.path().join(name), seed, shift);
    }
    // `c` has other test samples.
    let mut other = predictions(0.0);
    other.predictions = other.predictions.select(&(1..60).collect::<Vec<_>>()).unwrap();
    write_predictions(&dir.path().join("c"), &other);
    let runs: Vec<Run> = ["a", "b", "c"].map(|name| Run::read(&dir.path().join(name)).unwrap()).into();
    let html = render(&runs).unwrap();
    assert!(
        html.contains("McNemar") && html.contains("“a” has the highest test accuracy"),
        "no significance test"
    );
    assert!(html.contains("differ from those of “a”: c."), "runs with other test samples are named");
    let settings = html.split("Different settings").nth(1).unwrap().split("</section>").next().unwrap();
    assert!(settings.contains("<code>seed</code>") && !settings.contains("model.name"), "{settings}");
}

#[test]
fn renders_running_and_interrupted_runs() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.toml"), "seed = 1\n").unwrap();
    fs::write(dir.path().join("history.jsonl"), format!("{EPOCH}\n{{\"type\":\"ep")).unwrap();
    let run = Run::read(dir.path()).unwrap();
    assert_eq!(run.epochs.len(), 1, "a truncated last line is ignored");
    assert!(run.warnings[0].contains("history.jsonl: line 2, the last, is truncated"), "{:?}", run.warnings);
    let html = render(&[run]).unwrap();
    assert!(html.contains("has no <code>summary.json</code>") && html.contains("was not tested"), "{html}");
    assert!(html.contains("the last, is truncated"), "{html}");
}

#[test]
fn names_missing_and_corrupted_files() {
    let dir: TempDir = tempfile::tempdir().unwrap();
    let check = |expected: &str| {
        let error = Run::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check("not a run directory: missing `config.toml`");
    assert!(Run::read(&dir.path().join("none")).unwrap_err().to_string().contains("no such directory"));
    run_dir(dir.path(), 1, 0.0);
    fs::write(dir.path().join("history.jsonl"), format!("{{]\n{EPOCH}\n")).unwrap();
    check("history.jsonl: the file is corrupted: line 1:");
    fs::write(dir.path().join("history.jsonl"), "").unwrap();
    check("history.jsonl: the file is corrupted: expected 1 epochs, as in `summary.json`, got 0");
    fs::write(dir.path().join("summary.json"), "[").unwrap();
    check("summary.json: the file is corrupted");
}
