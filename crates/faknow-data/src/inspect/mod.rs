//! Inspection of a file of records before training: counts, lengths and problems.

mod collect;
mod images;
mod overlap;
mod problems;
mod report;
mod severity;
mod sketch;
mod text_checks;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::records::{Format, ReadOptions, Source, image_dir, open_file};
use crate::{Classes, Result};
use collect::Collector;
pub use images::ImageCounts;
pub use overlap::{DuplicatePair, FileOverlap, NEAR_DUPLICATE_THRESHOLD, Overlap, overlap};
pub use severity::Severity;

/// The contents and problems of a file of records; its `Display` is a plain-text report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// The file.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// Names of its columns, as returned by [`RecordReader::columns`](crate::RecordReader::columns).
    pub columns: Vec<String>,
    /// Number of records that can be read.
    pub n_records: usize,
    /// Number of records that cannot be parsed: invalid JSON, a wrong number of fields.
    pub n_broken: usize,
    /// Number of records per class in the order of the classes, or, without given classes, per value of the label column,
    /// most frequent first. Empty without a label column.
    pub classes: Vec<ValueCount>,
    /// Number of records per domain, most frequent first. Empty without a domain column.
    pub domains: Vec<ValueCount>,
    /// Words per text (Unicode words; each Chinese character counts as one). `None` without a text column.
    pub words: Option<LengthStats>,
    /// Characters (Unicode scalar values) per text. `None` without a text column.
    pub characters: Option<LengthStats>,
    /// Numbers of records with images; `None` without an image column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<ImageCounts>,
    /// The problems, most severe first.
    pub problems: Vec<Problem>,
}

impl Inspection {
    /// Sorts the problems, most severe first.
    pub fn sort_problems(&mut self) {
        self.problems.sort_by_key(|problem| problem.kind.rank());
    }
}

impl Problem {
    /// Creates a problem of an entire file, with the severity and the advice of its kind.
    pub fn of_file(kind: ProblemKind, message: impl Into<String>) -> Self {
        let (severity, advice) = (kind.severity(), kind.advice());
        Self { kind, severity, n_records: 0, first: Vec::new(), message: message.into(), advice }
    }
}

/// A class or value and the number of its records.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ValueCount {
    /// The class name, or the value as written in the file.
    pub value: String,
    /// Number of records.
    pub n_records: usize,
}

/// Statistics of the lengths of texts, or of the sizes of trees.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LengthStats {
    /// The minimum.
    pub min: usize,
    /// The median: half of the texts are not longer.
    pub median: usize,
    /// The mean.
    pub mean: f64,
    /// The 95th percentile: 95 % of the texts are not longer.
    pub p95: usize,
    /// The maximum.
    pub max: usize,
}

impl LengthStats {
    /// Returns the statistics of these lengths; `None` if there are no lengths.
    pub(crate) fn from_values(mut lengths: Vec<u32>) -> Option<Self> {
        lengths.sort_unstable();
        let (min, max) = (*lengths.first()?, *lengths.last()?);
        // The smallest length that this percentage of the texts does not exceed.
        let quantile = |percent: usize| lengths[(lengths.len() * percent).div_ceil(100).max(1) - 1] as usize;
        let mean = lengths.iter().map(|&length| f64::from(length)).sum::<f64>() / lengths.len() as f64;
        Some(Self { min: min as usize, median: quantile(50), mean, p95: quantile(95), max: max as usize })
    }
}

/// A problem of a file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Problem {
    /// Its kind.
    pub kind: ProblemKind,
    /// Its effect on training.
    pub severity: Severity,
    /// Number of affected records; 0 for a problem of the entire file.
    pub n_records: usize,
    /// Numbers of the first few affected records, from 1.
    pub first: Vec<usize>,
    /// Description of the problem and its consequences for training.
    pub message: String,
    /// Advice on how to fix it.
    pub advice: &'static str,
}

/// The kinds of [`Problem`]; [`ProblemKind::severity`] and [`ProblemKind::advice`] are in one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The rest of the file cannot be read.
    Unreadable,
    /// Records that cannot be read.
    BrokenRecords,
    /// Rows with values beyond the named columns, or in columns that are empty otherwise.
    ShiftedRows,
    /// No column was recognized as text, or several.
    NoTextColumn,
    /// No column was recognized as label, or several.
    NoLabelColumn,
    /// Texts that are null, missing or not strings.
    NoText,
    /// Images whose files do not exist or cannot be read.
    MissingImageFiles,
    /// Images that are empty files, web pages, or otherwise no images.
    NotImages,
    /// Images in a format that is not supported.
    UnsupportedImages,
    /// Images that are truncated or corrupted.
    BrokenImages,
    /// Images with more pixels than the limit.
    LargeImages,
    /// Labels that are null, missing or blank.
    NoLabel,
    /// Labels that map to no class.
    UnknownLabels,
    /// More values than a label column should have.
    ManyLabels,
    /// A class without records.
    EmptyClass,
    /// Texts that are numbers, dates or links.
    NotTexts,
    /// All texts are equal.
    IdenticalTexts,
    /// Two files have the same records.
    SameFile,
    /// Texts of a file that occur in another one.
    Leak,
    /// A word that almost only the texts of one class contain, and that is its label.
    LabelInText,
    /// Labels that are numbers, or `true` and `false`, without given classes.
    NumericLabels,
    /// A column that was chosen without much evidence.
    UncertainColumn,
    /// The same text under different labels.
    ConflictingLabels,
    /// Exact duplicates of an earlier text.
    Duplicates,
    /// Texts without words.
    EmptyTexts,
    /// Texts that were decoded with a wrong encoding, such as `cafÃ©`.
    Mojibake,
    /// Line breaks of several kinds.
    MixedLineEnds,
    /// One class is more than ten times as frequent as another.
    Imbalance,
    /// Domains that consist almost entirely of one class.
    OneSidedDomains,
    /// One domain is more than ten times as frequent as another.
    DomainImbalance,
    /// A column, other than the label, that determines the label.
    LeakyColumn,
    /// A column of events or domains that groups the records.
    GroupedRecords,
    /// Names of columns with invisible characters.
    InvisibleNames,
    /// Texts with invisible characters, such as U+200B.
    InvisibleCharacters,
    /// A separator other than that of the file extension.
    OtherSeparator,
    /// The file has no header.
    NoHeader,
    /// Quotes are plain text.
    PlainQuotes,
    /// A column that numbers the rows.
    RowNumbers,
    /// Texts of more than 10,000 words.
    LongTexts,
    /// Texts that contain HTML escapes, such as `&amp;`.
    HtmlEscapes,
}

/// Reads an entire file and returns its counts, lengths and problems.
///
/// Text, label, domain and image are inspected if `options` names their columns. Each distinct image is decoded, with the default
/// limit of its number of pixels. Without `classes` every label value is
/// counted as written. Broken records are counted and, where the format allows, skipped. Memory use is some dozens of
/// bytes per record; texts are not stored.
///
/// # Errors
/// The file cannot be opened, is empty, starts in another encoding, or lacks a named column.
pub fn inspect(
    path: impl AsRef<Path>,
    options: &ReadOptions,
    classes: Option<&Classes>,
) -> Result<Inspection> {
    let path = path.as_ref();
    let (file, format, options) = open_file(path, options)?;
    let mut source = Source::new(file, path, &options)?;
    let columns = &options.columns;
    columns.select_in(&mut source, false)?;
    let mut collector = Collector::new(columns, classes, image_dir(path, &options));
    loop {
        match source.next_record() {
            Ok(Some(raw)) => {
                if collector.is_empty() {
                    columns.check_object(&raw.fields, path)?;
                }
                collector.add(&raw);
            }
            Ok(None) if collector.is_empty() => return Err(source.no_records()),
            Ok(None) => break,
            // Before the first record such an error concerns the entire file.
            Err(error) if !error.is_recoverable && collector.is_empty() => return Err(error.error),
            Err(error) => collector.add_broken(error),
        }
    }
    Ok(collector.finish(path.to_owned(), format, source.columns().to_vec()))
}
