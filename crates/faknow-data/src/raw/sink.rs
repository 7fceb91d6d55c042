//! Writes threads as JSON lines and counts what is left out.

use std::io::Write;
use std::path::{Path, PathBuf};

use hashbrown::HashSet;
use serde_json::{Map, Value, json};

use super::assemble::assemble;
use super::posts::RawThread;
use super::summary::{RawSummary, add};
use super::{RawKind, RawLabels, entities, files, recognize};
use crate::{Error, Result, SkipBroken};

/// Options of [`prepare`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RawOptions {
    /// The dataset; recognized by the content if `None`.
    pub kind: Option<RawKind>,
    /// The dataset of a release that has several, one of [`RawKind::parts`]; `None` if there is only one, or for all.
    pub part: Option<String>,
    /// The classes that posts get; `None` for the default of the dataset.
    pub labels: Option<RawLabels>,
    /// Number or percentage of files of posts, or of rows of a table, that may be broken and are skipped; default 0.
    pub skip_broken: SkipBroken,
    /// Whether HTML entities in texts (`&amp;`) are decoded; otherwise, texts are written as released.
    pub unescape_html: bool,
}

/// Reads the raw form of a dataset, and writes one thread per line to `out`; errors of writing name `out_path`.
///
/// ```
/// use faknow_data::raw::{RawOptions, prepare};
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("posts.txt");
/// std::fs::write(&path, "post_id\tpost_text\timage_id(s)\tlabel\n7\tA shark in the street\tflood_fake_01\tfake\n")?;
/// let mut out = Vec::new();
/// let summary = prepare(&path, &RawOptions::default(), &mut out, "out.jsonl".as_ref())?;
/// assert_eq!((summary.n_threads, summary.class_names()), (1, vec!["fake"]));
/// assert!(String::from_utf8(out)?.contains(r#""event":"flood""#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The path does not have the form of the dataset, a file is invalid, `out` cannot be written, or there is no thread with a
/// label.
pub fn prepare(
    path: &Path,
    options: &RawOptions,
    out: &mut dyn Write,
    out_path: &Path,
) -> Result<RawSummary> {
    std::fs::metadata(path).map_err(|e| Error::io(path, e))?;
    let kind = match options.kind.or_else(|| recognize(path)) {
        Some(kind) if kind.is_form_of(path) => kind,
        Some(kind) => {
            let found =
                recognize(path).map_or_else(|| files::describe(path), |other| format!("the form of {other}"));
            return Err(kind.mismatch(path, &found));
        }
        None => {
            let names = RawKind::ALL.map(RawKind::name).join(", ");
            let found = files::describe(path);
            return Err(Error::file(
                path,
                format!("expected raw posts of a known dataset ({names}), got {found}"),
            ));
        }
    };
    let labels = options.labels;
    if let Some(labels) = labels
        && !kind.labels().contains(&labels)
    {
        let known: Vec<&str> = kind.labels().iter().map(|it| it.name()).collect();
        let expected = match known[..] {
            [] => format!("no choice of labels for {kind}, which has one set"),
            _ => known.join(" or "),
        };
        return Err(Error::Setting { name: "labels", expected, got: format!("`{}`", labels.name()) });
    }
    if let Some(part) = &options.part
        && !kind.parts().contains(&part.as_str())
    {
        let expected = match kind.parts() {
            [] => format!("no part of {kind}, which has one dataset"),
            parts => parts.join(" or "),
        };
        return Err(Error::Setting { name: "part", expected, got: format!("`{part}`") });
    }
    let mut sink = Sink {
        part: options.part.clone(),
        out,
        out_path: out_path.to_path_buf(),
        labels: labels.or(kind.labels().first().copied()),
        skip_broken: options.skip_broken,
        n_read: 0,
        n_broken: 0,
        unescape: options.unescape_html,
        summary: RawSummary::new(kind, path.to_path_buf()),
        ids: HashSet::new(),
    };
    kind.read(path, &mut sink)?;
    if !sink.skip_broken.allows(sink.n_broken, Some(sink.n_read)) {
        return Err(sink.too_many_broken(path, &format!(" of {}", sink.n_read)));
    }
    let Sink { summary, out, .. } = sink;
    if summary.n_threads == 0 {
        let reasons: Vec<String> =
            summary.left_out.iter().map(|count| format!("{} {}", count.count, count.what)).collect();
        let reasons =
            if reasons.is_empty() { String::new() } else { format!("; left out: {}", reasons.join(", ")) };
        return Err(Error::file(path, format!("{kind}: expected threads with labels, got none{reasons}")));
    }
    out.flush().map_err(|e| Error::io(out_path, e))?;
    Ok(summary)
}

/// The output of readers.
pub(super) struct Sink<'a> {
    out: &'a mut dyn Write,
    out_path: PathBuf,
    part: Option<String>,
    labels: Option<RawLabels>,
    skip_broken: SkipBroken,
    /// Number of files of posts and rows read, and of the broken ones among them.
    n_read: usize,
    n_broken: usize,
    unescape: bool,
    summary: RawSummary,
    /// Ids of the threads written.
    ids: HashSet<String>,
}

impl Sink<'_> {
    /// Returns the dataset to read, if the release has several.
    pub(super) fn part(&self) -> Option<&str> {
        self.part.as_deref()
    }

    /// Returns the labels to assign.
    pub(super) fn labels(&self) -> Option<RawLabels> {
        self.labels
    }

    /// Counts an item that is not written.
    pub(super) fn leave_out(&mut self, what: &'static str, example: impl AsRef<str>) {
        add(&mut self.summary.left_out, what, 1, example.as_ref());
    }

    /// Counts an item that is written in another form.
    pub(super) fn adjust(&mut self, what: &'static str, example: impl AsRef<str>) {
        self.adjust_many(what, 1, example);
    }

    /// Counts several items that are written in another form.
    pub(super) fn adjust_many(&mut self, what: &'static str, n: usize, example: impl AsRef<str>) {
        add(&mut self.summary.adjusted, what, n, example.as_ref());
    }

    /// Reads a file of posts; `None`, counted, if it is broken and may be skipped.
    pub(super) fn read_json(&mut self, path: &Path) -> Result<Option<Value>> {
        self.n_read += 1;
        match files::read_json(path) {
            Err(error @ Error::File { .. }) => self.skip(error).map(|()| None),
            other => other.map(Some),
        }
    }

    /// Counts a row, or a file that [`read_json`](Self::read_json) does not read.
    pub(super) fn count_read(&mut self) {
        self.n_read += 1;
    }

    /// Counts a broken file or row, which is left out.
    ///
    /// # Errors
    /// `error` itself if none may be skipped, or that more than the limit are broken.
    pub(super) fn skip(&mut self, error: Error) -> Result<()> {
        if self.skip_broken.is_zero() {
            let help = |message: String| format!("{message}; `skip_broken` can skip it");
            return Err(match error {
                Error::File { path, message } => Error::File { path, message: help(message) },
                Error::Line { path, line, message } => Error::Line { path, line, message: help(message) },
                other => other,
            });
        }
        self.n_broken += 1;
        self.leave_out("broken files or rows", error.to_string());
        match self.skip_broken.allows(self.n_broken, None) {
            true => Ok(()),
            false => Err(self.too_many_broken(&self.summary.path, "")),
        }
    }

    fn too_many_broken(&self, path: &Path, of_all: &str) -> Error {
        let examples = self.summary.left_out.iter().find(|count| count.what == "broken files or rows");
        let examples = examples.map(|count| count.examples.join("; ")).unwrap_or_default();
        let (limit, n_broken) = (self.skip_broken, self.n_broken);
        Error::file(
            path,
            format!(
                "expected at most {limit} broken files or rows (`skip_broken`), got {n_broken}{of_all}: {examples}"
            ),
        )
    }

    /// Writes a thread, unless its id was written before or it has no text, which text models require.
    pub(super) fn write(&mut self, thread: RawThread) -> Result<()> {
        if thread.text.trim().is_empty() {
            self.leave_out("threads whose source post has no text", &thread.id);
            return Ok(());
        }
        if !self.ids.insert(thread.id.clone()) {
            self.leave_out("threads whose id occurs before", &thread.id);
            return Ok(());
        }
        let posts = assemble(&thread.id, thread.posts, self);
        // The text of the source is also that of the root, which is counted.
        let text = if self.unescape { entities::unescape(&thread.text).0 } else { thread.text };
        let n_posts = posts.len();
        let mut nodes = Vec::with_capacity(n_posts);
        for post in posts {
            let mut node = Map::new();
            node.insert("id".to_owned(), post.id.clone().into());
            node.insert("parent".to_owned(), post.parent.into());
            node.insert("time".to_owned(), post.time.into());
            self.summary.n_without_text += usize::from(post.text.is_none());
            let text = post.text.map(|text| self.text(text, &post.id));
            node.insert("text".to_owned(), text.into());
            nodes.push(Value::Object(node));
        }
        let mut record = Map::new();
        record.insert("id".to_owned(), thread.id.clone().into());
        record.insert("label".to_owned(), thread.label.clone().into());
        if let Some(event) = &thread.event {
            record.insert("event".to_owned(), json!(event));
        }
        record.insert("text".to_owned(), text.into());
        if let Some(image) = thread.image {
            record.insert("image".to_owned(), image.into());
        }
        record.extend(thread.extra.into_iter().map(|(name, value)| (name.to_owned(), value)));
        record.insert("nodes".to_owned(), nodes.into());
        let error = |e| Error::io(&self.out_path, e);
        serde_json::to_writer(&mut *self.out, &record).map_err(|e| error(e.into()))?;
        self.out.write_all(b"\n").map_err(error)?;
        let summary = &mut self.summary;
        summary.n_threads += 1;
        summary.n_posts += n_posts;
        summary.max_posts = summary.max_posts.max(n_posts);
        *summary.classes.entry(thread.label).or_default() += 1;
        summary.events.extend(thread.event);
        Ok(())
    }

    /// Returns a text as it is written.
    fn text(&mut self, text: String, id: &str) -> String {
        if !text.contains('&') {
            return text;
        }
        match entities::unescape(&text) {
            (decoded, true) if self.unescape => decoded,
            (_, true) => {
                self.adjust("texts with HTML entities (`&amp;`), written as released", id);
                text
            }
            _ => text,
        }
    }
}
