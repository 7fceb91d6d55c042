//! Synthetic posts with images and events, for models that read both texts and images.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder as _};
use serde_json::json;

use super::{CLASS_NAMES, SynthOptions, generate};
use crate::common::write_atomically;
use crate::{DEFAULT_RATIOS, Error, Result, Rng, stratified_split};

/// Name of the directory of the images.
const IMAGES: &str = "images";
/// Width and height of an image.
const SIZE: u32 = 32;
/// Share of the posts without an image, and of those without a text.
const SHARE_MISSING: f64 = 0.1;
/// Share of the images that look like the class of their post.
const SHARE_OF_CLASS: f64 = 0.85;
/// Number of events of a domain.
const N_EVENTS: usize = 2;

/// Generates a corpus and writes it to `train.jsonl`, `valid.jsonl` and `test.jsonl` in `dir` (created if missing), and its
/// images to `dir/images`; returns the paths of the first three.
///
/// In addition to the fields of [`write_jsonl`](super::write_jsonl), records have `image`, the path of a PNG file of 32 x 32 pixels
/// relative to `dir`, and `event`, one of two per domain. A tenth of the posts has no image, another tenth an empty text.
/// The images of fake posts tend to be red and striped, those of real posts blue and plain; 15 % look like the other class.
///
/// # Errors
/// As [`write_jsonl`](super::write_jsonl).
pub fn write_multimodal(dir: &Path, options: &SynthOptions) -> Result<[PathBuf; 3]> {
    let posts = generate(options)?;
    let classes: Vec<usize> = posts.iter().map(|post| post.label).collect();
    let parts = stratified_split(&classes, DEFAULT_RATIOS, options.seed)?;
    let images = dir.join(IMAGES);
    fs::create_dir_all(&images).map_err(|error| Error::io(&images, error))?;
    let paths = ["train", "valid", "test"].map(|part| dir.join(format!("{part}.jsonl")));
    for (path, indices) in paths.iter().zip(parts) {
        let mut lines = String::new();
        for index in indices {
            let post = &posts[index];
            let mut rng = Rng::from_parts(&[options.seed, 0x696d, index as u64]);
            let missing = rng.uniform();
            let name = format!("{IMAGES}/{index:06}.png");
            let has_image = missing >= SHARE_MISSING;
            if has_image {
                let file = dir.join(&name);
                write_image(&file, post.label, &mut rng).map_err(|error| Error::io(&file, error))?;
            }
            let has_text = !(SHARE_MISSING..2.0 * SHARE_MISSING).contains(&missing);
            let record = json!({
                "text": if has_text { post.text.as_str() } else { "" },
                "image": has_image.then_some(name),
                "label": CLASS_NAMES[post.label],
                "domain": post.domain,
                "event": format!("{}-{}", post.domain, rng.below(N_EVENTS) + 1),
            });
            lines += &record.to_string();
            lines.push('\n');
        }
        write_atomically(path, |file| file.write_all(lines.as_bytes()))
            .map_err(|error| Error::io(path, error))?;
    }
    Ok(paths)
}

fn write_image(path: &Path, label: usize, rng: &mut Rng) -> std::io::Result<()> {
    let look = if rng.chance(SHARE_OF_CLASS) { label } else { 1 - label };
    let (hue, width, offset) = (30.0 * rng.normal(), 2 + rng.below(4) as u32, rng.below(8) as u32);
    let mut values = Vec::with_capacity(3 * (SIZE * SIZE) as usize);
    for y in 0..SIZE {
        for x in 0..SIZE {
            let is_stripe = look == 1 && ((x + y + offset) / width).is_multiple_of(2);
            let color = match look {
                1 => [190.0 + hue, 70.0, 60.0 - hue],
                _ => [70.0 - hue, 110.0, 180.0 + hue],
            };
            let light = if is_stripe { 50.0 } else { f64::from(y) - 16.0 };
            values.extend(
                color.map(|value: f64| (value + light + 15.0 * rng.normal()).clamp(0.0, 255.0) as u8),
            );
        }
    }
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(&values, SIZE, SIZE, ExtendedColorType::Rgb8)
        .map_err(std::io::Error::other)?;
    write_atomically(path, |file| file.write_all(&png))
}
