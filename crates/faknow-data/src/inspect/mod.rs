//! Looks over a file of records before anybody trains on it: what is in it, and what is odd about it.

mod collect;
mod overlap;
mod problems;
mod report;
mod sketch;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::records::{Format, ReadOptions, Source, open_file};
use crate::{Classes, Result};
use collect::Collector;
pub use overlap::{DuplicatePair, FileOverlap, NEAR_DUPLICATE_THRESHOLD, Overlap, overlap};

/// What is in a file of records. Its `Display` is a report for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// The file.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// Names of its columns, as [`RecordReader::columns`](crate::RecordReader::columns).
    pub columns: Vec<String>,
    /// Number of records that can be read.
    pub n_records: usize,
    /// Number of records that cannot be read as such: broken JSON, a wrong number of fields.
    pub n_broken: usize,
    /// Records per class in the order of the classes; without given classes per value of the label column, the
    /// most frequent first. Empty without a label column.
    pub classes: Vec<ValueCount>,
    /// Records per domain, the most frequent first. Empty without a domain column.
    pub domains: Vec<ValueCount>,
    /// Words per text (Unicode words; each Chinese character counts as one). `None` without a text column.
    pub words: Option<LengthStats>,
    /// Characters (Unicode scalar values) per text. `None` without a text column.
    pub characters: Option<LengthStats>,
    /// What is odd, the gravest first.
    pub problems: Vec<Problem>,
}

/// How often a value occurs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ValueCount {
    /// The class name, or the value as it stands in the file.
    pub value: String,
    /// Number of records.
    pub n_records: usize,
}

/// Lengths of all texts, or sizes of all trees.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LengthStats {
    /// The shortest.
    pub min: usize,
    /// Half of the texts are no longer than this.
    pub median: usize,
    /// The mean.
    pub mean: f64,
    /// 95 % of the texts are no longer than this.
    pub p95: usize,
    /// The longest.
    pub max: usize,
}

impl LengthStats {
    /// Of these; `None` if there are none.
    pub(crate) fn from_values(mut all: Vec<u32>) -> Option<Self> {
        all.sort_unstable();
        let (min, max) = (*all.first()?, *all.last()?);
        // The smallest length that the share of the texts does not exceed.
        let quantile = |percent: usize| all[(all.len() * percent).div_ceil(100).max(1) - 1] as usize;
        let mean = all.iter().map(|&length| f64::from(length)).sum::<f64>() / all.len() as f64;
        Some(Self { min: min as usize, median: quantile(50), mean, p95: quantile(95), max: max as usize })
    }
}

/// Something odd about a file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Problem {
    /// What kind of oddity.
    pub kind: ProblemKind,
    /// Number of records that it concerns.
    pub n_records: usize,
    /// Numbers of the first few of them, from 1.
    pub first: Vec<usize>,
    /// What it is, and what it means for training.
    pub message: String,
    /// What to do about it.
    pub advice: &'static str,
}

/// Kinds of [`Problem`], the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The rest of the file cannot be read.
    Unreadable,
    /// Records that cannot be read.
    BrokenRecords,
    /// Texts that are null, absent or no strings.
    NoText,
    /// Labels that are null, absent or blank.
    NoLabel,
    /// Labels that mean no class.
    UnknownLabels,
    /// A class without records.
    EmptyClass,
    /// The same text under different labels.
    ConflictingLabels,
    /// Texts that are the same as an earlier one.
    Duplicates,
    /// Texts without a word.
    EmptyTexts,
    /// One class is over ten times as frequent as another.
    Imbalance,
    /// Domains nearly all of whose records are of one class.
    OneSidedDomains,
    /// One domain is over ten times as frequent as another.
    DomainImbalance,
    /// The label column has so many values that it is hardly one of labels.
    ManyLabels,
    /// Texts of over 10,000 words.
    LongTexts,
    /// Texts that hold HTML escapes, such as `&amp;`.
    HtmlEscapes,
}

/// Reads all of a file and says what is in it.
///
/// Text, label and domain are looked at if `options` name their columns; without `classes` every label value
/// counts as it stands. Broken records are counted and, where the format allows, skipped. Memory holds some dozens
/// of bytes for each record, never the texts.
///
/// # Errors
/// A file that cannot be opened, is empty, in another encoding at its very beginning, or without the named columns.
pub fn inspect(
    path: impl AsRef<Path>,
    options: &ReadOptions,
    classes: Option<&Classes>,
) -> Result<Inspection> {
    let path = path.as_ref();
    let (file, format, options) = open_file(path, options)?;
    let mut source = Source::new(file, path, &options)?;
    let columns = &options.columns;
    let wanted: Vec<&str> =
        [&columns.text, &columns.label, &columns.domain].into_iter().flatten().map(String::as_str).collect();
    source.select(&wanted, false)?;
    let mut collector = Collector::new(columns, classes);
    loop {
        match source.next_record() {
            Ok(Some(raw)) => collector.add(&raw),
            Ok(None) if collector.is_empty() => return Err(source.no_records()),
            Ok(None) => break,
            // Before the first record such an error is about the whole file.
            Err(broken) if !broken.recoverable && collector.is_empty() => return Err(broken.error),
            Err(broken) => collector.add_broken(broken),
        }
    }
    Ok(collector.finish(path.to_owned(), format, source.columns().to_vec()))
}
