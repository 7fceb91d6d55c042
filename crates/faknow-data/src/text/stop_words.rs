//! Reading of stop word lists: frequent words of little information, which are removed from texts.

use std::path::Path;

use crate::{Error, Result};

/// Reads a list from a UTF-8 file with one word per line; surrounding whitespace and empty lines are ignored.
///
/// # Errors
/// The file cannot be read, is not UTF-8, or contains no words.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<String>> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|source| Error::io(path, source))?;
    let text = String::from_utf8(bytes).map_err(|_| Error::file(path, "expected UTF-8 text"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let words: Vec<String> =
        text.lines().map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    match words.is_empty() {
        true => Err(Error::file(path, "expected one stop word per line, got none")),
        false => Ok(words),
    }
}
