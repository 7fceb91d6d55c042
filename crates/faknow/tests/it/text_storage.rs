//! Tokens on disk and cached tokens: identical training, invalidation of the cache.

use std::path::Path;

use crate::support::{Bench, posts};

const SETTINGS: [&str; 3] = ["trainer.epochs=2", "data.split=[0.6, 0.2, 0.2]", "text.min_count=2"];

/// Trains, and returns the weights and results without durations.
fn trained(bench: &Bench, run: &str, settings: &[&str]) -> (String, String) {
    let outcome = bench.train(run, &[&SETTINGS[..], settings].concat());
    let mut weights: Vec<(String, Vec<f64>)> = bench
        .last_weights(run)
        .iter()
        .map(|(name, tensor)| {
            (name.clone(), Vec::try_from(tensor.to_kind(faknow::tch::Kind::Double).view(-1)).unwrap())
        })
        .collect();
    weights.sort_by(|a, b| a.0.cmp(&b.0));
    let test = outcome.test.unwrap();
    (format!("{weights:?}"), format!("{:?}", test.report.scores()))
}

fn file_names(dir: &Path) -> Vec<String> {
    let Ok(entries) = dir.read_dir() else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn tokens_on_disk_give_the_results_of_tokens_in_memory() {
    let bench = Bench::new(&posts(60));
    assert_eq!(trained(&bench, "memory", &[]), trained(&bench, "file", &["text.memory=0"]));
}

#[test]
fn second_run_uses_cached_tokens() {
    let bench = Bench::new(&posts(60));
    let cache = bench.path("cache");
    let setting = format!("text.cache={}", cache.display());
    let plain = trained(&bench, "plain", &[]);
    assert_eq!(trained(&bench, "first", &[&setting]), plain);
    let [name] = &file_names(&cache)[..] else {
        panic!("expected one dataset, got {:?}", file_names(&cache))
    };
    assert_eq!(
        file_names(&cache.join(name)).len(),
        9,
        "vocabulary with its fingerprint, left-out records, and tokens and index of three parts"
    );
    assert_eq!(trained(&bench, "second", &[&setting]), plain);
    assert_eq!(trained(&bench, "on disk", &[&setting, "text.memory=0"]), plain);
    assert_eq!(file_names(&cache).len(), 1);

    let marker = cache.join(name).join("train.tokens");
    std::fs::write(&marker, b"broken").unwrap();
    assert_eq!(trained(&bench, "broken", &[&setting]), plain, "a corrupted cache is created again");
    assert!(std::fs::metadata(&marker).unwrap().len() > 6);
    let words = cache.join(name).join("vocab.txt");
    let complete = std::fs::read_to_string(&words).unwrap();
    std::fs::write(&words, &complete[..complete.trim_end().rfind('\n').unwrap() + 1]).unwrap();
    assert_eq!(trained(&bench, "missing word", &[&setting]), plain);
    assert_eq!(std::fs::read_to_string(&words).unwrap(), complete);
}

#[test]
fn changed_texts_and_settings_are_cached_separately() {
    let bench = Bench::new(&posts(60));
    let cache = bench.path("cache");
    let setting = format!("text.cache={}", cache.display());
    let n_cached = |run: &str, settings: &[&str]| {
        trained(&bench, run, &[settings, &[&setting]].concat());
        file_names(&cache).len()
    };
    assert_eq!(n_cached("a", &[]), 1);
    assert_eq!(n_cached("b", &["trainer.epochs=1", "optimizer.lr=0.01", "loader.batch_size=7"]), 1);
    for (i, other) in [
        "text.min_count=1",
        "text.lowercase=false",
        "text.max_length=5",
        "text.tokenizer=\"alphanumeric\"",
        "data.split=[0.5, 0.2, 0.3]",
        "seed=5",
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(n_cached(&format!("c{i}"), &[other]), 2 + i, "{other}");
    }
    // The same name, another text.
    let file = bench.path("train.csv");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("rain", "ruin", 1)).unwrap();
    assert_eq!(n_cached("d", &[]), 8);
}
