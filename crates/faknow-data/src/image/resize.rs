//! Resizing to a square by the arithmetic of Pillow's antialiased bilinear filter.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeError, ResizeOptions, Resizer};

use super::options::Resize;
use super::pixels::Pixels;

/// Interleaved pixels of a decoded image, of one channel or of three.
pub(super) struct Decoded {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) n_channels: usize,
    pub(super) values: Vec<u8>,
}

/// Resizes an image to a square.
///
/// # Errors
/// The image has no pixels, or its buffer does not have its size.
pub(super) fn resize(image: &Decoded, size: u32, by: Resize) -> Result<Pixels, String> {
    let pixel_type = if image.n_channels == 1 { PixelType::U8 } else { PixelType::U8x3 };
    let source = ImageRef::new(image.width, image.height, &image.values, pixel_type)
        .map_err(|error| error.to_string())?;
    let mut target = Image::new(size, size, pixel_type);
    let options =
        ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).use_alpha(false);
    let options = match by {
        Resize::Stretch => options,
        Resize::Crop => {
            let [left, top, width, height] = crop_of(image.width, image.height, size);
            options.crop(left, top, width, height)
        }
    };
    let failed = |error: ResizeError| error.to_string();
    Resizer::new().resize(&source, &mut target, Some(&options)).map_err(failed)?;
    Ok(Pixels::from_interleaved(size, target.buffer(), image.n_channels))
}

/// Returns left, top, width and height of the part of an image that torchvision's `Resize(256 * size / 224)` and
/// `CenterCrop(size)` show: only these pixels are computed.
fn crop_of(width: u32, height: u32, size: u32) -> [f64; 4] {
    let short = (256 * u64::from(size) + 112) / 224;
    // torchvision truncates the long side.
    let long_of = |long: u32, other: u32| short * u64::from(long) / u64::from(other.max(1));
    let (new_width, new_height) = match width <= height {
        true => (short, long_of(height, width)),
        false => (long_of(width, height), short),
    };
    let [left, scaled_width] = part_of(width, new_width, size);
    let [top, scaled_height] = part_of(height, new_height, size);
    [left, top, scaled_width, scaled_height]
}

/// Returns start and length of the center of a side, in pixels of the original.
fn part_of(side: u32, resized: u64, size: u32) -> [f64; 2] {
    let scale = f64::from(side) / resized as f64;
    let margin = resized - u64::from(size);
    // As Python rounds: half of an odd margin to the next even number.
    let start = if margin % 4 == 3 { margin / 2 + 1 } else { margin / 2 };
    let length = f64::from(size) * scale;
    // Rounding must not lead out of the image.
    [(start as f64 * scale).min(f64::from(side) - length).max(0.0), length]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crops_are_those_of_torchvision() {
        let check = |width, height, size, expected: [f64; 4]| {
            let got = crop_of(width, height, size);
            assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{got:?}");
        };
        check(256, 256, 224, [16.0, 16.0, 224.0, 224.0]);
        check(512, 1024, 224, [32.0, 288.0, 448.0, 448.0]);
        // 259 - 224 = 35, half of it is 17.5, which Python rounds to 18.
        check(259, 256, 224, [18.0, 16.0, 224.0, 224.0]);
        // 257 - 224 = 33, half of it is 16.5, which Python rounds to 16.
        check(257, 256, 224, [16.0, 16.0, 224.0, 224.0]);
        // 256 * 7 / 224 = 8.
        check(8, 80, 7, [0.0, 36.0, 7.0, 7.0]);
    }

    #[test]
    fn any_shape_is_resized() {
        for (width, height) in [(1, 1), (1, 500), (500, 1), (3, 2), (223, 225), (4_000, 7)] {
            for n_channels in [1, 3] {
                let values = vec![200; width * height * n_channels];
                let image = Decoded { width: width as u32, height: height as u32, n_channels, values };
                for (size, by) in
                    [(1, Resize::Crop), (7, Resize::Crop), (224, Resize::Crop), (5, Resize::Stretch)]
                {
                    let pixels = resize(&image, size, by).unwrap();
                    assert!(
                        pixels.values().iter().all(|&value| value == 200),
                        "{width} x {height} to {size}"
                    );
                    assert_eq!(pixels.values().len(), 3 * (size * size) as usize);
                }
            }
        }
    }
}
