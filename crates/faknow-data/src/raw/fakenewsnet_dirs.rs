//! FakeNewsNet as downloaded: `politifact/fake/<id>/news content.json`, `tweets/*.json` and `retweets/*.json`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::fakenewsnet::{LABELS, SOURCES};
use super::posts::{self, Post, RawThread, Tweet};
use super::sink::Sink;
use super::{files, time};
use crate::Result;

const CONTENT: &str = "news content.json";

/// A directory of news items with the same source and label.
pub(super) struct NewsDir {
    path: PathBuf,
    pub(super) source: &'static str,
    label: &'static str,
}

/// Returns the directories of news below a path: `politifact/fake` or `politifact_fake`, also one level deeper.
pub(super) fn news_dirs(path: &Path) -> Vec<NewsDir> {
    let mut found = Vec::new();
    let mut bases = vec![path.to_path_buf()];
    bases.extend(
        files::dirs(path)
            .unwrap_or_default()
            .into_iter()
            .filter(|dir| !SOURCES.contains(&&*files::name(dir))),
    );
    for base in bases {
        for source in SOURCES {
            for label in LABELS {
                let dirs = [base.join(source).join(label), base.join(format!("{source}_{label}"))];
                let is_news = |dir: &PathBuf| {
                    dir.is_dir() && files::dirs(dir).is_ok_and(|dirs| dirs.iter().any(|dir| is_item(dir)))
                };
                found.extend(dirs.into_iter().filter(is_news).map(|path| NewsDir { path, source, label }));
            }
        }
    }
    found
}

fn is_item(dir: &Path) -> bool {
    dir.join(CONTENT).is_file() || dir.join("tweets").is_dir()
}

pub(super) fn read(dirs: &[NewsDir], sink: &mut Sink<'_>) -> Result<()> {
    let mut items = Vec::new();
    for news in dirs {
        items.extend(files::dirs(&news.path)?.into_iter().map(|dir| (dir, news)));
    }
    items.sort_by_cached_key(|(dir, _)| files::sort_key(&files::name(dir)));
    for (dir, news) in items {
        let Some(mut thread) = read_item(&dir, sink)? else { continue };
        thread.label = news.label.to_owned();
        thread.extra.push(("domain", news.source.into()));
        sink.write(thread)?;
    }
    Ok(())
}

/// Reads a news item with its tweets, without its label; `None`, counted, if it has no text.
fn read_item(dir: &Path, sink: &mut Sink<'_>) -> Result<Option<RawThread>> {
    let id = files::name(dir);
    let file = dir.join(CONTENT);
    if !file.is_file() {
        sink.leave_out("news without `news content.json`", &id);
        return Ok(None);
    }
    let Some(content) = sink.read_json(&file)? else {
        sink.leave_out("news whose content is broken", &id);
        return Ok(None);
    };
    let field = |name: &str| content.as_object().and_then(|content| posts::text(content, &[name]));
    let title = field("title");
    let parts: Vec<String> = [title.clone(), field("text")].into_iter().flatten().collect();
    if parts.is_empty() {
        sink.leave_out("news without title and text", &id);
        return Ok(None);
    }
    let text = parts.join("\n");
    let mut tweets = Vec::new();
    for file in files::files(&dir.join("tweets"), "json")? {
        let Some(value) = sink.read_json(&file)? else { continue };
        match Tweet::from_json(&value) {
            Some(tweet) => tweets.push((tweet, id.clone())),
            None => sink.leave_out("files of tweets without a tweet", file.display().to_string()),
        }
    }
    for file in files::files(&dir.join("retweets"), "json")? {
        let shared = files::stem(&file);
        let Some(value) = sink.read_json(&file)? else { continue };
        for retweet in list(&value) {
            match Tweet::from_json(retweet) {
                Some(tweet) => tweets.push((tweet, shared.clone())),
                None => sink.leave_out("retweets without an id", &shared),
            }
        }
    }
    if dir.join("replies").is_dir() {
        sink.leave_out("directories `replies`, whose form is not documented", &id);
    }
    // News have dates without a time of day, so times count from the first tweet.
    let start = tweets.iter().filter_map(|(tweet, _)| tweet.seconds).reduce(f64::min);
    let mut all = vec![Post { id: id.clone(), parent: None, time: None, text: Some(text.clone()) }];
    all.extend(tweets.into_iter().map(|(tweet, parent)| {
        let time = tweet.seconds.zip(start).map(|(time, start)| time::round(time - start));
        Post { time, ..tweet.into_post(Some(parent), None) }
    }));
    let extra = title.map(|title| ("title", title.into())).into_iter().collect();
    Ok(Some(RawThread { id, text, extra, posts: all, ..RawThread::default() }))
}

/// Returns the retweets of a file: an array, or an object with the array `retweets`.
fn list(value: &Value) -> &[Value] {
    value.get("retweets").unwrap_or(value).as_array().map_or(&[], Vec::as_slice)
}
