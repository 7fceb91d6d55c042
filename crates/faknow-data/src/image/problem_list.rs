//! The problems of the images of a dataset.

use std::fmt;
use std::path::PathBuf;

use super::source::ImageOrigin;
use super::{ImageProblem, ImageSource};
use crate::Error;
use crate::common::printable_path;

/// Maximum number of problems that are stored.
const MAX_LISTED: usize = 10;
/// The field of images without a column.
const FIELD: &str = "image";

/// An image that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordProblem {
    /// The file of the record; empty for records that do not come from a file.
    pub file: PathBuf,
    /// Number of the record, from 1.
    pub record: usize,
    /// Name of the field.
    pub field: String,
    /// Path of the image, or its number of bytes.
    pub image: String,
    /// The problem.
    pub problem: ImageProblem,
}

impl RecordProblem {
    pub(super) fn new(
        origin: Option<&ImageOrigin>,
        record: usize,
        source: &ImageSource,
        problem: ImageProblem,
    ) -> Self {
        let file = origin.map(|origin| origin.file.to_path_buf()).unwrap_or_default();
        let field = origin.map_or(FIELD, |origin| &origin.column).to_owned();
        Self { file, record, field, image: source.name(), problem }
    }
}

impl fmt::Display for RecordProblem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.as_os_str().is_empty() {
            write!(out, "{}: ", printable_path(&self.file))?;
        }
        write!(out, "record {}, field `{}`: {}: {}", self.record, self.field, self.image, self.problem)
    }
}

/// The images of a dataset that cannot be used: their number and the first 10. The `Display` is a warning in one line.
///
/// ```
/// use std::path::Path;
///
/// use faknow_data::image::{ImageOptions, ImageSource, OnImageProblem};
/// use faknow_data::text::{Tokenizer, TokenizerConfig, VocabOptions};
/// use faknow_data::{FieldDataset, Record};
///
/// let tokenizer = Tokenizer::new(TokenizerConfig::default())?;
/// let image = Some(ImageSource::File("no such image.jpg".into()));
/// let records = [Ok(Record { image, number: 1, ..Record::new("Rain on the moon") })];
/// let (data, _) = FieldDataset::build(records, &tokenizer, &VocabOptions::default())?;
/// let options = ImageOptions { on_problem: OnImageProblem::Missing, ..ImageOptions::default() };
/// let data = data.load_images(&options)?;
/// assert_eq!(data.image_problems().map(|problems| problems.n_problems()), Some(1));
/// # Ok::<(), faknow_data::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageProblems {
    n_problems: usize,
    first: Vec<RecordProblem>,
}

impl ImageProblems {
    pub(super) fn push(&mut self, problem: impl FnOnce() -> RecordProblem) {
        self.n_problems += 1;
        if self.first.len() < MAX_LISTED {
            self.first.push(problem());
        }
    }

    /// Returns the number of records whose images cannot be used.
    pub fn n_problems(&self) -> usize {
        self.n_problems
    }

    /// Returns the first problems in the order of the records, at most 10.
    pub fn first(&self) -> &[RecordProblem] {
        &self.first
    }

    /// Returns the first problem as an error, which says what to do.
    pub(super) fn error(&self) -> Option<Error> {
        let first = self.first.first()?;
        let more = match self.n_problems {
            1 => String::new(),
            n => format!(" ({n} images of records in all)"),
        };
        let message = format!(
            "{}: {}{more}; replace or remove it, or set `image.on_problem = \"missing\"` to read such posts without an image",
            first.image, first.problem
        );
        Some(match first.file.as_os_str().is_empty() {
            true => Error::Dataset(format!("record {}, field `{}`: {message}", first.record, first.field)),
            false => Error::record(&first.file, first.record, Some(&first.field), message),
        })
    }
}

impl fmt::Display for ImageProblems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} images cannot be used and count as missing", self.n_problems)?;
        match self.first.first() {
            Some(first) => write!(out, "; first: {first}"),
            None => Ok(()),
        }
    }
}
