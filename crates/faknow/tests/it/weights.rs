//! Runs with initial weights from a file.

use std::path::Path;

use faknow::callbacks::Callbacks;
use faknow::tch::{Device, Tensor};
use faknow::train::ResumeOptions;
use faknow::{Config, Detector, resume};

use crate::support::{Bench, checkpoint, distance, posts};

/// Settings with which the weights do not change.
const NO_UPDATES: [&str; 3] = ["optimizer.name=sgd", "optimizer.lr=0", "trainer.epochs=1"];

fn weights_from(path: &Path) -> String {
    format!("model.weights='{}'", path.display())
}

#[test]
fn run_starts_from_weights_of_file() {
    let bench = Bench::new(&posts(40));
    bench.train("first", &["seed=1"]);
    let setting = weights_from(&checkpoint(&bench.path("first"), "last"));
    bench.train("second", &[&NO_UPDATES[..], &["seed=1", &setting]].concat());
    let (first, second) = (bench.last_weights("first"), bench.last_weights("second"));
    assert_eq!(first.len(), 9);
    assert!(first.iter().all(|(name, tensor)| second[name] == *tensor));
    bench.train("trained", &["seed=1", "optimizer.lr=0.1", &setting]);
    let trained = bench.last_weights("trained");
    assert!(distance(&trained["classifier.1.weight"], &first["classifier.1.weight"]) > 0.01);
}

#[test]
fn weights_of_other_shapes_are_initialized_as_without_file() {
    let bench = Bench::new(&posts(40));
    bench.train("first", &["seed=1"]);
    let setting = weights_from(&checkpoint(&bench.path("first"), "last"));
    let other = [&NO_UPDATES[..], &["seed=2", "model.n_filters=5"]].concat();
    bench.train("without", &other);
    bench.train("with", &[&other[..], &[setting.as_str()]].concat());
    let [first, without, with] = ["first", "without", "with"].map(|run| bench.last_weights(run));
    for (name, tensor) in &with {
        let is_loaded = ["word_embedding.weight", "classifier.1.bias"].contains(&name.as_str());
        assert_eq!(*tensor, if is_loaded { &first } else { &without }[name], "{name}");
    }
}

#[test]
fn loads_files_of_pytorch() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../faknow-model/tests/golden/pytorch/parallel.pt");
    if !file.exists() {
        crate::skip::check("golden").unwrap();
        println!("SKIPPED: {} does not exist", file.display());
        return;
    }
    let bench = Bench::new(&posts(40));
    let model =
        ["model.embedding_size=4", "model.n_filters=2", "model.kernel_sizes=[2, 3]", &weights_from(&file)];
    bench.train("run", &[&NO_UPDATES[..], &model].concat());
    let weights = bench.last_weights("run");
    let original = faknow::model::weights::read(&file).unwrap();
    let same = |name: &str| weights[name] == original[&format!("module.{name}")];
    assert!(same("text_ccn_layer.convs.1.weight") && same("classifier.1.bias"));
    assert_ne!(weights["word_embedding.weight"].size(), original["module.word_embedding.weight"].size());
}

#[test]
fn weights_take_precedence_over_word_vectors() {
    let bench = Bench::new(&posts(40));
    let vectors = bench.write("words.vec", "1 8\nrain 1 2 3 4 5 6 7 8\n");
    let vectors = format!("text.vectors='{}'", vectors.display());
    bench.train("first", &["seed=1"]);
    let setting = weights_from(&checkpoint(&bench.path("first"), "last"));
    bench.train("both", &[&NO_UPDATES[..], &["seed=1", &vectors, &setting]].concat());
    let name = "word_embedding.weight";
    assert_eq!(bench.last_weights("both")[name], bench.last_weights("first")[name]);
}

#[test]
fn rejects_invalid_file_before_reading_records() {
    let bench = Bench::new(&posts(40));
    let check = |settings: &[&str], expected: &str| {
        let error = bench.try_train("run", settings).unwrap_err();
        assert!(error.is_input(), "{error:?}");
        let error = error.to_string();
        assert!(error.starts_with("`model.weights`: ") && error.contains(expected), "{error}");
        assert!(!bench.path("run").exists());
    };
    let no_records = format!("data.train='{}'", bench.path("nothing.csv").display());
    check(&[&weights_from(&bench.path("nothing.pt")), &no_records], "nothing.pt: No such file");
    let text = weights_from(&bench.write("text.pt", "weights"));
    check(&[&text, &no_records], "text.pt: cannot read weights: ");
    let tensors = [("other".to_owned(), Tensor::from(1.0_f32))].into();
    faknow::model::weights::save_tensors(&tensors, &bench.path("other.safetensors")).unwrap();
    check(
        &[&weights_from(&bench.path("other.safetensors"))],
        "no weights match; missing from the file: `classifier.1.bias`",
    );
}

#[test]
fn resume_and_prediction_do_not_require_the_file() {
    let bench = Bench::new(&posts(40));
    bench.train("first", &["seed=1"]);
    std::fs::copy(checkpoint(&bench.path("first"), "last"), bench.path("given.pt")).unwrap();
    let setting = weights_from(&bench.path("given.pt"));
    let uninterrupted = bench.train("uninterrupted", &["trainer.epochs=3", &setting]);
    bench.train("resumed", &["trainer.epochs=2", &setting]);
    std::fs::remove_file(bench.path("given.pt")).unwrap();
    let options = ResumeOptions { set: vec!["trainer.epochs=3".into()], ..ResumeOptions::default() };
    let resumed = resume(&bench.path("resumed"), &options, Callbacks::default()).unwrap();
    assert_eq!(resumed.fit.history.epochs.len(), uninterrupted.fit.history.epochs.len());
    let (expected, weights) = (bench.last_weights("uninterrupted"), bench.last_weights("resumed"));
    assert!(expected.iter().all(|(name, tensor)| weights[name] == *tensor));
    let config = Config::from_file(&bench.path("resumed/config.toml")).unwrap();
    assert_eq!(config.model.weights, Some(bench.path("given.pt")));
    assert!(!config.model.hyperparameters.contains_key("weights"));
    assert_eq!(
        Detector::load(&bench.path("resumed"), Device::Cpu).unwrap().predict(&["rain"]).unwrap().len(),
        1
    );
}
