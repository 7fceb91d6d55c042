//! Texts of a batch as sparse tf-idf weights of n-grams.

use tch::{Device, Tensor};

/// Texts as sparse rows of weighted n-grams, in the layout of `embedding_bag`.
#[derive(Debug)]
pub struct NGrams {
    /// Features of all texts, one text after the other, ascending within a text, i64 `[nnz]`.
    pub indices: Tensor,
    /// Weight of each of these features, f32 `[nnz]`.
    pub values: Tensor,
    /// Position of the first feature of each text in `indices`, i64 `[n]`.
    pub offsets: Tensor,
    /// Number of features of the encoder.
    pub n_features: usize,
}

impl NGrams {
    /// Returns the number of texts.
    pub fn n_texts(&self) -> usize {
        self.offsets.numel()
    }

    pub(crate) fn to_device(&self, device: Device) -> Self {
        Self {
            indices: self.indices.to_device(device),
            values: self.values.to_device(device),
            offsets: self.offsets.to_device(device),
            n_features: self.n_features,
        }
    }
}
