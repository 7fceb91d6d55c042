//! Comparison of two run directories, byte by byte except for times and paths.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Files that are equal byte by byte.
const FILES: &[&str] = &[
    "vocab.txt",
    "tokenizer.json",
    "classes.json",
    "calibration.json",
    "mistakes.json",
    "baseline.json",
    "predictions/valid.csv",
    "predictions/test.csv",
    "checkpoints/last/model.safetensors",
    "checkpoints/last/optimizer.safetensors",
    "checkpoints/best/model.safetensors",
];

/// Returns the names of the files that differ.
pub fn differences(expected: &Path, got: &Path) -> Result<Vec<String>> {
    let mut differences = Vec::new();
    for name in FILES {
        let read = |run: &Path| fs::read(run.join(name)).ok();
        if read(expected) != read(got) {
            differences.push((*name).to_owned());
        }
    }
    for kind in ["epoch", "validation", "test"] {
        if records(expected, kind)? != records(got, kind)? {
            differences.push(format!("history.jsonl: {kind}"));
        }
    }
    Ok(differences)
}

/// Returns the records of a kind in the history, without times.
fn records(run: &Path, kind: &str) -> Result<Vec<Value>> {
    let path = run.join("history.jsonl");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut records = Vec::new();
    for line in text.lines() {
        let mut record: Value =
            serde_json::from_str(line).with_context(|| format!("{}: {line}", path.display()))?;
        if record["type"] == kind
            && let Some(fields) = record.as_object_mut()
        {
            fields.retain(|name, _| !name.ends_with("seconds"));
            records.push(record);
        }
    }
    Ok(records)
}
