//! Values that stand for a missing value, as data frames and databases write them.

/// Spellings of a missing value, in addition to blank fields and JSON's null.
pub const MISSING_VALUES: [&str; 14] =
    ["NaN", "nan", "NAN", "None", "none", "NONE", "null", "Null", "NULL", "N/A", "n/a", "NA", "<NA>", "#N/A"];

/// Returns whether the entire field `text` stands for a missing value: it is blank or one of [`MISSING_VALUES`], ignoring
/// surrounding whitespace.
///
/// ```
/// use faknow_data::is_missing;
///
/// assert!(is_missing(" NaN ") && is_missing(""));
/// assert!(!is_missing("None of them came"));
/// ```
pub fn is_missing(text: &str) -> bool {
    let text = text.trim();
    text.is_empty() || MISSING_VALUES.contains(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_entire_fields_are_missing() {
        for value in MISSING_VALUES.into_iter().chain(["", " ", "\t\n", "\u{3000}"]) {
            assert!(is_missing(value) && is_missing(&format!(" {value}\r\n")), "{value:?}");
            let is_blank = value.trim().is_empty();
            assert!(is_blank || !is_missing(&format!("{value} of them")), "{value:?} within a text");
        }
        for text in ["-", "0", "false", "nane", "?", "unknown"] {
            assert!(!is_missing(text), "{text:?}");
        }
    }
}
