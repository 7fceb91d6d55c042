//! Decoding of image files: equality with Pillow and torchvision, and corrupted files.

use std::fs;
use std::path::PathBuf;

use faknow_data::Rng;
use faknow_data::image::{ImageOptions, ImageProblem, ImageSource, Resize, decode};
use serde_json::Value;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/images").join(name)
}

fn golden_files() -> Vec<(String, Vec<u8>)> {
    let manifest: Value = serde_json::from_slice(&fs::read(golden("manifest.json")).unwrap()).unwrap();
    let names = manifest["files"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
    names.map(|name| (name.clone(), fs::read(golden(&name)).unwrap())).collect()
}

/// Returns the largest and the mean difference.
fn differences(got: &[u8], expected: &[u8]) -> (u8, f64) {
    let differences: Vec<u8> = got.iter().zip(expected).map(|(a, b)| a.abs_diff(*b)).collect();
    let mean = differences.iter().map(|&it| f64::from(it)).sum::<f64>() / differences.len() as f64;
    (differences.into_iter().max().unwrap(), mean)
}

#[test]
fn pixels_equal_those_of_pillow_and_torchvision() {
    let expected = fs::read(golden("expected.bin")).unwrap();
    let mut expected = expected.chunks_exact(3 * 21 * 21);
    for (name, bytes) in golden_files() {
        for resize in [Resize::Crop, Resize::Stretch] {
            let options = ImageOptions { size: 21, resize, ..ImageOptions::default() };
            let pixels = decode(&bytes, &options).unwrap_or_else(|problem| panic!("{name}: {problem}"));
            let (max, mean) = differences(pixels.values(), expected.next().unwrap());
            // JPEG and lossy WebP allow decoders to round differently.
            let is_lossy = name.ends_with("jpg") || name == "lossy.webp";
            let (max_allowed, mean_allowed) = if is_lossy { (2, 0.5) } else { (1, 0.3) };
            assert!(
                max <= max_allowed && mean <= mean_allowed,
                "{name}, {resize:?}: largest difference {max}, mean {mean:.3}"
            );
        }
    }
    assert!(expected.next().is_none());
}

/// Returns the start of a PNG or GIF or BMP file, or of a JPEG file, that claims to have a huge image.
fn bombs() -> Vec<Vec<u8>> {
    let png = fs::read(golden("rgb.png")).unwrap();
    let with_crc = |width: u32, height: u32| {
        let mut png = png.clone();
        png[16..20].copy_from_slice(&width.to_be_bytes());
        png[20..24].copy_from_slice(&height.to_be_bytes());
        let crc = crc32(&png[12..29]);
        png[29..33].copy_from_slice(&crc.to_be_bytes());
        png
    };
    let mut gif = fs::read(golden("animated.gif")).unwrap();
    gif[6..10].copy_from_slice(&[0xff; 4]);
    let mut jpeg = fs::read(golden("rgb.jpg")).unwrap();
    let sof = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    jpeg[sof + 5..sof + 9].copy_from_slice(&[0xff; 4]);
    let mut webp = fs::read(golden("alpha.webp")).unwrap();
    let vp8l = webp.windows(4).position(|chunk| chunk == b"VP8L").unwrap();
    // 14 bits of width - 1, 14 bits of height - 1.
    webp[vp8l + 9..vp8l + 13].copy_from_slice(&[0xfe, 0xff, 0xff, 0x17]);
    vec![with_crc(60_000, 60_000), with_crc(1_000_000, 100_000), gif, jpeg, webp]
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 },
        )
    })
}

#[test]
fn huge_images_are_refused_by_their_header() {
    let options = ImageOptions::default();
    let problems: Vec<String> =
        bombs().iter().map(|it| decode(it, &options).unwrap_err().to_string()).collect();
    let limit = "expected at most 50000000 pixels (`image.max_pixels`), got";
    assert_eq!(problems[0], format!("{limit} 60000 x 60000"));
    assert_eq!(problems[1], format!("{limit} 1000000 x 100000"));
    assert_eq!(problems[2], format!("{limit} 65535 x 65535"));
    assert_eq!(problems[3], format!("{limit} 65535 x 65535"));
    assert_eq!(problems[4], format!("{limit} 16383 x 8192"));
    let small = ImageOptions { max_pixels: 2_049, ..options };
    let png = fs::read(golden("rgb.png")).unwrap();
    let expected = ImageProblem::TooLarge { width: 50, height: 41, max_pixels: 2_049 };
    assert_eq!(decode(&png, &small), Err(expected));
    assert!(decode(&png, &ImageOptions { max_pixels: 2_050, ..small }).is_ok());
}

#[test]
fn corrupted_images_are_problems_or_images() {
    let files = golden_files();
    let others: [&[u8]; 6] = [
        b"",
        b"<html><body>403</body>",
        b"RIFF\0\0\0\0WEBP",
        b"GIF89a",
        b"\xff\xd8\xff\xd9",
        b"\x89PNG\r\n\x1a\n",
    ];
    // Memory is bounded by the number of pixels.
    let options = ImageOptions { size: 16, max_pixels: 1_000_000, ..ImageOptions::default() };
    let mut rng = Rng::new(17);
    let (mut n_images, mut n_truncated) = (0, 0);
    for index in 0..1_000 {
        let (name, bytes) = &files[index % files.len()];
        let mut bytes = bytes.clone();
        let is_truncated = rng.chance(0.4);
        if is_truncated {
            bytes.truncate(rng.below(bytes.len()));
        }
        if !is_truncated || rng.chance(0.3) {
            for _ in 0..=rng.below(20) {
                if !bytes.is_empty() {
                    let position = rng.below(bytes.len());
                    bytes[position] ^= 1 << rng.below(8);
                }
            }
        }
        if rng.chance(0.05) {
            bytes = [others[rng.below(others.len())], &bytes[bytes.len() / 2..]].concat();
        }
        match decode(&bytes, &options) {
            Ok(pixels) => {
                n_images += 1;
                assert_eq!(pixels.values().len(), 3 * 16 * 16, "{name}");
            }
            Err(ImageProblem::TooLarge { width, height, .. }) => {
                assert!(u64::from(width) * u64::from(height) > 1_000_000, "{name}");
            }
            Err(problem) => {
                n_truncated += usize::from(is_truncated);
                assert!(problem.to_string().starts_with("expected "), "{name}: {problem}");
            }
        }
    }
    assert!(n_images > 100 && n_truncated > 300, "{n_images} images, {n_truncated} truncated");
}

#[test]
fn truncated_images_of_every_format_are_problems() {
    for (name, bytes) in golden_files() {
        // The last bytes of an animation are not those of its first frame.
        let share = if name.starts_with("animated") { 0.2 } else { 0.8 };
        let end = (bytes.len() as f64 * share) as usize;
        let problem = decode(&bytes[..end], &ImageOptions::default()).expect_err(&name);
        assert!(matches!(problem, ImageProblem::Broken { .. }), "{name}: {problem}");
    }
}

#[test]
fn files_that_cannot_be_read_are_problems() {
    let dir = tempfile::tempdir().unwrap();
    let check =
        |source: ImageSource, expected: &str| assert_eq!(source.read().unwrap_err().to_string(), expected);
    let file = |name: &str| ImageSource::File(dir.path().join(name));
    fs::write(dir.path().join("file"), "x").unwrap();
    check(file("none.jpg"), "expected an image file, got none: no such file");
    check(file("file/none.jpg"), "expected an image file, got none: no such file");
    check(file(""), "expected a readable image file, got a directory");
    #[cfg(unix)]
    {
        let path = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        check(ImageSource::File(path), "expected a readable image file, got a pipe or device");
    }
    fs::File::create(dir.path().join("large")).unwrap().set_len(300 << 20).unwrap();
    check(file("large"), "expected a readable image file, got 314572800 bytes, more than 268435456");
}
