//! ResNet: residual blocks, with the names of torchvision's `resnet18` to `resnet152`.

use tch::Tensor;

use super::body::Body;
use super::conv::{Conv, ConvSizes, TORCHVISION_NORM};
use super::params::Params;
use super::shapes::Shapes;
use crate::{Mode, Result};

/// Start of the names of the stages.
pub(super) const PREFIX: &str = "layer";

/// Sizes of the blocks.
#[derive(Debug, Clone)]
pub(super) struct ResNetSizes {
    /// Size of the kernel of the first convolution.
    kernel: i64,
    /// Number of channels after the first convolution.
    width: i64,
    stages: Vec<Vec<Block>>,
}

/// A residual block.
#[derive(Debug, Clone)]
struct Block {
    /// The two or three convolutions.
    convs: Vec<ConvSizes>,
    /// The convolution of the shortcut.
    shortcut: Option<ConvSizes>,
}

impl ResNetSizes {
    /// Returns the sizes of ResNet-18 with this number of channels in its first stage instead of 64.
    pub(super) fn thin_18(width: i64) -> Self {
        let (mut n_in, mut stages) = (width, Vec::new());
        for stage in 0..4 {
            let n_out = width << stage;
            let blocks = (0..2).map(|block| {
                let (n_in, stride) = if block == 0 { (n_in, stride(stage, 0)) } else { (n_out, 1) };
                let convs = vec![ConvSizes::new(n_in, n_out, 3, stride), ConvSizes::new(n_out, n_out, 3, 1)];
                let shortcut = (n_in != n_out).then(|| ConvSizes::new(n_in, n_out, 1, stride));
                Block { convs, shortcut }
            });
            stages.push(blocks.collect());
            n_in = n_out;
        }
        Self { kernel: 7, width, stages }
    }

    pub(super) fn read(shapes: Shapes<'_>) -> Result<Self, String> {
        let [width, _, kernel, _] = shapes.get("conv1.weight")?;
        let (mut n_in, mut stages) = (width, Vec::new());
        for stage in 0..shapes.len(PREFIX).saturating_sub(1) {
            let name = format!("{PREFIX}{}.", stage + 1);
            let mut blocks = Vec::new();
            for block in 0..shapes.len(&name).max(1) {
                let block = read_block(shapes, &format!("{name}{block}."), n_in, stride(stage, block))?;
                n_in = block.n_out();
                blocks.push(block);
            }
            stages.push(blocks);
        }
        Ok(Self { kernel, width, stages })
    }

    /// Returns the number of convolutions, without those of shortcuts, and fully connected layers.
    pub(super) fn n_layers(&self) -> usize {
        2 + self.stages.iter().flatten().map(|block| block.convs.len()).sum::<usize>()
    }

    pub(super) fn n_channels(&self) -> i64 {
        self.stages.iter().flatten().last().map_or(self.width, Block::n_out)
    }

    pub(super) fn build(&self, params: &Params<'_, '_>) -> Result<Box<dyn Body>> {
        let conv = |params: &Params<'_, '_>, names: [&str; 2], sizes: ConvSizes| {
            Conv::with_norm(params, names, sizes, TORCHVISION_NORM)
        };
        let stem = conv(params, ["conv1", "bn1"], ConvSizes::new(3, self.width, self.kernel, 2))?;
        let mut blocks = Vec::new();
        for (stage, sizes) in self.stages.iter().enumerate() {
            for (block, Block { convs, shortcut }) in sizes.iter().enumerate() {
                let params = params.sub(&format!("{PREFIX}{}.{block}", stage + 1));
                let build = |(i, sizes): (usize, &ConvSizes)| {
                    conv(&params, [&format!("conv{}", i + 1), &format!("bn{}", i + 1)], *sizes)
                };
                blocks.push(Residual {
                    convs: convs.iter().enumerate().map(build).collect::<Result<_>>()?,
                    shortcut: shortcut
                        .map(|sizes| conv(&params, ["downsample.0", "downsample.1"], sizes))
                        .transpose()?,
                });
            }
        }
        Ok(Box::new(ResNet { stem, blocks }))
    }
}

impl Block {
    fn n_out(&self) -> i64 {
        self.convs.last().map_or(0, |conv| conv.n_out)
    }
}

/// Returns the stride of a block.
fn stride(stage: usize, block: usize) -> i64 {
    if stage > 0 && block == 0 { 2 } else { 1 }
}

/// Reads the sizes of a block with `n_in` channels.
fn read_block(shapes: Shapes<'_>, name: &str, n_in: i64, stride: i64) -> Result<Block, String> {
    let width = |conv: &str| shapes.get(&format!("{name}{conv}.weight")).map(|[n_out, _, _, _]| n_out);
    let (first, second) = (width("conv1")?, width("conv2")?);
    let convs = if shapes.has(&format!("{name}conv3.weight")) {
        let third = width("conv3")?;
        let middle = ConvSizes::new(first, second, 3, stride);
        vec![ConvSizes::new(n_in, first, 1, 1), middle, ConvSizes::new(second, third, 1, 1)]
    } else {
        vec![ConvSizes::new(n_in, first, 3, stride), ConvSizes::new(first, second, 3, 1)]
    };
    let n_out = convs.last().map_or(0, |conv| conv.n_out);
    let needs_shortcut = stride != 1 || n_in != n_out || shapes.has(&format!("{name}downsample.0.weight"));
    Ok(Block { convs, shortcut: needs_shortcut.then(|| ConvSizes::new(n_in, n_out, 1, stride)) })
}

/// The layers of a ResNet.
#[derive(Debug)]
struct ResNet {
    stem: Conv,
    blocks: Vec<Residual>,
}

/// The layers of a block.
#[derive(Debug)]
struct Residual {
    convs: Vec<Conv>,
    shortcut: Option<Conv>,
}

impl Residual {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut y = x.shallow_clone();
        for (i, conv) in self.convs.iter().enumerate() {
            y = conv.forward(&if i == 0 { y } else { y.f_relu()? }, mode)?;
        }
        let shortcut = self.shortcut.as_ref().map(|conv| conv.forward(x, mode)).transpose()?;
        Ok(y.f_add(shortcut.as_ref().unwrap_or(x))?.f_relu()?)
    }
}

impl Body for ResNet {
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let x = self.stem.forward(x, mode)?.f_relu()?;
        let mut x = x.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?;
        for block in &self.blocks {
            x = block.forward(&x, mode)?;
        }
        Ok(x)
    }

    fn fold(&mut self) -> Result<()> {
        self.stem.fold()?;
        let convs =
            self.blocks.iter_mut().flat_map(|block| block.convs.iter_mut().chain(&mut block.shortcut));
        convs.into_iter().try_for_each(Conv::fold)
    }
}
