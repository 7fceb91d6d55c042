//! Counts and problems of a file, collected record by record.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::PathBuf;

use serde_json::{Map, Value};
use unicode_segmentation::UnicodeSegmentation;

use super::images::{BrokenImage, ImageChecker};
use super::problems::{class_problems, domain_problems};
use super::text_checks::TEXT_CHECKS;
use crate::inspect::{Inspection, LengthStats, Problem, ProblemKind, ValueCount};
use crate::records::RawLabel;
use crate::records::{ColumnMap, Format, RawRecord, ReadError, domain_of, image_of, text_of, value_at};
use crate::{Classes, Fingerprint};

/// Maximum number of records or domains that a problem lists.
pub(super) const MAX_LISTED: usize = 5;
/// Maximum number of distinct label values that are counted.
pub(super) const MAX_LABEL_VALUES: usize = 1_000;
const LONG_TEXT_WORDS: usize = 10_000;

pub(super) struct Collector<'a> {
    columns: &'a ColumnMap,
    classes: Option<&'a Classes>,
    n_records: usize,
    n_broken: usize,
    /// Number of records per label value or class name.
    labels: HashMap<String, usize>,
    domains: HashMap<String, usize>,
    /// Number of labeled records per domain and class.
    domain_classes: HashMap<String, HashMap<Label, usize>>,
    n_words: Vec<u32>,
    n_characters: Vec<u32>,
    /// The first label of each text, by a 128-bit hash, so that collisions are practically impossible.
    texts: HashMap<u128, Option<Label>>,
    occurrences: HashMap<ProblemKind, Occurrences>,
    images: ImageChecker,
    image_dir: PathBuf,
}

/// A class, or a hash of a label value.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Label(u64);

/// The records with a problem.
#[derive(Default)]
struct Occurrences {
    n_records: usize,
    first: Vec<usize>,
    /// A description of the first.
    example: String,
}

impl<'a> Collector<'a> {
    /// Creates a collector for a file whose images are relative to `image_dir`.
    pub(super) fn new(columns: &'a ColumnMap, classes: Option<&'a Classes>, image_dir: PathBuf) -> Self {
        Self {
            columns,
            classes,
            n_records: 0,
            n_broken: 0,
            labels: HashMap::new(),
            domains: HashMap::new(),
            domain_classes: HashMap::new(),
            n_words: Vec::new(),
            n_characters: Vec::new(),
            texts: HashMap::new(),
            occurrences: HashMap::new(),
            images: ImageChecker::new(),
            image_dir,
        }
    }

    /// Returns whether no record was added yet, not even a broken one.
    pub(super) fn is_empty(&self) -> bool {
        self.n_records + self.n_broken == 0
    }

    pub(super) fn add(&mut self, raw: &RawRecord) {
        self.n_records += 1;
        let label = self.add_label(raw.number, &raw.fields);
        if let Some(column) = &self.columns.domain
            && let Ok(Some(domain)) = domain_of(&raw.fields, column)
        {
            if let Some(label) = label {
                *self.domain_classes.entry(domain.clone()).or_default().entry(label).or_default() += 1;
            }
            *self.domains.entry(domain).or_default() += 1;
        }
        let Some(column) = &self.columns.text else {
            self.add_image(raw, false);
            return;
        };
        let text = text_of(&raw.fields, column);
        let has_image = self.add_image(raw, text.is_ok());
        match text {
            Ok(text) => self.add_text(raw.number, &text, label),
            Err(no_text) if no_text.is_missing && has_image => {}
            Err(no_text) => self.add_problem(ProblemKind::NoText, raw.number, || {
                no_text.message.trim_start_matches("missing text: ").to_owned()
            }),
        }
    }

    /// Adds the image of a record; returns whether it has one.
    fn add_image(&mut self, raw: &RawRecord, has_text: bool) -> bool {
        let Some(column) = &self.columns.image else { return false };
        let image = image_of(value_at(&raw.fields, column), &self.image_dir);
        let has_image = matches!(image, Ok(Some(_)));
        let broken = self.images.add(raw.number, image, has_text);
        self.add_broken_images(broken);
        has_image
    }

    fn add_broken_images(&mut self, broken: Vec<BrokenImage>) {
        for BrokenImage { record, kind, message } in broken {
            self.add_problem(kind, record, || message);
        }
    }

    pub(super) fn add_broken(&mut self, read_error: ReadError) {
        self.n_broken += 1;
        let number = match &read_error.error {
            crate::Error::Record { record, .. } => *record,
            _ => self.n_records + self.n_broken,
        };
        let kind =
            if read_error.is_recoverable { ProblemKind::BrokenRecords } else { ProblemKind::Unreadable };
        self.add_problem(kind, number, || match read_error.error {
            crate::Error::Record { message, .. } | crate::Error::File { message, .. } => message,
            other => other.to_string(),
        });
    }

    fn add_label(&mut self, number: usize, fields: &Map<String, Value>) -> Option<Label> {
        let column = self.columns.label.as_ref()?;
        let raw = match value_at(fields, column).map_or(Ok(None), RawLabel::from_value) {
            Ok(Some(raw)) => raw,
            Ok(None) => {
                self.add_problem(ProblemKind::NoLabel, number, || "null, missing or blank".into());
                return None;
            }
            Err(message) => {
                self.add_problem(ProblemKind::UnknownLabels, number, || message);
                return None;
            }
        };
        let value = match self.classes {
            None => raw.to_string(),
            Some(classes) => match classes.parse(&raw) {
                Ok(class) => classes.name(class).unwrap_or_default().to_owned(),
                Err(unknown) => {
                    self.add_problem(ProblemKind::UnknownLabels, number, || unknown.to_string());
                    return None;
                }
            },
        };
        let label = Label(fingerprint(&value, 0));
        if self.labels.len() < MAX_LABEL_VALUES || self.labels.contains_key(&value) {
            *self.labels.entry(value).or_default() += 1;
        } else {
            self.add_problem(ProblemKind::ManyLabels, number, || value);
        }
        Some(label)
    }

    fn add_text(&mut self, number: usize, text: &str, label: Option<Label>) {
        let n_words = text.unicode_words().count();
        self.n_words.push(u32::try_from(n_words).unwrap_or(u32::MAX));
        self.n_characters.push(u32::try_from(text.chars().count()).unwrap_or(u32::MAX));
        if n_words == 0 {
            self.add_problem(ProblemKind::EmptyTexts, number, || format!("`{text}`"));
        }
        if n_words > LONG_TEXT_WORDS {
            self.add_problem(ProblemKind::LongTexts, number, || format!("{n_words} words"));
        }
        for (kind, check) in TEXT_CHECKS {
            if let Some(example) = check(text) {
                self.add_problem(*kind, number, || example);
            }
        }
        if n_words == 0 {
            return; // empty texts are all the same
        }
        match self.texts.entry(hash(text)) {
            Entry::Vacant(entry) => {
                entry.insert(label);
            }
            Entry::Occupied(mut entry) => {
                let conflict = label.zip(*entry.get()).is_some_and(|(label, first)| label != first);
                *entry.get_mut() = entry.get().or(label);
                self.add_problem(ProblemKind::Duplicates, number, String::new);
                if conflict {
                    self.add_problem(ProblemKind::ConflictingLabels, number, String::new);
                }
            }
        }
    }

    fn add_problem(&mut self, kind: ProblemKind, number: usize, example: impl FnOnce() -> String) {
        let occurrences = self.occurrences.entry(kind).or_default();
        if occurrences.n_records == 0 {
            occurrences.example = example();
        }
        occurrences.n_records += 1;
        if occurrences.first.len() < MAX_LISTED {
            occurrences.first.push(number);
        }
    }

    pub(super) fn finish(mut self, path: PathBuf, format: Format, columns: Vec<String>) -> Inspection {
        let broken = self.images.check();
        self.add_broken_images(broken);
        let labels = std::mem::take(&mut self.labels);
        let classes = match self.classes {
            None => by_frequency(labels),
            Some(classes) => {
                let n_records = |name: &String| labels.get(name).copied().unwrap_or(0);
                let count = |name: &String| ValueCount { value: name.clone(), n_records: n_records(name) };
                classes.names().iter().map(count).collect()
            }
        };
        let mut problems: Vec<Problem> =
            self.occurrences.drain().map(|(kind, occurrences)| occurrences.problem(kind)).collect();
        if self.columns.label.is_some() {
            problems.extend(class_problems(&classes));
            problems.extend(domain_problems(&self.domain_classes));
        }
        if self.texts.len() == 1 && self.n_words.len() > 1 {
            problems.push(Problem::of_file(ProblemKind::IdenticalTexts, "all texts are equal"));
        }
        let mut inspection = Inspection {
            path,
            format,
            columns,
            n_records: self.n_records,
            n_broken: self.n_broken,
            classes,
            domains: by_frequency(self.domains),
            words: LengthStats::from_values(self.n_words),
            characters: LengthStats::from_values(self.n_characters),
            images: self.columns.image.as_ref().map(|_| self.images.finish()),
            problems,
        };
        inspection.sort_problems();
        inspection
    }
}

impl Occurrences {
    fn problem(self, kind: ProblemKind) -> Problem {
        let example = self.example;
        let message = match kind {
            ProblemKind::Unreadable => format!("the rest of the file cannot be read: {example}"),
            ProblemKind::BrokenRecords => format!("broken records; first: {example}"),
            ProblemKind::NoText => format!("missing text; first: {example}"),
            ProblemKind::MissingImageFiles => format!("images that cannot be read; first: {example}"),
            ProblemKind::NotImages => format!("files that are not images; first: {example}"),
            ProblemKind::UnsupportedImages => format!("images in other formats; first: {example}"),
            ProblemKind::BrokenImages => format!("broken images; first: {example}"),
            ProblemKind::LargeImages => format!("images that are too large; first: {example}"),
            ProblemKind::NoLabel => "missing label; training needs a label for every record".into(),
            ProblemKind::UnknownLabels => format!("labels that map to no class; first: {example}"),
            ProblemKind::ConflictingLabels => {
                "texts that an earlier record has with a different label".into()
            }
            ProblemKind::Duplicates => {
                "exact duplicates of an earlier text; duplicates across splits inflate test scores".into()
            }
            ProblemKind::EmptyTexts => format!("texts without words; first: {example}"),
            ProblemKind::ManyLabels => {
                format!(
                    "labels beyond the first {MAX_LABEL_VALUES} distinct values: is this the label column?"
                )
            }
            ProblemKind::LongTexts => format!("texts of more than {LONG_TEXT_WORDS} words; first: {example}"),
            ProblemKind::HtmlEscapes => format!("texts with HTML escapes such as {example}"),
            ProblemKind::Mojibake => {
                format!("texts that were decoded with a wrong encoding: they contain {example}")
            }
            ProblemKind::InvisibleCharacters => format!("texts with invisible characters such as {example}"),
            _ => example,
        };
        Problem { n_records: self.n_records, first: self.first, ..Problem::of_file(kind, message) }
    }
}

fn by_frequency(counts: HashMap<String, usize>) -> Vec<ValueCount> {
    let mut counts: Vec<ValueCount> =
        counts.into_iter().map(|(value, n_records)| ValueCount { value, n_records }).collect();
    counts.sort_by(|a, b| b.n_records.cmp(&a.n_records).then_with(|| a.value.cmp(&b.value)));
    counts
}

fn hash(text: &str) -> u128 {
    u128::from(fingerprint(text, 0)) << 64 | u128::from(fingerprint(text, 1))
}

fn fingerprint(text: &str, salt: u64) -> u64 {
    let mut fingerprint = Fingerprint::new();
    fingerprint.add(salt);
    fingerprint.add_str(text);
    fingerprint.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_lengths_that_occur() {
        let check = |all: &[u32], expected| {
            let got = LengthStats::from_values(all.to_vec()).map(|l| (l.min, l.median, l.p95, l.max));
            assert_eq!(got, expected, "{all:?}");
        };
        check(&[], None);
        check(&[7], Some((7, 7, 7, 7)));
        check(&[4, 1, 3, 2], Some((1, 2, 4, 4)));
        check(&(1..=100).collect::<Vec<_>>(), Some((1, 50, 95, 100)));
    }
}
