//! Explanations of texts: every registered model, with every source of token vectors.

use std::path::Path;

use faknow::callbacks::Callbacks;
use faknow::config::DataConfig;
use faknow::data::synth::{NewsGraphOptions, SynthOptions, write_news_graph, write_social};
use faknow::detector::{Explanation, Sample, TextExplanation};
use faknow::models::Registry;
use faknow::tch::Device;
use faknow::trainer::RunDir;
use faknow::{Config, Detector, train};

use crate::tiny_encoder::tiny_encoder;

/// The source of token vectors.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Source {
    Words,
    /// With a setting of its training.
    Encoder(&'static str),
}

const WORDS: &[Source] = &[Source::Words];
const ALL: &[Source] = &[Source::Words, Source::Encoder(""), Source::Encoder("model.train_encoder=true")];
const EMBEDDING: &str = "model.embedding_size=8";
const FILTERS: &str = "model.n_filters=4";
const TEXT: &str = "model.modalities=text";
const DOMAIN: &str = "data.domain=domain";

/// A model with settings and sources of token vectors, and the error of an explanation if it fails.
type Case = (&'static str, &'static [&'static str], &'static [Source], Option<&'static str>);

const CASES: &[Case] = &[
    ("textcnn", &[EMBEDDING, FILTERS], WORDS, None),
    ("linear", &[], WORDS, None),
    (
        "encoder",
        &["model.hidden_size=8", "model.n_heads=2", "model.intermediate_size=16"],
        &[
            Source::Words,
            Source::Encoder("model.tuning=frozen"),
            Source::Encoder("model.tuning=full"),
            Source::Encoder("model.tuning=lora"),
        ],
        None,
    ),
    ("mdfend", &[EMBEDDING, DOMAIN, FILTERS], ALL, None),
    ("mdfend", &[EMBEDDING, DOMAIN, FILTERS, "model.faithful=true"], ALL, None),
    ("endef", &[EMBEDDING, DOMAIN, "data.entities=entities", "model.mdfend.n_filters=4"], ALL_ENDEF, None),
    ("endef", &[EMBEDDING, DOMAIN, "data.entities=entities", "model.base=textcnn"], WORDS, None),
    ("m3fend", &[EMBEDDING, DOMAIN, FILTERS], ALL, None),
    ("m3fend", &[EMBEDDING, DOMAIN, FILTERS, "data.features={content_emotion='emotions'}"], ALL, None),
    ("dudef", &[EMBEDDING, "data.features=['emotions']"], ALL, None),
    ("dudef", &[EMBEDDING, "data.features=['emotions']", "model.faithful=true"], ALL, None),
    ("eddfn", &[EMBEDDING, DOMAIN], ALL, None),
    ("eann", &[EMBEDDING, DOMAIN, FILTERS, TEXT], ALL, None),
    ("spotfake", &[EMBEDDING, TEXT], ALL, None),
    ("safe", &[EMBEDDING, FILTERS, TEXT, "model.title=false"], ALL, None),
    ("mcan", &[EMBEDDING, TEXT], ALL, None),
    ("hmcan", &[EMBEDDING, TEXT, "model.n_heads=2"], ALL, None),
    ("mfan", &[EMBEDDING, FILTERS, TEXT, "model.adversarial=false"], ALL, None),
    ("cafe", &[EMBEDDING, FILTERS, TEXT], ALL, None),
    (
        "eddfn",
        &[DOMAIN, "data.features=['input']"],
        WORDS,
        Some(
            "no explanations by word: the scores of `eddfn` do not depend on words; it was trained on the features `input` \
             (`data.features`)",
        ),
    ),
    ("fang", &[], WORDS, Some("this detector classifies the articles of the graph that it was trained on")),
];

/// ENDEF has the settings of its base model in a table.
const ALL_ENDEF: &[Source] =
    &[Source::Words, Source::Encoder(""), Source::Encoder("model.mdfend.train_encoder=true")];

fn config(dir: &Path, model: &str, settings: &[&str], source: Source) -> Config {
    let general = [
        "device=cpu",
        "threads=1",
        "loader.workers=0",
        "trainer.epochs=2",
        "optimizer.lr=0.01",
        "text.max_length=32",
    ];
    let posts = ["data.train=DIR/train.jsonl", "data.valid=DIR/valid.jsonl", "data.test=DIR/test.jsonl"];
    let (posts, general) = match model {
        "fang" => (vec!["data.fang=DIR/graph"], &general[..5]),
        _ => (posts.to_vec(), &general[..]),
    };
    let encoder = match source {
        Source::Words => vec![],
        Source::Encoder("") => vec!["text.encoder=DIR/tiny"],
        Source::Encoder(setting) => vec!["text.encoder=DIR/tiny", setting],
    };
    let all = [general, &posts, settings, &encoder].concat();
    let all: Vec<String> = all.iter().map(|it| it.replace("DIR", &dir.display().to_string())).collect();
    Config::for_model(model).unwrap().set_all(&all).unwrap()
}

/// Adds words that the tiny encoder knows.
fn with_known_words(mut sample: Sample) -> Sample {
    match &mut sample {
        Sample::Text(text) => text.insert_str(0, "shocking rain "),
        Sample::Record(record) => record.text.insert_str(0, "shocking rain "),
        other => panic!("{other:?}"),
    }
    sample
}

/// Checks that baseline, contributions and residual add up to the log-odds of the prediction, and that the residual is small.
fn check(detector: &Detector, explanation: &TextExplanation, case: &str) {
    let (Some(baseline), Some(residual)) = (explanation.baseline, explanation.residual) else {
        panic!("{case}: no explanation: {explanation:?}");
    };
    let sum: f64 = explanation.parts.iter().map(|part| part.contribution).sum();
    let output = baseline + sum + residual;
    assert!(explanation.parts.iter().any(|part| part.contribution != 0.0), "{case}");
    let difference = output - baseline;
    assert!(residual.abs() <= 0.02 + 0.05 * difference.abs(), "{case}: residual {residual} of {difference}");
    // A linear model has logits instead of log-odds.
    if explanation.ngrams.is_empty() {
        let score = explanation.prediction.score().unwrap();
        let log_odds = (score / (1.0 - score)).ln() * detector.decision().temperature;
        assert!(
            (output - log_odds).abs() < 1e-3 * log_odds.abs().max(1.0),
            "{case}: {output}, not {log_odds}"
        );
    }
}

#[test]
fn every_model_of_texts_is_explained_or_says_why_not() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write_social(dir, &SynthOptions { n_samples: 60, ..SynthOptions::default() }).unwrap();
    let graph = NewsGraphOptions { n_articles: 40, n_users: 20, n_sources: 4, ..NewsGraphOptions::default() };
    write_news_graph(&dir.join("graph"), &graph).unwrap();
    tiny_encoder(dir);
    // `every_tree_model_trains_tests_predicts_and_explains` has the others.
    for info in Registry::builtin().models().iter().filter(|info| info.fields.trees.is_none()) {
        assert!(CASES.iter().any(|(model, ..)| *model == info.name), "{}", info.name);
    }
    let cases = CASES.iter().flat_map(|case| case.2.iter().map(move |source| (case, *source)));
    for (index, ((model, settings, _, error), source)) in cases.enumerate() {
        let case = format!("{model} {settings:?} {source:?}");
        let config = config(dir, model, settings, source);
        let run = dir.join(format!("run{index}"));
        train(&config, || RunDir::create(&run), Callbacks::default())
            .unwrap_or_else(|e| panic!("{case}: {e}"));
        let detector = Detector::load(&run, Device::Cpu).unwrap();
        if *model == "fang" {
            let message = detector.explain(&["rain"]).unwrap_err().to_string();
            assert!(message.starts_with(error.unwrap()), "{message}");
            continue;
        }
        let data = DataConfig { train: config.data.test.clone(), ..detector.config().data.clone() };
        let records = detector.open(&data).unwrap().take(4);
        let samples: Vec<Sample> = records.map(|record| with_known_words(record.unwrap().sample)).collect();
        // One by one, since predictions of the faithful modes depend on the other texts of a batch.
        for sample in &samples {
            match (detector.explain_samples(std::slice::from_ref(sample)), error) {
                (Ok(explanations), None) => match &explanations[..] {
                    [Explanation::Text(explanation)] => check(&detector, explanation, &case),
                    other => panic!("{case}: {other:?}"),
                },
                (Err(error), Some(expected)) => assert_eq!(error.to_string(), *expected, "{case}"),
                (result, _) => panic!("{case}: {result:?}"),
            }
        }
        if error.is_some() {
            continue;
        }
        // The report explains the most confident errors.
        let mistakes = std::fs::read_to_string(run.join("mistakes.json")).unwrap();
        let mistakes: serde_json::Value = serde_json::from_str(&mistakes).unwrap();
        for mistake in mistakes.as_array().unwrap() {
            let parts = mistake["parts"].as_array().unwrap();
            assert!(parts.iter().any(|part| part["contribution"] != 0.0), "{case}: {mistake}");
        }
    }
}
