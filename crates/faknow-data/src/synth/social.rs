//! Synthetic posts with comments, entities and numeric features, for models that read more than texts.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{CLASS_NAMES, SynthOptions, generate};
use crate::common::write_atomically;
use crate::{DEFAULT_RATIOS, Error, Result, Rng, stratified_split};

/// Comments that real and fake posts attract.
const COMMENTS: [[&str; 3]; 2] = [
    ["good to know, thanks", "confirmed by the paper today", "calm and clear report"],
    ["this is a terrible lie!!!", "never believe this :(", "awful, I am so angry"],
];

/// Names and sizes of the numeric features; those of a post lean towards its class.
const FEATURES: [(&str, usize); 6] = [
    ("emotions", 10),
    ("content_emotion", 4),
    ("comments_emotion", 8),
    ("emotion_gap", 8),
    ("style_feature", 4),
    ("input", 16),
];

/// Generates a corpus and writes it to `train.jsonl`, `valid.jsonl` and `test.jsonl` in `dir` (created if missing); returns the
/// paths.
///
/// In addition to the fields of [`write_jsonl`](super::write_jsonl), records have `entities` and `comments` (lists of texts),
/// and the numeric features `emotions`, `content_emotion`, `comments_emotion`, `emotion_gap`, `style_feature` and `input`
/// (lists of numbers).
///
/// # Errors
/// As [`write_jsonl`](super::write_jsonl).
pub fn write_social(dir: &Path, options: &SynthOptions) -> Result<[PathBuf; 3]> {
    let posts = generate(options)?;
    let classes: Vec<usize> = posts.iter().map(|post| post.label).collect();
    let parts = stratified_split(&classes, DEFAULT_RATIOS, options.seed)?;
    fs::create_dir_all(dir).map_err(|error| Error::io(dir, error))?;
    let paths = ["train", "valid", "test"].map(|part| dir.join(format!("{part}.jsonl")));
    for (path, indices) in paths.iter().zip(parts) {
        let mut lines = String::new();
        for index in indices {
            let post = &posts[index];
            let mut rng = Rng::from_parts(&[options.seed, 0x736f, index as u64]);
            let is_capitalized = |word: &&str| word.chars().next().is_some_and(char::is_uppercase);
            let entities: Vec<&str> = post.text.split_whitespace().skip(1).filter(is_capitalized).collect();
            let comments: Vec<&str> = (0..rng.below(4))
                .map(|_| {
                    let class = if rng.chance(0.8) { post.label } else { 1 - post.label };
                    COMMENTS[class][rng.below(COMMENTS[class].len())]
                })
                .collect();
            let mut record = json!({
                "text": post.text,
                "label": CLASS_NAMES[post.label],
                "domain": post.domain,
                "entities": entities,
                "comments": comments,
            });
            let center = if post.label == 1 { 0.4 } else { -0.4 };
            for (name, size) in FEATURES {
                let number = |_| ((center + rng.normal()) * 1000.0).round() / 1000.0;
                record[name] = (0..size).map(number).collect::<Vec<f64>>().into();
            }
            lines += &Value::to_string(&record);
            lines.push('\n');
        }
        write_atomically(path, |file| file.write_all(lines.as_bytes()))
            .map_err(|error| Error::io(path, error))?;
    }
    Ok(paths)
}
