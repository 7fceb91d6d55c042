//! The layout of delimited text by its content: separator, quoting, header.

use std::io::Cursor;
use std::path::Path;

use serde_json::{Map, Value};

use super::names::role_of;
use super::profile::{Profile, is_number};
use super::{Assumption, Confidence};
use crate::Delimiter;
use crate::input::Input;
use crate::records::{DelimitedReader, ReadOptions};

/// Separators in the order of their frequency in public files.
const SEPARATORS: [Delimiter; 4] = [Delimiter::COMMA, Delimiter::TAB, Delimiter::SEMICOLON, Delimiter::PIPE];
/// Number of rows that are parsed with each separator; with the chosen one, the entire sample is parsed.
const MAX_ROWS: usize = 300;
/// Minimum share of the rows that have the number of fields of the first one.
const MIN_REGULAR: f64 = 0.5;
/// Number of words from which a field is not a name.
const MAX_NAME_WORDS: f64 = 5.0;

/// The start of a file.
struct Start<'a> {
    path: &'a Path,
    sample: &'a str,
    /// Whether it ends where the file ends.
    is_complete: bool,
}

/// The rows of a sample, parsed with one separator.
struct Parsed {
    separator: Delimiter,
    n_fields: usize,
    rows: Vec<Vec<String>>,
    n_broken: usize,
}

impl Parsed {
    /// Parses the first rows of a sample.
    fn new(start: &Start<'_>, separator: Delimiter, quotes: bool, max_rows: usize) -> Self {
        let Start { path, sample, is_complete } = *start;
        let mut parsed = Self { separator, n_fields: 0, rows: Vec::new(), n_broken: 0 };
        let options =
            ReadOptions { header: false, quotes, delimiter: Some(separator), ..ReadOptions::default() };
        let bytes = Input::from_reader(Cursor::new(sample.as_bytes().to_vec()));
        let reader =
            bytes.map_err(Into::into).and_then(|it| DelimitedReader::new(it, path, separator, &options));
        let Ok(mut reader) = reader else {
            parsed.n_broken = 1;
            return parsed;
        };
        parsed.n_fields = reader.columns().len();
        while parsed.rows.len() + parsed.n_broken < max_rows {
            match reader.next_record() {
                Ok(Some(record)) => {
                    let field = |name: &String| match record.fields.get(name) {
                        Some(Value::String(text)) => text.clone(),
                        _ => String::new(),
                    };
                    parsed.rows.push(reader.columns().iter().map(field).collect());
                }
                Ok(None) => break,
                Err(error) if error.is_recoverable => parsed.n_broken += 1,
                // The end of the sample may be inside a quoted field.
                Err(_) => {
                    parsed.n_broken += usize::from(is_complete || parsed.rows.is_empty());
                    break;
                }
            }
        }
        parsed
    }

    /// Returns the share of regular rows.
    fn regular(&self) -> f64 {
        self.rows.len() as f64 / (self.rows.len() + self.n_broken).max(1) as f64
    }
}

/// The recognized layout of delimited text.
pub(super) struct Layout {
    pub(super) separator: Assumption<Delimiter>,
    pub(super) quotes: Assumption<bool>,
    pub(super) header: Assumption<bool>,
}

/// What is known in advance.
pub(super) struct Known<'a> {
    /// The separator that was given.
    pub(super) separator: Option<Delimiter>,
    /// Whether quoting was given.
    pub(super) quotes: Option<bool>,
    /// Whether a header was given.
    pub(super) header: Option<bool>,
    /// The separator of the file extension.
    pub(super) default: Delimiter,
    /// The columns that the file should have.
    pub(super) columns: &'a [&'a str],
}

/// Recognizes the layout of a sample; `None` if it is not delimited text with at least two columns.
pub(super) fn recognize_layout(
    path: &Path,
    sample: &str,
    is_complete: bool,
    known: &Known<'_>,
) -> Option<Layout> {
    let candidates: Vec<Delimiter> = match known.separator {
        Some(separator) => vec![separator],
        None => SEPARATORS.to_vec(),
    };
    let start = Start { path, sample, is_complete };
    let parse = |separator| with_quotes(&start, separator, known.quotes, MAX_ROWS);
    let mut parsed: Vec<(Parsed, Assumption<bool>)> = candidates.into_iter().map(parse).collect();
    if known.separator.is_none() {
        parsed.retain(|(it, _)| it.n_fields > 1 && it.regular() >= MIN_REGULAR && !it.rows.is_empty());
    }
    // The most regular rows; of equal ones those with the usual separator, then those with the most fields.
    let rank =
        |it: &Parsed| ((it.regular() * 50.0).round() as u32, it.separator == known.default, it.n_fields);
    let (mut best, mut quotes) = parsed.into_iter().max_by_key(|(it, _)| rank(it))?;
    if quotes.confidence < Confidence::Certain && sample.contains('"') {
        (best, quotes) = with_quotes(&start, best.separator, known.quotes, usize::MAX);
    }
    let reason = match best.n_broken {
        0 => format!("{} fields in each row", best.n_fields),
        n => format!("{} fields in {} of {} rows", best.n_fields, best.rows.len(), best.rows.len() + n),
    };
    let confidence = match (known.separator, best.n_broken) {
        (Some(_), _) => Confidence::Given,
        (None, 0) if best.rows.len() > 1 => Confidence::Certain,
        _ => Confidence::Likely,
    };
    let separator = Assumption { value: best.separator, confidence, reason };
    let header = known.header.map_or_else(|| header(&best.rows, known.columns), Assumption::given);
    Some(Layout { separator, quotes, header })
}

/// Parses a sample with and without quoting, and returns the better result.
fn with_quotes(
    start: &Start<'_>,
    separator: Delimiter,
    given: Option<bool>,
    max_rows: usize,
) -> (Parsed, Assumption<bool>) {
    let parse = |quotes| Parsed::new(start, separator, quotes, max_rows);
    if let Some(quotes) = given {
        return (parse(quotes), Assumption::given(quotes));
    }
    let quoted = parse(true);
    let is_default =
        |reason: &str| Assumption { value: true, confidence: Confidence::Likely, reason: reason.into() };
    if !start.sample.contains('"') {
        return (quoted, is_default("the usual rule; no quotes occur"));
    }
    let plain = parse(false);
    if quoted.n_broken > 0 && plain.n_broken < quoted.n_broken && plain.n_fields > 1 {
        let reason = format!(
            "{} broken rows with quoting, {} without: quotes are plain text",
            quoted.n_broken, plain.n_broken
        );
        return (plain, Assumption { value: false, confidence: Confidence::Certain, reason });
    }
    if plain.n_broken > 0 && quoted.n_broken == 0 {
        let reason = "quoted fields contain separators or line breaks".to_owned();
        return (quoted, Assumption { value: true, confidence: Confidence::Certain, reason });
    }
    (quoted, is_default("the usual rule"))
}

/// Recognizes whether the first row names the columns.
fn header(rows: &[Vec<String>], columns: &[&str]) -> Assumption<bool> {
    let assume = |value, confidence, reason: String| Assumption { value, confidence, reason };
    let Some((first, rest)) = rows.split_first() else {
        return assume(true, Confidence::Guess, "the usual rule".into());
    };
    let are_indices = first.iter().enumerate().all(|(index, field)| field.trim().parse() == Ok(index));
    let is_number_of_column =
        |name: &&str| name.parse::<usize>().is_ok_and(|n| (1..=first.len()).contains(&n));
    if !columns.is_empty() && !are_indices && columns.iter().all(is_number_of_column) {
        return assume(false, Confidence::Certain, "columns are given by number".into());
    }
    let is_column = |name: &&&str| first.iter().any(|field| super::same_name(field, name));
    if let Some(name) = columns.iter().find(is_column) {
        return assume(true, Confidence::Certain, format!("the first row contains `{name}`"));
    }
    let usual: Vec<String> = first
        .iter()
        .filter(|field| role_of(field).is_some_and(|named| named.is_exact) && field.chars().count() < 30)
        .map(|field| format!("`{}`", field.trim()))
        .collect();
    let value_of = |index: usize| rest.iter().filter(move |row| row.get(index) == first.get(index)).count();
    // A value such as `fake` may be a usual name; a value that occurs again is not a name.
    let repeated = (0..first.len()).find(|&index| {
        !first[index].trim().is_empty() && value_of(index) * 20 > rest.len() && value_of(index) >= 2
    });
    if let Some(index) = repeated {
        let reason = format!("`{}` in the first row is a value of other rows", shortened(&first[index]));
        return assume(false, Confidence::Certain, reason);
    }
    if !usual.is_empty() {
        return assume(true, Confidence::Certain, format!("the first row has {}", usual.join(", ")));
    }
    if are_indices && first.len() > 1 {
        return assume(true, Confidence::Likely, "the first row numbers the columns".into());
    }
    let profiles = profiles(rest, first.len());
    for (field, profile) in first.iter().zip(&profiles) {
        let n_words = field.split_whitespace().count() as f64;
        if n_words >= MAX_NAME_WORDS && profile.mean_words() >= 3.0 {
            let reason = format!("the first row contains a text: `{}`", shortened(field));
            return assume(false, Confidence::Likely, reason);
        }
        if is_number(field.trim()) && profile.is_numeric() {
            return assume(
                false,
                Confidence::Likely,
                format!("the first row contains a number: `{}`", field.trim()),
            );
        }
    }
    match rest.is_empty() {
        true => assume(true, Confidence::Guess, "the usual rule".into()),
        false => assume(true, Confidence::Likely, "the values of the first row occur nowhere else".into()),
    }
}

fn profiles(rows: &[Vec<String>], n_columns: usize) -> Vec<Profile> {
    let columns: Vec<String> = (1..=n_columns).map(|n| n.to_string()).collect();
    let record = |row: &Vec<String>| -> Map<String, Value> {
        columns.iter().cloned().zip(row.iter().map(|field| Value::String(field.clone()))).collect()
    };
    Profile::of_records(&columns, &rows.iter().map(record).collect::<Vec<_>>())
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
