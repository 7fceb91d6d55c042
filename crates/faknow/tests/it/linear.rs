//! The model `linear`: prediction from its files, exact explanations, resuming.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use faknow::callbacks::Callbacks;
use faknow::detector::ExportManifest;
use faknow::tch::Device;
use faknow::train::{ResumeOptions, resume};
use faknow::{Config, Detector};

use crate::support::{Bench, posts};

/// Returns a bench that trains `linear`.
fn bench(settings: &[&str]) -> Bench {
    let mut bench = Bench::new(&posts(40));
    let data = bench.config.data.clone();
    bench.config = Config::for_model("linear").unwrap();
    bench.config.data = data;
    let settings = [&["device=cpu", "threads=1", "trainer.epochs=4"], settings].concat();
    bench.config = bench.config.set_all(&settings).unwrap();
    bench
}

#[test]
fn explanations_are_exact() {
    for loss in ["squared_hinge", "logistic"] {
        let bench = bench(&[&format!("model.loss={loss}")]);
        bench.train("run", &[]);
        let detector = Detector::load(&bench.path("run"), Device::Cpu).unwrap();
        let text = &posts(1)[0].0;
        let explanation = detector.explain(&[text.repeat(2)]).unwrap().remove(0);
        let parts: f64 = explanation.parts.iter().map(|part| part.contribution).sum();
        let ngrams: f64 = explanation.ngrams.iter().map(|ngram| ngram.contribution).sum();
        assert!((parts - ngrams).abs() < 1e-9, "{parts}, {ngrams}");
        assert!(explanation.residual.unwrap().abs() < 1e-5, "{explanation:?}");
        assert!(ngrams > 0.01, "the words support the label: {explanation:?}");
        let word = explanation.ngrams.iter().find(|ngram| !ngram.name.contains(' ')).unwrap();
        assert_eq!(explanation.parts[word.positions[0]].name, word.name);
    }
}

#[test]
fn a_resumed_run_equals_an_uninterrupted_one() {
    let bench = bench(&[]);
    bench.train("complete", &[]);
    bench.train("resumed", &["trainer.epochs=2"]);
    let set = vec!["trainer.epochs=4".to_owned()];
    resume(&bench.path("resumed"), &ResumeOptions { set, ..ResumeOptions::default() }, Callbacks::default())
        .unwrap();
    let (complete, resumed) = (bench.last_weights("complete"), bench.last_weights("resumed"));
    assert_eq!(complete.keys().collect::<Vec<_>>(), ["bias", "weight"]);
    for (name, tensor) in &complete {
        assert_eq!(tensor, &resumed[name], "{name}");
        assert!(tensor.abs().sum(None).double_value(&[]) > 0.0, "{name} is trained");
    }
}

#[test]
fn hyperparameters_out_of_range_are_rejected_by_name() {
    let bench = bench(&[]);
    for (setting, expected) in [
        ("model.c=0", "`model.c`"),
        ("model.min_df=0", "`model.min_df`"),
        ("model.loss=hinge", "`model.loss`"),
        ("loss.name=cross_entropy", "`loss.name`"),
    ] {
        let error = bench.try_train("run", &[setting]).unwrap_err().to_string();
        assert!(error.contains(expected), "{setting}: {error}");
    }
}

#[test]
fn averages_of_weights_have_an_effect() {
    let bench = bench(&["loader.batch_size=8"]);
    bench.train("plain", &[]);
    let plain = bench.last_weights("plain");
    for (name, average) in
        [("ema", "{ name = 'ema', decay = 0.5 }"), ("swa", "{ name = 'swa', start = '1 epoch' }")]
    {
        bench.train(name, &[&format!("average={average}")]);
        assert_ne!(bench.last_weights(name)["weight"], plain["weight"], "{name}");
    }
}

/// Returns the class scores of the words of a text by the files of an export, as a program without faknow would.
fn scores_of_export(dir: &Path, words: &[String]) -> Vec<f64> {
    let manifest: ExportManifest =
        serde_json::from_str(&fs::read_to_string(dir.join("export.json")).unwrap()).unwrap();
    let table = fs::read_to_string(dir.join("weights.tsv")).unwrap();
    let mut lines = table.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    assert_eq!(lines.next().unwrap(), ["ngram", "idf", "weight_0", "weight_1"]);
    let rows: BTreeMap<&str, Vec<f64>> =
        lines.map(|line| (line[0], line[1..].iter().map(|it| it.parse().unwrap()).collect())).collect();
    let mut counts = BTreeMap::<String, f64>::new();
    for n in 1..=2 {
        words
            .windows(n)
            .map(|ngram| ngram.join(" "))
            .for_each(|ngram| *counts.entry(ngram).or_default() += 1.0);
    }
    let known = counts.iter().filter_map(|(ngram, count)| {
        let row = rows.get(ngram.as_str())?;
        Some(((1.0 + count.ln()) * row[0], &row[1..]))
    });
    let known: Vec<(f64, &[f64])> = known.collect();
    let norm = known.iter().map(|(value, _)| value * value).sum::<f64>().sqrt();
    let logit = |class: usize| {
        let sum: f64 = known.iter().map(|(value, weights)| value / norm * weights[class]).sum();
        (sum + manifest.bias[class]) / manifest.decision.temperature
    };
    let exponentials: Vec<f64> = (0..2).map(|class| logit(class).exp()).collect();
    exponentials.iter().map(|it| it / exponentials.iter().sum::<f64>()).collect()
}

#[test]
fn scores_follow_from_the_exported_table() {
    let bench = bench(&[]);
    bench.train("run", &[]);
    let detector = Detector::load(&bench.path("run"), Device::Cpu).unwrap();
    let out = bench.path("exported");
    let manifest = detector.export(&out).unwrap();
    assert_eq!((&manifest.libtorch, manifest.bias.len()), (&None, 2));
    let vocab = fs::read_to_string(out.join("vocab.txt")).unwrap();
    let vocab: Vec<&str> = vocab.lines().collect();
    let texts: Vec<String> =
        posts(12).into_iter().map(|(text, _)| format!("{text} {text} unheard")).collect();
    let predictions = detector.predict(&texts).unwrap();
    for (tokens, prediction) in detector.tokenize(&texts).unwrap().iter().zip(&predictions) {
        let words: Vec<String> = tokens.iter().map(|&id| vocab[id as usize].to_owned()).collect();
        let scores = scores_of_export(&out, &words);
        let label = manifest.classes.iter().position(|class| Some(class.as_str()) == prediction.label());
        let (score, expected) = (scores[label.unwrap()], prediction.score().unwrap());
        assert!((score - expected).abs() < 1e-6, "{scores:?}, {expected}");
    }
}
