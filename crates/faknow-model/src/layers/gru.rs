//! GRU layers over sequences.

use tch::Tensor;
use tch::nn::Path;

use super::RecurrentSize;
use super::recurrent::Packed;
use crate::{Mode, Result};

/// PyTorch's `nn.GRU` with biases: Cho et al., *Learning Phrase Representations using RNN Encoder-Decoder*, EMNLP 2014. The order of the gates is reset, update, new.
#[derive(Debug)]
pub struct Gru {
    parameters: Vec<Tensor>,
    size: RecurrentSize,
    dropout: f64,
}

impl Gru {
    /// Creates layers with PyTorch's initialization; `dropout` applies between layers.
    ///
    /// # Errors
    /// A size is below 1.
    pub fn new(path: &Path<'_>, size: RecurrentSize, dropout: f64) -> Result<Self> {
        let parameters = size.parameters(path, "GRU", 3)?;
        Ok(Self { parameters, size, dropout: if size.n_layers > 1 { dropout } else { 0.0 } })
    }

    /// Maps sequences `x` `[n, len, n_in]` to the outputs of the last layer `[n, len, n_out]`.
    ///
    /// With `lengths` i64 `[n]`, a sequence ends after its length: padding has no influence, and its outputs are 0.
    ///
    /// # Errors
    /// The vectors do not have the size `n_in`, or their number is 0.
    pub fn forward(&self, x: &Tensor, lengths: Option<&Tensor>, mode: Mode) -> Result<Tensor> {
        let RecurrentSize { n_layers, bidirectional, .. } = self.size;
        let state = self.size.zero_state(x.size()[0], x)?;
        let parameters = &self.parameters;
        // Without dropout, both modes compute the same, but cuDNN has gradients in training only.
        let train = mode.is_train() || (self.dropout == 0.0 && x.requires_grad());
        let dropout = self.dropout;
        match lengths {
            None => {
                let (output, _) =
                    x.f_gru(&state, parameters, true, n_layers, dropout, train, bidirectional, true)?;
                Ok(output)
            }
            Some(lengths) => {
                let packed = Packed::new(x, lengths)?;
                let (output, _) = Tensor::f_gru_data(
                    &packed.data,
                    &packed.batch_sizes,
                    &state,
                    parameters,
                    true,
                    n_layers,
                    dropout,
                    train,
                    bidirectional,
                )?;
                packed.unpack(&output)
            }
        }
    }
}
