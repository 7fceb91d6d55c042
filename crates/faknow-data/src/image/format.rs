//! The format of an image by its first bytes, whatever its name says.

use image::ImageFormat;

use super::ImageProblem;
use crate::common::printable;
use crate::input::Content;

/// Number of bytes in which an element of an SVG image is searched.
const N_START: usize = 4_096;

/// A kind of image that is not supported.
type Unsupported = (&'static str, fn(&[u8]) -> bool);

/// Formats that are recognized to name them.
const UNSUPPORTED: &[Unsupported] = &[
    ("AVIF", |bytes| is_brand(bytes, &[b"avif", b"avis"])),
    ("HEIC", |bytes| {
        is_brand(bytes, &[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"])
    }),
    ("TIFF", |bytes| bytes.starts_with(b"II*\0") || bytes.starts_with(b"MM\0*")),
    // The size of the header follows that of the file and two reserved numbers, which are 0.
    ("BMP", |bytes| bytes.starts_with(b"BM") && bytes.get(6..10) == Some(&[0; 4])),
    ("SVG", |bytes| {
        let start = &bytes[..bytes.len().min(N_START)];
        let text = start.trim_ascii_start();
        text.starts_with(b"<svg")
            || (text.starts_with(b"<?xml") || text.starts_with(b"<!--") || text.starts_with(b"<!DOCTYPE svg"))
                && memchr::memmem::find(text, b"<svg").is_some()
    }),
    ("ICO", |bytes| bytes.starts_with(&[0, 0, 1, 0]) && bytes.get(4).is_some_and(|&n| n > 0)),
    ("Photoshop", |bytes| bytes.starts_with(b"8BPS")),
    ("JPEG XL", |bytes| bytes.starts_with(&[0xff, 0x0a]) || bytes.starts_with(b"\0\0\0\x0cJXL ")),
    ("JPEG 2000", |bytes| {
        bytes.starts_with(b"\0\0\0\x0cjP  ") || bytes.starts_with(&[0xff, 0x4f, 0xff, 0x51])
    }),
];

/// Returns the name of a supported format.
pub(super) fn name_of(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WebP",
        _ => "GIF",
    }
}

/// Returns the format of an image.
///
/// # Errors
/// The content is not an image of a supported format.
pub(super) fn format_of(bytes: &[u8]) -> Result<ImageFormat, ImageProblem> {
    match bytes {
        [] => Err(ImageProblem::Empty),
        [0xff, 0xd8, 0xff, ..] => Ok(ImageFormat::Jpeg),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Ok(ImageFormat::Png),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Ok(ImageFormat::Gif),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Ok(ImageFormat::WebP),
        _ => match UNSUPPORTED.iter().find(|(_, matches)| matches(bytes)) {
            Some((format, _)) => Err(ImageProblem::Unsupported { format }),
            None => Err(ImageProblem::NotAnImage { looks_like: looks_like(bytes) }),
        },
    }
}

/// Returns whether a file in the container of MPEG-4 has one of these brands.
fn is_brand(bytes: &[u8], brands: &[&[u8; 4]]) -> bool {
    bytes.get(4..8) == Some(b"ftyp") && brands.iter().any(|brand| bytes.get(8..12) == Some(&brand[..]))
}

/// Returns a description of bytes that are not an image.
fn looks_like(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(N_START)];
    if bytes.get(4..8) == Some(b"ftyp") || start.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]) {
        return "a video".to_owned();
    }
    match Content::recognize(start) {
        Some(Content::Image) | None => {}
        Some(content) => return content.name().to_owned(),
    }
    if start.iter().all(|&byte| byte == 0) {
        return format!("{} bytes of zeros", bytes.len());
    }
    let valid = match std::str::from_utf8(start) {
        Ok(text) => text,
        // The last character may be incomplete.
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => {
            std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => "",
    };
    let is_text = !valid.is_empty() && !valid.contains(|c: char| c.is_control() && !c.is_whitespace());
    match is_text {
        true => {
            let first: String = valid.trim().chars().take(40).collect();
            format!("text: `{}`", printable(&first, 40))
        }
        false => format!("{} bytes of an unknown kind", bytes.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_recognized_by_content() {
        let check = |bytes: &[u8], expected: &str| {
            let got = match format_of(bytes) {
                Ok(format) => name_of(format).to_owned(),
                Err(problem) => problem.to_string(),
            };
            assert_eq!(got, expected);
        };
        check(b"\xff\xd8\xff\xe0", "JPEG");
        check(b"\x89PNG\r\n\x1a\n", "PNG");
        check(b"GIF89a", "GIF");
        check(b"RIFF\x10\0\0\0WEBPVP8 ", "WebP");
        check(b"", "expected an image, got an empty file");
        let unsupported = |format: &str| format!("expected JPEG, PNG, WebP or GIF, got {format}: convert it");
        check(b"\0\0\0\x1cftypavif\0\0", &unsupported("AVIF"));
        check(b"\0\0\0\x18ftypheic\0\0", &unsupported("HEIC"));
        check(b"II*\0\x08\0", &unsupported("TIFF"));
        check(b"BM\x36\x10\0\0\0\0\0\0\x36\0", &unsupported("BMP"));
        check(b" <svg xmlns=\"http://www.w3.org/2000/svg\">", &unsupported("SVG"));
        check(b"<?xml version=\"1.0\"?>\n<svg>", &unsupported("SVG"));
        check(b"\0\0\x01\0\x01\0", &unsupported("ICO"));
        check(b"8BPS\0\x01", &unsupported("Photoshop"));
        check(b"\xff\x0a\x10", &unsupported("JPEG XL"));
        check(b"\0\0\0\x0cjP  \r\n", &unsupported("JPEG 2000"));
        check(b"<!DOCTYPE html><title>Log in</title>", "expected an image, got an HTML page");
        check(b"404: Not Found", "expected an image, got the message of a server that has no such file");
        check(
            b"version https://git-lfs.github.com/spec/v1",
            "expected an image, got a Git LFS pointer, not the file",
        );
        check(b"\0\0\0\x18ftypmp42", "expected an image, got a video");
        check(b"{\"error\": 1}", "expected an image, got JSON");
        check("Zugriff verweigert\nü".as_bytes(), "expected an image, got text: `Zugriff verweigert\\nü`");
        check(b"\0\0\0\0", "expected an image, got 4 bytes of zeros");
        check(b"\x93\x01\0", "expected an image, got 3 bytes of an unknown kind");
        check(b"BM", "expected an image, got text: `BM`");
    }
}
