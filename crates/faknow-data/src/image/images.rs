//! The images of a batch.

use tch::{Device, Kind, Tensor};

use crate::{Error, Result};

/// Number of color channels: red, green, blue.
pub(crate) const CHANNELS: i64 = 3;

/// One image per sample as pixels, of which some may be missing.
#[derive(Debug)]
pub struct Images {
    /// Red, green and blue from 0 to 255, u8 `[n, 3, height, width]`; zeros for a missing image.
    pub pixels: Tensor,
    /// Which samples have an image, bool `[n]`.
    pub present: Tensor,
}

impl Images {
    /// Creates a batch of images from pixels, u8 `[n, 3, height, width]`, of which `present`, bool `[n]`, marks those that are not
    /// missing.
    ///
    /// # Errors
    /// [`Error::Setting`]: a tensor has the wrong shape or kind.
    pub fn new(pixels: Tensor, present: Tensor) -> Result<Self> {
        let n = match pixels.size()[..] {
            [n, CHANNELS, _, _] if pixels.kind() == Kind::Uint8 => n,
            _ => return Err(Error::tensor("pixels", "u8 [n, 3, height, width]", &pixels)),
        };
        if present.size() != [n] || present.kind() != Kind::Bool {
            return Err(Error::tensor("present", &format!("bool [{n}]"), &present));
        }
        Ok(Self { pixels, present })
    }

    pub(crate) fn to_device(&self, device: Device) -> Self {
        Self { pixels: self.pixels.to_device(device), present: self.present.to_device(device) }
    }
}
