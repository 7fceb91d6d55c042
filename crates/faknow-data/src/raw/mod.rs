//! Raw releases of public datasets as propagation trees: recognition, and conversion to JSON lines.
//!
//! [`prepare`] reads a directory or file in the form in which a dataset is distributed or downloaded, and writes one JSON object
//! per thread, which both [`RecordReader`](crate::RecordReader) (`text`, `label`) and
//! [`TreeJsonReader`](crate::graph::TreeJsonReader) (`nodes`) read:
//!
//! ```json
//! {"id": "1042", "label": "rumor", "event": "flood", "text": "The dam has broken", "nodes": [
//!   {"id": "1042", "parent": null, "time": 0.0, "text": "The dam has broken"},
//!   {"id": "1043", "parent": "1042", "time": 62.5, "text": "Says who?"}]}
//! ```
//!
//! One thread is in memory at a time. Threads are ordered by id, those of a table as in the file. Everything that is left out or
//! changed is counted in the [`RawSummary`].

mod acl;
mod assemble;
mod entities;
mod fakenewsnet;
mod fakenewsnet_dirs;
mod files;
mod kind;
mod mediaeval;
mod pheme;
mod posts;
mod rumoureval;
mod sink;
mod summary;
mod threads;
mod time;
mod weibo;

pub use kind::{RawKind, RawLabels};
pub use sink::{RawOptions, prepare};
pub use summary::{RawCount, RawSummary};

use std::path::Path;

/// Returns the dataset whose raw form a directory or file has, by its content; `None` if it has none of the known forms.
///
/// ```
/// use faknow_data::raw::{RawKind, recognize};
///
/// let dir = tempfile::tempdir()?;
/// assert_eq!(recognize(dir.path()), None);
/// std::fs::create_dir(dir.path().join("tree"))?;
/// std::fs::write(dir.path().join("label.txt"), "true:1042\n")?;
/// assert_eq!(recognize(dir.path()), Some(RawKind::Acl2017));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn recognize(path: &Path) -> Option<RawKind> {
    RawKind::ALL.into_iter().find(|kind| kind.is_form_of(path))
}
