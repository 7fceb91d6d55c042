//! Numbers of tokens of a sample, in total and of those that are known.

use super::FieldDataset;
use crate::{Dataset as _, Result};

/// Numbers of tokens of a sample, without punctuation and special tokens. Those of a propagation tree are the distinct words of
/// each node or, without words, its nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenCounts {
    /// Number of tokens, after truncation.
    pub n_tokens: usize,
    /// Number of these that are known.
    pub n_known: usize,
}

/// How a token is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A token that a model knows.
    Known,
    /// A token that a model does not know.
    Unknown,
    /// A token that says nothing about the language or the subject of a text, such as punctuation, which is not counted.
    Ignored,
}

/// What the features of the nodes of propagation trees mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeFeatureKind {
    /// The counts of token ids in the texts of nodes.
    TokenIds,
    /// The counts of words of a vocabulary, all of which are known.
    Words,
    /// Any numbers, of which 0 is one.
    Numbers,
}

impl FieldDataset {
    /// Returns the numbers of tokens of each sample, in order, for token ids of the kinds that `kind_of` returns and nodes with
    /// features of this kind.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io): tokens stored in a file cannot be read.
    ///
    /// ```
    /// use faknow_data::text::{Tokenizer, TokenizerConfig, UNKNOWN, VocabOptions};
    /// use faknow_data::{FieldDataset, NodeFeatureKind, Record, TokenKind};
    ///
    /// let tokenizer = Tokenizer::new(TokenizerConfig::default())?;
    /// let (_, vocab) =
    ///     FieldDataset::build([Ok(Record::new("Rain on the moon!"))], &tokenizer, &VocabOptions::default())?;
    /// let new = ["The moon is cheese!", "", "Дождь"].map(|text| Ok(Record::new(text)));
    /// let new = FieldDataset::from_records(new, &tokenizer, &vocab, &[])?;
    /// let kind_of = |id| match vocab.word(id) {
    ///     _ if id == UNKNOWN => TokenKind::Unknown,
    ///     Some("!") => TokenKind::Ignored,
    ///     _ => TokenKind::Known,
    /// };
    /// let counts = new.token_counts(kind_of, NodeFeatureKind::Words)?;
    /// assert_eq!(counts.iter().map(|it| (it.n_known, it.n_tokens)).collect::<Vec<_>>(), [(2, 4), (0, 0), (0, 1)]);
    /// # Ok::<(), faknow_data::Error>(())
    /// ```
    pub fn token_counts(
        &self,
        mut kind_of: impl FnMut(u32) -> TokenKind,
        features: NodeFeatureKind,
    ) -> Result<Vec<TokenCounts>> {
        let count = |index| self.token_counts_of(index, &mut kind_of, features);
        (0..self.n_samples()).map(count).collect()
    }

    fn token_counts_of(
        &self,
        index: usize,
        kind_of: &mut impl FnMut(u32) -> TokenKind,
        features: NodeFeatureKind,
    ) -> Result<TokenCounts> {
        if self.has_words() || self.has_subwords() {
            return Ok(count(self.tokens(index)?.iter(), kind_of));
        }
        let tree = self.columns.trees.as_ref().zip(self.row(index));
        let columns = tree.into_iter().flat_map(|(trees, row)| trees.columns(row));
        let all_known = |n: usize| TokenCounts { n_tokens: n, n_known: n };
        Ok(match features {
            NodeFeatureKind::TokenIds => count(columns, kind_of),
            NodeFeatureKind::Words => all_known(columns.count()),
            NodeFeatureKind::Numbers => all_known(self.length(index)),
        })
    }
}

fn count<'a>(ids: impl Iterator<Item = &'a u32>, kind_of: &mut impl FnMut(u32) -> TokenKind) -> TokenCounts {
    let mut counts = TokenCounts::default();
    for &id in ids {
        let kind = kind_of(id);
        counts.n_tokens += usize::from(kind != TokenKind::Ignored);
        counts.n_known += usize::from(kind == TokenKind::Known);
    }
    counts
}
