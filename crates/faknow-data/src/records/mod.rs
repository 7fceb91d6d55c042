//! Records of posts, read one at a time from JSON, JSON lines, CSV, TSV, spreadsheet or Parquet files.

mod arrays;
mod columns;
mod decoder;
mod delimited;
mod delimiter;
mod detect;
mod encoding;
#[cfg(feature = "excel")]
mod excel;
mod extract;
mod image_path;
mod json;
mod json_error;
mod json_scan;
mod json_shape;
mod labels;
mod left_out;
mod lines;
mod missing;
mod options;
#[cfg(feature = "parquet")]
mod parquet_file;
mod rows;
mod script;
mod source;
#[cfg(any(feature = "excel", feature = "parquet"))]
mod table;
mod text_reader;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use columns::{TEXT_SEPARATOR, TextColumns};
pub(crate) use columns::{text_of, value_at};
pub(crate) use delimited::DelimitedReader;
pub use delimiter::Delimiter;
pub use detect::{EncodingCandidate, encoding_candidates};
pub use encoding::Encoding;
pub(crate) use extract::domain_of;
pub(crate) use image_path::{image_dir, image_of};
pub use labels::{Classes, RawLabel, UnknownLabel};
pub(crate) use labels::{check_class_index, integer};
pub use left_out::{LeftOut, SkipBroken};
pub use missing::{MISSING_VALUES, is_missing};
pub use options::{ColumnMap, Format, ReadOptions};
pub(crate) use source::{RawRecord, ReadError, Source, open_file, read_start};

use crate::image::{ImageOrigin, ImageSource};
use crate::input::{Input, input_error, input_name};
use crate::{Error, Result};
use extract::Extractor;

/// One post of a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its position in the file, from 1, not counting a header.
    pub number: usize,
    /// The text as written in the file, of several columns joined by [`TEXT_SEPARATOR`]; empty only if
    /// [`ReadOptions::accept_missing_texts`] is set, or the record has an image.
    pub text: String,
    /// Whether the text is missing rather than blank: absent, null, or a placeholder such as `NaN`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_missing: bool,
    /// The index of its class, if classes and a label column were given.
    pub label: Option<usize>,
    /// Its domain, if a domain column was given and its value is neither null nor blank.
    pub domain: Option<String>,
    /// Its further texts by name, those of [`ColumnMap::texts`] that it has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub texts: BTreeMap<String, String>,
    /// Its numeric features by name, those of [`ColumnMap::features`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub features: BTreeMap<String, Vec<f32>>,
    /// The comments on the post, if a column of comments was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comments: Vec<String>,
    /// The image of the post, if an image column was given and its value is not missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageSource>,
    /// Where the image is named, for messages; none for records that are not from a file.
    #[serde(skip)]
    pub image_origin: Option<ImageOrigin>,
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
    skip_broken: SkipBroken,
    left_out: LeftOut,
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
        let image_dir = image_dir(path, options);
        let path = input_name(path);
        let extractor = Extractor::new(options, classes, &path, image_dir)?;
        let mut source = Source::new(input, &path, options)?;
        extractor.columns().select_in(&mut source, options.keep_all)?;
        let (skip_broken, mut left_out) = (options.skip_broken, LeftOut::new(&options.drop_labels));
        let Some(first) = next_raw(&mut source, skip_broken, &mut left_out).transpose()? else {
            if left_out.n_broken == 0 {
                return Err(source.no_records());
            }
            let problems = left_out.first_problems();
            return Err(Error::file(
                path,
                format!("expected valid records, got only broken ones: {problems}"),
            ));
        };
        extractor.columns().check_object(&first.fields, &path)?;
        Ok(Self { path, source, extractor, first: Some(first), finished: false, skip_broken, left_out })
    }

    /// Returns the names of the columns: those of the header, `"1"`, `"2"`, … without a header, or the keys of the first
    /// JSON object.
    pub fn columns(&self) -> &[String] {
        self.source.columns()
    }

    /// Returns the records that were left out so far: broken ones, and those with dropped labels.
    pub fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    /// Returns the next record that is not left out.
    fn next_record(&mut self) -> Option<Result<Record>> {
        loop {
            let raw = match self.first.take() {
                Some(first) => first,
                None => match next_raw(&mut self.source, self.skip_broken, &mut self.left_out)? {
                    Ok(raw) => raw,
                    Err(error) => return Some(Err(error)),
                },
            };
            match self.extractor.record(raw, &self.path) {
                Ok(Ok(record)) => return Some(Ok(record)),
                Ok(Err(dropped)) => self.left_out.dropped[dropped].1 += 1,
                Err(error) if error.can_skip() => {
                    if let Err(error) = self.left_out.skip(error, self.skip_broken) {
                        return Some(Err(error));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Returns the next record that can be parsed.
fn next_raw(
    source: &mut Source,
    skip_broken: SkipBroken,
    left_out: &mut LeftOut,
) -> Option<Result<RawRecord>> {
    loop {
        let raw = source.next_record();
        left_out.n_records += usize::from(!matches!(raw, Ok(None)));
        match raw {
            Ok(raw) => return raw.map(Ok),
            Err(ReadError { error, is_recoverable: true }) => {
                if let Err(error) = left_out.skip(error, skip_broken) {
                    return Some(Err(error));
                }
            }
            Err(ReadError { error, .. }) => return Some(Err(error)),
        }
    }
}

impl Iterator for RecordReader {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        let record = self.next_record().or_else(|| {
            if let Some(problem) = self.left_out.problem(self.skip_broken) {
                return Some(Err(Error::file(&self.path, problem)));
            }
            self.extractor.missing_column(&self.path, self.columns()).map(Err)
        });
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
