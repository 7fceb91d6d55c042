//! The frequencies of the blocks of an image, from its pixels.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::{Error, Result};

/// Number of blocks per side of an image.
const N_BLOCKS: i64 = 8;

/// What the frequencies of a block are computed from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockFrequencies {
    /// The orthonormal discrete cosine transform (DCT-II) of the gray values, from 0 to 1, of the block in row-major order.
    #[default]
    Dct,
    /// Twice the gray values themselves, from 0 to 255: what FaKnow and the authors' notebook compute, which transform along an
    /// axis of length 1.
    Gray,
}

impl BlockFrequencies {
    /// Number of values per block; those of larger blocks are skipped evenly, those of smaller ones repeated.
    pub const PER_BLOCK: i64 = 250;

    /// Number of blocks of an image.
    pub const BLOCKS: i64 = N_BLOCKS * N_BLOCKS;

    /// Returns values `[n, 64, 250]` in the kind `kind` for the pixels of images, u8 `[n, 3, height, width]`. Rows and columns
    /// after a multiple of 8 are ignored.
    ///
    /// # Errors
    /// [`Error::Batch`]: an image has fewer than 8 rows or columns.
    pub fn of_pixels(self, pixels: &Tensor, kind: Kind) -> Result<Tensor> {
        let (n, _, height, width) = pixels.size4()?;
        let (rows, columns) = (height / N_BLOCKS, width / N_BLOCKS);
        if rows < 1 || columns < 1 {
            return Err(Error::Batch {
                model: "block frequencies",
                expected: format!("images of at least {N_BLOCKS} x {N_BLOCKS} pixels"),
                got: format!("{width} x {height}"),
            });
        }
        let pixels = pixels.f_narrow(2, 0, rows * N_BLOCKS)?.f_narrow(3, 0, columns * N_BLOCKS)?;
        let blocks = gray(&pixels)?
            .f_view([n, N_BLOCKS, rows, N_BLOCKS, columns])?
            .f_transpose(2, 3)?
            .f_reshape([n, Self::BLOCKS, rows * columns])?;
        let size = rows * columns;
        let positions: Vec<i64> = (0..Self::PER_BLOCK).map(|i| i * size / Self::PER_BLOCK).collect();
        let positions = Tensor::f_from_slice(&positions)?.f_to_device(blocks.device())?;
        match self {
            Self::Gray => Ok(blocks.f_index_select(2, &positions)?.f_to_kind(kind)?.f_mul_scalar(2.0)?),
            Self::Dct => {
                let blocks = blocks.f_to_kind(kind)?.f_div_scalar(255.0)?;
                Ok(blocks.f_matmul(&cosines(size, &positions)?.f_to_kind(kind)?)?)
            }
        }
    }
}

/// Returns the gray values, i64 `[n, height, width]`, of pixels u8 `[n, 3, height, width]`: the rounded luma of ITU-R 601-2, as
/// Pillow computes it.
fn gray(pixels: &Tensor) -> Result<Tensor> {
    let channel = |index: i64, weight: i64| -> Result<Tensor> {
        Ok(pixels.f_select(1, index)?.f_to_kind(Kind::Int64)?.f_mul_scalar(weight)?)
    };
    let sum = channel(0, 19595)?.f_add(&channel(1, 38470)?)?.f_add(&channel(2, 7471)?)?;
    Ok(sum.f_add_scalar(0x8000)?.f_div_scalar_mode(0x10000, "floor")?)
}

/// Returns the basis vectors of the orthonormal DCT-II of `size` values at these frequencies, i64 `[n]`, as the columns of
/// `[size, n]`.
fn cosines(size: i64, frequencies: &Tensor) -> Result<Tensor> {
    let times = Tensor::f_arange(size, (Kind::Double, frequencies.device()))?.f_add_scalar(0.5)?;
    let angles = times.f_outer(&frequencies.f_to_kind(Kind::Double)?)?.f_mul_scalar(PI / size as f64)?;
    let scale = (2.0 / size as f64).sqrt();
    let is_constant = frequencies.f_eq(0)?.f_to_kind(Kind::Double)?;
    let scales = is_constant.f_mul_scalar(scale * (0.5f64.sqrt() - 1.0))?.f_add_scalar(scale)?;
    Ok(angles.f_cos()?.f_mul(&scales)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    fn values(tensor: Tensor) -> Vec<f64> {
        Vec::try_from(tensor.flatten(0, -1)).unwrap()
    }

    #[test]
    fn gray_values_are_doubled_and_skipped_evenly() {
        // Each block of 28 x 28 pixels has one gray value.
        let block = Tensor::arange(64, (Kind::Int64, Device::Cpu)).view([8, 1, 8, 1]);
        let image =
            block.expand([8, 28, 8, 28], false).reshape([1, 1, 224, 224]).expand([1, 3, -1, -1], false);
        let image = image.to_kind(Kind::Uint8);
        let frequencies = BlockFrequencies::Gray.of_pixels(&image, Kind::Double).unwrap();
        assert_eq!(frequencies.size(), [1, 64, 250]);
        let means = values(frequencies.mean_dim([2].as_slice(), false, Kind::Double));
        assert_eq!(means, (0..64).map(|block| f64::from(2 * block)).collect::<Vec<_>>());
        // In a gradient along the rows, the value at position p is p % 28.
        let columns = Tensor::arange(224, (Kind::Uint8, Device::Cpu)).expand([1, 3, 224, 224], false);
        let gradient =
            values(BlockFrequencies::Gray.of_pixels(&columns, Kind::Double).unwrap().get(0).get(0));
        let expected: Vec<f64> = (0..250).map(|i| ((i * 784 / 250) % 28 * 2) as f64).collect();
        assert_eq!(gradient, expected);
    }

    // The DCT of cos(π (t + 1/2) k / N) has one coefficient, √(N / 2) times its amplitude, at k; of a constant, √N at 0.
    #[test]
    fn dct_finds_the_frequency_of_a_cosine() {
        let basis = cosines(784, &Tensor::from_slice(&[0i64, 3, 7])).unwrap();
        let times = Tensor::arange(784, (Kind::Double, Device::Cpu)) + 0.5;
        let wave = (times * (PI * 3.0 / 784.0)).cos() * 2.0 + 5.0;
        let coefficients = values(wave.unsqueeze(0).matmul(&basis));
        for (ours, expected) in coefficients.iter().zip([5.0 * 28.0, 2.0 * 392f64.sqrt(), 0.0]) {
            assert!((ours - expected).abs() < 1e-9, "{coefficients:?}");
        }
        let image = Tensor::full([2, 3, 20, 17], 255, (Kind::Uint8, Device::Cpu));
        let frequencies = BlockFrequencies::Dct.of_pixels(&image, Kind::Double).unwrap();
        assert_eq!(frequencies.size(), [2, 64, 250]);
        assert!((frequencies.double_value(&[1, 63, 0]) - 2.0).abs() < 1e-12);
        let error = BlockFrequencies::Dct.of_pixels(&image.narrow(2, 0, 7), Kind::Double).unwrap_err();
        let expected = "block frequencies: batch: expected images of at least 8 x 8 pixels, got 17 x 7";
        assert_eq!(error.to_string(), expected);
    }
}
