//! The separator of the fields of delimited text.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// The character that separates the fields of CSV and TSV files.
///
/// Its text is the character or one of the words `tab`, `comma`, `semicolon`, `pipe` and `space`.
///
/// ```
/// use faknow_data::Delimiter;
///
/// assert_eq!("semicolon".parse::<Delimiter>()?, ";".parse()?);
/// # Ok::<(), faknow_data::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Delimiter(u8);

/// Words for characters; the first of a character is its text.
const WORDS: [(&str, u8); 6] =
    [("tab", b'\t'), ("\\t", b'\t'), ("space", b' '), ("comma", b','), ("semicolon", b';'), ("pipe", b'|')];

impl Delimiter {
    /// The separator of CSV.
    pub const COMMA: Self = Self(b',');
    /// The separator of TSV.
    pub const TAB: Self = Self(b'\t');
    /// The separator of CSV in countries whose decimal separator is a comma.
    pub const SEMICOLON: Self = Self(b';');
    /// The vertical bar.
    pub const PIPE: Self = Self(b'|');

    /// Returns the byte that separates fields.
    pub fn byte(self) -> u8 {
        self.0
    }

    /// Returns the name in messages: `a comma`, `a tab`, or the character in backquotes.
    pub(super) fn described(self) -> String {
        match WORDS.iter().find(|(_, byte)| *byte == self.0) {
            Some((word, _)) => format!("a {word}"),
            None => format!("`{self}`"),
        }
    }
}

impl FromStr for Delimiter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some((_, byte)) = WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)) {
            return Ok(Self(*byte));
        }
        let allowed =
            |byte: &u8| byte.is_ascii() && !byte.is_ascii_alphanumeric() && !b"\"\r\n\0".contains(byte);
        match text.as_bytes() {
            [byte] if allowed(byte) => Ok(Self(*byte)),
            _ => {
                let expected = "one ASCII character other than a letter, digit, quote or line break, or `tab`, \
                                `comma`, `semicolon`, `pipe` or `space`";
                let got = format!("`{}`", text.escape_debug());
                Err(Error::Setting { name: "delimiter", expected: expected.into(), got })
            }
        }
    }
}

impl fmt::Display for Delimiter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            b'\t' => out.write_str("tab"),
            b' ' => out.write_str("space"),
            byte => write!(out, "{}", byte as char),
        }
    }
}

impl TryFrom<String> for Delimiter {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Delimiter> for String {
    fn from(delimiter: Delimiter) -> Self {
        delimiter.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_and_words_are_read() {
        for (word, byte) in WORDS {
            let delimiter: Delimiter = word.parse().unwrap();
            assert_eq!(delimiter.byte(), byte);
            assert_eq!(delimiter.to_string().parse::<Delimiter>().unwrap(), delimiter);
        }
        for text in [";", "|", "\t", "^", "~", "\u{1}", ":", "Tab"] {
            let delimiter: Delimiter = text.parse().unwrap();
            let json = serde_json::to_string(&delimiter).unwrap();
            assert_eq!(serde_json::from_str::<Delimiter>(&json).unwrap(), delimiter);
        }
        for text in ["", "a", "7", "\"", "\n", "\r", ";;", "¦", "\0"] {
            let message = text.parse::<Delimiter>().unwrap_err().to_string();
            assert!(message.starts_with("delimiter: expected one ASCII character"), "{message}");
        }
    }
}
