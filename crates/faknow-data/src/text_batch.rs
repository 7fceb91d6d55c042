//! Texts as padded rows of token numbers.

use tch::{Device, Kind, Tensor};

use crate::text::PADDING;
use crate::{Batch, Error, Result};

/// Texts as rows of token numbers, padded on the right to a common length.
#[derive(Debug)]
pub struct TextBatch {
    /// Token numbers, i64 `[n, len]`; [`PADDING`] from the end of each text on.
    pub tokens: Tensor,
    /// Number of tokens of each text without its padding, i64 `[n]`.
    pub lengths: Tensor,
    /// Class numbers, i64 `[n]`, if the texts are labelled.
    pub labels: Option<Tensor>,
    /// Domain numbers (topics, events, platforms), i64 `[n]`, if the data set has domains; -1 where a text has none,
    /// or one that training did not know.
    pub domains: Option<Tensor>,
    /// Position of each text in the data set it came from.
    pub indices: Vec<usize>,
}

impl TextBatch {
    /// A batch of these token rows, i64 `[n, len]`, and perhaps their class numbers, i64 `[n]`.
    ///
    /// Lengths are counted up to the last token that is not padding; indices are `0..n`. Errors if a tensor has
    /// another shape or kind.
    ///
    /// ```
    /// use faknow_data::TextBatch;
    /// use tch::Tensor;
    ///
    /// let tokens = Tensor::from_slice2(&[[5_i64, 2, 0], [7, 3, 4]]);
    /// let batch = TextBatch::new(tokens, Some(Tensor::from_slice(&[0_i64, 1])))?;
    /// assert_eq!(Vec::<i64>::try_from(&batch.lengths)?, [2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(tokens: Tensor, labels: Option<Tensor>) -> Result<Self> {
        let (n, len) = match tokens.size()[..] {
            [n, len] if tokens.kind() == Kind::Int64 => (n, len),
            _ => return Err(wrong_tensor("tokens", "i64 [n, len]", &tokens)),
        };
        if let Some(labels) = &labels
            && (labels.size() != [n] || labels.kind() != Kind::Int64)
        {
            return Err(wrong_tensor("labels", &format!("i64 [{n}]"), labels));
        }
        // The place of the last token counts, not the number of tokens: a padding id in the midst is a token too.
        let places = Tensor::f_arange_start(1, len + 1, (Kind::Int64, tokens.device()))?;
        let ends = tokens.f_ne(i64::from(PADDING))?.f_to_kind(Kind::Int64)?.f_mul(&places)?;
        let lengths = match len {
            0 => Tensor::f_zeros([n], (Kind::Int64, tokens.device()))?,
            _ => ends.f_amax([1], false)?,
        };
        Ok(Self { tokens, lengths, labels, domains: None, indices: (0..n as usize).collect() })
    }
}

impl Batch for TextBatch {
    fn n_samples(&self) -> usize {
        self.indices.len()
    }

    fn labels(&self) -> Option<&Tensor> {
        self.labels.as_ref()
    }

    fn to_device(&self, device: Device) -> Self {
        let moved = |tensor: &Tensor| tensor.to_device(device);
        Self {
            tokens: moved(&self.tokens),
            lengths: moved(&self.lengths),
            labels: self.labels.as_ref().map(moved),
            domains: self.domains.as_ref().map(moved),
            indices: self.indices.clone(),
        }
    }
}

fn wrong_tensor(name: &'static str, expected: &str, tensor: &Tensor) -> Error {
    let got = format!("{:?} {:?}", tensor.kind(), tensor.size());
    Error::Setting { name, expected: expected.to_owned(), got }
}
