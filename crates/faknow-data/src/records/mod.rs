//! Records of posts, read one by one from JSON, JSON lines, CSV or TSV, whatever the size of the file.

mod delimited;
mod encoding;
mod extract;
mod json;
mod labels;
mod options;
mod source;

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(crate) use extract::{domain_of, text_of};
pub(crate) use labels::check_class_number;
pub use labels::{Classes, RawLabel, UnknownLabel};
pub use options::{ColumnMap, Format, ReadOptions};
pub(crate) use source::{Broken, RawRecord, Source, open_file};

use crate::Result;
use extract::Extract;

/// One post of a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its place in the file, from 1, a header not counted.
    pub number: usize,
    /// The text as it stands in the file; it may be empty.
    pub text: String,
    /// Its class, if classes and a label column were given.
    pub label: Option<usize>,
    /// Its domain, if a domain column was given and this record's is neither null nor blank.
    pub domain: Option<String>,
    /// The further columns that were asked for, or all; fields of CSV and TSV are strings.
    pub fields: Map<String, Value>,
}

impl Record {
    /// Creates a post of this text, without label and domain: what prediction starts from.
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

    /// Returns the same post with this class, a number from 0.
    #[must_use]
    pub fn with_label(self, class: usize) -> Self {
        Self { label: Some(class), ..self }
    }
}

/// Reads the records of a file one after the other; memory holds one of them.
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
/// After an error it is at its end. The errors name the file, the record and the field; `docs/data-formats.md` lists
/// what is accepted.
pub struct RecordReader {
    path: PathBuf,
    source: Source,
    extract: Extract,
    /// Read in advance, to check the columns.
    first: Option<RawRecord>,
    finished: bool,
}

impl RecordReader {
    /// Opens a file and checks that it is in UTF-8, has the columns and at least one record.
    ///
    /// Labels are read if both `classes` and a label column are given.
    ///
    /// # Errors
    /// A file that cannot be read, is empty, in another encoding or format, without the named columns, or whose
    /// first record is broken; options without a text column.
    pub fn open(path: impl AsRef<Path>, options: &ReadOptions, classes: Option<&Classes>) -> Result<Self> {
        let path = path.as_ref();
        let (file, _, options) = open_file(path, options)?;
        Self::from_reader(file, path, &options, classes)
    }

    /// Reads records from `reader`, for example standard input; `name` stands for the path in errors.
    ///
    /// Without a format in `options`, only JSON and JSON lines are understood.
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
        let extract = Extract::new(&options.columns, options.keep_all, classes)?;
        let mut source = Source::new(reader, &path, options)?;
        source.select(&extract.wanted(), options.keep_all)?;
        let first = match source.next_record() {
            Ok(Some(first)) => first,
            Ok(None) => return Err(source.no_records()),
            Err(broken) => return Err(broken.error),
        };
        Ok(Self { path, source, extract, first: Some(first), finished: false })
    }

    /// Names of the columns: the header's, `"1"`, `"2"`, … without a header, or the keys of the first JSON object.
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
            None => self.source.next_record().map_err(|broken| broken.error),
        };
        let record = match raw {
            Ok(raw) => raw.map(|raw| self.extract.record(raw, &self.path)),
            Err(error) => Some(Err(error)),
        };
        self.finished = !matches!(record, Some(Ok(_)));
        record
    }
}

/// Returns all records of a file; for large files prefer [`RecordReader`].
///
/// # Errors
/// As [`RecordReader::open`], and any broken record.
pub fn read_all(
    path: impl AsRef<Path>,
    options: &ReadOptions,
    classes: Option<&Classes>,
) -> Result<Vec<Record>> {
    RecordReader::open(path, options, classes)?.collect()
}

/// Names of the columns of a file, as [`RecordReader::columns`] gives them, whatever they are called.
///
/// # Errors
/// As [`RecordReader::open`]; no column is asked for.
pub fn read_columns(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Vec<String>> {
    let path = path.as_ref();
    let (file, _, options) = open_file(path, options)?;
    let mut source = Source::new(file, path, &options)?;
    source.select(&[], false)?;
    match source.next_record() {
        Ok(Some(_)) => Ok(source.columns().to_vec()),
        Ok(None) => Err(source.no_records()),
        Err(broken) => Err(broken.error),
    }
}
