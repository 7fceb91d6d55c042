//! Vectors of the distinct words of a batch.

use tch::Tensor;

use super::Embedding;
use super::windows::{self, DistinctTokens};
use crate::{Mode, Result};

/// The vectors of the distinct words of a batch, each once, and where they occur.
///
/// A batch has a few hundred to a few thousand distinct words, so what is linear in the vectors is computed for a fraction of
/// its tokens.
#[derive(Debug)]
pub(crate) struct DistinctWords {
    /// The vectors `[n_words + 1, size]`; the last is zero, that of padding.
    pub(super) vectors: Tensor,
    pub(super) tokens: DistinctTokens,
}

impl DistinctWords {
    /// Looks up the words of texts: token ids i64 `[n, len]`, with the number of tokens of each text, i64 `[n]`. In training, words
    /// have dropout ([`Embedding::dropout`]).
    ///
    /// # Errors
    /// A token id is not below the number of words.
    pub(crate) fn new(
        embedding: &Embedding,
        ids: &Tensor,
        lengths: &Tensor,
        dropout_rate: f64,
        mode: Mode,
    ) -> Result<Self> {
        let tokens = DistinctTokens::without_padding(ids, lengths)?;
        let vectors = embedding.forward_distinct(&tokens.distinct)?;
        let vectors = embedding.dropout(&vectors, &tokens.distinct, dropout_rate, mode)?;
        let padding = Tensor::f_zeros([1, embedding.size()], (vectors.kind(), vectors.device()))?;
        Ok(Self { vectors: Tensor::f_cat(&[vectors, padding], 0)?, tokens })
    }

    /// Returns whether the device and the kind of an embedding are supported.
    pub(crate) fn are_supported(embedding: &Embedding) -> bool {
        windows::is_supported(embedding.weight().device(), embedding.kind())
    }

    /// Returns the vectors of all tokens, `[n, len, size]`; those of padding are zero.
    ///
    /// # Errors
    /// libtorch rejects an operation.
    pub(crate) fn of_tokens(&self) -> Result<Tensor> {
        let size = [-1, self.tokens.len() as i64, self.vectors.size()[1]];
        Ok(self.vectors.f_index_select(0, &self.tokens.rows()?)?.f_view(size)?)
    }
}
