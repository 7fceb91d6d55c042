//! The tokenizer of subwords in builds without the feature `subwords`: it cannot be loaded.

use std::convert::Infallible;
use std::path::Path;

use super::Subword;
use crate::{Error, Result};

/// The tokenizer of an encoder, which requires the feature `subwords`.
#[derive(Debug, Clone)]
pub struct SubwordTokenizer(Infallible);

impl SubwordTokenizer {
    /// Returns an error, since this build has no subword tokenizers.
    ///
    /// # Errors
    /// Always.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        Err(Error::file(dir.as_ref(), "the tokenizer of an encoder requires the feature `subwords`"))
    }

    /// Sets the number of tokens to which texts are truncated.
    ///
    /// # Errors
    /// Never, as there is no such tokenizer.
    pub fn with_max_length(self, _: usize) -> Result<Self> {
        match self.0 {}
    }

    /// Returns the token ids of a text.
    ///
    /// # Errors
    /// Never, as there is no such tokenizer.
    pub fn tokenize(&self, _: &str) -> Result<Vec<u32>> {
        match self.0 {}
    }

    /// Returns the tokens of a text with their places.
    ///
    /// # Errors
    /// Never, as there is no such tokenizer.
    pub fn subwords(&self, _: &str) -> Result<Vec<Subword>> {
        match self.0 {}
    }

    /// Returns the number of token ids.
    pub fn n_tokens(&self) -> usize {
        match self.0 {}
    }

    /// Returns the maximum number of tokens per text.
    pub fn max_length(&self) -> usize {
        match self.0 {}
    }

    /// Returns the id that pads batches.
    pub fn padding_id(&self) -> u32 {
        match self.0 {}
    }

    /// Returns the id of what the vocabulary cannot represent.
    pub fn unknown_id(&self) -> Option<u32> {
        match self.0 {}
    }

    /// Returns the id of the token for hidden parts of a text.
    pub fn mask_id(&self) -> Option<u32> {
        match self.0 {}
    }

    /// Returns the token with this id.
    pub fn token(&self, _: u32) -> Option<String> {
        match self.0 {}
    }

    /// Returns the text of tokens without special ones.
    pub fn decode(&self, _: &[u32]) -> Option<String> {
        match self.0 {}
    }

    /// Writes the tokenizer to a directory.
    ///
    /// # Errors
    /// Never, as there is no such tokenizer.
    pub fn save(&self, _: impl AsRef<Path>) -> Result<()> {
        match self.0 {}
    }

    /// Returns a hash of everything that determines the tokens of texts.
    ///
    /// # Errors
    /// Never, as there is no such tokenizer.
    pub fn fingerprint(&self) -> Result<u64> {
        match self.0 {}
    }
}
