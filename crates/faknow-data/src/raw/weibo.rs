//! Weibo as released with Ma et al. (IJCAI 2016): `Weibo.txt` with a label per event, and one file of posts per event,
//! `Weibo/<id>.json`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::posts::{self, Post, RawThread};
use super::sink::Sink;
use super::{RawKind, files, time};
use crate::{Error, Result};

const LIST: &str = "Weibo.txt";

pub(super) fn is_form(path: &Path) -> bool {
    list(path).is_some()
}

/// Returns the list of events in a directory or in one of its subdirectories.
fn list(path: &Path) -> Option<PathBuf> {
    let is_list = |file: &PathBuf| {
        let line = files::first_line(file).unwrap_or_default();
        file.is_file() && line.trim_start().starts_with("eid:") && line.contains("label:")
    };
    let dirs = std::iter::once(path.to_path_buf()).chain(files::dirs(path).unwrap_or_default());
    dirs.filter_map(|dir| files::find(&dir, LIST)).find(is_list)
}

pub(super) fn read(path: &Path, sink: &mut Sink<'_>) -> Result<()> {
    let Some(list) = list(path) else { return Err(RawKind::Weibo.mismatch(path, &files::describe(path))) };
    let parent = list.parent().unwrap_or(path);
    let mut events = read_list(&list)?;
    let Some(posts_dir) = posts_dir(parent, &events) else {
        let found = format!("no directory with these files in {}", files::describe(parent));
        return Err(RawKind::Weibo.mismatch(path, &found));
    };
    events.sort_by_cached_key(|(id, _)| files::sort_key(id));
    for (id, label) in &events {
        let file = posts_dir.join(format!("{id}.json"));
        if !file.is_file() {
            sink.leave_out("events without a file of posts", id);
            continue;
        }
        match thread(id, &file, sink)? {
            Some(thread) => sink.write(RawThread { label: (*label).to_owned(), ..thread })?,
            None => sink.leave_out("events without a valid post", id),
        }
    }
    let listed: hashbrown::HashSet<&str> = events.iter().map(|(id, _)| id.as_str()).collect();
    for file in files::files(&posts_dir, "json")? {
        let id = files::stem(&file);
        if !listed.contains(id.as_str()) {
            sink.leave_out("files of posts without a line in Weibo.txt", &id);
        }
    }
    Ok(())
}

/// Returns the directory with the posts of events: `Weibo`, `posts` or another one next to the list.
fn posts_dir(parent: &Path, events: &[(String, &str)]) -> Option<PathBuf> {
    let named = ["Weibo", "posts"].into_iter().filter_map(|name| files::find(parent, name));
    let all = named.chain(files::dirs(parent).unwrap_or_default()).chain([parent.to_path_buf()]);
    all.filter(|dir| dir.is_dir())
        .find(|dir| events.iter().any(|(id, _)| dir.join(format!("{id}.json")).is_file()))
}

/// Reads the ids and labels of events: `eid:ID label:0` or `label:1`, then ids of posts.
fn read_list(path: &Path) -> Result<Vec<(String, &'static str)>> {
    let mut events = Vec::new();
    files::for_each_line(path, |number, line| {
        let mut parts = line.split_whitespace();
        let id = parts.next().and_then(|part| part.strip_prefix("eid:")).filter(|id| !id.is_empty());
        let label = match parts.next().and_then(|part| part.strip_prefix("label:")) {
            Some("0") => Some("non-rumor"),
            Some("1") => Some("rumor"),
            _ => None,
        };
        let (Some(id), Some(label)) = (id, label) else {
            return Err(Error::line(path, number, "expected `eid:ID label:0 …` or `eid:ID label:1 …`"));
        };
        events.push((id.to_owned(), label));
        Ok(())
    })?;
    Ok(events)
}

/// Reads the posts of an event, without its label; `None` without a post.
fn thread(id: &str, file: &Path, sink: &mut Sink<'_>) -> Result<Option<RawThread>> {
    let items = match sink.read_json(file)? {
        Some(Value::Array(items)) => items,
        Some(_) => {
            sink.skip(Error::file(file, "expected an array of posts"))?;
            return Ok(None);
        }
        None => return Ok(None),
    };
    let mut all = Vec::with_capacity(items.len());
    for item in &items {
        let post = item.as_object();
        let Some((post, mid)) =
            post.and_then(|post| Some((post, posts::id(post.get("mid").or(post.get("id")))?)))
        else {
            sink.leave_out("posts without an id (`mid`)", id);
            continue;
        };
        all.push(Post {
            id: mid,
            parent: posts::id(post.get("parent")),
            time: post.get("t").and_then(time::seconds),
            text: posts::text(post, &["text", "original_text"]),
        });
    }
    // The source has the id of the event; in its absence, it is the first post without a parent.
    let root = all.iter().position(|post| post.id == id);
    let root = root.or_else(|| all.iter().position(|post| post.parent.is_none()));
    let Some(root) = root.or((!all.is_empty()).then_some(0)) else { return Ok(None) };
    let mut source = all.remove(root);
    source.parent = None;
    all.insert(0, source);
    let start = all[0].time;
    for post in &mut all {
        post.time = post.time.zip(start).map(|(time, start)| time::round(time - start));
    }
    let text = all[0].text.clone().unwrap_or_default();
    let thread = RawThread { id: id.to_owned(), text, posts: all, ..RawThread::default() };
    Ok(Some(thread))
}
