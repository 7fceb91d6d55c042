//! Attention pooling of the tokens of a text.

use tch::nn::Path;
use tch::{Kind, Tensor};

use super::Linear;
use crate::Result;

/// Score of a token that is padding: its weight is exactly 0 next to any token of the text.
const PADDING_SCORE: f64 = -1e30;

/// The `MaskAttention` of MDFEND and M3FEND: a weighted mean of the tokens, with the softmax of a linear score as weights.
///
/// Parameters: `attention_layer.weight` `[1, size]`, `attention_layer.bias` `[1]`.
#[derive(Debug)]
pub struct MaskAttention {
    score: Linear,
}

impl MaskAttention {
    /// Creates a layer for token vectors of length `size`.
    ///
    /// # Errors
    /// libtorch rejects the size.
    pub fn new(path: &Path<'_>, size: i64) -> Result<Self> {
        Ok(Self { score: Linear::new(&(path / "attention_layer"), size, 1)? })
    }

    /// Maps token vectors `[n, len, size]` to `[n, size]`; `mask` bool `[n, len]` marks the tokens. A text without tokens is
    /// mapped to zeros.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn forward(&self, vectors: &Tensor, mask: &Tensor) -> Result<Tensor> {
        let scores = self.score.forward(vectors)?.f_squeeze_dim(2)?; // [n, len]
        let scores = scores.f_masked_fill(&mask.f_logical_not()?, PADDING_SCORE)?;
        let weights = scores.f_softmax(1, None::<Kind>)?.f_mul(&mask.f_to_kind(scores.kind())?)?;
        Ok(weights.f_unsqueeze(1)?.f_matmul(vectors)?.f_squeeze_dim(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, nn::VarStore};

    #[test]
    fn padding_and_empty_texts_have_no_influence() {
        tch::manual_seed(1);
        let vars = VarStore::new(Device::Cpu);
        let layer = MaskAttention::new(&vars.root(), 3).unwrap();
        let vectors = Tensor::randn([2, 4, 3], tch::kind::FLOAT_CPU);
        let mask = Tensor::from_slice2(&[[true, true, false, false], [false; 4]]);
        let pooled = layer.forward(&vectors, &mask).unwrap();
        let alone =
            layer.forward(&vectors.narrow(0, 0, 1).narrow(1, 0, 2), &mask.narrow(0, 0, 1).narrow(1, 0, 2));
        assert!((alone.unwrap().get(0) - pooled.get(0)).abs().max().double_value(&[]) < 1e-6);
        assert_eq!(pooled.get(1), Tensor::zeros([3], tch::kind::FLOAT_CPU));
    }
}
