//! Text files of trees, graphs, labels and lexicons, with or without a byte order mark, with any line ends.

use std::io::Read as _;
use std::path::Path;

use encoding_rs::{Encoding, UTF_8};

use crate::input::{Input, input_error};
use crate::{Error, Result};

/// Reads a file ([`Input`]) in UTF-8, or in UTF-16 with a byte order mark. Lines that end in CR alone end in LF afterwards.
///
/// # Errors
/// The file cannot be read, or is not text; the error names the line.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    Input::open(path)?.read_to_end(&mut bytes).map_err(|error| input_error(path, error))?;
    let (encoding, mark) = Encoding::for_bom(&bytes).unwrap_or((UTF_8, 0));
    bytes.drain(..mark);
    let text = if encoding == UTF_8 {
        String::from_utf8(bytes).map_err(|error| {
            let line = line_of(error.as_bytes(), error.utf8_error().valid_up_to());
            Error::line(path, line, "expected UTF-8 text, got other bytes; save the file as UTF-8")
        })?
    } else {
        let (text, has_errors) = encoding.decode_without_bom_handling(&bytes);
        if has_errors {
            return Err(Error::file(path, format!("expected {} text, got other bytes", encoding.name())));
        }
        text.into_owned()
    };
    if let Some(position) = text.bytes().position(|byte| byte == 0) {
        let line = line_of(text.as_bytes(), position);
        return Err(Error::line(path, line, "expected text, got binary data (a zero byte)"));
    }
    Ok(match text.contains('\n') {
        true => text,
        false => text.replace('\r', "\n"),
    })
}

fn line_of(bytes: &[u8], position: usize) -> usize {
    1 + bytes[..position].iter().filter(|&&byte| byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> std::result::Result<String, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        read_text(file.path()).map_err(|error| error.to_string().rsplit(": ").next().unwrap_or("").to_owned())
    }

    #[test]
    fn byte_order_marks_and_line_ends_make_no_difference() {
        for bytes in
            [b"a\nb".as_slice(), b"\xef\xbb\xbfa\nb", b"\xff\xfea\0\n\0b\0", b"\xfe\xff\0a\0\n\0b", b"a\rb"]
        {
            assert_eq!(read(bytes).as_deref(), Ok("a\nb"), "{bytes:?}");
        }
        assert_eq!(read(b"a\r\nb\r").as_deref(), Ok("a\r\nb\r"));
        assert_eq!(read(b"").as_deref(), Ok(""));
    }

    #[test]
    fn rejects_other_encodings_and_binary_data() {
        assert_eq!(
            read(b"a\n\xe9").unwrap_err(),
            "expected UTF-8 text, got other bytes; save the file as UTF-8"
        );
        assert_eq!(read(b"a\n\0").unwrap_err(), "expected text, got binary data (a zero byte)");
        assert_eq!(read(b"\xff\xfea\0\n").unwrap_err(), "expected UTF-16LE text, got other bytes");
    }
}
