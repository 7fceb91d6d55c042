//! The content of a column in the first records: lengths, distinct values, and kinds of values.

use std::collections::HashMap;

use serde_json::{Map, Value};
use unicode_segmentation::UnicodeSegmentation;

use crate::records::{is_missing, value_at};

/// Maximum number of distinct values that are counted.
const MAX_VALUES: usize = 200;

/// Statistics of the values of a column.
#[derive(Clone, Debug, Default)]
pub(super) struct Profile {
    pub(super) name: String,
    /// Number of values that are neither blank nor missing.
    pub(super) n_values: usize,
    /// Number of records per value, of the first distinct values.
    pub(super) values: HashMap<String, usize>,
    /// Number of values that are distinct from all before, at least approximately.
    pub(super) n_distinct: usize,
    n_words: usize,
    n_characters: usize,
    n_numbers: usize,
    n_urls: usize,
    n_dates: usize,
    /// Number of values that are paths of image files.
    n_image_files: usize,
    n_strings: usize,
    /// Whether the values are 0, 1, 2, … or 1, 2, 3, ….
    is_row_number: bool,
    distinct: std::collections::HashSet<u64>,
}

impl Profile {
    /// Returns the profiles of the columns of some records.
    pub(super) fn of_records(columns: &[String], records: &[Map<String, Value>]) -> Vec<Self> {
        let mut profiles: Vec<Self> = columns
            .iter()
            .map(|name| Self { name: name.clone(), is_row_number: true, ..Self::default() })
            .collect();
        for record in records {
            for profile in &mut profiles {
                if let Some(value) = value_at(record, &profile.name) {
                    profile.add(value);
                }
            }
        }
        profiles
    }

    fn add(&mut self, value: &Value) {
        let text = match value {
            Value::String(text) => text.trim().to_owned(),
            // Of several images, the first one counts.
            Value::Array(items) => match items.first() {
                Some(Value::String(path)) if is_image_file(path) => path.trim().to_owned(),
                _ => return,
            },
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            Value::Null | Value::Object(_) => return,
        };
        if is_missing(&text) {
            return;
        }
        let first = self.n_values as u64;
        self.is_row_number &= text.parse::<u64>().is_ok_and(|n| n == first || n == first + 1);
        self.n_values += 1;
        self.n_words += text.unicode_words().count();
        self.n_characters += text.chars().count();
        self.n_strings += usize::from(value.is_string());
        self.n_numbers += usize::from(is_number(&text));
        self.n_urls += usize::from(text.starts_with("http://") || text.starts_with("https://"));
        self.n_dates += usize::from(is_date(&text));
        self.n_image_files += usize::from(is_image_file(&text));
        let mut fingerprint = crate::Fingerprint::new();
        fingerprint.add_str(&text);
        if self.distinct.insert(fingerprint.finish()) {
            self.n_distinct += 1;
        }
        if self.values.len() < MAX_VALUES || self.values.contains_key(&text) {
            *self.values.entry(text).or_default() += 1;
        }
    }

    /// Returns the mean number of words per value.
    pub(super) fn mean_words(&self) -> f64 {
        self.n_words as f64 / self.n_values.max(1) as f64
    }

    /// Returns the mean number of characters per value.
    pub(super) fn mean_characters(&self) -> f64 {
        self.n_characters as f64 / self.n_values.max(1) as f64
    }

    fn share(&self, n: usize) -> f64 {
        n as f64 / self.n_values.max(1) as f64
    }

    /// Returns whether the values are mostly numbers.
    pub(super) fn is_numeric(&self) -> bool {
        self.n_values > 0 && self.share(self.n_numbers) > 0.9
    }

    /// Returns whether the values are mostly dates.
    pub(super) fn is_dates(&self) -> bool {
        self.share(self.n_dates) > 0.5
    }

    /// Returns whether the values are mostly paths of image files.
    pub(super) fn is_image_files(&self) -> bool {
        self.n_values > 0 && self.share(self.n_image_files) > 0.9
    }

    /// Returns whether the values can be texts at all: words, not numbers, links or dates.
    pub(super) fn can_be_text(&self) -> bool {
        self.n_values > 0
            && self.n_strings == self.n_values
            && self.share(self.n_numbers) < 0.5
            && self.share(self.n_urls) < 0.5
            && !self.is_dates()
    }

    /// Returns whether the values look like texts: several words each, mostly different.
    pub(super) fn is_text(&self) -> bool {
        self.can_be_text()
            && self.mean_words() >= 3.0
            && self.mean_characters() >= 12.0
            && (self.n_values < 10 || self.n_distinct as f64 > 0.3 * self.n_values as f64)
    }

    /// Returns whether the values can be labels: at least two, repeated and short.
    pub(super) fn can_be_label(&self) -> bool {
        let is_repeated = self.n_distinct < self.n_values || self.n_values <= 10;
        (2..=20).contains(&self.n_distinct)
            && is_repeated
            && self.mean_characters() <= 40.0
            && !self.is_dates()
    }

    /// Returns whether the values can be labels, or those of one class, as at the start of a file that is sorted by label.
    pub(super) fn can_be_sorted_label(&self) -> bool {
        let is_one =
            self.n_distinct == 1 && self.n_values > 1 && self.mean_characters() <= 40.0 && !self.is_dates();
        is_one || self.can_be_label()
    }

    /// Returns whether the values number the rows, as an index that was saved with the data.
    pub(super) fn is_row_number(&self) -> bool {
        self.is_row_number && self.n_values > 1
    }

    /// Returns whether all values differ and have no blanks, as identifiers do.
    pub(super) fn is_id(&self) -> bool {
        self.n_values > 1
            && self.n_distinct == self.n_values
            && self.mean_words() < 2.0
            && self.mean_characters() <= 40.0
    }

    /// Returns the distinct values in alphabetical order, if there are few.
    pub(super) fn few_values(&self) -> Vec<String> {
        let mut values: Vec<String> = self.values.keys().cloned().collect();
        values.sort();
        if self.n_distinct > 20 { Vec::new() } else { values }
    }

    /// Returns the number of values and of distinct values as a reason.
    pub(super) fn describe_values(&self) -> String {
        let values = if self.n_distinct == 1 { "value" } else { "values" };
        format!("{} {values} in {} records", self.n_distinct, self.n_values)
    }

    /// Returns the length of texts as a reason.
    pub(super) fn describe_texts(&self) -> String {
        let distinct = match self.n_distinct == self.n_values {
            true => "all different".to_owned(),
            false => format!("{} different in {}", self.n_distinct, self.n_values),
        };
        format!("{:.0} words per value on average, {distinct}", self.mean_words())
    }
}

/// Returns whether a text consists of numbers only, such as a count, an identifier or a list of them.
pub(super) fn is_number(text: &str) -> bool {
    text.chars().any(|c| c.is_ascii_digit())
        && text
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '.' | ',' | '-' | '+' | '%' | ' ' | '\t' | ':' | '/'))
        || text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// Returns whether a text is the path of an image file, rather than a URL.
fn is_image_file(text: &str) -> bool {
    const EXTENSIONS: [&str; 5] = ["jpg", "jpeg", "png", "webp", "gif"];
    let extension = text.trim().rsplit_once('.').map(|(_, extension)| extension);
    extension.is_some_and(|it| EXTENSIONS.iter().any(|known| it.eq_ignore_ascii_case(known)))
        && !text.contains("://")
        && text.len() <= 500
}

/// Returns whether a text is a date such as `2020-01-31`, `31/01/2020` or `Sat Aug 09 22:33:06 +0000 2014`.
fn is_date(text: &str) -> bool {
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    if text.len() < 6 || text.len() > 40 || !text.is_ascii() {
        return false;
    }
    let numbers: Vec<&str> =
        text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).collect();
    let has_year = numbers.iter().any(|n| n.len() == 4 && (n.starts_with("19") || n.starts_with("20")));
    let folded = text.to_lowercase();
    let has_month = folded
        .split(|c: char| !c.is_alphabetic())
        .any(|word| MONTHS.iter().any(|month| word.starts_with(month) && word.len() <= 9));
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    has_year && ((numbers.len() >= 3 && letters <= 3) || (has_month && numbers.len() >= 2 && letters <= 14))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_values() {
        let check = |text: &str, number: bool, date: bool, missing: bool| {
            assert_eq!((is_number(text), is_date(text), is_missing(text)), (number, date, missing), "{text}");
        };
        check("12", true, false, false);
        check("-1.5e3", true, false, false);
        check("937349434668498944\t937349434668498945", true, false, false);
        check("2020-01-31", true, true, false);
        check("31/01/2020 12:00", true, true, false);
        check("Sat Aug 09 22:33:06 +0000 2014", false, true, false);
        check("January 5, 2017", false, true, false);
        check("In 2014 the mayor said 3 times that 12 people", false, false, false);
        check("NaN", false, false, true);
        check(" None ", false, false, true);
        check("", false, false, true);
        check("nana", false, false, false);
    }
}
