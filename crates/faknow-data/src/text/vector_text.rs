//! Word vectors as text: GloVe, word2vec, fastText's `.vec`.

use std::io::{BufRead, Read as _};

use super::vector_builder::VectorBuilder;
use crate::bounds::MAX_VECTOR_LINE_BYTES;
use crate::common::printable_name;
use crate::input::input_error;
use crate::{Error, Result};

/// Reads one vector per line: the word and its values, separated by spaces or tabs. word2vec files start with a header line
/// of two numbers.
pub(super) fn read<'a>(
    mut reader: impl BufRead,
    mut builder: VectorBuilder<'a>,
) -> Result<VectorBuilder<'a>> {
    let mut bytes = Vec::new();
    let (mut n_expected, mut n_vectors, mut dim) = (None, 0, None);
    for line in 1.. {
        bytes.clear();
        let mut limited = reader.by_ref().take(MAX_VECTOR_LINE_BYTES);
        let n_bytes =
            limited.read_until(b'\n', &mut bytes).map_err(|source| input_error(builder.path(), source))?;
        if n_bytes == 0 {
            break;
        }
        if n_bytes as u64 == MAX_VECTOR_LINE_BYTES {
            let message =
                format!("expected a word and its values in less than {n_bytes} bytes, got a longer line");
            return Err(builder.error(line, message));
        }
        if line == 1 && bytes.starts_with(b"\xef\xbb\xbf") {
            bytes.drain(..3);
        }
        let text = bytes.trim_ascii_end();
        let n_fields = text.split(is_blank).filter(|field| !field.is_empty()).count();
        if line == 1
            && n_fields == 2
            && let Some((n, header_dim)) = header(text)
        {
            n_expected = Some(n);
            dim = Some(builder.set_dim(line, header_dim)?);
            continue;
        }
        if n_fields == 0 {
            return Err(builder.error(line, "expected a word and its values, got an empty line"));
        }
        let dim = match dim {
            Some(dim) => dim,
            None => *dim.insert(builder.set_dim(line, n_fields - 1)?),
        };
        let (word, values) = split_word(text, dim, n_fields).ok_or_else(|| {
            builder.error(line, format!("expected a word and {dim} values, got {} values", n_fields - 1))
        })?;
        n_vectors += 1;
        let path = builder.path();
        let mut values = values.split(is_blank).filter(|field| !field.is_empty()).map(|field| {
            let message =
                || format!("expected a number, got `{}`", printable_name(&String::from_utf8_lossy(field)));
            parse_number(field).ok_or_else(|| Error::line(path, line, message()))
        });
        if let Some(row) = builder.missing_row(word) {
            builder.set(row, line, values)?;
        } else if n_vectors == 1 {
            // A file of another format rather than an invalid value.
            values.try_for_each(|value| value.map(drop))?;
        }
    }
    match n_expected {
        Some(expected) if n_vectors < expected => Err(builder
            .file_error(format!("expected {expected} vectors, got {n_vectors}: the file is truncated"))),
        _ if n_vectors == 0 => {
            Err(builder.file_error("expected a word and its values per line, got an empty file"))
        }
        _ => Ok(builder),
    }
}

/// Parses the two numbers of a header line.
pub(super) fn header(line: &[u8]) -> Option<(usize, usize)> {
    let (n, dim) = std::str::from_utf8(line).ok()?.split_once([' ', '\t'])?;
    Some((n.trim().parse().ok()?, dim.trim().parse().ok()?))
}

/// Splits a line into the word and its `dim` values. Words in some published files contain spaces, so all fields before the
/// last `dim` are the word, of which only the first may look like a number.
fn split_word(line: &[u8], dim: usize, n_fields: usize) -> Option<(&[u8], &[u8])> {
    if n_fields < dim + 1 {
        return None;
    }
    let mut end = line.len();
    for _ in 0..dim {
        end = line[..end].iter().rposition(|&byte| is_blank(&byte))?;
        end = line[..end].iter().rposition(|&byte| !is_blank(&byte))? + 1;
    }
    let (word, values) = line.split_at(end);
    let has_more_values = word.split(is_blank).skip(1).any(|field| parse_number(field).is_some());
    (!has_more_values).then_some((word, values))
}

fn parse_number(field: &[u8]) -> Option<f32> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}
