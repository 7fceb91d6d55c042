//! Which fields of a sample a model reads, with their settings.

use std::fmt;

use serde::{Serialize, Serializer};

/// The fields of a sample that a model reads, each with its settings; they decide which data and which options a run takes.
///
/// ```
/// use faknow::models::{Fields, WordField};
///
/// let fields = Fields::default().with_words(WordField::default().extra_padding(4));
/// assert_eq!(fields.to_string(), "text");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fields {
    /// The words of a text. Default: not read.
    pub words: Option<WordField>,
    /// A propagation tree. Default: not read.
    pub trees: Option<TreeField>,
}

/// How a model reads the words of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WordField {
    /// Columns of padding after the longest text of a batch. Default 0.
    pub extra_padding: usize,
}

/// How a model reads propagation trees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TreeField {}

impl Fields {
    /// Returns the fields of a model that reads the words of a text.
    pub fn words() -> Self {
        Self::default().with_words(WordField::default())
    }

    /// Returns the fields of a model that reads propagation trees.
    pub fn trees() -> Self {
        Self { trees: Some(TreeField::default()), ..Self::default() }
    }

    /// Adds the words of a text, with these settings.
    #[must_use]
    pub fn with_words(mut self, words: WordField) -> Self {
        self.words = Some(words);
        self
    }

    /// Returns the names of the fields, as `faknow models` shows them.
    pub fn names(&self) -> Vec<&'static str> {
        let names = [("text", self.words.is_some()), ("trees", self.trees.is_some())];
        names.into_iter().filter(|(_, reads)| *reads).map(|(name, _)| name).collect()
    }
}

impl WordField {
    /// Sets the columns of padding after the longest text of a batch, as convolutions need them. Default 0.
    #[must_use]
    pub fn extra_padding(mut self, columns: usize) -> Self {
        self.extra_padding = columns;
        self
    }
}

/// The names, joined by `and`.
impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(" and "))
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
