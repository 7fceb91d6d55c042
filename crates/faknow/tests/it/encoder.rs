//! Runs with a pretrained encoder: a tiny one, whose files are made here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use faknow::callbacks::Callbacks;
use faknow::data::text::SubwordTokenizer;
use faknow::models::Registry;
use faknow::study::{SearchMethod, SearchSpace, search};
use faknow::tch::{Device, Tensor};
use faknow::train::{ContextFactory, ResumeOptions, resume};
use faknow::trainer::RunDir;
use faknow::{Config, Detector, train};

use crate::support::{csv, posts};
use crate::tiny_encoder::tiny_encoder;

/// Returns a config of the model `encoder` with 40 posts in `dir`.
fn config(dir: &Path, settings: &[&str]) -> Config {
    let file = dir.join("train.csv");
    fs::write(&file, csv(&posts(40))).unwrap();
    let mut config = Registry::builtin().config_for("encoder").unwrap();
    config.data.train = Some(file.into());
    let fixed = ["device=cpu", "threads=1", "loader.workers=0", "trainer.epochs=2", "text.max_length=32"];
    config.set_all(&fixed).unwrap().set_all(settings).unwrap()
}

fn run(config: &Config, dir: &Path) -> PathBuf {
    train(config, || RunDir::create(dir), Callbacks::default()).unwrap().run
}

fn scores(run: &Path) -> Vec<f64> {
    let detector = Detector::load(run, Device::Cpu).unwrap();
    let predictions = detector.predict(&["shocking rain", "officials vote only 7", "mayor"]).unwrap();
    predictions.iter().map(|prediction| prediction.score().unwrap()).collect()
}

#[test]
fn a_run_with_an_encoder_can_be_moved_and_predicts_the_same() {
    let dir = tempfile::tempdir().unwrap();
    for (tuning, has_weights) in [("full", false), ("frozen", true), ("lora", true)] {
        let place = dir.path().join(tuning);
        let encoder = tiny_encoder(&place);
        let mut config = config(&place, &[&format!("model.tuning={tuning}")]);
        config = config.set(&format!("text.encoder={}", encoder.display())).unwrap();
        let run = run(&config, &place.join("run"));
        let before = scores(&run);
        assert_eq!(run.join("encoder/model.safetensors").exists(), has_weights, "{tuning}");
        let moved = dir.path().join(format!("moved-{tuning}"));
        fs::rename(&run, &moved).unwrap();
        fs::remove_dir_all(&place).unwrap();
        assert_eq!(scores(&moved), before, "{tuning}");
        // Its tokenizer alone is complete.
        let tokenizer = SubwordTokenizer::load(moved.join("encoder")).unwrap();
        assert_eq!(tokenizer.max_length(), 32);
        let name = if has_weights { "model.safetensors" } else { "tokenizer.json" };
        let file = moved.join("encoder").join(name);
        let content = fs::read(&file).unwrap();
        fs::write(&file, &content[..content.len() - 1]).unwrap();
        let error = Detector::load(&moved, Device::Cpu).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        fs::remove_file(&file).unwrap();
        let error = Detector::load(&moved, Device::Cpu).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn a_resumed_run_with_an_encoder_equals_an_uninterrupted_one() {
    let dir = tempfile::tempdir().unwrap();
    let encoder = tiny_encoder(dir.path());
    let settings = [
        "schedule.name=constant",
        "model.layer_decay=0.9",
        "model.unfreeze_epochs=0.5",
        "loader.max_tokens=64",
    ];
    for tuning in ["model.tuning=full", "model.tuning=frozen", "model.tuning=lora"] {
        let mut config = config(dir.path(), &[&settings[..], &[tuning]].concat());
        config = config.set(&format!("text.encoder={}", encoder.display())).unwrap();
        let complete = run(&config, &dir.path().join(format!("{tuning}-complete")));
        let first =
            run(&config.set("trainer.epochs=1").unwrap(), &dir.path().join(format!("{tuning}-first")));
        let options = ResumeOptions { set: vec!["trainer.epochs=2".to_owned()], ..ResumeOptions::default() };
        resume(&first, &options, Callbacks::default()).unwrap();
        assert_eq!(scores(&first), scores(&complete), "{tuning}");
    }
}

#[test]
fn subwords_explain_a_prediction() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), &[]);
    config = config.set(&format!("text.encoder={}", tiny_encoder(dir.path()).display())).unwrap();
    let run = run(&config, &dir.path().join("run"));
    let detector = Detector::load(&run, Device::Cpu).unwrap();
    let explanation = detector.explain(&["Shocking RAIN x"]).unwrap().remove(0);
    let names: Vec<&str> = explanation.parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names, ["[CLS]", "Shock", "ing", "RAIN", "x", "[SEP]"]);
    let known: Vec<bool> = explanation.parts.iter().map(|part| part.is_known).collect();
    assert_eq!(known, [true, true, true, true, false, true]);
    assert_eq!(explanation.prediction.known_tokens, 3);
    let ids = detector.tokenize(&["Shocking RAIN x"]).unwrap();
    assert_eq!(ids, [[2, 11, 12, 5, 1, 3]]);
    assert!(detector.predict(&["x", ""]).unwrap().iter().all(|prediction| prediction.reason().is_some()));
    let error = detector.export(&dir.path().join("export")).unwrap_err().to_string();
    assert!(error.contains("export"), "{error}");
}

#[test]
fn a_small_encoder_is_trained_from_scratch_without_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let settings =
        ["model.hidden_size=8", "model.n_heads=2", "model.intermediate_size=16", "model.max_len=32"];
    let run = run(&config(dir.path(), &settings), &dir.path().join("run"));
    assert!(!run.join("encoder").exists());
    assert_eq!(scores(&run).len(), 3);
    let saved = fs::read_to_string(run.join("config.toml")).unwrap();
    assert!(saved.contains("lr = 0.0005"), "{saved}");
}

#[test]
fn unusable_encoders_are_rejected_with_help() {
    let dir = tempfile::tempdir().unwrap();
    let check = |encoder: &Path, settings: &[&str], expected: &str| {
        let mut config = config(dir.path(), settings);
        config = config.set(&format!("text.encoder={}", encoder.display())).unwrap();
        let result = train(&config, || RunDir::create(dir.path().join("none")), Callbacks::default());
        let error = result.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!dir.path().join("none").exists());
    };
    let encoder = tiny_encoder(dir.path());
    check(&dir.path().join("missing"), &[], "cargo xtask encoder minilm");
    check(&encoder, &["text.max_length=65"], "`text.max_length`: expected at most 64 tokens");
    fs::write(encoder.join("vocab.txt"), "[PAD]\n[UNK]\n[CLS]\n[SEP]\n".to_owned() + &"a\n".repeat(100))
        .unwrap();
    check(&encoder, &[], "`text.encoder`: expected tokenizer and weights of the same encoder");
    fs::remove_file(encoder.join("vocab.txt")).unwrap();
    check(&encoder, &[], "the encoder has no tokenizer");
    fs::remove_file(encoder.join("model.safetensors")).unwrap();
    check(&encoder, &[], "which has no weights");
}

#[test]
fn the_output_of_a_frozen_encoder_is_computed_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path(), &["model.tuning=frozen", "model.dropout=0"]);
    config = config.set(&format!("text.encoder={}", tiny_encoder(dir.path()).display())).unwrap();
    config.text.cache = Some(dir.path().join("cache"));
    let first = run(&config, &dir.path().join("first"));
    assert!(!first.join("features").exists());
    let files = || {
        let features = dir.path().join("cache/features");
        let dirs: Vec<PathBuf> = fs::read_dir(features).unwrap().map(|it| it.unwrap().path()).collect();
        assert_eq!(dirs.len(), 1);
        let files = fs::read_dir(&dirs[0]).unwrap().map(|it| it.unwrap().path());
        files.map(|file| (file.clone(), fs::read(file).unwrap())).collect::<BTreeMap<_, _>>()
    };
    let stored = files();
    assert!(stored.len() >= 2);
    // Another split of the same texts.
    run(&config.set("seed=1").unwrap(), &dir.path().join("second"));
    assert_eq!(files(), stored);
    // A corrupted file is written again.
    let (file, content) = stored.first_key_value().unwrap();
    fs::write(file, &content[..content.len() - 8]).unwrap();
    let third = run(&config, &dir.path().join("third"));
    assert_eq!(scores(&third), scores(&first));
    assert_eq!(files().len(), stored.len());
    // Without a cache, the run has its own features.
    config.text.cache = None;
    let fourth = run(&config, &dir.path().join("fourth"));
    assert!(fourth.join("features").exists());
    assert_eq!(scores(&fourth), scores(&first));
    // Another precision has other features.
    config.text.cache = Some(dir.path().join("cache"));
    run(&config.set("model.precision=bf16").unwrap(), &dir.path().join("fifth"));
    assert_eq!(fs::read_dir(dir.path().join("cache/features")).unwrap().count(), 2);
}

#[test]
fn trials_of_a_search_have_the_training_defaults_of_their_tuning() {
    let dir = tempfile::tempdir().unwrap();
    let encoder = format!("text.encoder={}", tiny_encoder(dir.path()).display());
    let config = config(dir.path(), &[&encoder, "trainer.epochs=1", "data.split=[0.8, 0.2, 0.0]"]);
    let space = SearchSpace::default().with_choices("model.tuning=frozen,full").unwrap();
    let (method, out) = (SearchMethod::Grid {}, dir.path().join("search"));
    search(&config, &space, &method, &out, ContextFactory::default()).unwrap();
    for (trial, lr, schedule) in [("0001", 1e-3, "constant"), ("0002", 5e-5, "warmup_linear")] {
        let config = Config::from_file(&out.join("trials").join(trial).join("config.toml")).unwrap();
        assert_eq!((config.optimizer.lr(), config.schedule.unwrap().name()), (lr, schedule), "{trial}");
        assert_eq!(config.trainer.epochs, 1);
    }
}

#[test]
fn an_exported_encoder_has_the_adapters_and_computes_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let encoder = format!("text.encoder={}", tiny_encoder(dir.path()).display());
    // The head of a frozen encoder reads normalized vectors, and fits no other tuning.
    for (tuning, name, again) in
        [("lora", "lora", "full"), ("full", "full", "full"), ("frozen", "frozen", "frozen")]
    {
        let settings =
            [&encoder, &format!("model.tuning={tuning}"), "optimizer.lr=0.05", "decision.temperature=false"];
        let trained = run(&config(dir.path(), &settings), &dir.path().join(name));
        let out = dir.path().join(format!("{name}-exported"));
        let detector = Detector::load(&trained, Device::Cpu).unwrap();
        detector.export_encoder(&out).unwrap();
        for file in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
            assert!(out.join(file).exists(), "{tuning}: {file}");
        }
        assert!(detector.export_encoder(&out).unwrap_err().to_string().contains("already contains a model"));
        // With the classifier of the run and without training, the scores follow from the features.
        let mut weights =
            Tensor::read_safetensors(trained.join("checkpoints/best/model.safetensors")).unwrap();
        weights.retain(|(name, _)| name.starts_with("classifier."));
        let head = dir.path().join(format!("{name}-head.safetensors"));
        Tensor::write_safetensors(&weights, &head).unwrap();
        let settings = [
            format!("text.encoder={}", out.display()),
            format!("model.weights={}", head.display()),
            format!("model.tuning={again}"),
            "optimizer={ name = 'sgd', lr = 0 }".to_owned(),
            "decision.temperature=false".to_owned(),
        ];
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let again = run(&config(dir.path(), &settings), &dir.path().join(format!("{name}-again")));
        for (score, expected) in scores(&again).iter().zip(scores(&trained)) {
            assert!((score - expected).abs() < 1e-6, "{tuning}: {score}, {expected}");
        }
    }
}

#[test]
fn a_detector_without_pretrained_encoder_has_none_to_export() {
    let dir = tempfile::tempdir().unwrap();
    let trained = run(&config(dir.path(), &["trainer.epochs=1"]), &dir.path().join("run"));
    let detector = Detector::load(&trained, Device::Cpu).unwrap();
    let error = detector.export_encoder(&dir.path().join("none")).unwrap_err().to_string();
    assert!(error.contains("pretrained encoder (`text.encoder`)"), "{error}");
}
