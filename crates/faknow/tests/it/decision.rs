//! Calibration, decision thresholds, explanations and mistakes.

use std::fs;

use faknow::{Config, Detector};

use faknow::config::{Threshold, ThresholdRule};
use faknow::detector::{DetectorEvaluation, NoPrediction};
use faknow::report::{PredictionTable, TEST_PREDICTIONS, VALID_PREDICTIONS};
use faknow::tch::Device;
use serde_json::Value;

use crate::support::{Bench, posts};

/// Trains a detector that makes mistakes: a word determines the class, except in some mislabeled posts.
fn trained(settings: &[&str]) -> (Bench, faknow::train::Outcome) {
    let mut posts = posts(500);
    for (number, (_, label)) in posts.iter_mut().enumerate() {
        if number % 7 == 0 {
            *label = if *label == "real" { "fake" } else { "real" };
        }
    }
    let bench = Bench::new(&posts);
    let outcome = bench.train("run", &[&["trainer.epochs=10", "optimizer.lr=0.01"][..], settings].concat());
    (bench, outcome)
}

fn load(bench: &Bench) -> Detector {
    Detector::load(&bench.path("run"), Device::Cpu).unwrap()
}

fn calibration(bench: &Bench) -> Value {
    serde_json::from_str(&bench.read("run/calibration.json")).unwrap()
}

#[test]
fn temperature_is_fitted_on_validation_data_and_used_by_the_detector() {
    let (bench, outcome) = trained(&[]);
    let (calibration, detector) = (calibration(&bench), load(&bench));
    let temperature = calibration["temperature"].as_f64().unwrap();
    assert!(temperature != 1.0 && temperature > 0.0, "{calibration}");
    assert_eq!(detector.decision().temperature, temperature);
    let log_loss = |index: usize| calibration["log_loss"][index].as_f64().unwrap();
    assert!(log_loss(1) < log_loss(0), "{calibration}");
    // The rows have uncalibrated scores, the outcome those of the detector.
    let rows = PredictionTable::read(&bench.path("run"), TEST_PREDICTIONS).unwrap().unwrap();
    let DetectorEvaluation { evaluation, report, .. } = outcome.test.unwrap();
    assert_eq!(detector.decision().apply(&rows.predictions).unwrap(), evaluation.predictions);
    assert_ne!(rows.predictions.scores(), evaluation.predictions.scores());
    assert_eq!(report.scores().value("accuracy"), evaluation.predictions.confusion().accuracy().value());
    assert!(PredictionTable::read(&bench.path("run"), VALID_PREDICTIONS).unwrap().is_some());
    let (uncalibrated, _) = trained(&["decision.temperature=false"]);
    assert_eq!(load(&uncalibrated).decision().temperature, 1.0);
}

#[test]
fn threshold_comes_from_the_config_or_the_caller() {
    let (bench, _) = trained(&["decision.threshold=f1"]);
    let chosen = calibration(&bench)["thresholds"]["f1"]["threshold"].as_f64().unwrap();
    assert_eq!(load(&bench).decision().threshold, Some(chosen));
    let texts: Vec<String> = posts(30).into_iter().map(|(text, _)| text).collect();
    let flagged = |threshold: &str| {
        let detector = load(&bench).with_threshold(threshold.parse().unwrap()).unwrap();
        detector
            .predict(&texts)
            .unwrap()
            .iter()
            .filter(|prediction| prediction.label() == Some("fake"))
            .count()
    };
    assert_eq!((flagged("0"), flagged("1")), (30, 0));
    let by_score = load(&bench).with_threshold(Threshold::Rule(ThresholdRule::Highest)).unwrap();
    for prediction in by_score.predict(&texts).unwrap() {
        assert!(prediction.score().unwrap() >= 0.5, "{prediction:?}");
    }
    let fixed = load(&bench).with_threshold(Threshold::Fixed(0.75)).unwrap();
    for prediction in fixed.predict(&texts).unwrap() {
        let prediction = prediction.outcome.unwrap();
        assert_eq!(prediction.label == "fake", prediction.scores[1].1 >= 0.75, "{prediction:?}");
    }
    for invalid in ["1.5", "-0.1", "nan", "best", ""] {
        let error = invalid.parse::<Threshold>().unwrap_err().to_string();
        assert!(error.contains("`decision.threshold`: expected highest, f1, precision"), "{error}");
    }
}

#[test]
fn rejects_unavailable_thresholds() {
    let (bench, _) = trained(&["data.split=[0.8, 0.0, 0.2]", "decision.threshold=f1"]);
    assert_eq!(load(&bench).decision(), faknow::metrics::Decision::default(), "without validation data");
    let error = load(&bench).with_threshold("f1".parse().unwrap()).unwrap_err();
    assert!(error.is_input() && error.to_string().contains("requires validation data"), "{error}");
    for name in ["calibration.json", "checksums.json"] {
        fs::remove_file(bench.path("run").join(name)).unwrap();
    }
    assert_eq!(load(&bench).decision(), faknow::metrics::Decision::default(), "a run of an older version");
    bench.write("run/calibration.json", "{");
    let error = Detector::load(&bench.path("run"), Device::Cpu).unwrap_err().to_string();
    assert!(error.contains("calibration.json") && error.contains("corrupted"), "{error}");
    let settings = [
        ("decision.threshold=2", "expected highest, f1, precision, or a number from 0 to 1, got `2`"),
        ("decision.precision=1.1", "expected a number from 0 to 1, got 1.1"),
    ];
    for (setting, expected) in settings {
        let error = Config::default().set(setting).unwrap().validate().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let three =
        Config::default().set_all(&["data.classes=['a', 'b', 'c']", "decision.threshold=f1"]).unwrap();
    assert!(
        three
            .validate()
            .unwrap_err()
            .to_string()
            .contains("other thresholds require two classes, got 3 classes")
    );
}

#[test]
fn explanation_adds_up_and_finds_the_decisive_word() {
    let bench = Bench::new(&posts(300));
    bench.train(
        "run",
        &[
            "trainer.epochs=20",
            "optimizer.lr=0.01",
            "model.n_filters=16",
            "early_stopping.enabled=false",
            "trainer.restore_best=false",
        ],
    );
    let detector = load(&bench);
    let texts = ["rain SHOCKING mayor unheardof", "storm officials market vote", ""];
    let explanations = detector.explain(&texts).unwrap();
    let names =
        |index: usize| explanations[index].parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names(0), ["rain", "shocking", "mayor", "unheardof"]);
    assert_eq!(
        explanations[0].parts.iter().map(|part| part.is_known).collect::<Vec<_>>(),
        [true, true, true, false]
    );
    let empty = &explanations[2];
    assert_eq!(empty.prediction.reason(), Some(NoPrediction::EmptyText));
    assert!(empty.parts.is_empty() && empty.baseline.is_none() && empty.residual.is_none());
    for (explanation, prediction) in explanations.iter().zip(detector.predict(&texts).unwrap()).take(2) {
        assert_eq!(explanation.prediction.label(), prediction.label());
        let (baseline, residual) = (explanation.baseline.unwrap(), explanation.residual.unwrap());
        // The log-odds of the uncalibrated score: those of the detector times the temperature.
        let score = prediction.score().unwrap();
        let odds = (score / (1.0 - score)).ln() * detector.decision().temperature;
        let sum: f64 = explanation.parts.iter().map(|part| part.contribution).sum();
        let total = baseline + sum + residual;
        assert!((total - odds).abs() < 1e-4, "{explanation:?} is {odds}");
        assert!(residual.abs() < 0.05 * (odds - baseline).abs() + 1e-6, "{explanation:?}");
    }
    for explanation in &explanations[..2] {
        let strongest =
            explanation.parts.iter().max_by(|a, b| a.contribution.total_cmp(&b.contribution)).unwrap();
        assert!(["shocking", "officials"].contains(&strongest.name.as_str()), "{explanation:?}");
    }
}

#[test]
fn saves_mistakes_with_contributions_of_words() {
    let (bench, outcome) = trained(&[]);
    let mistakes: Vec<faknow::report::Mistake> =
        serde_json::from_str(&bench.read("run/mistakes.json")).unwrap();
    let evaluation = outcome.test.unwrap().evaluation;
    let n_wrong = evaluation.predictions.n_samples() as u64 - evaluation.predictions.confusion().n_correct();
    assert_eq!(mistakes.len() as u64, n_wrong.min(10));
    assert!(
        mistakes.iter().all(|m| m.unit == "word" && m.n_parts == m.parts.len() && m.label != m.predicted)
    );
    assert!(mistakes.is_sorted_by(|a, b| a.score >= b.score));
    let report = bench.read("run/report.html");
    for part in
        ["Most confident errors", "Reliability", "Thresholds", "Confusion matrix", "ROC curve", "By length"]
    {
        assert!(report.contains(part), "missing {part}");
    }
}
