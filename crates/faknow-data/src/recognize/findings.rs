//! Problems that the first records of a file show: layout, columns that determine the label, shifted rows.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};
use unicode_segmentation::UnicodeSegmentation;

use super::profile::Profile;
use super::{Assumption, ColumnChoice, Confidence, Recognition, default_separator};
use crate::common::{is_invisible, printable_name, printable_names};
use crate::inspect::{Problem, ProblemKind};
use crate::records::{RawLabel, is_missing, value_at};

/// Minimum number of records of a class for a rule about it.
const MIN_RECORDS: usize = 10;
/// Minimum share of the texts of a class that contain its label.
const MIN_LABEL_SHARE: f64 = 0.9;
/// Minimum share of the records whose label a column determines.
const MIN_DETERMINED: f64 = 0.98;
/// Maximum number of values of a column that can determine the label.
const MAX_VALUES: usize = 50;

/// What was examined of a file.
pub(super) struct Examined<'a> {
    pub(super) found: &'a Recognition,
    pub(super) profiles: &'a [Profile],
    pub(super) records: &'a [Map<String, Value>],
    /// The start of the file, if it is text.
    pub(super) text: Option<&'a str>,
}

impl Examined<'_> {
    /// Returns all problems.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.add_columns(&mut problems);
        self.add_layout(&mut problems);
        self.add_shifted_rows(&mut problems);
        let labels = self.labels();
        if labels.len() > 1 {
            self.add_label_words(&labels, &mut problems);
            self.add_leaky_columns(&labels, &mut problems);
        }
        problems
    }

    fn add_columns(&self, problems: &mut Vec<Problem>) {
        let choices = [
            ("text", ProblemKind::NoTextColumn, &self.found.text),
            ("label", ProblemKind::NoLabelColumn, &self.found.label),
        ];
        for (what, kind, choice) in choices {
            match choice {
                ColumnChoice::Missing { reason } => {
                    problems
                        .push(Problem::of_file(kind, format!("no {what} column was recognized: {reason}")));
                }
                ColumnChoice::Ambiguous { candidates, reason } => {
                    let options: Vec<String> =
                        candidates.iter().map(|name| format!("--{what} {}", printable_name(name))).collect();
                    let message = format!(
                        "several columns can be the {what}: {reason}; choose {}",
                        options.join(" or ")
                    );
                    problems.push(Problem::of_file(kind, message));
                }
                ColumnChoice::Found(Assumption { value, confidence: Confidence::Guess, reason }) => {
                    let message =
                        format!("`{}` is assumed to be the {what}: {reason}", printable_name(value));
                    problems.push(Problem::of_file(ProblemKind::UncertainColumn, message));
                }
                ColumnChoice::Found(_) => {}
            }
        }
        let text = self.profiles.iter().find(|it| Some(it.name.as_str()) == self.found.text.name());
        if let Some(text) = text.filter(|it| it.n_values > 1 && !it.can_be_text()) {
            let what = if text.is_dates() { "dates" } else { "numbers, links or other values" };
            let message = format!("the texts in `{}` are {what}", printable_name(&text.name));
            problems.push(Problem::of_file(ProblemKind::NotTexts, message));
        }
        let invisible: Vec<&str> = self
            .found
            .columns
            .iter()
            .map(String::as_str)
            .filter(|name| name.contains(is_invisible))
            .collect();
        if !invisible.is_empty() {
            let message =
                format!("names of columns with invisible characters: {}", printable_names(invisible));
            problems.push(Problem::of_file(ProblemKind::InvisibleNames, message));
        }
        if let Some(profile) =
            self.profiles.iter().find(|it| it.is_row_number() && it.n_values >= MIN_RECORDS)
        {
            let message = format!("column `{}` numbers the rows", printable_name(&profile.name));
            problems.push(Problem::of_file(ProblemKind::RowNumbers, message));
        }
        if let Some(Assumption { value, reason, .. }) = &self.found.domain {
            let message = format!("column `{}` groups the records ({reason})", printable_name(value));
            problems.push(Problem::of_file(ProblemKind::GroupedRecords, message));
        }
    }

    fn add_layout(&self, problems: &mut Vec<Problem>) {
        let found = self.found;
        if let Some(delimiter) = &found.delimiter
            && delimiter.value != default_separator(found.format.value)
        {
            let message = format!("fields are separated by `{}`: {}", delimiter.value, delimiter.reason);
            problems.push(Problem::of_file(ProblemKind::OtherSeparator, message));
        }
        if let Some(header) = found.header.as_ref().filter(|header| !header.value) {
            problems.push(Problem::of_file(
                ProblemKind::NoHeader,
                format!("the file has no header: {}", header.reason),
            ));
        }
        if let Some(quotes) = found.quotes.as_ref().filter(|quotes| !quotes.value) {
            problems.push(Problem::of_file(
                ProblemKind::PlainQuotes,
                format!("quotes are plain text: {}", quotes.reason),
            ));
        }
        let Some(text) = self.text.filter(|_| found.delimiter.is_some()) else { return };
        let n_crlf = text.matches("\r\n").count();
        let (n_lf, n_cr) = (text.matches('\n').count() - n_crlf, text.matches('\r').count() - n_crlf);
        let counts = [(n_crlf, "CRLF"), (n_lf, "LF"), (n_cr, "CR")];
        let kinds: Vec<String> =
            counts.iter().filter(|(n, _)| *n > 0).map(|(n, name)| format!("{n} {name}")).collect();
        // Line breaks within quoted fields often differ from those of the rows.
        let is_quoted = found.quotes.as_ref().is_some_and(|it| it.value) && text.contains('"');
        if kinds.len() > 1 && !is_quoted {
            problems.push(Problem::of_file(
                ProblemKind::MixedLineEnds,
                format!("mixed line breaks: {}", kinds.join(", ")),
            ));
        }
    }

    /// Finds rows whose values are in columns that are empty otherwise, as unquoted separators in a text shift them.
    fn add_shifted_rows(&self, problems: &mut Vec<Problem>) {
        if self.found.delimiter.is_none() || self.records.len() < MIN_RECORDS {
            return;
        }
        let last = self.found.columns.len().saturating_sub(1);
        let is_mostly_empty = |name: &String| {
            let profile = self.profiles.iter().find(|it| it.name == *name);
            profile.is_some_and(|it| it.n_values * 5 < self.records.len())
        };
        let n_empty =
            self.found.columns.iter().rev().take_while(|name| is_mostly_empty(name)).count().min(last);
        let trailing = &self.found.columns[self.found.columns.len() - n_empty..];
        let is_shifted = |record: &Map<String, Value>| {
            trailing
                .iter()
                .any(|name| record.get(name).and_then(Value::as_str).is_some_and(|it| !is_missing(it)))
        };
        let shifted: Vec<usize> =
            self.records.iter().enumerate().filter(|(_, it)| is_shifted(it)).map(|(i, _)| i + 1).collect();
        if let Some(first) = shifted.first() {
            let message = format!(
                "rows with values in the columns {}, which are empty in the others: they may be shifted by an unquoted separator; \
                 first: record {first}",
                printable_names(trailing)
            );
            let n_records = shifted.len();
            let first = shifted.into_iter().take(5).collect();
            problems.push(Problem {
                n_records,
                first,
                ..Problem::of_file(ProblemKind::ShiftedRows, message)
            });
        }
    }

    /// Returns the records of each label.
    fn labels(&self) -> BTreeMap<String, Vec<&Map<String, Value>>> {
        let mut labels: BTreeMap<String, Vec<&Map<String, Value>>> = BTreeMap::new();
        let Some(column) = self.found.label.name() else { return labels };
        for record in self.records {
            if let Some(Ok(Some(label))) = value_at(record, column).map(RawLabel::from_value) {
                labels.entry(label.to_string()).or_default().push(record);
            }
        }
        if labels.len() > 20 { BTreeMap::new() } else { labels }
    }

    /// Finds classes whose texts contain their label, where others do not.
    fn add_label_words(
        &self,
        labels: &BTreeMap<String, Vec<&Map<String, Value>>>,
        problems: &mut Vec<Problem>,
    ) {
        let Some(column) = self.found.text.name() else { return };
        let contains = |record: &Map<String, Value>, word: &str| {
            let text = value_at(record, column).and_then(Value::as_str).unwrap_or_default().to_lowercase();
            text.unicode_words().any(|it| it == word)
        };
        for (label, records) in labels {
            let word = label.to_lowercase();
            if word.chars().count() < 3 || records.len() < MIN_RECORDS {
                continue;
            }
            let share = |records: &[&Map<String, Value>]| {
                records.iter().filter(|it| contains(it, &word)).count() as f64 / records.len().max(1) as f64
            };
            let others: Vec<&Map<String, Value>> = labels
                .iter()
                .filter(|(other, _)| *other != label)
                .flat_map(|(_, it)| it.iter().copied())
                .collect();
            let (own, other) = (share(records), share(&others));
            if own >= MIN_LABEL_SHARE && other < 0.5 * own {
                let label = printable_name(label);
                let message = format!(
                    "{:.0} % of the texts with the label `{label}` contain this word, and {:.0} % of the others",
                    100.0 * own,
                    100.0 * other
                );
                problems.push(Problem::of_file(ProblemKind::LabelInText, message));
            }
        }
    }

    /// Finds columns with few values, each of which occurs with one label only.
    fn add_leaky_columns(
        &self,
        labels: &BTreeMap<String, Vec<&Map<String, Value>>>,
        problems: &mut Vec<Problem>,
    ) {
        let used = [self.found.text.name(), self.found.label.name()];
        let n_largest = labels.values().map(Vec::len).max().unwrap_or(0);
        let n_labeled: usize = labels.values().map(Vec::len).sum();
        // If almost all labels are equal, every column determines them.
        if n_labeled < 2 * MIN_RECORDS || n_largest as f64 > 0.95 * n_labeled as f64 {
            return;
        }
        for profile in self.profiles {
            let is_candidate = profile.n_distinct > 1 && profile.n_distinct <= MAX_VALUES.min(n_labeled / 4);
            if used.contains(&Some(profile.name.as_str())) || !is_candidate {
                continue;
            }
            let mut counts: HashMap<String, HashMap<&str, usize>> = HashMap::new();
            for (label, records) in labels {
                for record in records {
                    let Some(value) = value_at(record, &profile.name) else { continue };
                    let value =
                        value.as_str().map_or_else(|| value.to_string(), |it| it.trim().to_lowercase());
                    if !is_missing(&value) {
                        *counts.entry(value).or_default().entry(label).or_default() += 1;
                    }
                }
            }
            let n_values: usize = counts.values().flat_map(HashMap::values).sum();
            let n_determined: usize = counts.values().filter_map(|it| it.values().max()).sum();
            let n_classes =
                counts.values().filter_map(|it| it.iter().max_by_key(|(_, n)| **n)).map(|(label, _)| *label);
            let n_classes = n_classes.collect::<std::collections::HashSet<_>>().len();
            if n_values * 10 >= n_labeled * 9
                && n_classes > 1
                && n_determined as f64 >= MIN_DETERMINED * n_values as f64
            {
                let name = printable_name(&profile.name);
                let message = format!(
                    "the {} values of column `{name}` determine the label in {n_determined} of {n_values} records",
                    profile.n_distinct
                );
                problems.push(Problem::of_file(ProblemKind::LeakyColumn, message));
            }
        }
    }
}
