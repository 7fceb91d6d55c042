//! Decoding of image files.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder as _, ImageError, ImageFormat, ImageReader, Limits};

use super::format::{format_of, name_of};
use super::resize::{Decoded, resize};
use super::{ImageOptions, ImageProblem, Pixels};
use crate::common::panic_message;

/// Maximum number of bytes per pixel while an image is decoded: 16 bits of four channels.
const MAX_PIXEL_BYTES: u64 = 8;
/// Memory of a decoder that does not depend on the number of pixels.
const DECODER_BYTES: u64 = 16 << 20;

/// Decodes a JPEG, PNG, WebP or GIF file (the first frame), and resizes it.
///
/// The format is that of the content. The orientation in EXIF metadata is applied; gray, 16-bit and CMYK images become RGB with
/// 8 bits; transparent pixels are blended over white. Color profiles are ignored, as by torchvision. The number of pixels is
/// checked by the header, before memory is allocated for them.
///
/// # Errors
/// The content is not such an image, is truncated or corrupted, or has more than `max_pixels` pixels. A panic of a decoder is
/// [`ImageProblem::Broken`].
///
/// ```
/// use faknow_data::image::{ImageOptions, ImageProblem, decode};
///
/// let problem = decode(b"<!DOCTYPE html><p>Log in", &ImageOptions::default()).unwrap_err();
/// assert_eq!(problem, ImageProblem::NotAnImage { looks_like: "an HTML page".into() });
/// ```
pub fn decode(bytes: &[u8], options: &ImageOptions) -> Result<Pixels, ImageProblem> {
    let format = format_of(bytes)?;
    let broken = |message: String| ImageProblem::Broken { format: name_of(format), message };
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        let image = decode_format(bytes, format, options.max_pixels)?;
        resize(&image, options.size, options.resize).map_err(broken)
    }));
    decoded.unwrap_or_else(|panic| Err(broken(format!("the decoder panicked: {}", panic_message(&*panic)))))
}

fn decode_format(bytes: &[u8], format: ImageFormat, max_pixels: u64) -> Result<Decoded, ImageProblem> {
    let broken = |message: String| ImageProblem::Broken { format: name_of(format), message };
    let failed = |error: ImageError| broken(message_of(&error));
    if format == ImageFormat::Jpeg && !has_end(bytes) {
        // Its decoder would fill the rest with gray.
        return Err(broken("the end of the image is missing".to_owned()));
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(max_pixels.saturating_mul(MAX_PIXEL_BYTES).saturating_add(DECODER_BYTES));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(failed)?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(broken(format!("{width} x {height} pixels")));
    }
    if u64::from(width) * u64::from(height) > max_pixels {
        return Err(ImageProblem::TooLarge { width, height, max_pixels });
    }
    // Metadata that cannot be read does not make an image unusable.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(failed)?;
    image.apply_orientation(orientation);
    Ok(to_rgb(image))
}

/// Returns whether a JPEG file has an end marker after its last scan. Within a scan, the first byte of a marker occurs with other
/// values only.
fn has_end(bytes: &[u8]) -> bool {
    let find = |marker: &[u8; 2]| memchr::memmem::rfind(bytes, marker);
    find(b"\xff\xd9") > find(b"\xff\xda")
}

/// Returns the pixels with 8 bits per channel; transparent ones are blended over white.
fn to_rgb(image: DynamicImage) -> Decoded {
    let (width, height) = (image.width(), image.height());
    let (n_channels, values) = match image {
        DynamicImage::ImageLuma8(gray) => (1, gray.into_raw()),
        // The high byte, as Pillow takes it.
        DynamicImage::ImageLuma16(gray) => {
            (1, gray.into_raw().into_iter().map(|it| (it >> 8) as u8).collect())
        }
        DynamicImage::ImageRgb16(rgb) => (3, rgb.into_raw().into_iter().map(|it| (it >> 8) as u8).collect()),
        image if image.color().has_alpha() => (3, blend(image.into_rgba8().into_raw())),
        image => (3, image.into_rgb8().into_raw()),
    };
    Decoded { width, height, n_channels, values }
}

/// Blends pixels with an alpha channel, `[n, 4]`, over white, in place.
fn blend(mut values: Vec<u8>) -> Vec<u8> {
    let n = values.len() / 4;
    for pixel in 0..n {
        let alpha = u32::from(values[4 * pixel + 3]);
        for channel in 0..3 {
            let value = u32::from(values[4 * pixel + channel]);
            values[3 * pixel + channel] = ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        }
    }
    values.truncate(3 * n);
    values
}

fn message_of(error: &ImageError) -> String {
    let message = match error {
        ImageError::Decoding(error) => {
            std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
        }
        other => other.to_string(),
    };
    message.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}
