//! The files of emotion lexicons.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::text_file::read_text;
use crate::{Error, Result};

/// A file of emotion lexicons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LexiconFile {
    /// Name in the directory of the lexicons.
    pub name: &'static str,
    /// The columns, which tabs separate; those in brackets may be left out.
    pub columns: &'static str,
    /// What the file contains, with the defaults.
    pub content: &'static str,
}

/// The files of [`EmotionLexicons`]. All are UTF-8 text with one entry per line; blank lines and lines that start with `#` are
/// ignored. Words may consist of several tokens.
pub const LEXICON_FILES: [LexiconFile; 6] = [
    LexiconFile {
        name: "categories.tsv",
        columns: "word, category, [intensity]",
        content: "emotion words with their category and their intensity, default 1",
    },
    LexiconFile {
        name: "sentiment.tsv",
        columns: "word, score",
        content: "words with a sentiment score, positive or negative",
    },
    LexiconFile {
        name: "negations.tsv",
        columns: "word, [scope]",
        content: "words that negate the emotion of the tokens after them, default the next 2",
    },
    LexiconFile {
        name: "degrees.tsv",
        columns: "word, factor, [scope]",
        content: "adverbs that multiply the emotion of the tokens after them, default the next 2",
    },
    LexiconFile {
        name: "emoticons.tsv",
        columns: "emoticon, category",
        content: "emoticons and emoji with their category, found as written",
    },
    LexiconFile {
        name: "pronouns.tsv",
        columns: "word, category",
        content: "pronouns with their category, such as first, second, third person",
    },
];

/// Number of tokens after a modifier that it changes, if its file does not say so.
const DEFAULT_SCOPE: usize = 2;

/// Emotion lexicons, read from the files of [`LEXICON_FILES`] in a directory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmotionLexicons {
    /// Categories and intensities of emotion words; a word may have several categories.
    pub categories: BTreeMap<String, BTreeMap<String, f64>>,
    /// Sentiment scores of words.
    pub sentiment: BTreeMap<String, f64>,
    /// Scopes of negations in tokens.
    pub negations: BTreeMap<String, usize>,
    /// Factors of degree adverbs, and their scopes in tokens.
    pub degrees: BTreeMap<String, (f64, usize)>,
    /// Categories of emoticons.
    pub emoticons: BTreeMap<String, String>,
    /// Categories of pronouns.
    pub pronouns: BTreeMap<String, String>,
}

impl EmotionLexicons {
    /// Reads the lexicons of a directory; also returns the names of the files that are missing, whose features are 0.
    ///
    /// # Errors
    /// The directory has none of the files, or a line of a file is invalid.
    pub fn read(dir: &Path) -> Result<(Self, Vec<&'static str>)> {
        let mut missing = Vec::new();
        let mut open = |index: usize| -> Result<Option<LexiconLines>> {
            let name = LEXICON_FILES[index].name;
            let path = dir.join(name);
            if !path.exists() {
                missing.push(name);
                return Ok(None);
            }
            Ok(Some(LexiconLines { text: read_text(&path)?, path }))
        };
        let mut lexicons = Self::default();
        let files = [open(0)?, open(1)?, open(2)?, open(3)?, open(4)?, open(5)?];
        if missing.len() == LEXICON_FILES.len() {
            let names = LEXICON_FILES.map(|file| format!("`{}`", file.name)).join(", ");
            let message = format!("expected a directory with emotion lexicons ({names}), got none of them");
            return Err(Error::file(dir, message));
        }
        let [categories, sentiment, negations, degrees, emoticons, pronouns] = &files;
        for row in rows(categories, 2, 3) {
            let row = row?;
            let intensity = row.optional_number(2)?.unwrap_or(1.0);
            lexicons.categories.entry(row.word()).or_default().insert(row.fields[1].to_owned(), intensity);
        }
        for row in rows(sentiment, 2, 2) {
            let row = row?;
            lexicons.sentiment.insert(row.word(), row.number(1)?);
        }
        for row in rows(negations, 1, 2) {
            let row = row?;
            lexicons.negations.insert(row.word(), row.scope(1)?);
        }
        for row in rows(degrees, 2, 3) {
            let row = row?;
            lexicons.degrees.insert(row.word(), (row.number(1)?, row.scope(2)?));
        }
        for (file, words) in [(emoticons, &mut lexicons.emoticons), (pronouns, &mut lexicons.pronouns)] {
            for row in rows(file, 2, 2) {
                let row = row?;
                words.insert(row.word(), row.fields[1].to_owned());
            }
        }
        Ok((lexicons, missing))
    }
}

struct LexiconLines {
    text: String,
    path: std::path::PathBuf,
}

/// Returns the rows of a file, if it exists, which have from `min` to `max` fields.
fn rows(file: &Option<LexiconLines>, min: usize, max: usize) -> impl Iterator<Item = Result<Row<'_>>> {
    let lines =
        file.iter().flat_map(|file| file.text.lines().zip(1..).map(|(line, n)| (&*file.path, line, n)));
    let lines = lines.filter(|(_, line, _)| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(move |(path, line, number)| {
        let fields: Vec<&str> = line.split('\t').map(str::trim).collect();
        if !(min..=max).contains(&fields.len()) || fields.iter().any(|field| field.is_empty()) {
            let n = if min == max { min.to_string() } else { format!("{min} to {max}") };
            let message = format!("expected {n} values separated by tabs, got `{line}`");
            return Err(Error::line(path, number, message));
        }
        Ok(Row { path, number, fields })
    })
}

struct Row<'a> {
    path: &'a Path,
    number: usize,
    fields: Vec<&'a str>,
}

impl Row<'_> {
    fn word(&self) -> String {
        self.fields[0].to_owned()
    }

    fn number(&self, index: usize) -> Result<f64> {
        let field = self.fields[index];
        let number = field.parse().ok().filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| self.error(&format!("expected a number as value {}", index + 1), field))
    }

    fn optional_number(&self, index: usize) -> Result<Option<f64>> {
        (index < self.fields.len()).then(|| self.number(index)).transpose()
    }

    fn scope(&self, index: usize) -> Result<usize> {
        let Some(field) = self.fields.get(index) else { return Ok(DEFAULT_SCOPE) };
        let scope = field.parse().ok().filter(|&scope: &usize| scope > 0);
        scope.ok_or_else(|| self.error("expected a number of tokens of at least 1 as the scope", field))
    }

    fn error(&self, expected: &str, got: &str) -> Error {
        Error::line(self.path, self.number, format!("{expected}, got `{got}`"))
    }
}
