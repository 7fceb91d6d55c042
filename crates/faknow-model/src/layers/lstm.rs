//! LSTM layers over sequences.

use tch::Tensor;
use tch::nn::Path;

use super::RecurrentSize;
use super::recurrent::Packed;
use crate::{Mode, Result};

/// PyTorch's `nn.LSTM` with biases: Hochreiter and Schmidhuber, *Long Short-Term Memory*, Neural Computation 1997. The order of the gates is input, forget, cell, output.
#[derive(Debug)]
pub struct Lstm {
    parameters: Vec<Tensor>,
    size: RecurrentSize,
    dropout: f64,
}

impl Lstm {
    /// Creates layers with PyTorch's initialization; `dropout` applies between layers.
    ///
    /// # Errors
    /// A size is below 1.
    pub fn new(path: &Path<'_>, size: RecurrentSize, dropout: f64) -> Result<Self> {
        let parameters = size.parameters(path, "LSTM", 4)?;
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
        let states = [state.shallow_clone(), state];
        let parameters = &self.parameters;
        let (dropout, train) = (self.dropout, mode.is_train());
        match lengths {
            None => {
                let (output, _, _) =
                    x.f_lstm(&states, parameters, true, n_layers, dropout, train, bidirectional, true)?;
                Ok(output)
            }
            Some(lengths) => {
                let packed = Packed::new(x, lengths)?;
                let (output, _, _) = Tensor::f_lstm_data(
                    &packed.data,
                    &packed.batch_sizes,
                    &states,
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
