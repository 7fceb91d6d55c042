//! The frequency branch of MCAN: convolutions along the frequencies of each block of an image.

use tch::Tensor;
use tch::nn::Path;

use super::ConvBlock;
use crate::{Error, Mode, Result};

/// Sizes of [`DctCnn`].
#[derive(Debug, Clone, Copy)]
pub struct DctCnnSizes<'a> {
    /// Channels of the first convolutions, each at least 1.
    pub channels: &'a [i64],
    /// Their kernel sizes, as many as channels, each at least 1.
    pub kernel_sizes: &'a [i64],
    /// Channels of the four branches of the inception block: one, two, three and one convolutions.
    pub branches: [&'a [i64]; 4],
    /// Channels of the output, at least 1.
    pub n_out: i64,
}

/// Convolutions along the frequencies, an inception block, and the maximum over the frequencies.
///
/// Szegedy et al., *Going Deeper with Convolutions*, CVPR 2015, with kernels of one row, so that blocks stay separate.
///
/// Parameters: `stem.convs.<i>.*`, `InceptionBlock.branch<j>.*`, `conv.*`, those of [`ConvBlock`].
#[derive(Debug)]
pub struct DctCnn {
    stem: Vec<ConvBlock>,
    branches: [Vec<ConvBlock>; 4],
    conv: ConvBlock,
    sizes: (i64, i64),
}

/// Kernel sizes of the branches of the inception block.
const BRANCH_KERNELS: [&[i64]; 4] = [&[1], &[1, 3], &[1, 3, 3], &[1]];

impl DctCnn {
    /// Creates the layers.
    ///
    /// # Errors
    /// [`Error::Config`]: a branch has the wrong number of channels, or there are not as many kernel sizes as channels.
    pub fn new(path: &Path<'_>, sizes: DctCnnSizes<'_>) -> Result<Self> {
        let DctCnnSizes { channels, kernel_sizes, branches, n_out } = sizes;
        let invalid = |name, expected: String, got: usize| {
            Err(Error::Config { model: "DCT branch", name, expected, got: got.to_string() })
        };
        if channels.is_empty() || channels.len() != kernel_sizes.len() {
            let expected = format!("as many kernel sizes as channels, {}, at least 1", channels.len());
            return invalid("dct_kernel_sizes", expected, kernel_sizes.len());
        }
        let names =
            ["dct_branch1_channels", "dct_branch2_channels", "dct_branch3_channels", "dct_branch4_channels"];
        for ((name, kernels), channels) in names.into_iter().zip(BRANCH_KERNELS).zip(branches) {
            if channels.len() != kernels.len() {
                return invalid(name, format!("{} channels", kernels.len()), channels.len());
            }
        }
        let mut n_in = 1;
        let mut stem = Vec::with_capacity(channels.len());
        for (i, (&n_channels, &kernel)) in channels.iter().zip(kernel_sizes).enumerate() {
            stem.push(ConvBlock::new(&(path / "stem" / "convs" / i), [n_in, n_channels], kernel, 0)?);
            n_in = n_channels;
        }
        let inception = path / "InceptionBlock";
        let branch = |index: usize| -> Result<Vec<ConvBlock>> {
            let (channels, kernels) = (branches[index], BRANCH_KERNELS[index]);
            let path = &inception / format!("branch{}", index + 1);
            let mut n_in = n_in;
            let mut blocks = Vec::with_capacity(channels.len());
            for (i, (&n_channels, &kernel)) in channels.iter().zip(kernels).enumerate() {
                // As in FaKnow, the names of the first branch have no position, and those of the last one follow its pooling.
                let path = match index {
                    0 => path.clone(),
                    3 => &path / (i + 1),
                    _ => &path / i,
                };
                blocks.push(ConvBlock::new(&path, [n_in, n_channels], kernel, kernel / 2)?);
                n_in = n_channels;
            }
            Ok(blocks)
        };
        let branches_of = [branch(0)?, branch(1)?, branch(2)?, branch(3)?];
        let n_features = branches.iter().filter_map(|channels| channels.last()).sum();
        let min_width = 1 + kernel_sizes.iter().map(|kernel| kernel - 1).sum::<i64>() + 1;
        Ok(Self {
            stem,
            branches: branches_of,
            conv: ConvBlock::new(&(path / "conv"), [n_features, n_out], 1, 0)?,
            sizes: (n_out, min_width),
        })
    }

    /// Returns the number of features of an image with `n_blocks` blocks.
    pub fn n_features(&self, n_blocks: i64) -> i64 {
        self.sizes.0 * n_blocks
    }

    /// Maps the frequencies of the blocks of images, `[n, n_blocks, n_frequencies]`, to features `[n, n_blocks * n_out]`, block by block.
    ///
    /// # Errors
    /// There are fewer frequencies than the kernels need.
    pub fn forward(&self, frequencies: &Tensor, mode: Mode) -> Result<Tensor> {
        let (n, _, width) = frequencies.size3()?;
        if width < self.sizes.1 {
            return Err(Error::Batch {
                model: "DCT branch",
                expected: format!("at least {} frequencies, as the kernels need", self.sizes.1),
                got: width.to_string(),
            });
        }
        let mut x = frequencies.f_unsqueeze(1)?; // [n, 1, n_blocks, n_frequencies]
        for block in &self.stem {
            x = block.forward(&x, mode)?;
        }
        let x = x.f_max_pool2d([1, 2], [1, 2], [0, 0], [1, 1], false)?;
        let mut features = Vec::with_capacity(self.branches.len());
        for (index, blocks) in self.branches.iter().enumerate() {
            let mut y = match index {
                3 => x.f_max_pool2d([1, 3], [1, 1], [0, 1], [1, 1], false)?,
                _ => x.shallow_clone(),
            };
            for block in blocks {
                y = block.forward(&y, mode)?;
            }
            features.push(y.f_amax([3], true)?); // [n, channels, n_blocks, 1]
        }
        let features = self.conv.forward(&Tensor::f_cat(&features, 1)?, mode)?; // [n, n_out, n_blocks, 1]
        Ok(features.f_squeeze_dim(3)?.f_transpose(1, 2)?.f_reshape([n, -1])?)
    }
}
