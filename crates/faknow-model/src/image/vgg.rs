//! VGG: convolutions of 3x3 pixels and max pooling, with the names of torchvision's `vgg11` to `vgg19_bn`.

use tch::Tensor;

use super::body::Body;
use super::conv::{Conv, ConvSizes, TORCHVISION_NORM};
use super::params::Params;
use super::shapes::Shapes;
use crate::{Mode, Result};

/// Name of the list of layers.
pub(super) const PREFIX: &str = "features.";

/// Sizes of the convolutions.
#[derive(Debug, Clone)]
pub(super) struct VggSizes {
    convs: Vec<VggConv>,
    has_norm: bool,
}

/// A convolution of VGG.
#[derive(Debug, Clone)]
struct VggConv {
    /// Position in torchvision's `Sequential`.
    index: usize,
    sizes: ConvSizes,
    /// Whether max pooling follows it.
    is_pooled: bool,
}

impl VggSizes {
    pub(super) fn read(shapes: Shapes<'_>) -> Result<Self, String> {
        let has_norm = shapes.has("features.1.weight");
        // A convolution, its normalization and its ReLU take this many positions; pooling takes one more.
        let n_positions = if has_norm { 3 } else { 2 };
        let (len, mut index, mut convs) = (shapes.len(PREFIX), 0, Vec::new());
        while index < len {
            let [n_out, n_in, kernel, _] = shapes.get(&format!("{PREFIX}{index}.weight"))?;
            let next = index + n_positions;
            let is_pooled = next >= len || !shapes.has(&format!("{PREFIX}{next}.weight"));
            if kernel != 3 {
                return Err(format!(
                    "`{PREFIX}{index}.weight`: expected a kernel of 3x3 pixels, as VGG has, got {kernel}"
                ));
            }
            convs.push(VggConv { index, sizes: ConvSizes::new(n_in, n_out, kernel, 1), is_pooled });
            index = next + usize::from(is_pooled);
        }
        let mut n_in = 3;
        for conv in &mut convs {
            conv.sizes.n_in = n_in;
            n_in = conv.sizes.n_out;
        }
        Ok(Self { convs, has_norm })
    }

    /// Returns the number of convolutions and fully connected layers.
    pub(super) fn n_layers(&self) -> usize {
        self.convs.len() + 3
    }

    pub(super) fn n_channels(&self) -> i64 {
        self.convs.last().map_or(0, |conv| conv.sizes.n_out)
    }

    pub(super) fn build(&self, params: &Params<'_, '_>) -> Result<Box<dyn Body>> {
        let build = |VggConv { index, sizes, is_pooled }: &VggConv| {
            let conv = if self.has_norm {
                let names = [*index, index + 1].map(|index| format!("{PREFIX}{index}"));
                Conv::with_bias_and_norm(params, [&names[0], &names[1]], *sizes, TORCHVISION_NORM)?
            } else {
                Conv::with_bias(&params.sub(&format!("{PREFIX}{index}")), *sizes)?
            };
            Ok((conv, *is_pooled))
        };
        Ok(Box::new(Vgg(self.convs.iter().map(build).collect::<Result<_>>()?)))
    }
}

/// The convolutions, and whether max pooling follows each.
#[derive(Debug)]
struct Vgg(Vec<(Conv, bool)>);

impl Body for Vgg {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut x = x.shallow_clone();
        for (conv, is_pooled) in &self.0 {
            x = conv.forward(&x, mode)?.f_relu()?;
            if *is_pooled {
                x = x.f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)?;
            }
        }
        Ok(x)
    }

    fn fold(&mut self) -> Result<()> {
        self.0.iter_mut().try_for_each(|(conv, _)| conv.fold())
    }
}
