//! word2vec's binary format.

use std::io::{BufRead, ErrorKind, Read as _};

use super::vector_builder::VectorBuilder;
use super::vector_text::header;
use crate::bounds::MAX_VECTOR_WORD_BYTES;
use crate::input::input_error;
use crate::{Error, Result};

/// Maximum length of the header line in bytes.
const MAX_HEADER_BYTES: usize = 64;

/// Returns whether a file with this start has a header line, as in word2vec's text format, but binary values.
pub(super) fn is_binary(start: &[u8]) -> bool {
    let Some(end) = start.iter().take(MAX_HEADER_BYTES).position(|&byte| byte == b'\n') else { return false };
    let Some((n, dim)) = header(start[..end].trim_ascii()) else { return false };
    let rest = &start[end + 1..];
    let Some(space) = rest.iter().position(|&byte| byte == b' ') else { return false };
    let values = &rest[space + 1..];
    let values = &values[..values.len().min(dim.saturating_mul(4))];
    let values = values.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let is_text = |byte: &u8| byte.is_ascii_alphanumeric() || b" \t\r+-.".contains(byte);
    n > 0 && !(values.iter().all(is_text) && values.iter().any(u8::is_ascii_alphanumeric))
}

/// Reads a header line `n dim`, then for each vector the word, a space, and its values as little-endian f32.
pub(super) fn read<'a>(
    mut reader: impl BufRead,
    mut builder: VectorBuilder<'a>,
) -> Result<VectorBuilder<'a>> {
    let path = builder.path();
    let io = |source| input_error(path, source);
    let mut bytes = Vec::new();
    reader.by_ref().take(MAX_HEADER_BYTES as u64).read_until(b'\n', &mut bytes).map_err(io)?;
    let (n, dim) = header(bytes.trim_ascii()).ok_or_else(|| {
        Error::file(path, "expected a header line with the number of vectors and their dimension")
    })?;
    let dim = builder.set_dim(1, dim)?;
    let mut values = vec![0; dim * 4];
    for vector in 1..=n {
        bytes.clear();
        reader.by_ref().take(MAX_VECTOR_WORD_BYTES as u64).read_until(b' ', &mut bytes).map_err(io)?;
        let truncated =
            || Error::file(path, format!("expected {n} vectors, got {}: the file is truncated", vector - 1));
        if bytes.pop() != Some(b' ') {
            return Err(match bytes.len() < MAX_VECTOR_WORD_BYTES - 1 {
                true => truncated(),
                false => builder.error(
                    vector,
                    format!("expected a word, got {MAX_VECTOR_WORD_BYTES} bytes without a space"),
                ),
            });
        }
        reader.read_exact(&mut values).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => truncated(),
            _ => io(error),
        })?;
        // Some writers end each vector with a line feed, which then precedes the next word.
        if let Some(row) = builder.missing_row(bytes.trim_ascii_start()) {
            let values = values.as_chunks::<4>().0.iter().map(|&bytes| Ok(f32::from_le_bytes(bytes)));
            builder.set(row, vector, values)?;
        }
    }
    Ok(builder)
}
