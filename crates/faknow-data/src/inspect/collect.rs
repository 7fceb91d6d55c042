//! Counts what an inspection tells, record by record.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use serde_json::{Map, Value};
use unicode_segmentation::UnicodeSegmentation;

use super::problems::{advice, class_problems, domain_problems};
use crate::Classes;
use crate::inspect::{Inspection, LengthStats, Problem, ProblemKind, ValueCount};
use crate::records::RawLabel;
use crate::records::{Broken, ColumnMap, Format, RawRecord, domain_of, text_of};

/// How many record numbers a problem lists.
pub(super) const N_LISTED: usize = 5;
/// More label values than this are not told apart.
pub(super) const MAX_LABEL_VALUES: usize = 1_000;
const LONG_TEXT_WORDS: usize = 10_000;

pub(super) struct Collector<'a> {
    columns: &'a ColumnMap,
    classes: Option<&'a Classes>,
    n_records: usize,
    n_broken: usize,
    /// Records per label value or class name.
    labels: HashMap<String, usize>,
    domains: HashMap<String, usize>,
    /// Labeled records of each domain by class.
    domain_classes: HashMap<String, HashMap<Label, usize>>,
    n_words: Vec<u32>,
    n_characters: Vec<u32>,
    /// By a hash of 128 bits, so that different texts practically never meet: the first label of the text.
    texts: HashMap<u128, Option<Label>>,
    found: HashMap<ProblemKind, Found>,
}

/// A class, or a hash of a label value.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Label(u64);

/// Records with a problem.
#[derive(Default)]
struct Found {
    n_records: usize,
    first: Vec<usize>,
    /// What is wrong with the first.
    example: String,
}

impl<'a> Collector<'a> {
    pub(super) fn new(columns: &'a ColumnMap, classes: Option<&'a Classes>) -> Self {
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
            found: HashMap::new(),
        }
    }

    /// Whether there was no record yet, not even a broken one.
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
        let Some(column) = &self.columns.text else { return };
        match text_of(&raw.fields, column) {
            Ok(text) => self.add_text(raw.number, text, label),
            Err(message) => self.note(ProblemKind::NoText, raw.number, || message),
        }
    }

    pub(super) fn add_broken(&mut self, broken: Broken) {
        self.n_broken += 1;
        let number = match &broken.error {
            crate::Error::Record { record, .. } => *record,
            _ => self.n_records + self.n_broken,
        };
        let kind = if broken.recoverable { ProblemKind::BrokenRecords } else { ProblemKind::Unreadable };
        self.note(kind, number, || match broken.error {
            crate::Error::Record { message, .. } | crate::Error::File { message, .. } => message,
            other => other.to_string(),
        });
    }

    fn add_label(&mut self, number: usize, fields: &Map<String, Value>) -> Option<Label> {
        let column = self.columns.label.as_ref()?;
        let raw = match fields.get(column).map_or(Ok(None), RawLabel::from_value) {
            Ok(Some(raw)) => raw,
            Ok(None) => {
                self.note(ProblemKind::NoLabel, number, || "null, absent or blank".into());
                return None;
            }
            Err(message) => {
                self.note(ProblemKind::UnknownLabels, number, || message);
                return None;
            }
        };
        let value = match self.classes {
            None => raw.to_string(),
            Some(classes) => match classes.parse(&raw) {
                Ok(class) => classes.name(class).unwrap_or_default().to_owned(),
                Err(unknown) => {
                    self.note(ProblemKind::UnknownLabels, number, || unknown.to_string());
                    return None;
                }
            },
        };
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        if self.labels.len() < MAX_LABEL_VALUES || self.labels.contains_key(&value) {
            *self.labels.entry(value).or_default() += 1;
        } else {
            self.note(ProblemKind::ManyLabels, number, || value);
        }
        Some(Label(hasher.finish()))
    }

    fn add_text(&mut self, number: usize, text: &str, label: Option<Label>) {
        let n_words = text.unicode_words().count();
        self.n_words.push(u32::try_from(n_words).unwrap_or(u32::MAX));
        self.n_characters.push(u32::try_from(text.chars().count()).unwrap_or(u32::MAX));
        if n_words == 0 {
            self.note(ProblemKind::EmptyTexts, number, || format!("`{text}`"));
        }
        if n_words > LONG_TEXT_WORDS {
            self.note(ProblemKind::LongTexts, number, || format!("{n_words} words"));
        }
        if let Some(escape) = html_escape(text) {
            self.note(ProblemKind::HtmlEscapes, number, || format!("`{escape}`"));
        }
        if n_words == 0 {
            return; // empty texts are all the same
        }
        match self.texts.entry(hash(text)) {
            Entry::Vacant(entry) => {
                entry.insert(label);
            }
            Entry::Occupied(mut entry) => {
                let conflict = label.zip(*entry.get()).is_some_and(|(here, first)| here != first);
                *entry.get_mut() = entry.get().or(label);
                self.note(ProblemKind::Duplicates, number, String::new);
                if conflict {
                    self.note(ProblemKind::ConflictingLabels, number, String::new);
                }
            }
        }
    }

    fn note(&mut self, kind: ProblemKind, number: usize, example: impl FnOnce() -> String) {
        let found = self.found.entry(kind).or_default();
        if found.n_records == 0 {
            found.example = example();
        }
        found.n_records += 1;
        if found.first.len() < N_LISTED {
            found.first.push(number);
        }
    }

    pub(super) fn finish(mut self, path: PathBuf, format: Format, columns: Vec<String>) -> Inspection {
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
            self.found.drain().map(|(kind, found)| found.problem(kind)).collect();
        if self.columns.label.is_some() {
            problems.extend(class_problems(&classes));
            problems.extend(domain_problems(&self.domain_classes));
        }
        problems.sort_by_key(|problem| problem.kind);
        Inspection {
            path,
            format,
            columns,
            n_records: self.n_records,
            n_broken: self.n_broken,
            classes,
            domains: by_frequency(self.domains),
            words: LengthStats::from_values(self.n_words),
            characters: LengthStats::from_values(self.n_characters),
            problems,
        }
    }
}

impl Found {
    fn problem(self, kind: ProblemKind) -> Problem {
        let example = self.example;
        let message = match kind {
            ProblemKind::Unreadable => format!("the rest of the file cannot be read: {example}"),
            ProblemKind::BrokenRecords => format!("broken records; the first: {example}"),
            ProblemKind::NoText => format!("no text; the first: {example}"),
            ProblemKind::NoLabel => "no label; training needs one for every record".into(),
            ProblemKind::UnknownLabels => format!("labels that mean no class; the first: {example}"),
            ProblemKind::ConflictingLabels => "texts that an earlier record has under another label".into(),
            ProblemKind::Duplicates => {
                "texts that an earlier record has word for word; split apart they make test scores too good"
                    .into()
            }
            ProblemKind::EmptyTexts => format!("texts without a word; the first: {example}"),
            ProblemKind::ManyLabels => {
                format!(
                    "labels beyond the first {MAX_LABEL_VALUES} different values: is this the label column?"
                )
            }
            ProblemKind::LongTexts => format!("texts of over {LONG_TEXT_WORDS} words; the first: {example}"),
            ProblemKind::HtmlEscapes => format!("texts with HTML escapes such as {example}"),
            ProblemKind::EmptyClass
            | ProblemKind::Imbalance
            | ProblemKind::OneSidedDomains
            | ProblemKind::DomainImbalance => example,
        };
        Problem { kind, n_records: self.n_records, first: self.first, message, advice: advice(kind) }
    }
}

fn by_frequency(counts: HashMap<String, usize>) -> Vec<ValueCount> {
    let mut counts: Vec<ValueCount> =
        counts.into_iter().map(|(value, n_records)| ValueCount { value, n_records }).collect();
    counts.sort_by(|a, b| b.n_records.cmp(&a.n_records).then_with(|| a.value.cmp(&b.value)));
    counts
}

fn hash(text: &str) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, text).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

/// The first HTML escape in `text`: `&name;`, `&#39;` or `&#x27;`.
fn html_escape(text: &str) -> Option<&str> {
    text.match_indices('&').find_map(|(start, _)| {
        let rest = &text[start + 1..];
        let end = rest.bytes().take(10).position(|byte| byte == b';')?;
        let body = &rest[..end];
        let of =
            |digits: &str, right: fn(&char) -> bool| !digits.is_empty() && digits.chars().all(|c| right(&c));
        let known = match (body.strip_prefix("#x").or(body.strip_prefix("#X")), body.strip_prefix('#')) {
            (Some(hex), _) => of(hex, char::is_ascii_hexdigit),
            (_, Some(decimal)) => of(decimal, char::is_ascii_digit),
            _ => body.len() > 1 && of(body, char::is_ascii_alphabetic),
        };
        known.then(|| &text[start..start + end + 2])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_escapes_are_told_from_ampersands() {
        let check = |text: &str, expected| assert_eq!(html_escape(text), expected, "{text}");
        check("a &amp; b", Some("&amp;"));
        check("&& 中&quot;", Some("&quot;"));
        check("it&#39;s", Some("&#39;"));
        check("it&#x27;s", Some("&#x27;"));
        check("rock & roll; jazz", None);
        check("a&b; c", None);
        check("&;", None);
        check("&#;", None);
        check("&中;", None);
        check("x &", None);
    }

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
