//! The pixels of one image.

use tch::Tensor;

use crate::Result;

/// A square image of `size * size` pixels: red, green and blue from 0 to 255, one plane after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    size: u32,
    values: Box<[u8]>,
}

impl Pixels {
    /// Creates an image from interleaved values, `[size, size, n_channels]`, of one channel or of three.
    pub(super) fn from_interleaved(size: u32, interleaved: &[u8], n_channels: usize) -> Self {
        let n = size as usize * size as usize;
        let mut values = Vec::with_capacity(3 * n);
        for channel in 0..3 {
            let offset = channel.min(n_channels - 1);
            values.extend(interleaved.iter().skip(offset).step_by(n_channels).take(n));
        }
        Self { size, values: values.into() }
    }

    /// Returns width and height.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Returns the values in the order `[3, size, size]`.
    pub fn values(&self) -> &[u8] {
        &self.values
    }

    pub(super) fn into_values(self) -> Box<[u8]> {
        self.values
    }

    /// Returns the pixels as a tensor, u8 `[3, size, size]`.
    ///
    /// # Errors
    /// libtorch rejects an operation.
    pub fn to_tensor(&self) -> Result<Tensor> {
        let size = i64::from(self.size);
        Ok(Tensor::f_from_slice(&self.values)?.f_view([3, size, size])?)
    }
}
