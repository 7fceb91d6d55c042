//! RumourEval 2017 and 2019: [threads](super::threads) of Twitter, with their veracity in key files.
//!
//! 2017 has `rumoureval-data/<event>/<id>/` and `traindev/rumoureval-subtaskB-{train,dev}.json`; 2019 has
//! `twitter-english/<event>/<id>/` and `{train,dev}-key.json`. Test data has the same forms.

use std::path::{Path, PathBuf};

use hashbrown::HashMap;
use serde_json::{Map, Value};

use super::sink::Sink;
use super::{RawKind, files, threads};
use crate::{Error, Result};

/// Maximum depth of the directories of threads: both parts of 2019 in one directory.
const DEPTH: usize = 5;
/// Directories of data rather than of an event.
const DATA_DIRS: [&str; 6] = ["rumoureval-data", "twitter-", "reddit-", "semeval", "rumoureval-", "test"];

pub(super) fn is_form(path: &Path) -> bool {
    !super::pheme::is_form(path) && !files::search(path, DEPTH, true, &threads::is_thread).is_empty()
}

pub(super) fn read(path: &Path, sink: &mut Sink<'_>) -> Result<()> {
    let mut labels = read_keys(path)?;
    let mut dirs: Vec<PathBuf> = files::search(path, DEPTH, false, &threads::is_thread);
    dirs.sort_by_cached_key(|dir| files::sort_key(&files::name(dir)));
    for dir in dirs {
        let id = files::name(&dir);
        let Some((label, split)) = labels.get(&id).cloned() else {
            sink.leave_out("threads without a label in the key files", &id);
            continue;
        };
        let Some(mut thread) = threads::read_thread(&dir, sink)? else {
            labels.remove(&id);
            continue;
        };
        labels.remove(&id);
        thread.label = label;
        thread.event = event(&dir, path);
        thread.extra.push(("split", split.into()));
        sink.write(thread)?;
    }
    let mut rest: Vec<String> = labels.into_keys().collect();
    rest.sort_by_cached_key(|id| files::sort_key(id));
    rest.iter().for_each(|id| sink.leave_out("labels without a thread", id));
    Ok(())
}

/// Returns the event of a thread: the name of the directory that contains it, unless that is one of all threads.
fn event(thread: &Path, root: &Path) -> Option<String> {
    let dir = thread.parent().filter(|dir| *dir != root)?;
    let name = files::name(dir);
    let is_data = DATA_DIRS.iter().any(|start| name.to_lowercase().starts_with(start));
    (!is_data).then_some(name)
}

/// Reads the labels of threads and the parts that they belong to from all key files.
fn read_keys(path: &Path) -> Result<HashMap<String, (String, String)>> {
    let mut keys = Vec::new();
    for dir in key_dirs(path) {
        let is_key = |file: &PathBuf| {
            let name = files::name(file).to_lowercase();
            name.ends_with("-key.json") || name.contains("subtaskb")
        };
        keys.extend(files::files(&dir, "json")?.into_iter().filter(is_key));
    }
    if keys.is_empty() {
        let found = format!("no key files in {}", files::describe(path));
        return Err(RawKind::RumourEval.mismatch(path, &found));
    }
    let mut labels: HashMap<String, (String, String)> = HashMap::new();
    for file in keys {
        let value = files::read_json(&file)?;
        let split = split(&files::name(&file));
        for (id, label) in veracities(&value, &file)? {
            // Predictions have a confidence after the label.
            let label = label
                .as_str()
                .or_else(|| label.get(0)?.as_str())
                .ok_or_else(|| Error::file(&file, format!("thread `{id}`: expected a label, got {label}")))?;
            match labels.insert(id.clone(), (label.to_owned(), split.to_owned())) {
                Some((other, _)) if other != label => {
                    let message = format!(
                        "expected one label of thread `{id}`, got `{other}` in another file and `{label}`"
                    );
                    return Err(Error::file(file, message));
                }
                _ => {}
            }
        }
    }
    Ok(labels)
}

/// Returns the directories that may contain key files: those above threads.
fn key_dirs(path: &Path) -> Vec<PathBuf> {
    let mut all = vec![path.to_path_buf()];
    for dir in files::dirs(path).unwrap_or_default() {
        if !threads::is_thread(&dir) {
            all.extend(
                files::dirs(&dir).unwrap_or_default().into_iter().filter(|dir| !threads::is_thread(dir)),
            );
            all.push(dir);
        }
    }
    all.sort();
    all
}

/// Returns the labels by thread: of the task B in English, or of a file of task B only.
fn veracities<'a>(value: &'a Value, file: &Path) -> Result<&'a Map<String, Value>> {
    let labels = match value.get("subtaskbenglish") {
        Some(labels) => labels,
        None => value,
    };
    labels.as_object().ok_or_else(|| Error::file(file, "expected an object of labels by thread"))
}

/// Returns the part of the data by the name of a key file.
fn split(name: &str) -> &'static str {
    let name = name.to_lowercase();
    match () {
        () if name.contains("train") => "train",
        () if name.contains("dev") => "dev",
        () => "test",
    }
}
