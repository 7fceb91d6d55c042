//! The convolution of DeBERTa-v2, which adds neighboring embeddings to the output of the first layer.

use tch::Tensor;
use tch::nn::Init;

use super::activation::HiddenActivation;
use super::config::EncoderConfig;
use super::layer_norm::LayerNorm;
use super::layout::Layout;
use super::params::Params;
use crate::layers::dropout;
use crate::{Mode, Result};

/// A convolution over the tokens of a text, activated, added to hidden states and normalized.
#[derive(Debug)]
pub(super) struct Convolution {
    weight: Tensor,
    bias: Tensor,
    norm: LayerNorm,
    n_groups: i64,
    activation: HiddenActivation,
    dropout: f64,
}

impl Convolution {
    pub(super) fn new(
        params: &Params<'_, '_>,
        config: &EncoderConfig,
        (kernel_size, n_groups, activation): (i64, i64, HiddenActivation),
    ) -> Result<Self> {
        let (size, conv) = (config.hidden_size, params.sub("conv"));
        let init = Init::Randn { mean: 0.0, stdev: config.initializer_range };
        Ok(Self {
            weight: conv.tensor("weight", &[size, size / n_groups, kernel_size], init)?,
            bias: conv.tensor("bias", &[size], Init::Const(0.0))?,
            norm: LayerNorm::new(&params.sub("LayerNorm"), size, config.layer_norm_eps, true)?,
            n_groups,
            activation,
            dropout: config.dropout,
        })
    }

    /// Computes the next hidden states from the embeddings and the output of the first layer, all `[n_rows, hidden_size]`.
    pub(super) fn forward(
        &self,
        embedded: &Tensor,
        x: &Tensor,
        layout: &Layout,
        mode: Mode,
    ) -> Result<Tensor> {
        let size = embedded.size()[1];
        let padding = (self.weight.size()[2] - 1) / 2;
        let mut outputs = Vec::with_capacity(layout.blocks.len());
        for block in layout.split(embedded)? {
            let block = match &layout.mask {
                Some(mask) => block.f_mul(&mask.f_unsqueeze(2)?)?,
                None => block,
            };
            let output = block.f_transpose(1, 2)?.f_conv1d(
                &self.weight,
                Some(&self.bias),
                [1],
                [padding],
                [1],
                self.n_groups,
            )?;
            outputs.push(output.f_transpose(1, 2)?.f_reshape([-1, size])?);
        }
        let output = dropout(&Tensor::f_cat(&outputs, 0)?, self.dropout, mode)?;
        self.norm.forward(&self.activation.apply(&output)?.f_add(x)?)
    }
}
