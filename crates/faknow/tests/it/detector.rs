//! Detectors of run directories: predictions, tests, streams, errors.

use faknow::Detector;
use faknow::Error;
use faknow::data::Record;
use faknow::detector::{
    Classified, DetectorEvaluation, InputRecords, NoPrediction, Sample, SamplePrediction,
};
use faknow::tch::Device;

use crate::support::{Bench, checkpoint, csv, posts};

fn trained() -> (Bench, Detector) {
    let bench = Bench::new(&posts(40));
    bench.train("run", &["trainer.epochs=1"]);
    let detector = Detector::load(&bench.path("run"), Device::Cpu).unwrap();
    (bench, detector)
}

#[test]
fn classifies_texts_in_order() {
    let (_bench, detector) = trained();
    assert_eq!(detector.classes(), ["real", "fake"]);
    assert_eq!(detector.config().model.name, "textcnn");
    let texts: Vec<String> = posts(30).into_iter().map(|(text, _)| text).collect();
    let predictions = detector.predict(&texts).unwrap();
    assert_eq!(predictions.len(), 30);
    for (text, batched) in texts.iter().zip(&predictions) {
        let single = detector.predict(&[text]).unwrap()[0].outcome.clone().unwrap();
        assert_eq!(batched.n_tokens, text.split(' ').count(), "{text}");
        assert!((1..=batched.n_tokens).contains(&batched.known_tokens), "{batched:?}");
        let batched = batched.prediction().unwrap();
        for ((class, score), (name, other)) in batched.scores.iter().zip(&single.scores) {
            assert!(
                class == name && (score - other).abs() < 1e-6,
                "{text}: {score} in a batch, {other} alone"
            );
        }
        let sum: f64 = batched.scores.iter().map(|(_, score)| score).sum();
        assert!((sum - 1.0).abs() < 1e-12);
        let best = batched.scores.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        assert_eq!((&batched.label, batched.score), (&best.0, best.1));
    }
    assert!(detector.predict::<&str>(&[]).unwrap().is_empty());
}

#[test]
fn texts_without_known_tokens_have_a_reason() {
    let (_bench, detector) = trained();
    let texts = ["", " \u{200b}\u{feff}", "🙂", "привет мир", "rain привет"];
    let reasons: Vec<_> = detector.predict(&texts).unwrap().iter().map(SamplePrediction::reason).collect();
    use NoPrediction::{EmptyText, NoKnownTokens};
    assert_eq!(reasons, [Some(EmptyText), Some(EmptyText), Some(NoKnownTokens), Some(NoKnownTokens), None]);
    let last = &detector.predict(&texts).unwrap()[4];
    assert_eq!((last.known_tokens, last.n_tokens), (1, 2));
    let missing = detector.predict_samples(&[Sample::MissingText]).unwrap();
    assert_eq!(missing[0].reason(), Some(NoPrediction::MissingText));
    // Their scores do not depend on the text.
    let detector = detector.with_predictions_of_unknown();
    let predictions = detector.predict(&texts).unwrap();
    assert!(predictions.iter().all(|prediction| prediction.label().is_some()));
    assert_eq!(predictions.iter().map(|it| it.known_tokens).collect::<Vec<_>>(), [0, 0, 0, 0, 1]);
    assert_eq!(predictions[0].outcome, predictions[1].outcome);
}

#[test]
fn error_of_record_is_returned_unchanged() {
    let (_bench, detector) = trained();
    let record_error =
        || faknow::data::Error::record("posts.csv", 2, Some("text"), "expected a string, got null");
    let records = vec![Ok(Record::new("rain")), Err(record_error())];
    let records = InputRecords::new("posts.csv", records);
    let error = detector.predict_stream(records, false, |_| Ok(true)).unwrap_err();
    assert!(error.is_input());
    assert_eq!(error.to_string(), record_error().to_string());
}

#[test]
fn test_uses_the_given_columns() {
    let (bench, detector) = trained();
    let file = bench.write("test.csv", csv(&posts(10)).replace("text,label", "body,verdict"));
    let mut data = detector.config().data.clone();
    let error = detector.test(&file, &data).unwrap_err().to_string();
    assert!(error.contains("no such column `text`"), "{error}");
    (data.text, data.label) = (Some("body".into()), Some("verdict".into()));
    let DetectorEvaluation { evaluation, report, .. } = detector.test(&file, &data).unwrap();
    assert_eq!(report.confusion().support(), [5, 5]);
    assert_eq!(evaluation.predictions.n_samples(), 10);
    assert!(evaluation.scores.value("loss").unwrap() > 0.0);
}

#[test]
fn rejects_missing_or_corrupted_run() {
    let (bench, _detector) = trained();
    let check = |path: &str, parts: &[&str]| {
        let error = Detector::load(&bench.path(path), Device::Cpu).unwrap_err();
        assert!(error.is_input(), "{error}");
        let message = error.to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{message} lacks one of {parts:?}");
        assert!(!message.contains('\n'), "{message}");
    };
    check("none", &["none", "no such directory"]);
    check("", &["missing `config.toml`"]);
    std::fs::create_dir_all(bench.path("trainer/checkpoints")).unwrap();
    check("trainer", &["missing `config.toml`; a run of `Trainer` has none", "`Detector::save`"]);
    let weights = checkpoint(&bench.path("run"), "best");
    std::fs::write(&weights, "x").unwrap();
    check("run", &["model.safetensors: the file is corrupted: expected ", " bytes, got 1; copy the run"]);
    // Without a manifest, only the format is checked.
    std::fs::remove_file(weights.with_file_name("manifest.json")).unwrap();
    check("run", &["model.safetensors", "cannot read weights"]);
    std::fs::remove_dir_all(bench.path("run/checkpoints")).unwrap();
    check("run", &["no weights in `checkpoints/`"]);
    assert!(matches!(Detector::load(&bench.path("run"), Device::Cpu), Err(Error::NotARun { .. })));
    bench.write("run/classes.json", "[]");
    bench.write("run/vocab.txt", "");
    check("run", &["run"]);
}

#[test]
fn stream_is_classified_in_order() {
    let (_bench, detector) = trained();
    // Enough records for all three stages to run concurrently.
    let texts: Vec<String> = (0..9000).map(|i| format!("{} {i}", posts(40)[i % 40].0)).collect();
    let records = texts.iter().enumerate().map(|(i, text)| Ok(numbered(text, i)));
    let mut classified = Vec::new();
    detector
        .predict_stream(InputRecords::new("posts", records), false, |chunk| {
            classified.extend(chunk);
            Ok(true)
        })
        .unwrap();
    let predictions = detector.predict(&texts).unwrap();
    assert_eq!(classified.len(), texts.len());
    for (i, (Classified { fields, prediction, .. }, expected)) in
        classified.iter().zip(&predictions).enumerate()
    {
        assert_eq!(fields["number"], i);
        let difference = prediction.score().unwrap() - expected.score().unwrap();
        assert!(difference.abs() < 1e-6 && prediction.label() == expected.label(), "{i}");
    }
    // The writer stops the stream.
    let mut n_written = 0;
    detector
        .predict_stream(endless(), false, |chunk| {
            n_written += chunk.len();
            Ok(n_written < 5000)
        })
        .unwrap();
    assert!((5000..10_000).contains(&n_written), "{n_written}");
}

#[test]
fn stream_stops_at_error_after_writing_previous_records() {
    let (_bench, detector) = trained();
    let record_error =
        || faknow::data::Error::record("posts.csv", 3001, Some("text"), "expected a string, got null");
    let records = (0..4000).map(|i| if i == 3000 { Err(record_error()) } else { Ok(numbered("rain", i)) });
    let mut n_written = 0;
    let result = detector.predict_stream(InputRecords::new("posts.csv", records), false, |chunk| {
        n_written += chunk.len();
        Ok(true)
    });
    assert_eq!(result.unwrap_err().to_string(), record_error().to_string());
    assert_eq!(n_written, 3000, "the records before it are written");

    let full = || Error::io("out.jsonl", std::io::Error::other("the disk is full"));
    let result = detector.predict_stream(endless(), false, |_| Err(full()));
    assert_eq!(result.unwrap_err().to_string(), full().to_string());
}

fn endless() -> InputRecords<'static> {
    InputRecords::new("posts", (0..).map(|i| Ok(numbered("rain", i))))
}

fn numbered(text: &str, number: usize) -> Record {
    let mut record = Record::new(text);
    record.fields.insert("number".into(), number.into());
    record
}
