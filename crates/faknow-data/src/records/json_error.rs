//! Explanations of JSON errors whose cause the parser does not name.

use crate::common::printable;

/// Number of characters of the text around an error that a message shows.
const N_SHOWN: usize = 30;

/// Numbers of Python and JavaScript that JSON does not have.
const NUMBERS: [&str; 6] = ["NaN", "nan", "-Infinity", "Infinity", "-NaN", "-nan"];

/// Returns the message of a parse error in `bytes`, a record, at the byte with this index, with its cause if that is known.
pub(super) fn explain(message: &str, bytes: &[u8], position: usize) -> String {
    let rest = String::from_utf8_lossy(&bytes[position.min(bytes.len())..]).into_owned();
    let start = |words: &[&'static str]| words.iter().copied().find(|word| rest.starts_with(word));
    if let Some(number) = start(&NUMBERS) {
        return format!(
            "`{number}` is not JSON: Python's `json.dump` writes missing numbers so; write the file with pandas' \
             `to_json(orient=\"records\", lines=True)`, or replace `{number}` by `null`"
        );
    }
    if let Some(word) = start(&["None", "True", "False", "undefined"]) {
        return format!(
            "`{word}` is not JSON: write the file with Python's `json.dump`, not with `str` or `print`"
        );
    }
    if rest.starts_with('\'') {
        return "strings in single quotes are not JSON: write the file with Python's `json.dump`, not with `str` or `print`"
            .to_owned();
    }
    if message.contains("surrogate") || message.contains("hex escape") {
        let escape = lone_surrogate(bytes, position).unwrap_or_default();
        return format!(
            "lone surrogate{escape}: half of an emoji, as in a text that was truncated inside it; remove it, or write the file \
             in UTF-8 with Python's `json.dump(…, ensure_ascii=False)` after `text.encode(\"utf-8\", \"ignore\").decode()`"
        );
    }
    match message {
        "expected value" | "expected ident" => {
            format!("{message}, got `{}`", printable(rest.trim_end(), N_SHOWN))
        }
        other => other.to_owned(),
    }
}

/// Returns the last escape of a surrogate before a position, in backticks after a space.
fn lone_surrogate(bytes: &[u8], position: usize) -> Option<String> {
    let text = String::from_utf8_lossy(&bytes[..(position + 6).min(bytes.len())]).to_lowercase();
    let escapes = text.match_indices("\\ud").filter_map(|(start, _)| text.get(start..start + 6));
    let is_surrogate = |escape: &&str| matches!(escape.as_bytes()[3], b'8'..=b'9' | b'a'..=b'f');
    escapes.filter(is_surrogate).last().map(|escape| format!(" `{escape}`"))
}
