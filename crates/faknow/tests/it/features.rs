//! Models that read numeric features, domains or a graph of articles: training, resuming, prediction and errors.

use std::fs;
use std::path::{Path, PathBuf};

use faknow::callbacks::Callbacks;
use faknow::config::DataConfig;
use faknow::data::synth::{NewsGraphOptions, SynthOptions, write_news_graph, write_social};
use faknow::detector::{NoPrediction, SamplePrediction};
use faknow::model::weights;
use faknow::tch::Device;
use faknow::train::{Outcome, ResumeOptions, resume};
use faknow::trainer::RunDir;
use faknow::{Config, Detector, train};
use tempfile::TempDir;

use crate::support::checkpoint;

/// A directory with generated posts and a graph.
struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = SynthOptions { n_samples: 200, ..SynthOptions::default() };
        write_social(dir.path(), &options).unwrap();
        let graph =
            NewsGraphOptions { n_articles: 60, n_users: 30, n_sources: 6, ..NewsGraphOptions::default() };
        write_news_graph(&dir.path().join("graph"), &graph).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Returns the config of a model with these settings, in which `DIR` is the directory.
    fn config(&self, model: &str, settings: &[&str]) -> Config {
        let general =
            ["device=cpu", "threads=1", "loader.workers=0", "trainer.epochs=4", "optimizer.lr=0.01"];
        let posts = match model {
            "fang" => vec!["data.fang=DIR/graph"],
            _ => vec![
                "data.train=DIR/train.jsonl",
                "data.valid=DIR/valid.jsonl",
                "data.test=DIR/test.jsonl",
                "model.embedding_size=8",
            ],
        };
        let dir = self.0.path().display().to_string();
        let all = [&general[..], &posts, settings].concat();
        let all: Vec<String> = all.iter().map(|setting| setting.replace("DIR", &dir)).collect();
        Config::for_model(model).unwrap().set_all(&all).unwrap()
    }

    fn train(&self, run: &str, config: &Config) -> Outcome {
        train(config, || RunDir::create(self.path(run)), Callbacks::default()).unwrap()
    }

    fn error(&self, model: &str, settings: &[&str]) -> String {
        let config = self.config(model, settings);
        let result = train(&config, || RunDir::create(self.path("rejected")), Callbacks::default());
        assert!(!self.path("rejected").exists());
        result.unwrap_err().to_string().replace(&format!("{}/", self.0.path().display()), "")
    }
}

const LEXICON: &str = "lie\tanger\t2\nangry\tanger\ngood\tjoy\n";

/// The models with the settings of their data.
const CASES: [(&str, &[&str]); 5] = [
    ("dudef", &["data.features=['emotions']"]),
    ("dudef", &["text.lexicons=DIR/lexicons", "data.comments=comments"]),
    ("eddfn", &["data.domain=domain"]),
    ("eddfn", &["data.features=['input']", "data.domain=domain"]),
    ("fang", &[]),
];

fn write_lexicons(bench: &Bench) {
    fs::create_dir(bench.path("lexicons")).unwrap();
    fs::write(bench.path("lexicons/categories.tsv"), LEXICON).unwrap();
}

fn last_weights(run: &Path) -> Vec<u8> {
    fs::read(checkpoint(run, "last")).unwrap()
}

#[test]
fn models_of_features_and_graphs_train_and_resume_exactly() {
    let bench = Bench::new();
    write_lexicons(&bench);
    for (index, (model, settings)) in CASES.into_iter().enumerate() {
        let run = format!("run{index}");
        let outcome = bench.train(&run, &bench.config(model, settings));
        assert!(outcome.valid.is_some(), "{model}");
        let accuracy = outcome.test.unwrap().evaluation.scores.value("accuracy").unwrap();
        assert!(accuracy > 0.55, "{model} {settings:?}: accuracy {accuracy}");
        let interrupted = format!("short{index}");
        bench.train(&interrupted, &bench.config(model, &[settings, &["trainer.epochs=2"]].concat()));
        let options = ResumeOptions { set: vec!["trainer.epochs=4".into()], ..ResumeOptions::default() };
        resume(&bench.path(&interrupted), &options, Callbacks::default()).unwrap();
        let same = last_weights(&bench.path(&run)) == last_weights(&bench.path(&interrupted));
        assert!(same, "{model} {settings:?}: a resumed run has other weights");
    }
}

#[test]
fn detectors_predict_with_features_of_columns_or_texts() {
    let bench = Bench::new();
    write_lexicons(&bench);
    for (index, (model, settings)) in CASES.into_iter().take(4).enumerate() {
        let run = format!("run{index}");
        let outcome = bench.train(&run, &bench.config(model, settings));
        // The lexicons and the means belong to the run.
        let detector = Detector::load(&bench.path(&run), Device::Cpu).unwrap();
        let test = bench.path("test.jsonl");
        let again = detector.test(&test, &detector.config().data).unwrap().evaluation;
        let loss = |evaluation: &faknow::metrics::Evaluation| evaluation.scores.value("loss").unwrap();
        let expected = loss(&outcome.test.unwrap().evaluation);
        assert!((loss(&again) - expected).abs() < 1e-6, "{model}: {} {expected}", loss(&again));
        let data = DataConfig { train: Some(test.into()), ..detector.config().data.clone() };
        let mut reasons = Vec::new();
        let records = detector.open(&data).unwrap();
        detector
            .predict_stream(records, false, |classified| {
                reasons.extend(classified.iter().map(|it| it.prediction.reason()));
                Ok(true)
            })
            .unwrap();
        assert_eq!(reasons, vec![None; again.predictions.n_samples()], "{model}");
        // Emotions can be computed from a text alone, a column cannot.
        let reason = detector.predict(&["a good report, people say"]).unwrap()[0].reason();
        let needs_column = settings[0].starts_with("data.features");
        assert_eq!(reason, needs_column.then_some(NoPrediction::MissingFeatures), "{model} {settings:?}");
    }
}

#[test]
fn records_without_features_have_no_prediction() {
    let bench = Bench::new();
    bench.train("run", &bench.config("dudef", &["data.features=['emotions']"]));
    let detector = Detector::load(&bench.path("run"), Device::Cpu).unwrap();
    let numbers: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    let line =
        |numbers: &str| format!("{{\"text\": \"people say the report is true\", \"emotions\": {numbers}}}\n");
    let posts = line(&format!("[{}]", numbers.join(","))) + &line("null");
    fs::write(bench.path("new.jsonl"), posts).unwrap();
    let data = DataConfig { train: Some(bench.path("new.jsonl").into()), ..detector.config().data.clone() };
    let records: Vec<_> = detector.open(&data).unwrap().collect::<Result<_, _>>().unwrap();
    let samples: Vec<_> = records.into_iter().map(|record| record.sample).collect();
    let reasons: Vec<_> =
        detector.predict_samples(&samples).unwrap().iter().map(SamplePrediction::reason).collect();
    assert_eq!(reasons, [None, Some(NoPrediction::MissingFeatures)]);
    // A test does not count such records.
    let labeled = line("null").replace('{', "{\"label\": \"fake\", ");
    fs::write(bench.path("labeled.jsonl"), labeled).unwrap();
    let error =
        detector.test(bench.path("labeled.jsonl"), &detector.config().data).err().unwrap().to_string();
    assert_eq!(error, "record 1: expected numbers of the feature `emotions`, got none");
    fs::write(bench.path("new.jsonl"), line("[1, 2]")).unwrap();
    let records: Vec<_> = detector.open(&data).unwrap().collect::<Result<_, _>>().unwrap();
    let prediction = &detector.predict_samples(&[records[0].sample.clone()]).unwrap()[0];
    assert_eq!(prediction.reason(), Some(NoPrediction::FeatureSize));
}

#[test]
fn settings_of_features_are_checked_by_the_model() {
    let bench = Bench::new();
    let check = |model: &str, settings: &[&str], expected: &str| {
        let error = bench.error(model, settings);
        assert!(error.contains(expected), "{error}");
    };
    check("dudef", &[], "`data.features`: `dudef` reads the feature `emotions`: name the column");
    check(
        "dudef",
        &["data.features=['x']"],
        "`data.features`: `dudef` does not read the feature `x`, it reads `emotions`",
    );
    check(
        "textcnn",
        &["data.features=['x']"],
        "`data.features`: `textcnn` does not read the feature `x`, it reads no features",
    );
    check(
        "eddfn",
        &["data.domain=domain", "text.lexicons=DIR"],
        "`text.lexicons`: expected a model with emotion features",
    );
    check(
        "dudef",
        &["data.features=['emotions']", "data.comments=comments"],
        "`data.comments`: expected a model with",
    );
    check("dudef", &["text.lexicons=DIR"], ": expected a directory with emotion lexicons");
    check(
        "dudef",
        &["data.features.emotions=comments"],
        "train.jsonl: record 1, field `comments`: expected an array of numbers",
    );
    check("dudef", &["data.features.emotions=none"], "train.jsonl: no such column `none`");
    check("fang", &["data.fang=DIR"], "entities.txt: ");
    check("fang", &["data.text=text"], "`data.text`: expected text records, got a graph of articles");
    check(
        "eddfn",
        &["data.domain=domain", "model.lsh_share=0"],
        "`model.lsh_share`: expected a number above 0",
    );
}

#[test]
fn hashing_selects_a_share_of_the_training_posts() {
    let bench = Bench::new();
    let run = |name: &str, settings: &[&str]| {
        let config = bench.config("eddfn", &[&["data.domain=domain", "trainer.epochs=1"], settings].concat());
        bench.train(name, &config).fit.history.epochs[0].samples
    };
    assert_eq!(run("all", &["model.lsh_share=1"]), 140);
    assert_eq!(run("default", &[]), 112);
    assert_eq!(run("half", &["model.lsh_share=0.5"]), 70);
    let summary = fs::read_to_string(bench.path("half/summary.json")).unwrap();
    assert!(summary.contains("training samples: selected by hashing from 140"), "{summary}");
}

#[test]
fn graphs_have_their_own_split_or_that_of_the_settings() {
    let bench = Bench::new();
    let sizes = |name: &str, settings: &[&str]| {
        let outcome = bench.train(name, &bench.config("fang", &[&["trainer.epochs=1"], settings].concat()));
        let n = |part: Option<faknow::detector::DetectorEvaluation>| {
            part.map_or(0, |part| part.evaluation.predictions.n_samples())
        };
        (outcome.fit.history.epochs[0].samples, n(outcome.valid), n(outcome.test))
    };
    assert_eq!(sizes("own", &[]), (42, 6, 12));
    assert_eq!(sizes("split", &["data.split=[0.5, 0.25, 0.25]"]), (30, 15, 15));
    assert_eq!(sizes("fold", &["data.fold=1 of 3"]).2, 20);
    let detector = Detector::load(&bench.path("own"), Device::Cpu).unwrap();
    let error = detector.predict(&["a text"]).unwrap_err().to_string();
    assert!(
        error.starts_with("this detector classifies the articles of the graph that it was trained on"),
        "{error}"
    );
    assert!(
        weights::read(&checkpoint(&bench.path("own"), "best"))
            .unwrap()
            .contains_key("graph_sage.conv.0.lin_l.weight")
    );
}

#[test]
fn documentation_lists_the_files_of_lexicons() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/data-formats.md");
    let text = fs::read_to_string(path).unwrap();
    let row = |file: &faknow::data::emotion::LexiconFile| {
        format!("| `{}` | {} | {} |\n", file.name, file.columns, file.content)
    };
    let table: String = faknow::data::emotion::LEXICON_FILES.iter().map(row).collect();
    assert!(text.contains(&table), "expected in docs/data-formats.md:\n{table}");
}
