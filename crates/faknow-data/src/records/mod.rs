//! Records of posts, read one at a time from JSON, JSON lines, CSV or TSV files of any size.

mod columns;
mod decoder;
mod delimited;
mod delimiter;
mod detect;
mod encoding;
mod extract;
mod json;
mod labels;
mod missing;
mod options;
mod script;
mod source;
mod text_reader;

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use columns::{TEXT_SEPARATOR, TextColumns};
pub(crate) use columns::{text_of, value_at};
pub use delimiter::Delimiter;
pub use detect::{EncodingCandidate, encoding_candidates};
pub use encoding::Encoding;
pub(crate) use extract::domain_of;
pub(crate) use labels::check_class_index;
pub use labels::{Classes, RawLabel, UnknownLabel};
pub use missing::{MISSING_VALUES, is_missing};
pub use options::{ColumnMap, Format, ReadOptions};
pub(crate) use source::{RawRecord, ReadError, Source, open_file};

use crate::Result;
use crate::input::{Input, input_error, input_name};
use extract::Extractor;

/// One post of a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its position in the file, from 1, not counting a header.
    pub number: usize,
    /// The text as written in the file, of several columns joined by [`TEXT_SEPARATOR`]; empty only if
    /// [`ReadOptions::accept_missing_texts`] is set.
    pub text: String,
    /// The index of its class, if classes and a label column were given.
    pub label: Option<usize>,
    /// Its domain, if a domain column was given and its value is neither null nor blank.
    pub domain: Option<String>,
    /// The additional columns that were requested, or all of them; fields of CSV and TSV are strings.
    pub fields: Map<String, Value>,
}

impl Record {
    /// Creates a record with this text and no label or domain, as for prediction.
    ///
    /// ```
    /// use faknow_data::Record;
    ///
    /// let training = [Record::new("Rain on Monday").with_label(0), Record::new("Moon is cheese").with_label(1)];
    /// assert_eq!(training[1].label, Some(1));
    /// ```
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// Returns the same record with this class index.
    #[must_use]
    pub fn with_label(self, class: usize) -> Self {
        Self { label: Some(class), ..self }
    }
}

/// An iterator over the records of a file; memory holds one record at a time.
///
/// ```
/// use faknow_data::{Classes, ColumnMap, ReadOptions, RecordReader, Format};
///
/// let posts = "id,tweet,label\n1,\"Aliens, they say\",fake\n2,Rain tomorrow,real\n";
/// let columns = ColumnMap { text: Some("tweet".into()), label: Some("label".into()), ..Default::default() };
/// let options = ReadOptions { format: Some(Format::Csv), columns, ..Default::default() };
/// let classes = Classes::new(["real", "fake"])?;
/// let records = RecordReader::from_reader(posts.as_bytes(), "posts", &options, Some(&classes))?;
/// let records: Vec<_> = records.collect::<Result<_, _>>()?;
/// assert_eq!(records[0].text, "Aliens, they say");
/// assert_eq!(records[0].label, Some(1));
/// # Ok::<(), faknow_data::Error>(())
/// ```
///
/// Iteration ends after an error. Errors name the file, the record and the field; `docs/data-formats.md` describes
/// the accepted formats.
pub struct RecordReader {
    path: PathBuf,
    source: Source,
    extractor: Extractor,
    /// Read in advance, to check the columns.
    first: Option<RawRecord>,
    finished: bool,
}

impl RecordReader {
    /// Opens a file and checks that it is text, has the columns and at least one record; `-` is standard input.
    ///
    /// Files compressed by gzip or zstd are decompressed ([`Input`]).
    ///
    /// Labels are read if both `classes` and a label column are given.
    ///
    /// # Errors
    /// The file cannot be read, is empty, has another encoding or format, lacks a named column, or its first record is
    /// broken; or the options name no text column.
    pub fn open(path: impl AsRef<Path>, options: &ReadOptions, classes: Option<&Classes>) -> Result<Self> {
        let path = path.as_ref();
        let (input, _, options) = open_file(path, options)?;
        Self::from_input(input, path, &options, classes)
    }

    /// Reads records from `reader`, for example standard input; errors show `name` as the path.
    ///
    /// Without a format in `options`, the input must be JSON or JSON lines.
    ///
    /// # Errors
    /// As [`RecordReader::open`].
    pub fn from_reader(
        reader: impl Read + Send + 'static,
        name: impl Into<PathBuf>,
        options: &ReadOptions,
        classes: Option<&Classes>,
    ) -> Result<Self> {
        let path = name.into();
        let input = Input::from_reader(reader).map_err(|error| input_error(&path, error))?;
        Self::from_input(input, &path, options, classes)
    }

    fn from_input(
        input: Input,
        path: &Path,
        options: &ReadOptions,
        classes: Option<&Classes>,
    ) -> Result<Self> {
        let path = input_name(path);
        let extractor = Extractor::new(options, classes)?;
        let mut source = Source::new(input, &path, options)?;
        extractor.columns().select_in(&mut source, options.keep_all)?;
        let first = match source.next_record() {
            Ok(Some(first)) => first,
            Ok(None) => return Err(source.no_records()),
            Err(error) => return Err(error.error),
        };
        extractor.columns().check_object(&first.fields, &path)?;
        Ok(Self { path, source, extractor, first: Some(first), finished: false })
    }

    /// Returns the names of the columns: those of the header, `"1"`, `"2"`, … without a header, or the keys of the first
    /// JSON object.
    pub fn columns(&self) -> &[String] {
        self.source.columns()
    }
}

impl Iterator for RecordReader {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        let raw = match self.first.take() {
            Some(first) => Ok(Some(first)),
            None => self.source.next_record().map_err(|error| error.error),
        };
        let record = match raw {
            Ok(raw) => raw.map(|raw| self.extractor.record(raw, &self.path)),
            Err(error) => Some(Err(error)),
        };
        self.finished = !matches!(record, Some(Ok(_)));
        record
    }
}

/// Returns all records of a file; for large files prefer [`RecordReader`].
///
/// # Errors
/// As [`RecordReader::open`], or a record is broken.
pub fn read_all(
    path: impl AsRef<Path>,
    options: &ReadOptions,
    classes: Option<&Classes>,
) -> Result<Vec<Record>> {
    RecordReader::open(path, options, classes)?.collect()
}

/// Returns the names of the columns of a file, as [`RecordReader::columns`] does.
///
/// # Errors
/// As [`RecordReader::open`], but no column is required.
pub fn read_columns(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Vec<String>> {
    let path = path.as_ref();
    let (file, _, options) = open_file(path, options)?;
    let mut source = Source::new(file, path, &options)?;
    source.select(&[], false)?;
    match source.next_record() {
        Ok(Some(_)) => Ok(source.columns().to_vec()),
        Ok(None) => Err(source.no_records()),
        Err(error) => Err(error.error),
    }
}
