//! A model of texts as a function of the token vectors of one text, for explanations.

use std::collections::BTreeMap;

use faknow_data::FieldBatch;
use tch::Tensor;

use super::{TextInput, TokenVectors};
use crate::{EmbeddingModel, Result};

/// Computes logits from token vectors and other fields.
type Logits<'a> = Box<dyn Fn(TokenVectors, &FieldBatch) -> Result<Tensor> + 'a>;

/// A model as a function of the token vectors of one text, whose other fields are fixed.
pub(super) struct OneText<'a> {
    input: &'a TextInput,
    batch: &'a FieldBatch,
    logits: Logits<'a>,
}

impl<'a> OneText<'a> {
    /// Creates the function for the only sample of `batch`. `logits` computes the logits of token vectors and a batch with the
    /// domains and features of as many samples.
    pub(super) fn new(
        input: &'a TextInput,
        batch: &'a FieldBatch,
        logits: impl Fn(TokenVectors, &FieldBatch) -> Result<Tensor> + 'a,
    ) -> Self {
        Self { input, batch, logits: Box::new(logits) }
    }
}

impl EmbeddingModel for OneText<'_> {
    fn vectors(&self, ids: &Tensor) -> Result<Tensor> {
        self.input.word_vectors(ids)
    }

    fn logits(&self, vectors: &Tensor) -> Result<Tensor> {
        let n = vectors.size()[0];
        let tokens = self.input.forward_vectors(vectors, &self.input.mask(self.batch)?)?;
        (self.logits)(tokens, &repeat(self.batch, n)?)
    }

    fn is_traceable(&self) -> bool {
        false
    }

    fn padding_id(&self) -> i64 {
        self.input.padding_id()
    }
}

/// Returns the domains and features of one sample for `n` equal samples.
fn repeat(batch: &FieldBatch, n: i64) -> Result<FieldBatch> {
    let repeat = |field: &Tensor| -> Result<Tensor> {
        let shape: Vec<i64> = std::iter::once(n).chain(field.size().into_iter().skip(1)).collect();
        Ok(field.f_expand(shape, false)?)
    };
    let features = batch.features.iter().map(|(name, feature)| Ok((name.clone(), repeat(feature)?)));
    Ok(FieldBatch {
        domains: batch.domains.as_ref().map(repeat).transpose()?,
        features: features.collect::<Result<BTreeMap<_, _>>>()?,
        ..FieldBatch::new(n as usize)
    })
}
