//! Tokens in a file and tokens kept for the next run: the same training, and nothing stale.

use std::path::Path;

use crate::support::{Bench, posts};

const SETTINGS: [&str; 3] = ["trainer.epochs=2", "data.split=[0.6, 0.2, 0.2]", "text.min_count=2"];

/// The weights and results of a run, without its times.
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
    (format!("{weights:?}"), format!("{:?}", test.1.scores()))
}

fn kept(dir: &Path) -> Vec<String> {
    let Ok(entries) = dir.read_dir() else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_run_on_tokens_in_a_file_is_that_on_tokens_in_memory() {
    let bench = Bench::new(&posts(60));
    assert_eq!(trained(&bench, "memory", &[]), trained(&bench, "file", &["text.memory=0"]));
}

#[test]
fn the_next_run_takes_the_tokens_that_were_kept() {
    let bench = Bench::new(&posts(60));
    let cache = bench.path("cache");
    let setting = format!("text.cache={}", cache.display());
    let plain = trained(&bench, "plain", &[]);
    assert_eq!(trained(&bench, "first", &[&setting]), plain);
    let [name] = &kept(&cache)[..] else { panic!("one corpus, got {:?}", kept(&cache)) };
    assert_eq!(
        kept(&cache.join(name)).len(),
        8,
        "words with their fingerprint, and tokens and index of three parts"
    );
    assert_eq!(trained(&bench, "second", &[&setting]), plain);
    assert_eq!(trained(&bench, "on disk", &[&setting, "text.memory=0"]), plain);
    assert_eq!(kept(&cache).len(), 1);

    let marker = cache.join(name).join("train.tokens");
    std::fs::write(&marker, b"broken").unwrap();
    assert_eq!(trained(&bench, "broken", &[&setting]), plain, "what is damaged is made anew");
    assert!(std::fs::metadata(&marker).unwrap().len() > 6);
    let words = cache.join(name).join("vocab.txt");
    let whole = std::fs::read_to_string(&words).unwrap();
    std::fs::write(&words, &whole[..whole.trim_end().rfind('\n').unwrap() + 1]).unwrap();
    assert_eq!(trained(&bench, "a word less", &[&setting]), plain);
    assert_eq!(std::fs::read_to_string(&words).unwrap(), whole);
}

#[test]
fn other_texts_and_other_settings_are_other_tokens() {
    let bench = Bench::new(&posts(60));
    let cache = bench.path("cache");
    let setting = format!("text.cache={}", cache.display());
    let n_kept = |run: &str, settings: &[&str]| {
        trained(&bench, run, &[settings, &[&setting]].concat());
        kept(&cache).len()
    };
    assert_eq!(n_kept("a", &[]), 1);
    assert_eq!(n_kept("b", &["trainer.epochs=1", "optimizer.lr=0.01", "loader.batch_size=7"]), 1);
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
        assert_eq!(n_kept(&format!("c{i}"), &[other]), 2 + i, "{other}");
    }
    // The same name and date, another text.
    let file = bench.path("train.csv");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("rain", "ruin", 1)).unwrap();
    assert_eq!(n_kept("d", &[]), 8);
}
