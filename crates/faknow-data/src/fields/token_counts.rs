//! Numbers of tokens of a sample, in total and of those in the vocabulary.

use super::FieldDataset;
use crate::text::{PADDING, UNKNOWN};
use crate::{Dataset as _, Result};

/// Numbers of tokens of a sample, without special tokens. Those of a propagation tree are the distinct words of each node or, without words, its nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenCounts {
    /// Number of tokens, after truncation.
    pub n_tokens: usize,
    /// Number of tokens in the vocabulary or, if the dataset has n-grams, of those that are features by themselves.
    pub n_known: usize,
}

/// What the features of the nodes of propagation trees mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeFeatureKind {
    /// The counts of token ids in the texts of nodes; [`UNKNOWN`] is not known.
    TokenIds,
    /// The counts of words of a vocabulary, all of which are known.
    Words,
    /// Any numbers, of which 0 is one.
    Numbers,
}

impl TokenCounts {
    fn from_ids<'a>(ids: impl IntoIterator<Item = &'a u32>) -> Self {
        let mut counts = Self::default();
        for &id in ids {
            counts.n_tokens += 1;
            counts.n_known += usize::from(id != UNKNOWN && id != PADDING);
        }
        counts
    }
}

impl FieldDataset {
    /// Returns the numbers of tokens of each sample, in order, for nodes with features of this kind.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io): tokens stored in a file cannot be read.
    ///
    /// ```
    /// use faknow_data::text::{Tokenizer, TokenizerConfig, VocabOptions};
    /// use faknow_data::{FieldDataset, NodeFeatureKind, Record};
    ///
    /// let tokenizer = Tokenizer::new(TokenizerConfig::default())?;
    /// let (_, vocab) =
    ///     FieldDataset::build([Ok(Record::new("Rain on the moon"))], &tokenizer, &VocabOptions::default())?;
    /// let new = ["The moon is cheese", "", "Дождь"].map(|text| Ok(Record::new(text)));
    /// let counts =
    ///     FieldDataset::from_records(new, &tokenizer, &vocab, &[])?.token_counts(NodeFeatureKind::Words)?;
    /// assert_eq!(counts.iter().map(|it| (it.n_known, it.n_tokens)).collect::<Vec<_>>(), [(2, 4), (0, 0), (0, 1)]);
    /// # Ok::<(), faknow_data::Error>(())
    /// ```
    pub fn token_counts(&self, features: NodeFeatureKind) -> Result<Vec<TokenCounts>> {
        (0..self.n_samples()).map(|index| self.token_counts_of(index, features)).collect()
    }

    fn token_counts_of(&self, index: usize, features: NodeFeatureKind) -> Result<TokenCounts> {
        if let Some((ngrams, row)) = self.columns.ngrams.as_ref().zip(self.row(index)) {
            let n_tokens = self.tokens(index)?.len();
            return Ok(TokenCounts { n_tokens, n_known: ngrams.n_known(row) });
        }
        if let Some(subwords) = &self.columns.subwords {
            let (ids, tokens) = (subwords.ids(), self.tokens(index)?);
            let n_unknown = tokens.iter().filter(|&&id| Some(id) == ids.unknown).count();
            let n_tokens = tokens.len().saturating_sub(ids.n_special);
            return Ok(TokenCounts { n_tokens, n_known: n_tokens.saturating_sub(n_unknown) });
        }
        if self.has_words() {
            return Ok(TokenCounts::from_ids(&*self.tokens(index)?));
        }
        let tree = self.columns.trees.as_ref().zip(self.row(index));
        let columns = tree.into_iter().flat_map(|(trees, row)| trees.columns(row));
        let all_known = |n: usize| TokenCounts { n_tokens: n, n_known: n };
        Ok(match features {
            NodeFeatureKind::TokenIds => TokenCounts::from_ids(columns),
            NodeFeatureKind::Words => all_known(columns.count()),
            NodeFeatureKind::Numbers => all_known(self.length(index)),
        })
    }
}
