//! Threads of Twitter as PHEME and RumourEval have them: one directory per thread, one JSON file per tweet.
//!
//! ```text
//! <id>/source-tweet(s)/<id>.json
//! <id>/reactions|replies/<id>.json
//! <id>/structure.json                {"source": {"reply": {"reply": []}}}
//! ```

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use hashbrown::HashMap;
use serde_json::Value;

use super::files;
use super::posts::{Post, RawThread, Tweet};
use super::sink::Sink;
use crate::{Error, Result};

const SOURCES: [&str; 2] = ["source-tweet", "source-tweets"];
const REACTIONS: [&str; 2] = ["reactions", "replies"];

/// Returns whether a directory contains one thread.
pub(super) fn is_thread(dir: &Path) -> bool {
    SOURCES.iter().any(|name| dir.join(name).is_dir())
}

/// Reads the thread of a directory, without label and event; `None`, counted, if it has no source tweet.
pub(super) fn read_thread(dir: &Path, sink: &mut Sink<'_>) -> Result<Option<RawThread>> {
    let id = files::name(dir);
    let source_files = json_files(dir, &SOURCES)?;
    let file = source_files.iter().find(|file| files::stem(file) == id).or(source_files.first());
    let Some(file) = file else {
        sink.leave_out("threads without a source tweet", &id);
        return Ok(None);
    };
    let Some(value) = sink.read_json(file)? else {
        sink.leave_out("threads whose source is broken", &id);
        return Ok(None);
    };
    let Some(source) = Tweet::from_json(&value) else {
        let is_reddit = value.get("data").is_some() || value.is_array();
        let what = if is_reddit {
            "threads of Reddit (only threads of Twitter are read)"
        } else {
            "threads whose source has no id"
        };
        sink.leave_out(what, &id);
        return Ok(None);
    };
    let mut reactions = Vec::new();
    for file in json_files(dir, &REACTIONS)? {
        let Some(value) = sink.read_json(&file)? else { continue };
        match Tweet::from_json(&value) {
            Some(reaction) => reactions.push(reaction),
            None => sink.leave_out("files of reactions without a tweet", file.display().to_string()),
        }
    }
    let parents = read_structure(dir, &id, sink)?;
    let text = source.text.clone().unwrap_or_default();
    Ok(Some(RawThread { id, text, posts: posts(source, reactions, &parents, sink), ..RawThread::default() }))
}

fn json_files(dir: &Path, names: &[&str]) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for name in names {
        all.extend(files::files(&dir.join(name), "json")?);
    }
    Ok(all)
}

/// Returns the posts of a thread, the source first.
fn posts(
    source: Tweet,
    reactions: Vec<Tweet>,
    parents: &[(String, Option<String>)],
    sink: &mut Sink<'_>,
) -> Vec<Post> {
    let by_id: HashMap<&str, Option<&String>> =
        parents.iter().map(|(id, parent)| (id.as_str(), parent.as_ref())).collect();
    let start = source.seconds;
    let mut seen = HashSet::from([source.id.clone()]);
    let mut posts = vec![source.into_post(None, start)];
    for reaction in reactions {
        seen.insert(reaction.id.clone());
        let parent = match by_id.get(reaction.id.as_str()) {
            Some(Some(parent)) => Some((*parent).clone()),
            in_structure => {
                if in_structure.is_none() && !parents.is_empty() {
                    sink.adjust(
                        "reactions missing in structure.json, placed by in_reply_to_status_id",
                        &reaction.id,
                    );
                }
                reaction.reply_to.clone()
            }
        };
        if start.is_some() && reaction.seconds.is_none() {
            sink.adjust("reactions without a valid time", &reaction.id);
        }
        posts.push(reaction.into_post(parent, start));
    }
    for (id, parent) in parents {
        if seen.insert(id.clone()) {
            sink.adjust("posts of structure.json without a file, written without text", id);
            posts.push(Post { id: id.clone(), parent: parent.clone(), time: None, text: None });
        }
    }
    posts
}

/// Returns the posts of `structure.json` with their parents; empty if it is missing.
fn read_structure(dir: &Path, id: &str, sink: &mut Sink<'_>) -> Result<Vec<(String, Option<String>)>> {
    let path = dir.join("structure.json");
    if !path.is_file() {
        sink.adjust("threads without structure.json, placed by in_reply_to_status_id", id);
        return Ok(Vec::new());
    }
    sink.count_read();
    let value = match files::read_json(&path) {
        // The parser limits the depth, so that no file overflows the stack.
        Err(Error::File { message, .. }) if message.contains("recursion limit") => {
            sink.adjust("threads with more than 128 levels, placed by in_reply_to_status_id", id);
            return Ok(Vec::new());
        }
        Err(error @ Error::File { .. }) => {
            sink.skip(error)?;
            sink.adjust("threads whose structure.json is broken, placed by in_reply_to_status_id", id);
            return Ok(Vec::new());
        }
        other => other?,
    };
    let mut parents = Vec::new();
    let mut todo: Vec<(Option<&str>, &Value)> = vec![(None, &value)];
    while let Some((parent, children)) = todo.pop() {
        let Value::Object(children) = children else {
            // Posts without replies have an empty array.
            if children.as_array().is_some_and(Vec::is_empty) {
                continue;
            }
            return Err(Error::file(path, "expected objects of replies by id, or empty arrays"));
        };
        for (child, replies) in children {
            parents.push((child.clone(), parent.map(str::to_owned)));
            todo.push((Some(child), replies));
        }
    }
    Ok(parents)
}
