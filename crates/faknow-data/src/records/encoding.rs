//! Character encodings by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// A character encoding of the [WHATWG standard](https://encoding.spec.whatwg.org), such as `windows-1252` or `gbk`.
///
/// Names are its labels in any case, with `-` or `_`, and common names of Python (`cp936`, `latin-1`). As in the standard,
/// `iso-8859-1` and `ascii` are `windows-1252`, and `gb2312` is `gbk`.
///
/// ```
/// use faknow_data::Encoding;
///
/// let encoding: Encoding = "Shift-JIS".parse()?;
/// assert_eq!(encoding.to_string(), "shift_jis");
/// # Ok::<(), faknow_data::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Encoding(&'static encoding_rs::Encoding);

/// The encodings that can be read.
pub(super) const ENCODINGS: [&encoding_rs::Encoding; 38] = [
    encoding_rs::UTF_8,
    encoding_rs::UTF_16LE,
    encoding_rs::UTF_16BE,
    encoding_rs::WINDOWS_1252,
    encoding_rs::WINDOWS_1251,
    encoding_rs::GB18030,
    encoding_rs::GBK,
    encoding_rs::BIG5,
    encoding_rs::SHIFT_JIS,
    encoding_rs::EUC_JP,
    encoding_rs::ISO_2022_JP,
    encoding_rs::EUC_KR,
    encoding_rs::KOI8_R,
    encoding_rs::KOI8_U,
    encoding_rs::WINDOWS_1250,
    encoding_rs::WINDOWS_1253,
    encoding_rs::WINDOWS_1254,
    encoding_rs::WINDOWS_1255,
    encoding_rs::WINDOWS_1256,
    encoding_rs::WINDOWS_1257,
    encoding_rs::WINDOWS_1258,
    encoding_rs::WINDOWS_874,
    encoding_rs::ISO_8859_2,
    encoding_rs::ISO_8859_3,
    encoding_rs::ISO_8859_4,
    encoding_rs::ISO_8859_5,
    encoding_rs::ISO_8859_6,
    encoding_rs::ISO_8859_7,
    encoding_rs::ISO_8859_8,
    encoding_rs::ISO_8859_8_I,
    encoding_rs::ISO_8859_10,
    encoding_rs::ISO_8859_13,
    encoding_rs::ISO_8859_14,
    encoding_rs::ISO_8859_15,
    encoding_rs::ISO_8859_16,
    encoding_rs::MACINTOSH,
    encoding_rs::X_MAC_CYRILLIC,
    encoding_rs::IBM866,
];

/// Names of other programs that are not labels of the standard.
const ALIASES: [(&str, &str); 11] = [
    ("cp932", "shift_jis"),
    ("cp936", "gbk"),
    ("cp949", "euc-kr"),
    ("cp950", "big5"),
    ("euckr", "euc-kr"),
    ("eucjp", "euc-jp"),
    ("latin-1", "windows-1252"),
    ("latin-2", "iso-8859-2"),
    ("utf-8-sig", "utf-8"),
    ("mac-roman", "macintosh"),
    ("mac-cyrillic", "x-mac-cyrillic"),
];

impl Encoding {
    pub(super) fn new(encoding: &'static encoding_rs::Encoding) -> Self {
        Self(encoding)
    }

    /// Returns the decoder of this encoding.
    pub(super) fn inner(self) -> &'static encoding_rs::Encoding {
        self.0
    }
}

impl FromStr for Encoding {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let lower = name.trim().to_ascii_lowercase();
        let dashed = lower.replace('_', "-");
        let alias = ALIASES.iter().find(|(alias, _)| *alias == dashed).map(|(_, label)| *label);
        let labels = [Some(lower.as_str()), Some(dashed.as_str()), alias];
        let mut found =
            labels.into_iter().flatten().filter_map(|it| encoding_rs::Encoding::for_label(it.as_bytes()));
        match found.find(|it| ENCODINGS.contains(it)) {
            Some(encoding) => Ok(Self(encoding)),
            None => {
                let got = format!("`{}`{}", name.escape_debug(), similar_names(&dashed));
                let expected = "the name of an encoding such as utf-8, windows-1252, gbk or shift_jis".into();
                Err(Error::Setting { name: "encoding", expected, got })
            }
        }
    }
}

/// Returns a hint with the most similar names.
fn similar_names(name: &str) -> String {
    let mut names: Vec<(f64, String)> = ENCODINGS
        .iter()
        .map(|it| it.name().to_ascii_lowercase())
        .map(|other| (strsim::jaro_winkler(name, &other.replace('_', "-")), other))
        .filter(|(similarity, _)| *similarity > 0.8)
        .collect();
    names.sort_by(|a, b| b.0.total_cmp(&a.0));
    match &names.iter().take(3).map(|(_, name)| format!("`{name}`")).collect::<Vec<_>>()[..] {
        [] => String::new(),
        names => format!(" (similar: {})", names.join(", ")),
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.name().to_ascii_lowercase())
    }
}

impl fmt::Debug for Encoding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Encoding({self})")
    }
}

impl TryFrom<String> for Encoding {
    type Error = Error;

    fn try_from(name: String) -> Result<Self, Error> {
        name.parse()
    }
}

impl From<Encoding> for String {
    fn from(encoding: Encoding) -> Self {
        encoding.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_has_its_name() {
        for encoding in ENCODINGS {
            let encoding = Encoding(encoding);
            assert_eq!(encoding.to_string().parse::<Encoding>().unwrap(), encoding);
            let json = serde_json::to_string(&encoding).unwrap();
            assert_eq!(serde_json::from_str::<Encoding>(&json).unwrap(), encoding);
        }
    }

    #[test]
    fn common_names_are_known() {
        let check = |name: &str, expected: &str| {
            assert_eq!(name.parse::<Encoding>().unwrap().to_string(), expected, "{name}");
        };
        for (alias, label) in ALIASES {
            check(alias, label);
        }
        check("UTF8", "utf-8");
        check("utf_8_sig", "utf-8");
        check("UTF-16", "utf-16le");
        check("ISO_8859-2", "iso-8859-2");
        check("iso8859_15", "iso-8859-15");
        check("latin1", "windows-1252");
        check("cp1251", "windows-1251");
        check("euc_kr", "euc-kr");
        check("sjis", "shift_jis");
        check("GB2312", "gbk");
        check("koi8_r", "koi8-r");
    }

    #[test]
    fn unknown_names_are_errors_with_similar_names() {
        for name in ["", "hz-gb-2312", "iso-2022-kr", "replacement", "utf-7", "klingon"] {
            name.parse::<Encoding>().unwrap_err();
        }
        let message = "windows-1259".parse::<Encoding>().unwrap_err().to_string();
        assert!(message.contains("got `windows-1259` (similar: `windows-125"), "{message}");
        let message = "shift_jisx".parse::<Encoding>().unwrap_err().to_string();
        assert!(message.contains("`shift_jis`"), "{message}");
    }
}
