//! The detector of a run directory.

use faknow::Detector;
use faknow::Error;
use faknow::data::Record;
use faknow::detector::{Classified, InputRecords};
use faknow::tch::Device;

use crate::support::{Bench, checkpoint, csv, posts};

fn trained() -> (Bench, Detector) {
    let bench = Bench::new(&posts(40));
    bench.train("run", &["trainer.epochs=1"]);
    let detector = Detector::load(&bench.path("run"), Device::Cpu).unwrap();
    (bench, detector)
}

#[test]
fn a_detector_judges_texts_in_their_order() {
    let (_bench, detector) = trained();
    assert_eq!(detector.classes(), ["real", "fake"]);
    assert_eq!(detector.config().model.name, "textcnn");
    let texts: Vec<String> = posts(30).into_iter().map(|(text, _)| text).collect();
    let judged = detector.predict(&texts).unwrap();
    assert_eq!(judged.len(), 30);
    for (text, among) in texts.iter().zip(&judged) {
        let alone = &detector.predict(&[text]).unwrap()[0];
        for ((class, score), (name, other)) in among.scores.iter().zip(&alone.scores) {
            assert!(
                class == name && (score - other).abs() < 1e-6,
                "{text}: {score} among others, {other} alone"
            );
        }
        let sum: f64 = among.scores.iter().map(|(_, score)| score).sum();
        assert!((sum - 1.0).abs() < 1e-12);
        let best = among.scores.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        assert_eq!((&among.label, among.score), (&best.0, best.1));
    }
    assert!(detector.predict::<&str>(&[]).unwrap().is_empty());
    assert_eq!(detector.predict(&["", "unheard of", "🙂"]).unwrap().len(), 3, "no known word is no error");
}

#[test]
fn a_broken_record_is_answered_as_it_is() {
    let (_bench, detector) = trained();
    let broken = || faknow::data::Error::record("posts.csv", 2, Some("text"), "expected a string, got null");
    let records = vec![Ok(Record::new("rain")), Err(broken())];
    let records = InputRecords::new("posts.csv", records);
    let error = detector.predict_stream(records, false, |_| Ok(true)).unwrap_err();
    assert!(error.is_input());
    assert_eq!(error.to_string(), broken().to_string());
}

#[test]
fn a_test_is_read_as_its_columns_say() {
    let (bench, detector) = trained();
    let file = bench.write("test.csv", csv(&posts(10)).replace("text,label", "body,verdict"));
    let mut data = detector.config().data.clone();
    let error = detector.test(&file, &data).unwrap_err().to_string();
    assert!(error.contains("no such column `text`"), "{error}");
    (data.text, data.label) = ("body".into(), "verdict".into());
    let (evaluation, report) = detector.test(&file, &data).unwrap();
    assert_eq!(report.confusion().support(), [5, 5]);
    assert_eq!(evaluation.predictions.n_samples(), 10);
    assert!(evaluation.scores.value("loss").unwrap() > 0.0);
}

#[test]
fn what_is_no_run_or_a_damaged_one_is_refused() {
    let (bench, _detector) = trained();
    let says = |path: &str, parts: &[&str]| {
        let error = Detector::load(&bench.path(path), Device::Cpu).unwrap_err();
        assert!(error.is_input(), "{error}");
        let message = error.to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{message} lacks one of {parts:?}");
        assert!(!message.contains('\n'), "{message}");
    };
    says("none", &["none", "no such directory"]);
    says("", &["`config.toml` is not there"]);
    let weights = checkpoint(&bench.path("run"), "best");
    std::fs::write(&weights, "x").unwrap();
    says("run", &["model.safetensors", "cannot read weights"]);
    std::fs::remove_dir_all(bench.path("run/checkpoints")).unwrap();
    says("run", &["no weights in `checkpoints/`"]);
    assert!(matches!(Detector::load(&bench.path("run"), Device::Cpu), Err(Error::NotARun { .. })));
    bench.write("run/classes.json", "[]");
    bench.write("run/vocab.txt", "");
    says("run", &["run"]);
}

#[test]
fn a_stream_of_records_is_judged_in_its_order() {
    let (_bench, detector) = trained();
    // More than a few thousand, so that all three stages are at work at once.
    let texts: Vec<String> = (0..9000).map(|i| format!("{} {i}", posts(40)[i % 40].0)).collect();
    let records = texts.iter().enumerate().map(|(i, text)| Ok(numbered(text, i)));
    let mut judged = Vec::new();
    detector
        .predict_stream(InputRecords::new("posts", records), false, |some| {
            judged.extend(some);
            Ok(true)
        })
        .unwrap();
    let alone = detector.predict(&texts).unwrap();
    assert_eq!(judged.len(), texts.len());
    for (i, (Classified { fields, prediction: streamed, .. }, alone)) in judged.iter().zip(&alone).enumerate()
    {
        assert_eq!(fields["number"], i);
        assert!((streamed.score - alone.score).abs() < 1e-6 && streamed.label == alone.label, "{i}");
    }
    // Whoever writes has enough.
    let mut n_written = 0;
    detector
        .predict_stream(endless(), false, |some| {
            n_written += some.len();
            Ok(n_written < 5000)
        })
        .unwrap();
    assert!((5000..10_000).contains(&n_written), "{n_written}");
}

#[test]
fn errors_of_a_stream_end_it_and_lose_nothing() {
    let (_bench, detector) = trained();
    let broken =
        || faknow::data::Error::record("posts.csv", 3001, Some("text"), "expected a string, got null");
    let records = (0..4000).map(|i| if i == 3000 { Err(broken()) } else { Ok(numbered("rain", i)) });
    let mut n_written = 0;
    let result = detector.predict_stream(InputRecords::new("posts.csv", records), false, |some| {
        n_written += some.len();
        Ok(true)
    });
    assert_eq!(result.unwrap_err().to_string(), broken().to_string());
    assert_eq!(n_written, 3000, "what stands before it is written");

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
