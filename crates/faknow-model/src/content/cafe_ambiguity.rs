//! The fusion of CAFE: correlation of the modalities, weighted by their ambiguity.

use tch::nn::Path;
use tch::{Kind, Tensor};

use super::CafeConfig;
use super::cafe_layers::NormLayers;
use crate::layers::Linear;
use crate::{Mode, Result};

/// Added to the standard deviations.
const EPS: f64 = 1e-7;

/// The ambiguity of a post: how far apart the distributions of a latent variable given its text and given its image are.
///
/// Parameters: `encoder_text.net.0.*` and `encoder_text.net.2.*`, `encoder_image.net.0.*` and `encoder_image.net.2.*`.
#[derive(Debug)]
pub(super) struct Ambiguity {
    text: [Linear; 2],
    image: [Linear; 2],
    latent_size: i64,
}

/// A normal distribution with independent components, `[n, latent_size]`.
struct Normal {
    mean: Tensor,
    std: Tensor,
}

impl Ambiguity {
    pub(super) fn new(path: &Path<'_>, config: &CafeConfig) -> Result<Self> {
        let CafeConfig { aligned_size: size, latent_size, .. } = *config;
        let layers = |name: &str| -> Result<_> {
            let path = path / name / "net";
            Ok([Linear::new(&(&path / 0), size, size)?, Linear::new(&(&path / 2), size, 2 * latent_size)?])
        };
        Ok(Self { text: layers("encoder_text")?, image: layers("encoder_image")?, latent_size })
    }

    /// Returns the ambiguity from 0 to 1, `[n, 1]`, of aligned vectors of texts and images, each `[n, aligned_size]`: the sigmoid of
    /// the symmetric Kullback-Leibler divergence of their distributions, estimated in training from one sample of each.
    ///
    /// In evaluation, the samples are the means: ¼ Σ (μ₁ - μ₂)² (1 / σ₁² + 1 / σ₂²), the divergence without its terms of the
    /// standard deviations alone.
    pub(super) fn forward(&self, text: &Tensor, image: &Tensor, mode: Mode) -> Result<Tensor> {
        let text = self.distribution(&self.text, text)?;
        let image = self.distribution(&self.image, image)?;
        let divergence = match mode {
            Mode::Train => {
                let (z_text, z_image) = (text.sample()?, image.sample()?);
                let of_text = text.log_density(&z_text)?.f_sub(&image.log_density(&z_text)?)?;
                let of_image = image.log_density(&z_image)?.f_sub(&text.log_density(&z_image)?)?;
                of_text.f_add(&of_image)?.f_mul_scalar(0.5)?
            }
            Mode::Eval => {
                let precision = text.precision()?.f_add(&image.precision()?)?;
                let squares = text.mean.f_sub(&image.mean)?.f_square()?.f_mul(&precision)?;
                sum(&squares)?.f_mul_scalar(0.25)?
            }
        };
        Ok(divergence.f_sigmoid()?)
    }

    fn distribution(&self, [first, second]: &[Linear; 2], aligned: &Tensor) -> Result<Normal> {
        let parameters = second.forward(&first.forward(aligned)?.f_relu()?)?;
        let std = parameters.f_narrow(1, self.latent_size, self.latent_size)?;
        let mean = parameters.f_narrow(1, 0, self.latent_size)?;
        Ok(Normal { mean, std: std.f_softplus()?.f_add_scalar(EPS)? })
    }
}

impl Normal {
    /// Returns a sample whose gradient is that of mean and standard deviation.
    fn sample(&self) -> Result<Tensor> {
        Ok(self.mean.f_add(&self.std.f_mul(&self.mean.f_randn_like()?)?)?)
    }

    /// Returns the logarithm of the density, `[n, 1]`, without the constant.
    fn log_density(&self, z: &Tensor) -> Result<Tensor> {
        let squares = z.f_sub(&self.mean)?.f_square()?.f_mul(&self.precision()?)?.f_mul_scalar(0.5)?;
        Ok(sum(&squares.f_add(&self.std.f_log()?)?)?.f_neg()?)
    }

    fn precision(&self) -> Result<Tensor> {
        Ok(self.std.f_square()?.f_reciprocal()?)
    }
}

/// Returns the sum of each row, `[n, 1]`.
fn sum(x: &Tensor) -> Result<Tensor> {
    Ok(x.f_sum_dim_intlist([1].as_slice(), true, x.kind())?)
}

/// The correlation of text and image.
///
/// Parameters: `fc.*`.
#[derive(Debug)]
pub(super) struct Correlation {
    layers: NormLayers,
}

impl Correlation {
    pub(super) fn new(path: &Path<'_>, config: &CafeConfig) -> Result<Self> {
        let sizes = [config.aligned_size, config.cross_size];
        Ok(Self { layers: NormLayers::new(&(path / "fc"), &sizes, None)? })
    }

    /// Returns the features `[n, cross_size]` of aligned vectors of texts and images, each `[n, aligned_size]`.
    pub(super) fn forward(&self, text: &Tensor, image: &Tensor, mode: Mode) -> Result<Tensor> {
        let scale = 1.0 / (text.size()[1] as f64).sqrt();
        let products = text.f_unsqueeze(2)?.f_matmul(&image.f_unsqueeze(1)?)?.f_mul_scalar(scale)?;
        let correlation = products.f_softmax(2, None::<Kind>)?.f_amax([2], false)?; // [n, aligned_size]
        self.layers.forward(&correlation, mode)
    }
}
