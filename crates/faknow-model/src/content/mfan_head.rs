//! The layers of MFAN on vectors of texts, images and nodes.

use tch::Tensor;
use tch::nn::{Init, Path};

use super::mfan::MfanConfig;
use crate::layers::{Linear, ResidualAttention, ResidualAttentionSizes, dropout, glorot_normal};
use crate::{Mode, Result};

/// The layers of MFAN on one vector per modality.
///
/// Parameters: `mh_attention.*` ([`ResidualAttention`]), shared by all pairs of modalities; `alignfc_t.*`, `alignfc_g.*`;
/// `fc1.*` to `fc4.*`.
#[derive(Debug)]
pub struct MfanHead {
    block: ResidualAttention,
    alignment: [Linear; 2],
    classifier: [Linear; 4],
    dropout: f64,
}

/// Vectors of the modalities of posts, each `[n, size]`.
#[derive(Debug)]
pub struct MfanFeatures {
    /// Of texts.
    pub text: Tensor,
    /// Of images.
    pub image: Tensor,
    /// Of nodes.
    pub node: Tensor,
}

/// The output of [`MfanHead`].
#[derive(Debug)]
pub struct MfanOutput {
    /// Class logits `[n, n_classes]`.
    pub logits: Tensor,
    /// Texts and nodes in a common space, each `[n, size]`, whose distance is part of the loss.
    pub aligned: [Tensor; 2],
}

impl MfanHead {
    /// Creates the layers for vectors of length `size`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the hyperparameter that is out of range.
    pub fn new(path: &Path<'_>, config: &MfanConfig, size: i64, n_classes: usize) -> Result<Self> {
        config.validate(n_classes)?;
        let sizes = ResidualAttentionSizes {
            size,
            n_heads: config.n_heads,
            key_size: config.key_size,
            value_size: config.value_size,
            dropout: config.attention_dropout,
        };
        let linear = |name: &str, n_in: i64, n_out: i64| -> Result<Linear> {
            let path = path / name;
            let weight = glorot_normal(&path, "weight", &[n_out, n_in])?;
            Ok(Linear::from_tensors(weight, path.f_var("bias", &[n_out], Init::Const(0.0))?))
        };
        let alignment = |name: &str| Linear::new(&(path / name), size, size);
        Ok(Self {
            block: ResidualAttention::new(&(path / "mh_attention"), sizes)?,
            alignment: [alignment("alignfc_t")?, alignment("alignfc_g")?],
            classifier: [
                linear("fc1", 6 * size, 3 * size)?,
                linear("fc2", 3 * size, 2 * size)?,
                linear("fc3", 2 * size, size)?,
                linear("fc4", size, n_classes as i64)?,
            ],
            dropout: config.dropout,
        })
    }

    /// Computes the logits and the aligned vectors.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn forward(&self, features: &MfanFeatures, mode: Mode) -> Result<MfanOutput> {
        // A vector is a sequence of one token.
        let attend = |queries: &Tensor, context: &Tensor| -> Result<Tensor> {
            let sequences = [queries.f_unsqueeze(1)?, context.f_unsqueeze(1)?];
            Ok(self.block.forward(&sequences[0], &sequences[1], mode)?.f_squeeze_dim(1)?)
        };
        let MfanFeatures { text, image, node } = features;
        let (text, image, node) = (attend(text, text)?, attend(image, image)?, attend(node, node)?);
        let text = attend(&image, &text)?;
        let aligned = [self.alignment[0].forward(&text)?, self.alignment[1].forward(&node)?];
        let pairs = [
            (&text, &node),
            (&node, &text),
            (&text, &image),
            (&image, &text),
            (&node, &image),
            (&image, &node),
        ];
        let fused: Vec<Tensor> = pairs.iter().map(|(x, y)| attend(x, y)).collect::<Result<_>>()?;
        let [first, second, third, last] = &self.classifier;
        let hidden = dropout(&first.forward(&Tensor::f_cat(&fused, 1)?)?, self.dropout, mode)?.f_relu()?;
        let hidden = third.forward(&second.forward(&hidden)?.f_relu()?)?.f_relu()?;
        Ok(MfanOutput { logits: last.forward(&dropout(&hidden, self.dropout, mode)?)?, aligned })
    }
}
