//! EfficientNet-Lite0: inverted residual blocks, with the names of EfficientNet-PyTorch.

use tch::Tensor;

use super::body::Body;
use super::conv::{Conv, ConvSizes, Padding};
use super::params::{NormConstants, Params};
use super::shapes::Shapes;
use crate::{Mode, Result};

/// Start of the names of the blocks.
pub(super) const PREFIX: &str = "_blocks.";

const N_BLOCKS: usize = 16;

/// The blocks with stride 2, which start the stages of 24, 40, 80 and 192 channels.
const STRIDE_2: [usize; 4] = [1, 3, 5, 11];

const NORM: NormConstants = NormConstants { eps: 1e-3, momentum: 0.01 };

/// Sizes of the blocks.
#[derive(Debug, Clone)]
pub(super) struct EfficientNetSizes {
    /// Number of channels after the first convolution.
    width: i64,
    blocks: Vec<Block>,
    n_channels: i64,
}

/// An inverted residual block.
#[derive(Debug, Clone)]
struct Block {
    n_in: i64,
    /// Number of channels of the depthwise convolution.
    n_inner: i64,
    has_expansion: bool,
    kernel: i64,
    stride: i64,
    n_out: i64,
}

impl EfficientNetSizes {
    pub(super) fn read(shapes: Shapes<'_>) -> Result<Self, String> {
        let n_blocks = shapes.len(PREFIX);
        if n_blocks != N_BLOCKS {
            return Err(format!(
                "`{PREFIX}*`: expected {N_BLOCKS} blocks, as EfficientNet-Lite0 has, got {n_blocks}"
            ));
        }
        let [width, _, _, _] = shapes.get("_conv_stem.weight")?;
        let (mut n_in, mut blocks) = (width, Vec::new());
        for block in 0..n_blocks {
            let name = |conv: &str| format!("{PREFIX}{block}.{conv}.weight");
            if shapes.has(&name("_se_reduce")) {
                return Err(format!(
                    "`{}`: expected EfficientNet-Lite0, which has no squeeze-and-excitation",
                    name("_se_reduce")
                ));
            }
            let [n_inner, _, kernel, _] = shapes.get(&name("_depthwise_conv"))?;
            let [n_out, _, _, _] = shapes.get(&name("_project_conv"))?;
            let has_expansion = block > 0 || shapes.has(&name("_expand_conv"));
            let stride = if STRIDE_2.contains(&block) { 2 } else { 1 };
            blocks.push(Block { n_in, n_inner, has_expansion, kernel, stride, n_out });
            n_in = n_out;
        }
        let [n_channels, _, _, _] = shapes.get("_conv_head.weight")?;
        Ok(Self { width, blocks, n_channels })
    }

    pub(super) fn n_channels(&self) -> i64 {
        self.n_channels
    }

    pub(super) fn build(&self, params: &Params<'_, '_>) -> Result<Box<dyn Body>> {
        let stem = conv(params, ["_conv_stem", "_bn0"], [3, self.width], 3, 2)?;
        let mut blocks = Vec::new();
        for (i, block) in self.blocks.iter().enumerate() {
            let params = params.sub(&format!("{PREFIX}{i}"));
            let &Block { n_in, n_inner, kernel, stride, n_out, .. } = block;
            let expand = || conv(&params, ["_expand_conv", "_bn0"], [n_in, n_inner], 1, 1);
            let n_expanded = if block.has_expansion { n_inner } else { n_in };
            let depthwise = ConvSizes {
                groups: n_expanded,
                padding: Padding::TensorFlow,
                ..ConvSizes::new(n_expanded, n_inner, kernel, stride)
            };
            blocks.push(InvertedResidual {
                expand: block.has_expansion.then(expand).transpose()?,
                depthwise: Conv::with_norm(&params, ["_depthwise_conv", "_bn1"], depthwise, NORM)?,
                project: conv(&params, ["_project_conv", "_bn2"], [n_inner, n_out], 1, 1)?,
                has_shortcut: stride == 1 && n_in == n_out,
            });
        }
        let n_in = self.blocks.last().map_or(self.width, |block| block.n_out);
        let last = conv(params, ["_conv_head", "_bn1"], [n_in, self.n_channels], 1, 1)?;
        Ok(Box::new(EfficientNet { stem, blocks, last }))
    }
}

fn conv(
    params: &Params<'_, '_>,
    names: [&str; 2],
    [n_in, n_out]: [i64; 2],
    kernel: i64,
    stride: i64,
) -> Result<Conv> {
    let sizes = ConvSizes { padding: Padding::TensorFlow, ..ConvSizes::new(n_in, n_out, kernel, stride) };
    Conv::with_norm(params, names, sizes, NORM)
}

/// The layers of an EfficientNet-Lite0.
///
/// Unlike EfficientNet-PyTorch's, blocks are not skipped at random in training.
#[derive(Debug)]
struct EfficientNet {
    stem: Conv,
    blocks: Vec<InvertedResidual>,
    last: Conv,
}

/// The layers of a block.
#[derive(Debug)]
struct InvertedResidual {
    expand: Option<Conv>,
    depthwise: Conv,
    project: Conv,
    has_shortcut: bool,
}

impl InvertedResidual {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let expanded = self.expand.as_ref().map(|conv| activate(conv, x, mode)).transpose()?;
        let y = activate(&self.depthwise, expanded.as_ref().unwrap_or(x), mode)?;
        let y = self.project.forward(&y, mode)?;
        Ok(if self.has_shortcut { y.f_add(x)? } else { y })
    }
}

/// Computes a convolution and ReLU6.
fn activate(conv: &Conv, x: &Tensor, mode: Mode) -> Result<Tensor> {
    Ok(conv.forward(x, mode)?.f_clamp(0.0, 6.0)?)
}

impl Body for EfficientNet {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut x = activate(&self.stem, x, mode)?;
        for block in &self.blocks {
            x = block.forward(&x, mode)?;
        }
        activate(&self.last, &x, mode)
    }

    fn fold(&mut self) -> Result<()> {
        self.stem.fold()?;
        for block in &mut self.blocks {
            block.expand.as_mut().map_or(Ok(()), Conv::fold)?;
            block.depthwise.fold()?;
            block.project.fold()?;
        }
        self.last.fold()
    }
}
