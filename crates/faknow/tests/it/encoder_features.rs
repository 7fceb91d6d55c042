//! The output of a frozen encoder: computed once, shared between runs and tools, and complete after an interruption.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use faknow::callbacks::Callbacks;
use faknow::data::synth::{SynthOptions, write_social};
use faknow::model::weights;
use faknow::models::Registry;
use faknow::study::{SearchMethod, SearchSpace, cross_validate, search};
use faknow::tools::{find_batch_size, lr_find};
use faknow::train::{ContextFactory, ResumeOptions, RunContext, resume};
use faknow::trainer::{BatchSizeSearch, Interrupt, LrRange, RunDir};
use faknow::{Config, train};

use crate::support::{checkpoint, csv, posts};
use crate::tiny_encoder::{feature_files, tiny_encoder};

/// Number of posts, which differ from each other.
const N_POSTS: u64 = 40;

/// Returns a config of the model `encoder`, frozen, on posts in `dir`.
fn config(dir: &Path) -> Config {
    fs::write(dir.join("train.csv"), csv(&posts(N_POSTS as usize))).unwrap();
    let mut config = Registry::builtin().config_for("encoder").unwrap();
    config.data.train = Some(dir.join("train.csv").into());
    config.text.encoder = Some(tiny_encoder(dir));
    let settings = ["device=cpu", "threads=1", "loader.workers=0", "trainer.epochs=2", "text.max_length=32"];
    config
        .set_all(&settings)
        .unwrap()
        .set_all(&["model.tuning=frozen", "model.dropout=0", "baseline=false"])
        .unwrap()
}

fn run(config: &Config, dir: &Path) -> PathBuf {
    train(config, || RunDir::create(dir), Callbacks::default()).unwrap().run
}

fn last_weights(run: &Path) -> Vec<u8> {
    fs::read(checkpoint(run, "last")).unwrap()
}

/// Returns the number of texts that were encoded, each time that they were.
fn n_encoded(dir: &Path) -> u64 {
    feature_files(dir).values().sum()
}

#[test]
fn folds_and_trials_share_the_output_of_a_frozen_encoder() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for cache in [None, Some(dir.join("cache"))] {
        let mut config = config(dir);
        config.text.cache.clone_from(&cache);
        let name = if cache.is_some() { "cached" } else { "own" };
        let cv = dir.join(format!("cv-{name}"));
        let outcome = cross_validate(&config, 3, &cv, ContextFactory::default()).unwrap();
        assert_eq!(outcome.folds.len(), 3);
        let space = SearchSpace::from_text("optimizer.lr = [0.001, 0.01]").unwrap();
        let trials = dir.join(format!("search-{name}"));
        search(&config, &space, &SearchMethod::Grid {}, &trials, ContextFactory::default()).unwrap();
        for study in [&cv, &trials] {
            assert_eq!(n_encoded(cache.as_deref().unwrap_or(study)), N_POSTS, "{}", study.display());
        }
        for run in [cv.join("fold-1"), cv.join("fold-3"), trials.join("trials/0001")] {
            assert!(run.exists() && !run.join("features").exists(), "{}", run.display());
        }
    }
    // A trained encoder has no output to share.
    let config = config(dir).set("model.tuning=full").unwrap();
    cross_validate(&config, 2, &dir.join("cv-full"), ContextFactory::default()).unwrap();
    assert!(!dir.join("cv-full/features").exists());
}

#[test]
fn tools_use_the_output_of_a_frozen_encoder() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut config = config(dir);
    let range = LrRange { steps: 10, ..LrRange::default() };
    let without_cache = lr_find(&config, &range).unwrap();
    config.text.cache = Some(dir.join("cache"));
    let n_train = 28;
    assert_eq!(lr_find(&config, &range).unwrap(), without_cache);
    assert_eq!(n_encoded(&dir.join("cache")), n_train);
    let search = BatchSizeSearch { min: 2, max: 8, ..BatchSizeSearch::default() };
    find_batch_size(&config, &search).unwrap();
    assert_eq!(n_encoded(&dir.join("cache")), n_train);
    // A run adds the texts of the other parts.
    run(&config, &dir.join("run"));
    assert_eq!(n_encoded(&dir.join("cache")), N_POSTS);
}

#[test]
fn an_interrupted_computation_continues_without_incomplete_files() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut config = config(dir);
    let complete = run(&config, &dir.join("complete"));
    // Before the first text.
    let interrupt = Interrupt::default();
    interrupt.request();
    let context = RunContext { interrupt, ..RunContext::default() };
    let outcome = train(&config, || RunDir::create(dir.join("interrupted")), context).unwrap();
    assert!(outcome.is_interrupted);
    assert_eq!(n_encoded(&outcome.run), 0);
    resume(&outcome.run, &ResumeOptions::default(), Callbacks::default()).unwrap();
    assert_eq!(n_encoded(&outcome.run), N_POSTS);
    assert!(last_weights(&outcome.run) == last_weights(&complete));
    // Killed in between: some files are complete, one is temporary.
    config.text.cache = Some(dir.join("cache"));
    let first = run(&config, &dir.join("first"));
    let files = feature_files(&dir.join("cache"));
    assert!(files.len() > 2, "{files:?}");
    let (lost, n_lost) = files.first_key_value().unwrap();
    let content = fs::read(lost).unwrap();
    let temporary = lost.with_file_name(".faknow-killed.tmp");
    fs::write(&temporary, &content[..content.len() / 2]).unwrap();
    fs::remove_file(lost).unwrap();
    let second = run(&config, &dir.join("second"));
    assert!(last_weights(&first) == last_weights(&second));
    fs::remove_file(&temporary).unwrap();
    let again: BTreeSet<_> = feature_files(&dir.join("cache")).into_iter().collect();
    let before: BTreeSet<_> = files.iter().map(|(file, n)| (file.clone(), *n)).collect();
    assert_eq!(again.difference(&before).map(|(_, n)| n).sum::<u64>(), *n_lost - n_retained(&again, lost));
}

/// Returns the number of texts of a file, if it exists.
fn n_retained(files: &BTreeSet<(PathBuf, u64)>, file: &Path) -> u64 {
    files.iter().find(|(other, _)| other == file).map_or(0, |(_, n)| *n)
}

#[test]
fn entities_of_a_frozen_encoder_are_computed_once_too() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write_social(dir, &SynthOptions { n_samples: 60, ..SynthOptions::default() }).unwrap();
    let mut config = Registry::builtin().config_for("endef").unwrap();
    config.text.encoder = Some(tiny_encoder(dir));
    let data = format!("data.train={}", dir.join("train.jsonl").display());
    let settings =
        ["device=cpu", "threads=1", "loader.workers=0", "trainer.epochs=2", "baseline=false", &data];
    let model = ["data.domain=domain", "data.entities=entities", "text.max_length=32", "model.n_filters=4"];
    let config = config.set_all(&settings).unwrap().set_all(&model).unwrap();
    let cached = run(&config, &dir.join("cached"));
    let texts = fs::read_to_string(dir.join("train.jsonl")).unwrap().lines().count() as u64;
    assert!(n_encoded(&cached) > texts, "{} of {texts} texts and their entities", n_encoded(&cached));
    let tensors = weights::read(&checkpoint(&cached, "last")).unwrap();
    assert!(tensors.keys().any(|name| name.starts_with("entity_convs")), "{:?}", tensors.keys());
}
