//! FakeNewsNet: tables of news by source and label, or the directories of its download program.
//!
//! A table `{politifact,gossipcop}_{fake,real}.csv` has the columns `id,news_url,title,tweet_ids`; the ids of the tweets that share a
//! news item are separated by tabs.

use std::path::{Path, PathBuf};

use super::posts::{Post, RawThread};
use super::sink::Sink;
use super::{RawKind, fakenewsnet_dirs, files};
use crate::{Error, Result};

/// The sources of news.
pub(super) const SOURCES: [&str; 2] = ["politifact", "gossipcop"];
/// The labels, which are a part of paths.
pub(super) const LABELS: [&str; 2] = ["real", "fake"];

pub(super) fn is_form(path: &Path) -> bool {
    !tables(path).is_empty() || !fakenewsnet_dirs::news_dirs(path).is_empty()
}

pub(super) fn read(path: &Path, sink: &mut Sink<'_>) -> Result<()> {
    let is_part = |source: &str| sink.part().is_none_or(|part| part == source);
    let mut dirs = fakenewsnet_dirs::news_dirs(path);
    dirs.retain(|dir| is_part(dir.source));
    if !dirs.is_empty() {
        return fakenewsnet_dirs::read(&dirs, sink);
    }
    let mut tables = tables(path);
    tables.retain(|table| is_part(table.source));
    if tables.is_empty() {
        return Err(RawKind::FakeNewsNet.mismatch(path, &files::describe(path)));
    }
    let labels = |label: &str| tables.iter().filter(|table| table.label == label).count();
    if let Some(missing) = LABELS.into_iter().find(|label| labels(label) == 0) {
        let found: Vec<String> = tables.iter().map(|table| files::name(&table.path)).collect();
        let found = format!("no table of `{missing}` news next to {}", found.join(", "));
        return Err(RawKind::FakeNewsNet.mismatch(path, &found));
    }
    tables.iter().try_for_each(|table| read_table(table, sink))
}

/// A table of news.
struct Table {
    path: PathBuf,
    source: &'static str,
    label: &'static str,
}

/// Returns the tables in a directory, or in its subdirectory `dataset`.
fn tables(path: &Path) -> Vec<Table> {
    let dirs = [path.to_path_buf(), path.join("dataset")];
    let all = dirs.iter().flat_map(|dir| files::files(dir, "csv").unwrap_or_default());
    let table = |path: PathBuf| {
        let stem = files::stem(&path).to_lowercase();
        let source = SOURCES.into_iter().find(|source| stem.contains(source))?;
        let label = LABELS.into_iter().find(|label| stem.ends_with(label))?;
        let header = files::first_line(&path)?.to_lowercase();
        let is_header = ["id", "title"]
            .iter()
            .all(|name| header.split(',').any(|it| it.trim_matches(['"', ' ']) == *name));
        is_header.then_some(Table { path, source, label })
    };
    all.filter_map(table).collect()
}

fn read_table(table: &Table, sink: &mut Sink<'_>) -> Result<()> {
    let Table { path, source, label } = table;
    let error = |e: csv::Error| match e.kind() {
        csv::ErrorKind::Io(_) => Error::file(path, e.to_string()),
        _ => {
            let line = e.position().map_or(1, |position| position.line() as usize);
            Error::line(path, line, e.to_string())
        }
    };
    let mut reader = csv::Reader::from_path(path).map_err(error)?;
    let header = reader.headers().map_err(error)?.clone();
    let find = |name: &str| {
        header.iter().position(|it| it.trim_start_matches('\u{feff}').trim().eq_ignore_ascii_case(name))
    };
    let (id, title) = (find("id"), find("title"));
    let (Some(id), Some(title)) = (id, title) else {
        return Err(RawKind::FakeNewsNet.mismatch(path, "no columns `id` and `title`"));
    };
    let tweets = find("tweet_ids");
    let mut row = csv::StringRecord::new();
    loop {
        match reader.read_record(&mut row) {
            Ok(false) => return Ok(()),
            Ok(true) => sink.count_read(),
            Err(e) => {
                sink.count_read();
                match error(e) {
                    broken @ Error::Line { .. } => sink.skip(broken)?,
                    other => return Err(other),
                }
                continue;
            }
        }
        let text = row.get(title).unwrap_or_default().trim().to_owned();
        let id = row.get(id).unwrap_or_default().trim().to_owned();
        if id.is_empty() || text.is_empty() {
            sink.leave_out("news without an id or a title", if id.is_empty() { &text } else { &id });
            continue;
        }
        let mut posts = vec![Post { id: id.clone(), parent: None, time: None, text: Some(text.clone()) }];
        let tweet_ids = tweets.and_then(|column| row.get(column)).unwrap_or_default();
        posts.extend(tweet_ids.split_whitespace().map(|tweet| Post {
            id: tweet.to_owned(),
            parent: Some(id.clone()),
            time: None,
            text: None,
        }));
        let extra = vec![("domain", (*source).into())];
        let label = (*label).to_owned();
        sink.write(RawThread { id, label, text, extra, posts, ..RawThread::default() })?;
    }
}
