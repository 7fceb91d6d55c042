//! The vector of a text from its token vectors.

use tch::Tensor;

use super::{TextInput, TokenVectors};
use crate::Result;
use crate::encoder::Pooling;

/// Returns the vectors of texts, `[n, size]`: those of words are averaged; with [`Pooling::Cls`], those of an encoder with
/// BERT's pooler go through it.
pub(super) fn pooled(input: &TextInput, tokens: &TokenVectors, pooling: Pooling) -> Result<Tensor> {
    let TokenVectors { vectors, mask, .. } = tokens;
    match input {
        TextInput::Words(_) => Pooling::Mean.apply(vectors, Some(mask)),
        TextInput::Frozen(encoder) | TextInput::Trained(encoder)
            if pooling == Pooling::Cls && encoder.config().pooler =>
        {
            encoder.pool(&Pooling::Cls.apply(vectors, None)?)
        }
        TextInput::Frozen(_) | TextInput::Trained(_) => pooling.apply(vectors, Some(mask)),
    }
}
