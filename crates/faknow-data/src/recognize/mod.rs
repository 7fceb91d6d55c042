//! Recognition of files: format, separator, header, quoting, columns and classes, by the first records.
//!
//! The rules are in tables: usual names of columns in `names.rs`, known label values in `labels.rs`.

mod columns;
mod findings;
mod labels;
mod layout;
mod names;
mod profile;
mod sample;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use columns::ColumnChoice;
pub use labels::{LabelMeaning, RecognizedClasses};
pub use sample::recognize_classes;

use crate::common::without_invisible;
use crate::inspect::Problem;
use crate::records::{Delimiter, Encoding, Format, ReadOptions, TextColumns};
use crate::{Error, Result};
use columns::Columns;
use findings::Examined;
use layout::{Known, Layout, recognize_layout};
use profile::Profile;
use sample::{Sample, read_records};

/// How sure an assumption is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Nothing speaks for it except that something must be assumed.
    Guess,
    /// More likely than anything else.
    Likely,
    /// Everything speaks for it.
    Certain,
    /// It was given.
    Given,
}

impl fmt::Display for Confidence {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Guess => "guess",
            Self::Likely => "likely",
            Self::Certain => "certain",
            Self::Given => "given",
        })
    }
}

/// A recognized value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Assumption<T> {
    /// The value.
    pub value: T,
    /// How sure it is.
    pub confidence: Confidence,
    /// Why it was assumed.
    pub reason: String,
}

impl<T> Assumption<T> {
    /// Creates the assumption of a given value.
    pub fn given(value: T) -> Self {
        Self { value, confidence: Confidence::Given, reason: "given".to_owned() }
    }
}

/// What is known about a file in advance; the rest is recognized.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KnownLayout {
    /// The format.
    pub format: Option<Format>,
    /// The character encoding; UTF-8 unless given or marked.
    pub encoding: Option<Encoding>,
    /// The separator of CSV and TSV.
    pub delimiter: Option<Delimiter>,
    /// Whether the first row of CSV and TSV names the columns.
    pub header: Option<bool>,
    /// Whether fields of CSV and TSV may be quoted.
    pub quotes: Option<bool>,
    /// The columns of the text.
    pub text: Option<TextColumns>,
    /// The column of the label.
    pub label: Option<String>,
    /// The column of the domain.
    pub domain: Option<String>,
    /// The column of the image.
    pub image: Option<String>,
}

/// What was recognized about a file of records.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recognition {
    /// The file.
    pub path: PathBuf,
    /// The format.
    pub format: Assumption<Format>,
    /// The separator of CSV and TSV.
    pub delimiter: Option<Assumption<Delimiter>>,
    /// Whether the first row of CSV and TSV names the columns.
    pub header: Option<Assumption<bool>>,
    /// Whether fields of CSV and TSV may be quoted.
    pub quotes: Option<Assumption<bool>>,
    /// The encoding that was given.
    pub encoding: Option<Encoding>,
    /// All columns.
    pub columns: Vec<String>,
    /// The column of the text.
    pub text: ColumnChoice,
    /// The column of the label.
    pub label: ColumnChoice,
    /// The column of the domain (topic, event).
    pub domain: Option<Assumption<String>>,
    /// The column of the paths of image files; [`read_options`](Self::read_options) does not contain it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Assumption<String>>,
    /// The column of identifiers or row numbers.
    pub id: Option<Assumption<String>>,
    /// The distinct label values of the records that were examined, in alphabetical order; empty if there are many.
    pub label_values: Vec<String>,
    /// Number of records that were examined.
    pub n_examined: usize,
    /// Problems that these records show.
    #[serde(skip)]
    pub problems: Vec<Problem>,
}

impl Recognition {
    /// Returns the options that read the file as recognized, with the columns that were found.
    pub fn read_options(&self) -> ReadOptions {
        let mut options = self.layout_options();
        options.columns.text = self.text.name().map(TextColumns::from);
        options.columns.label = self.label.name().map(str::to_owned);
        options
    }

    fn layout_options(&self) -> ReadOptions {
        ReadOptions {
            format: Some(self.format.value),
            encoding: self.encoding,
            delimiter: self.delimiter.as_ref().map(|it| it.value),
            header: self.header.as_ref().is_none_or(|it| it.value),
            quotes: self.quotes.as_ref().is_none_or(|it| it.value),
            ..ReadOptions::default()
        }
    }
}

/// Recognizes format, layout and columns of a file by its first records; what is `known` is not recognized.
///
/// Memory use is bounded: at most 1 MiB of the file is read.
///
/// ```
/// use faknow_data::{KnownLayout, recognize};
///
/// let directory = tempfile::tempdir()?;
/// let path = directory.path().join("posts.csv");
/// std::fs::write(&path, "Tweet;Verdict\nAliens endorse the mayor;fake\nRain is expected on Monday;real\n")?;
/// let found = recognize(&path, &KnownLayout::default())?;
/// assert_eq!(found.delimiter.as_ref().map(|it| it.value.to_string()), Some(";".to_owned()));
/// assert_eq!((found.text.name(), found.label.name()), (Some("Tweet"), Some("Verdict")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The file cannot be read, is empty, or contains no records.
pub fn recognize(path: impl AsRef<Path>, known: &KnownLayout) -> Result<Recognition> {
    let path = path.as_ref();
    let format = known.format.or_else(|| Format::from_path(path).ok());
    let sample = match format.is_none_or(is_text) {
        true => Some(Sample::read(path, known.encoding)?),
        false => None,
    };
    let format = match (&sample, format) {
        (None, Some(format)) => {
            Assumption { value: format, confidence: Confidence::Certain, reason: "file extension".to_owned() }
        }
        (Some(sample), _) => recognize_format(path, sample, known)?,
        (None, None) => return Err(Error::file(path, "unknown format")),
    };
    let mut found = Recognition {
        path: path.to_owned(),
        format,
        delimiter: None,
        header: None,
        quotes: None,
        encoding: known.encoding,
        columns: Vec::new(),
        text: ColumnChoice::Missing { reason: String::new() },
        label: ColumnChoice::Missing { reason: String::new() },
        domain: None,
        image: None,
        id: None,
        label_values: Vec::new(),
        n_examined: 0,
        problems: Vec::new(),
    };
    if let Some(sample) = &sample
        && matches!(found.format.value, Format::Csv | Format::Tsv)
    {
        let columns: Vec<&str> =
            [&known.label, &known.domain, &known.image].into_iter().flatten().map(String::as_str).collect();
        let texts = known.text.as_ref().map(ToString::to_string).unwrap_or_default();
        let columns: Vec<&str> =
            columns.into_iter().chain(texts.split(',')).map(str::trim).filter(|it| !it.is_empty()).collect();
        let layout_known = Known {
            separator: known.delimiter,
            quotes: known.quotes,
            header: known.header,
            default: default_separator(found.format.value),
            columns: &columns,
        };
        if let Some(Layout { separator, quotes, header }) =
            recognize_layout(path, &sample.text, sample.is_complete, &layout_known)
        {
            (found.delimiter, found.quotes, found.header) = (Some(separator), Some(quotes), Some(header));
        }
    }
    let (columns, records) = read_records(path, sample.as_ref(), &found)?;
    let profiles = Profile::of_records(&columns, &records);
    let has_names = found.header.as_ref().is_none_or(|header| header.value);
    let candidates = Columns::new(&profiles, has_names);
    let text = known.text.as_ref().map(ToString::to_string);
    let given = |name: &Option<String>| name.clone().map(|name| ColumnChoice::Found(Assumption::given(name)));
    found.label = given(&known.label).unwrap_or_else(|| candidates.label(text.as_deref()));
    found.text = given(&text).unwrap_or_else(|| candidates.text(found.label.name()));
    let taken = [found.text.name(), found.label.name()];
    let domain = known.domain.clone().map(Assumption::given).or_else(|| candidates.domain(taken));
    found.image = known.image.clone().map(Assumption::given).or_else(|| candidates.image(taken));
    let id = candidates.id(taken);
    if let Some(profile) = profiles.iter().find(|it| Some(it.name.as_str()) == found.label.name()) {
        found.label_values = profile.few_values();
    }
    (found.domain, found.id, found.columns, found.n_examined) = (domain, id, columns, records.len());
    let text = sample.as_ref().map(|sample| sample.text.as_str());
    found.problems = Examined { found: &found, profiles: &profiles, records: &records, text }.problems();
    Ok(found)
}

/// Recognizes the format by the content, and by the file extension where both JSON and delimited text are possible.
fn recognize_format(path: &Path, sample: &Sample, known: &KnownLayout) -> Result<Assumption<Format>> {
    if let Some(format) = known.format {
        return Ok(Assumption::given(format));
    }
    let extension = Format::from_path(path);
    let assume =
        |value, confidence, reason: &str| Ok(Assumption { value, confidence, reason: reason.into() });
    let start = sample.text.trim_start();
    if start.is_empty() {
        return Err(Error::file(path, "the file is empty"));
    }
    let is_json = match start.as_bytes()[0] {
        b'{' => start.lines().next().is_some_and(|line| is_object(line) || !line.contains([',', ';', '\t'])),
        b'[' => start[1..].trim_start().starts_with(['{', ']']),
        _ => false,
    };
    let is_lines = start.starts_with('{');
    match (is_json, extension) {
        (true, Ok(format @ (Format::Json | Format::Jsonl))) => {
            assume(format, Confidence::Certain, "file extension and content")
        }
        (true, _) => {
            let format = if is_lines { Format::Jsonl } else { Format::Json };
            assume(format, Confidence::Certain, "the content is JSON")
        }
        (false, Ok(format @ (Format::Csv | Format::Tsv))) => {
            assume(format, Confidence::Certain, "file extension")
        }
        (false, other) => {
            let known = Known {
                separator: None,
                quotes: None,
                header: None,
                default: Delimiter::COMMA,
                columns: &[],
            };
            match (recognize_layout(path, &sample.text, sample.is_complete, &known), other) {
                (Some(layout), _) if layout.separator.confidence == Confidence::Certain => {
                    let format =
                        if layout.separator.value == Delimiter::TAB { Format::Tsv } else { Format::Csv };
                    assume(format, Confidence::Likely, "the content is delimited text")
                }
                (_, Ok(format)) => assume(format, Confidence::Guess, "file extension"),
                (_, Err(error)) => Err(error),
            }
        }
    }
}

fn is_object(line: &str) -> bool {
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(line).is_ok()
}

fn default_separator(format: Format) -> Delimiter {
    if format == Format::Tsv { Delimiter::TAB } else { Delimiter::COMMA }
}

/// Returns whether files of a format are text.
fn is_text(format: Format) -> bool {
    matches!(format, Format::Json | Format::Jsonl | Format::Csv | Format::Tsv)
}

/// Returns whether two names of columns are equal, apart from invisible characters and surrounding blanks.
fn same_name(a: &str, b: &str) -> bool {
    without_invisible(a).trim() == without_invisible(b).trim()
}
