//! What was written, left out and changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::RawKind;
use crate::common::{printable_name, printable_path};

/// Number of ids per count that are shown as examples.
const N_EXAMPLES: usize = 3;

/// A number of posts, threads or files that were left out or changed for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RawCount {
    /// The items and the reason: `threads without a label`.
    pub what: &'static str,
    /// Their number.
    pub count: usize,
    /// The first ids or paths.
    pub examples: Vec<String>,
}

/// The result of [`prepare`](super::prepare).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RawSummary {
    /// The dataset.
    pub kind: RawKind,
    /// The directory or file that was read.
    pub path: PathBuf,
    /// Number of threads, one per line of the output.
    pub n_threads: usize,
    /// Number of posts of all threads.
    pub n_posts: usize,
    /// Number of posts without a text.
    pub n_without_text: usize,
    /// Number of posts of the largest thread.
    pub max_posts: usize,
    /// Number of threads per class.
    pub classes: BTreeMap<String, usize>,
    /// The events; empty if the release has none.
    pub events: BTreeSet<String>,
    /// What was not written, by reason.
    pub left_out: Vec<RawCount>,
    /// What was written in another form than released, or needs attention, by reason.
    pub adjusted: Vec<RawCount>,
}

impl RawSummary {
    pub(super) fn new(kind: RawKind, path: PathBuf) -> Self {
        Self {
            kind,
            path,
            n_threads: 0,
            n_posts: 0,
            n_without_text: 0,
            max_posts: 0,
            classes: BTreeMap::new(),
            events: BTreeSet::new(),
            left_out: Vec::new(),
            adjusted: Vec::new(),
        }
    }

    /// Returns the classes that occur, those that are not fake first.
    pub fn class_names(&self) -> Vec<&str> {
        let known = self.kind.classes();
        let mut names: Vec<&str> = self.classes.keys().map(String::as_str).collect();
        names.sort_by_key(|name| known.iter().position(|it| it == name).unwrap_or(known.len()));
        names
    }

    /// Returns whether there are trees of more than one post.
    pub fn has_trees(&self) -> bool {
        self.max_posts > 1
    }
}

/// Adds `n` items to the count of a reason.
pub(super) fn add(counts: &mut Vec<RawCount>, what: &'static str, n: usize, example: &str) {
    let index = counts.iter().position(|it| it.what == what).unwrap_or_else(|| {
        counts.push(RawCount { what, count: 0, examples: Vec::new() });
        counts.len() - 1
    });
    let count = &mut counts[index];
    count.count += n;
    if count.examples.len() < N_EXAMPLES {
        count.examples.push(example.to_owned());
    }
}

impl fmt::Display for RawSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { n_threads, n_posts, n_without_text, max_posts, .. } = self;
        writeln!(f, "{} ({})", printable_path(&self.path), self.kind)?;
        writeln!(f, "threads     {n_threads}, the largest with {max_posts} posts")?;
        writeln!(f, "posts       {n_posts}, {n_without_text} without text")?;
        let classes = self.class_names();
        let counts: Vec<String> =
            classes.iter().map(|&name| format!("{} {}", printable_name(name), self.classes[name])).collect();
        write!(f, "labels      {}", counts.join(", "))?;
        if !self.events.is_empty() {
            let names: Vec<String> = self.events.iter().take(5).map(|it| printable_name(it)).collect();
            let more = if self.events.len() > names.len() { ", …" } else { "" };
            write!(f, "\nevents      {}: {}{more}", self.events.len(), names.join(", "))?;
        }
        for (title, counts) in [("left out", &self.left_out), ("note", &self.adjusted)] {
            for RawCount { what, count, examples } in counts {
                let examples: Vec<String> = examples.iter().map(|it| printable_name(it)).collect();
                let more = if *count > examples.len() { ", …" } else { "" };
                write!(f, "\n{title:<12}{count} {what}: {}{more}", examples.join(", "))?;
            }
        }
        Ok(())
    }
}
