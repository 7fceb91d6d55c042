//! The input fields of a model, with their settings.

use std::fmt;

use serde::{Serialize, Serializer};

/// The input fields of a model, with their settings. They determine the data sources and settings of a run.
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
    /// The words of a text. Default: not used.
    pub words: Option<WordField>,
    /// A propagation tree. Default: not used.
    pub trees: Option<TreeField>,
}

/// Settings of the field of words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WordField {
    /// Number of padding columns after the longest text of a batch. Default 0.
    pub extra_padding: usize,
}

/// Settings of the field of propagation trees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TreeField {}

impl Fields {
    /// Returns the fields of a text model.
    pub fn words() -> Self {
        Self::default().with_words(WordField::default())
    }

    /// Returns the fields of a tree model.
    pub fn trees() -> Self {
        Self { trees: Some(TreeField::default()), ..Self::default() }
    }

    /// Adds the field of words, with these settings.
    #[must_use]
    pub fn with_words(mut self, words: WordField) -> Self {
        self.words = Some(words);
        self
    }

    /// Returns the names of the fields, as in the output of `faknow models`.
    pub fn names(&self) -> Vec<&'static str> {
        let names = [("text", self.words.is_some()), ("trees", self.trees.is_some())];
        names.into_iter().filter(|(_, is_used)| *is_used).map(|(name, _)| name).collect()
    }
}

impl WordField {
    /// Sets the number of padding columns after the longest text of a batch, which convolutions may require. Default 0.
    #[must_use]
    pub fn extra_padding(mut self, columns: usize) -> Self {
        self.extra_padding = columns;
        self
    }
}

/// Formats the names, joined by `and`.
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
