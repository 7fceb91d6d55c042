//! The n-grams of a dataset of texts.

use super::dataset::FieldDataset;
use crate::text::{NGRAM_SEPARATOR, NGramEncoder, NGramOptions};
use crate::{Dataset as _, Error, Result};

impl NGramEncoder {
    /// Selects the n-grams of training texts.
    ///
    /// # Errors
    /// [`Error::Setting`]: an option is out of range; [`Error::Dataset`]: no n-gram is in enough texts, or the dataset has no
    /// texts; tokens stored in a file cannot be read.
    pub fn fit(data: &FieldDataset, options: &NGramOptions) -> Result<Self> {
        if !data.has_words() {
            return Err(Error::Dataset("n-grams: expected a dataset of texts".to_owned()));
        }
        let n_texts = data.n_samples();
        let mut tokens = Vec::with_capacity(data.n_tokens() + n_texts);
        for index in 0..n_texts {
            tokens.extend_from_slice(&data.tokens(index)?);
            tokens.push(NGRAM_SEPARATOR);
        }
        Self::fit_tokens(&tokens, n_texts, options)
    }
}
