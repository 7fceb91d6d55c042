//! Tree detectors: all data formats, training, resume, pretraining, explanations, errors.

use std::fs;
use std::path::{Path, PathBuf};

use faknow::callbacks::{Callbacks, StopReason};
use faknow::config::{DataConfig, DataFiles};
use faknow::data::graph::{Tree, TreeJsonReader, read_tree_ids};
use faknow::data::synth::{CascadeOptions, write_td_rvnn};
use faknow::detector::{DetectorEvaluation, Explanation, Sample};
use faknow::model::weights::read;
use faknow::models::Registry;
use faknow::report::Mistake;
use faknow::study::cross_validate;
use faknow::tch::Device;
use faknow::train::{ContextFactory, Outcome, ResumeOptions, RunContext};
use faknow::trainer::{Interrupt, RunDir};
use faknow::{Config, Detector, resume, train};
use serde_json::json;
use tempfile::TempDir;

struct Bench {
    dir: TempDir,
    config: Config,
}

impl Bench {
    /// Creates a bench with generated trees and a small model.
    fn new(model: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options =
            CascadeOptions { n_trees: 160, mean_size: 8.0, n_words: 200, ..CascadeOptions::default() };
        let files = write_td_rvnn(dir.path(), &options).unwrap();
        let settings =
            ["device=cpu", "threads=1", "trainer.epochs=3", "loader.batch_size=32", "model.hidden_size=8"];
        let mut config = Config::for_model(model).unwrap().set_all(&settings).unwrap();
        config.data = DataConfig {
            trees: Some(files.trees),
            labels: Some(files.labels),
            train_ids: Some(files.train_ids),
            test_ids: Some(files.test_ids),
            classes: vec!["true".into(), "false".into()],
            ..DataConfig::default()
        };
        Self { dir, config }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn train(&self, run: &str) -> faknow::Result<Outcome> {
        train(&self.config, || RunDir::create(self.path(run)), Callbacks::default())
    }
}

/// Returns the contribution of each node of each tree.
fn contributions(detector: &Detector, trees: &[Tree]) -> Vec<Vec<f64>> {
    let samples: Vec<Sample> = trees.iter().cloned().map(Sample::EncodedTree).collect();
    let explanations =
        detector.explain_samples(&samples).unwrap().into_iter().map(|explanation| match explanation {
            Explanation::Tree(tree) => tree.nodes.iter().map(|node| node.contribution).collect(),
            Explanation::Text(text) => panic!("{text:?}"),
        });
    explanations.collect()
}

/// Returns the error of a training that must fail before the run directory is created.
fn error(bench: &Bench) -> String {
    let error = bench.train("rejected").unwrap_err();
    assert!(error.is_input(), "{error}");
    assert!(!bench.path("rejected").exists(), "no directory is created: {error}");
    error.to_string()
}

#[test]
fn every_tree_model_trains_tests_predicts_and_explains() {
    for info in Registry::builtin().models().into_iter().filter(|info| info.fields.trees.is_some()) {
        let bench = Bench::new(info.name);
        let outcome = bench.train("run").unwrap();
        let evaluation = outcome.test.unwrap().evaluation;
        assert_eq!(evaluation.predictions.n_samples(), 32, "{}", info.name);
        assert_eq!(outcome.valid.unwrap().evaluation.predictions.n_samples(), 16);
        // The detector of a moved run directory has the same results.
        fs::rename(bench.path("run"), bench.path("moved")).unwrap();
        let detector = Detector::load(&bench.path("moved"), Device::Cpu).unwrap();
        assert!(detector.has_tree_input());
        let test = DataConfig { train_ids: None, ..bench.config.data.clone() };
        let again = detector.test_trees(detector.read_trees(&test).unwrap()).unwrap().evaluation;
        assert_eq!(again.scores.value("loss"), evaluation.scores.value("loss"), "{}", info.name);
        let trees = detector.read_trees(&test).unwrap();
        let parts = contributions(&detector, &trees);
        assert!(trees.iter().zip(&parts).all(|(tree, parts)| tree.n_nodes() == parts.len()));
        assert!(parts.iter().flatten().any(|&part| part != 0.0), "{}", info.name);
        let error = detector.predict(&["a text"]).unwrap_err().to_string();
        assert_eq!(error, "this detector takes trees as input, got texts");
    }
}

#[test]
fn resumed_run_has_weights_of_uninterrupted_run() {
    let bench = Bench::new("bigcn");
    bench.train("uninterrupted").unwrap();
    let short = Bench { config: bench.config.set("trainer.epochs=1").unwrap(), ..bench };
    short.train("resumed").unwrap();
    let options = ResumeOptions { set: vec!["trainer.epochs=3".into()], ..ResumeOptions::default() };
    resume(&short.path("resumed"), &options, RunContext::default()).unwrap();
    let weights = |run: &str| fs::read(short.path(run).join("checkpoints/last/model.safetensors")).unwrap();
    assert!(weights("uninterrupted") == weights("resumed"), "the weights differ");
}

#[test]
fn saves_most_confident_mistakes_with_contributions_of_nodes() {
    let bench = Bench::new("gcn");
    let outcome = bench.train("run").unwrap();
    let text = fs::read_to_string(bench.path("run/mistakes.json")).unwrap();
    let mistakes: Vec<Mistake> = serde_json::from_str(&text).unwrap();
    let evaluation = outcome.test.unwrap().evaluation;
    let predictions = evaluation.predictions;
    let is_mistake = |row: &usize| predictions.labels()[*row] != predictions.predicted()[*row];
    assert_eq!(mistakes.len(), (0..32).filter(is_mistake).count().min(10), "{text}");
    // They are mistakes of the detector.
    let detector = Detector::load(&bench.path("run"), Device::Cpu).unwrap();
    let test = DataConfig { train_ids: None, ..bench.config.data.clone() };
    let trees = detector.read_trees(&test).unwrap();
    for mistake in &mistakes {
        let tree = trees.iter().find(|tree| Some(tree.id()) == mistake.id.as_deref()).unwrap();
        let prediction = &detector.predict_samples(&[Sample::EncodedTree(tree.clone())]).unwrap()[0];
        assert_eq!(mistake.known_tokens, Some(prediction.known_tokens));
        let prediction = prediction.prediction().unwrap();
        assert_eq!(prediction.label, mistake.predicted);
        assert!((prediction.score - mistake.score).abs() < 1e-6 && mistake.label != mistake.predicted);
        assert_eq!(mistake.n_parts, tree.n_nodes());
        let parts = &contributions(&detector, std::slice::from_ref(tree))[0];
        let size = |node: usize| parts[node].abs();
        let best = (0..parts.len()).fold(0, |best, node| if size(node) > size(best) { node } else { best });
        assert!((mistake.parts[0].contribution - parts[best]).abs() < 1e-6, "{mistake:?} {parts:?}");
    }
}

#[test]
fn only_word_counts_are_weighted_by_default() {
    let bench = Bench::new("gcn");
    let is_weighted = |bench: &Bench, run: &str| {
        bench.train(run).unwrap();
        fs::read_to_string(bench.path(run).join("features.json")).unwrap().contains("tf_idf")
    };
    assert!(is_weighted(&bench, "weighted"));
    let plain = Bench { config: bench.config.set("data.weighting=none").unwrap(), ..bench };
    assert!(!is_weighted(&plain, "plain"));

    // Sparse features in JSON lines are not weighted, and all files have the same number of features.
    let line = |id: usize, position: usize, label: &str| {
        let features = json!({ position.to_string(): -1.5 });
        json!({ "id": id, "label": label, "nodes": [{ "id": 0, "parent": null, "features": features }] })
            .to_string()
            + "\n"
    };
    let mut bench = plain;
    let files = [("train.jsonl", 3), ("valid.jsonl", 9), ("test.jsonl", 1)].map(|(name, position)| {
        let labels = ["true", "false", "true", "false"];
        let lines: String = labels.iter().enumerate().map(|(id, label)| line(id, position, label)).collect();
        fs::write(bench.path(name), lines).unwrap();
        Some(bench.path(name))
    });
    let [train, valid, test] = files.map(|file| file.map(DataFiles::from));
    let classes = bench.config.data.classes.clone();
    bench.config.data = DataConfig { train, valid, test, classes, ..DataConfig::default() };
    assert!(!is_weighted(&bench, "own"));
    let features = fs::read_to_string(bench.path("own/features.json")).unwrap();
    assert!(features.contains("\"n_features\": 10"), "{features}");
    bench.config = bench.config.set("data.weighting=tf-idf").unwrap();
    let message = error(&bench);
    assert!(message.contains("feature 3: expected a non-negative count for TF-IDF, got -1.5"), "{message}");
}

#[test]
fn pretraining_is_resumed_and_retained() {
    let mut bench = Bench::new("trustrd");
    bench.config = bench.config.set_all(&["model.pretrain_epochs=3", "trainer.epochs=2"]).unwrap();
    bench.train("uninterrupted").unwrap();
    let weights = |run: &str| read(&bench.path(run).join("checkpoints/last/model.safetensors")).unwrap();
    let same = |run: &str| {
        let (weights, expected) = (weights(run), weights("uninterrupted"));
        weights.iter().all(|(name, tensor)| tensor == &expected[name])
    };
    // The detector has the pretrained weights of the encoder.
    let pretrained = weights("uninterrupted/pretraining");
    let trained = weights("uninterrupted");
    for (name, tensor) in pretrained.iter().filter(|(name, _)| name.starts_with("encoder.")) {
        assert_eq!(&trained[&format!("pre_trained_model.{name}")], tensor, "{name}");
    }

    // Interrupted in the pretraining: neither trained nor tested.
    let interrupt = Interrupt::default();
    interrupt.request();
    let context = RunContext { interrupt, ..RunContext::default() };
    let outcome = train(&bench.config, || RunDir::create(bench.path("interrupted")), context).unwrap();
    assert_eq!((outcome.fit.stop_reason, outcome.test.is_none()), (StopReason::Interrupted, true));
    assert!(!bench.path("interrupted/checkpoints").exists());
    resume(&bench.path("interrupted"), &ResumeOptions::default(), RunContext::default()).unwrap();
    assert!(same("interrupted"));

    // Interrupted between pretraining and training.
    bench.train("between").unwrap();
    fs::remove_dir_all(bench.path("between/checkpoints")).unwrap();
    for result in ["summary.json", "checksums.json"] {
        fs::remove_file(bench.path("between").join(result)).unwrap();
    }
    resume(&bench.path("between"), &ResumeOptions::default(), RunContext::default()).unwrap();
    assert!(same("between"));

    let without = Bench { config: bench.config.set("model.pretrain_epochs=0").unwrap(), ..bench };
    without.train("without").unwrap();
    assert!(!without.path("without/pretraining").exists());
}

#[test]
fn trains_on_json_trees_with_texts_or_features() {
    for texts in [true, false] {
        let mut bench = Bench::new("graphsage");
        let lines: String = (0..60)
            .map(|number| {
                let label = ["true", "false"][number % 2];
                let node = |id: usize| {
                    let word = if number % 2 == 0 { "sources" } else { "shocking" };
                    let content = if texts {
                        json!({ "text": format!("{word} say {id}") })
                    } else {
                        json!({ "features": { "0": number % 2, "7": id } })
                    };
                    let mut node = content;
                    node["id"] = json!(id);
                    node["parent"] = if id == 0 { json!(null) } else { json!(0) };
                    node
                };
                let nodes: Vec<_> = (0..1 + number % 4).map(node).collect();
                json!({ "id": number, "label": label, "nodes": nodes }).to_string() + "\n"
            })
            .collect();
        let file = bench.path("trees.jsonl");
        fs::write(&file, &lines).unwrap();
        let classes = bench.config.data.classes.clone();
        bench.config.data = DataConfig { train: Some(file.clone().into()), classes, ..DataConfig::default() };
        bench.config = bench.config.set_all(&["trainer.epochs=30", "optimizer.lr=0.05"]).unwrap();
        let outcome = bench.train("run").unwrap();
        let accuracy = outcome.test.unwrap().report.scores().value("accuracy").unwrap();
        assert!(accuracy > 0.9, "{accuracy}");
        let detector = Detector::load(&bench.path("run"), Device::Cpu).unwrap();
        let raw = TreeJsonReader::open(&file, None).unwrap().map(|tree| tree.map(Sample::Tree));
        let predictions = detector.predict_samples(&raw.collect::<Result<Vec<_>, _>>().unwrap()).unwrap();
        let labels = ["true", "false"].iter().cycle();
        let n_correct =
            predictions.iter().zip(labels).filter(|(p, label)| p.label() == Some(**label)).count();
        assert!(n_correct > 54, "{n_correct} of 60");
    }
}

#[test]
fn trees_without_id_files_are_split_by_class_or_event() {
    let mut bench = Bench::new("gcn");
    (bench.config.data.train_ids, bench.config.data.test_ids) = (None, None);
    let sizes = |outcome: &Outcome| {
        let size = |part: &Option<DetectorEvaluation>| part.as_ref().unwrap().known_tokens.n_samples;
        (size(&outcome.valid), size(&outcome.test))
    };
    let (valid, test) = sizes(&bench.train("by-class").unwrap());
    assert!(valid.abs_diff(16) <= 1 && test.abs_diff(32) <= 1, "{valid} {test}");
    bench.config.data.split_by_event = true;
    let (valid, test) = sizes(&bench.train("by-event").unwrap());
    assert!(valid.abs_diff(16) <= 4 && test.abs_diff(32) <= 4, "{valid} {test}");
    let folds =
        cross_validate(&bench.config, 2, &bench.path("cv"), ContextFactory::default()).map(|o| o.folds.len());
    assert_eq!(folds.unwrap(), 2);
}

#[test]
fn rejects_invalid_files_before_creating_a_directory() {
    let check = |change: &dyn Fn(&Path, &mut DataConfig), expected: &str| {
        let mut bench = Bench::new("gcn");
        change(bench.dir.path(), &mut bench.config.data);
        let error = error(&bench);
        assert!(error.contains(expected), "{error}");
    };
    check(&|_, data| data.labels = None, "`data.labels`: no labels of the trees");
    check(&|_, data| data.trees = None, "`data.trees`: no trees");
    check(
        &|_, data| data.train = data.trees.clone().map(DataFiles::from),
        "expected only one of `data.trees`, `data.upfd` and `data.train`",
    );
    check(&|_, data| data.train_ids = None, "requires `data.train_ids`");
    check(
        &|_, data| data.test_ids = data.train_ids.clone(),
        "which is in `data.train_ids` too: scores on training samples are too high",
    );
    check(&|_, data| data.classes = vec!["true".into(), "rumour".into()], "unknown label `false`");
    let third = |_: &Path, data: &mut DataConfig| data.classes.push("unverified".into());
    check(&third, "training records: no record of class `unverified` among 112");
    check(
        &|dir, data| {
            let ids = dir.join("more.txt");
            fs::write(&ids, "0\n9999\n").unwrap();
            data.train_ids = Some(ids);
        },
        "expected ids of the 160 trees, got 1 of 2 ids without a tree: `9999`",
    );
    check(
        &|dir, data| {
            let labels = dir.join("few.txt");
            fs::write(&labels, "true\tE\t0\nfalse\tE\t1\n").unwrap();
            data.labels = Some(labels);
        },
        "expected a label, got none",
    );
    check(
        &|_, data| data.fold = Some("1 of 3".parse().unwrap()),
        "`data.fold`: expected trees to split into folds, got",
    );
    check(
        &|_, data| {
            data.valid_ids = data.test_ids.take();
            data.split = [0.5, 0.3, 0.2];
        },
        "`data.split`: expected no fractions with `data.valid_ids`",
    );
    // Without files of ids, the trees with a label are used, unless most have none.
    check(
        &|dir, data| {
            let labels = dir.join("few.txt");
            fs::write(&labels, "true\tE\t0\nfalse\tE\t1\n").unwrap();
            data.labels = Some(labels);
            (data.train_ids, data.test_ids) = (None, None);
        },
        "expected labels of at least half of the trees, but 158 of 160 trees have no label: `2`, `3`, `4`, …",
    );
    let bench = Bench::new("gcn");
    assert_eq!(read_tree_ids(bench.config.data.train_ids.as_ref().unwrap()).unwrap().len(), 128);
}

/// Returns the descriptions of the data in the summary of a run.
fn data_lines(bench: &Bench, run: &str) -> Vec<String> {
    let text = fs::read_to_string(bench.path(run).join("summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&text).unwrap();
    summary["data"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
}

#[test]
fn trees_that_are_left_out_are_counted_in_the_summary() {
    let mut bench = Bench::new("gcn");
    bench.train("ids").unwrap();
    assert!(!data_lines(&bench, "ids").iter().any(|line| line.contains("left out")));
    let labels = fs::read_to_string(bench.config.data.labels.as_ref().unwrap()).unwrap();
    let shorter = bench.path("shorter.txt");
    fs::write(&shorter, labels.lines().skip(3).collect::<Vec<_>>().join("\n") + "\ntrue\tE\t9999\n").unwrap();
    bench.config.data.labels = Some(shorter);
    let ids = (bench.config.data.train_ids.take(), bench.config.data.test_ids.take());
    bench.train("labels").unwrap();
    let lines = data_lines(&bench, "labels").join("\n");
    let left_out = "warning: left out: 3 of 160 trees have no label: `0`, `1`, `2` (";
    assert!(
        lines.contains(left_out) && lines.contains("1 of 158 labels belong to no tree: `9999`"),
        "{lines}"
    );
    let few = bench.path("few.txt");
    let test_ids = fs::read_to_string(ids.1.unwrap()).unwrap();
    fs::write(&few, test_ids.lines().take(20).collect::<Vec<_>>().join("\n")).unwrap();
    bench.config.data.train_ids = Some(few);
    bench.train("few").unwrap();
    let lines = data_lines(&bench, "few").join("\n");
    assert!(lines.contains("warning: left out: 140 of 160 trees are in no file of ids"), "{lines}");
}

#[test]
fn json_trees_are_split_by_event() {
    let mut bench = Bench::new("gcn");
    let line = |number: usize, event: Option<usize>| {
        let label = ["true", "false"][number % 2];
        let nodes = json!([{ "id": 1, "text": format!("{label} story of event {event:?}") }]);
        json!({ "id": number, "label": label, "event": event.map(|event| format!("E{event}")), "nodes": nodes }).to_string()
    };
    let file = bench.path("trees.jsonl");
    let write = |event: &dyn Fn(usize) -> Option<usize>| {
        let lines: Vec<String> = (0..60).map(|number| line(number, event(number))).collect();
        fs::write(&file, lines.join("\n")).unwrap();
    };
    let classes = bench.config.data.classes.clone();
    bench.config.data = DataConfig {
        train: Some(file.clone().into()),
        classes,
        split_by_event: true,
        ..DataConfig::default()
    };
    write(&|number| Some(number / 12));
    let outcome = bench.train("run").unwrap();
    // Five events of 12 trees each; the test part is one of them.
    assert_eq!(outcome.test.unwrap().evaluation.predictions.n_samples(), 12);
    write(&|number| (number > 5).then_some(number / 6));
    bench.train("some").unwrap();
    let lines = data_lines(&bench, "some").join("\n");
    assert!(lines.contains("warning: 6 of 60 trees have no event; each is split as an event"), "{lines}");
    write(&|_| None);
    assert!(error(&bench).contains("`data.split_by_event`: expected samples with an event, got none"));
    write(&|number| Some(number / 6));
    // Different trees, since the same file twice is another error.
    for part in ["valid", "test"] {
        let other = bench.path(&format!("{part}.jsonl"));
        let lines: Vec<String> = (0..6).map(|number| line(number + part.len() * 100, None)).collect();
        fs::write(&other, lines.join("\n")).unwrap();
        let setting = format!("data.{part}={}", other.display());
        bench.config = bench.config.set(&setting).unwrap();
    }
    assert!(error(&bench).starts_with("`data.split_by_event`: expected a part that is split"));
}

#[test]
fn settings_of_texts_are_refused_for_trees_with_features() {
    let mut bench = Bench::new("gcn");
    let file = bench.path("trees.jsonl");
    let line = |number: usize| {
        let nodes = json!([{ "id": 1, "features": { "0": number } }]);
        let label = ["true", "false"][number % 2];
        json!({ "id": number, "label": label, "nodes": nodes }).to_string()
    };
    fs::write(&file, (0..40).map(line).collect::<Vec<_>>().join("\n")).unwrap();
    let classes = bench.config.data.classes.clone();
    bench.config.data = DataConfig { train: Some(file.clone().into()), classes, ..DataConfig::default() };
    bench.train("run").unwrap();
    bench.config = bench.config.set("text.lowercase=false").unwrap();
    assert!(error(&bench).starts_with("`text.lowercase`: expected trees with texts at their nodes"));
    bench.config = bench.config.set("text.lowercase=true").unwrap();
    fs::write(&file, (0..40).map(|number| line(number % 30)).collect::<Vec<_>>().join("\n")).unwrap();
    assert!(error(&bench).contains("line 31: tree `0`: expected distinct ids, got that of line 1"));
}

#[test]
fn model_has_training_settings_of_its_authors_by_default() {
    let read = |text: &str| Config::from_table(text.parse().unwrap()).unwrap();
    let config = read("model.name = 'bigcn'");
    assert_eq!((config.optimizer.lr(), config.loader.batch_size, config.trainer.epochs), (5e-4, 128, 200));
    assert_eq!(config.optimizer.groups()[0].pattern, "BURumorGCN.*");
    let config = read("model.name = 'bigcn'\ntrainer.epochs = 3\noptimizer.lr = 0.1");
    assert_eq!(
        (config.optimizer.lr(), config.optimizer.groups().len()),
        (0.1, 1),
        "the optimizer of the model"
    );
    assert_eq!((config.trainer.epochs, config.loader.batch_size), (3, 128));
    let config = read("model.name = 'textcnn'");
    assert_eq!(config, Config::default());
    assert!(Config::for_model("nope").is_err());
    // A saved config is read without changes.
    let saved = Config::for_model("bigcn").unwrap().set("optimizer.groups=[]").unwrap();
    assert_eq!(Config::from_table(saved.to_table().unwrap()).unwrap(), saved);
}
