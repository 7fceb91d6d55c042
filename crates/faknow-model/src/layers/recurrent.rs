//! What GRU and LSTM layers have in common: parameters and sequences of different lengths.

use tch::nn::{Init, Path};
use tch::{Device, Tensor};

use crate::{Error, Result};

/// The sizes of a stack of recurrent layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecurrentSize {
    /// Size of an input vector, at least 1.
    pub n_in: i64,
    /// Size of the state of each direction, at least 1.
    pub hidden: i64,
    /// Number of layers, at least 1; the inputs of a layer are the outputs of the previous one.
    pub n_layers: i64,
    /// Whether each layer also reads the sequence backwards; its output is then twice as wide.
    pub bidirectional: bool,
}

impl RecurrentSize {
    /// Returns the size of an output vector.
    pub fn n_out(self) -> i64 {
        self.hidden * self.n_directions()
    }

    fn n_directions(self) -> i64 {
        1 + i64::from(self.bidirectional)
    }

    /// Creates the parameters in PyTorch's order and with its names and initialization (uniform in ±1/√hidden):
    /// `weight_ih_l<k>`, `weight_hh_l<k>`, `bias_ih_l<k>`, `bias_hh_l<k>`, with the suffix `_reverse` for the second direction.
    pub(super) fn parameters(
        self,
        path: &Path<'_>,
        layer: &'static str,
        n_gates: i64,
    ) -> Result<Vec<Tensor>> {
        let sizes = [("n_in", self.n_in), ("hidden", self.hidden), ("n_layers", self.n_layers)];
        if let Some((name, got)) = sizes.into_iter().find(|(_, size)| *size < 1) {
            let (expected, got) = ("at least 1".to_owned(), got.to_string());
            return Err(Error::Config { model: layer, name, expected, got });
        }
        let bound = 1.0 / (self.hidden as f64).sqrt();
        let (init, rows) = (Init::Uniform { lo: -bound, up: bound }, n_gates * self.hidden);
        let mut parameters = Vec::new();
        for k in 0..self.n_layers {
            let n_in = if k == 0 { self.n_in } else { self.n_out() };
            for suffix in ["", "_reverse"].iter().take(self.n_directions() as usize) {
                let shapes: [(&str, &[i64]); 4] = [
                    ("weight_ih", &[rows, n_in]),
                    ("weight_hh", &[rows, self.hidden]),
                    ("bias_ih", &[rows]),
                    ("bias_hh", &[rows]),
                ];
                for (name, shape) in shapes {
                    parameters.push(path.f_var(&format!("{name}_l{k}{suffix}"), shape, init)?);
                }
            }
        }
        Ok(parameters)
    }

    /// Returns an initial state of zeros for `n` sequences.
    pub(super) fn zero_state(self, n: i64, x: &Tensor) -> Result<Tensor> {
        let shape = [self.n_layers * self.n_directions(), n, self.hidden];
        Ok(Tensor::f_zeros(shape, (x.kind(), x.device()))?)
    }
}

/// Sequences without their padding, sorted by length, as PyTorch's `PackedSequence`.
pub(super) struct Packed {
    pub(super) data: Tensor,
    pub(super) batch_sizes: Tensor,
    /// Positions of the original sequences among the sorted ones.
    inverse: Tensor,
    total_length: i64,
}

impl Packed {
    /// Packs `x` `[n, len, n_in]` with the number of steps of each sequence, i64 `[n]`; an empty sequence is read as one step.
    pub(super) fn new(x: &Tensor, lengths: &Tensor) -> Result<Self> {
        let total_length = x.size()[1];
        let lengths = lengths.f_to_device(Device::Cpu)?.f_clamp(1, total_length)?;
        let (sorted, order) = lengths.f_sort(0, true)?;
        let rows = x.f_index_select(0, &order.f_to_device(x.device())?)?;
        let (data, batch_sizes) = rows.f_internal_pack_padded_sequence(&sorted, true)?;
        let inverse = order.f_argsort(0, false)?.f_to_device(x.device())?;
        Ok(Self { data, batch_sizes, inverse, total_length })
    }

    /// Returns the outputs of the steps as `[n, len, n_out]`, 0 after the end of a sequence.
    pub(super) fn unpack(&self, output: &Tensor) -> Result<Tensor> {
        let (padded, _) =
            Tensor::f_internal_pad_packed_sequence(output, &self.batch_sizes, true, 0.0, self.total_length)?;
        Ok(padded.f_index_select(0, &self.inverse)?)
    }
}
