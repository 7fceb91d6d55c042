//! Reading of NumPy arrays (`.npy`).

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use crate::bounds::MAX_ARRAY_BYTES;
use crate::{Error, Result};

/// Number of bytes that are read and parsed at a time.
const CHUNK_BYTES: usize = 1 << 16;

/// An array of numbers.
#[derive(Debug)]
pub(super) struct Npy {
    pub(super) shape: Vec<usize>,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Floats(Vec<f64>),
    Ints(Vec<i64>),
}

impl Npy {
    /// Reads a `.npy` file.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let io = |source| Error::io(path, source);
        let file = File::open(path).map_err(io)?;
        let n_bytes = file.metadata().map_err(io)?.len();
        parse(BufReader::new(file), n_bytes).map_err(|message| Error::file(path, message))
    }
    /// Returns the values as floats, in row-major order.
    pub(super) fn floats(self) -> Vec<f64> {
        match self.values {
            Values::Floats(values) => values,
            Values::Ints(values) => values.into_iter().map(|value| value as f64).collect(),
        }
    }

    /// Returns the values in row-major order, which must be non-negative integers of any kind, or an error message.
    pub(super) fn indices(self) -> std::result::Result<Vec<usize>, String> {
        let not_an_index =
            |value: &dyn std::fmt::Display| format!("expected non-negative integers, got {value}");
        match self.values {
            Values::Ints(values) => values
                .into_iter()
                .map(|value| usize::try_from(value).map_err(|_| not_an_index(&value)))
                .collect(),
            Values::Floats(values) => {
                let index = |value: f64| {
                    let is_index = value >= 0.0 && value.fract() == 0.0 && value < 2f64.powi(53);
                    is_index.then_some(value as usize).ok_or_else(|| not_an_index(&value))
                };
                values.into_iter().map(index).collect()
            }
        }
    }
}

/// Reads an array in NumPy's format, versions 1 to 3, from `n_bytes` bytes. The header is compared with them before memory for
/// the values is allocated.
pub(super) fn parse(mut reader: impl Read, n_bytes: u64) -> std::result::Result<Npy, String> {
    let invalid = || "expected a NumPy array (.npy): the file is not one, or is truncated".to_owned();
    let start: [u8; 8] = take(&mut reader).ok_or_else(invalid)?;
    let [magic @ .., major, _minor] = start;
    if &magic != b"\x93NUMPY" {
        return Err(invalid());
    }
    let (length, n_before) = match major {
        1 => (take(&mut reader).map(|n| u32::from(u16::from_le_bytes(n))), 10),
        2 | 3 => (take(&mut reader).map(u32::from_le_bytes), 12),
        other => return Err(format!("expected version 1, 2 or 3 of NumPy's format, got {other}")),
    };
    let length = u64::from(length.ok_or_else(invalid)?);
    let n_value_bytes = n_bytes.checked_sub(n_before + length).ok_or_else(invalid)?;
    let mut header = Vec::new();
    let n_read = reader.by_ref().take(length).read_to_end(&mut header).map_err(|e| e.to_string())?;
    if n_read as u64 != length {
        return Err(invalid());
    }
    let header = std::str::from_utf8(&header).map_err(|_| invalid())?;
    let after = |key: &str| header.split_once(&format!("'{key}':")).map(|(_, rest)| rest.trim_start());
    let kind = after("descr").and_then(|rest| rest.split('\'').nth(1)).ok_or_else(invalid)?;
    if after("fortran_order").is_none_or(|order| !order.starts_with("False")) {
        return Err("expected an array in C order (row-major), got Fortran order".to_owned());
    }
    let shape =
        after("shape").and_then(|rest| rest.strip_prefix('(')?.split_once(')')).ok_or_else(invalid)?.0;
    let shape: Vec<usize> = shape
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty())
        .map(|size| size.parse().map_err(|_| invalid()))
        .collect::<std::result::Result<_, _>>()?;
    let n = shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size)).ok_or_else(invalid)?;
    let size = match kind {
        "<f8" | "<i8" => 8,
        "<f4" | "<i4" => 4,
        "|u1" | "|b1" => 1,
        other => return Err(format!("expected numbers (<f8, <f4, <i8, <i4, |u1 or |b1), got `{other}`")),
    };
    if (n as u64).checked_mul(size) != Some(n_value_bytes) {
        return Err(format!(
            "expected the values of shape {shape:?}, got {n_value_bytes} bytes: the array is truncated or corrupted"
        ));
    }
    if n_value_bytes > MAX_ARRAY_BYTES {
        return Err(format!("expected an array of at most {MAX_ARRAY_BYTES} bytes, got {n_value_bytes}"));
    }
    let values = match kind {
        "<f8" => numbers(reader, n, f64::from_le_bytes).map(Values::Floats),
        "<f4" => numbers(reader, n, |b| f64::from(f32::from_le_bytes(b))).map(Values::Floats),
        "<i8" => numbers(reader, n, i64::from_le_bytes).map(Values::Ints),
        "<i4" => numbers(reader, n, |b| i64::from(i32::from_le_bytes(b))).map(Values::Ints),
        _ => numbers(reader, n, |[b]: [u8; 1]| i64::from(b)).map(Values::Ints),
    };
    Ok(Npy { shape, values: values? })
}

fn take<const N: usize>(reader: &mut impl Read) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes).ok().map(|()| bytes)
}

/// Reads exactly `n` numbers of `SIZE` bytes each. Memory grows with the numbers that are read, whatever `n` is.
fn numbers<const SIZE: usize, T>(
    mut reader: impl Read,
    n: usize,
    from_bytes: impl Fn([u8; SIZE]) -> T,
) -> std::result::Result<Vec<T>, String> {
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut values = Vec::new();
    while values.len() < n {
        let n_values = (n - values.len()).min(CHUNK_BYTES / SIZE);
        let bytes = &mut buffer[..n_values * SIZE];
        reader.read_exact(bytes).map_err(|e| format!("the array is truncated or corrupted: {e}"))?;
        values.extend(bytes.as_chunks::<SIZE>().0.iter().map(|bytes| from_bytes(*bytes)));
    }
    // A checksum of an archive is verified at its end.
    match reader.read(&mut [0]) {
        Ok(0) => Ok(values),
        Ok(_) => Err("the array is corrupted: it has more values than its shape".to_owned()),
        Err(e) => Err(format!("the array is corrupted: {e}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
    }

    fn parse(bytes: &[u8]) -> std::result::Result<Npy, String> {
        super::parse(bytes, bytes.len() as u64)
    }

    #[test]
    fn parses_every_kind_of_number() {
        let header = |kind: &str, shape: &str| {
            format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n")
        };
        let check = |kind: &str, data: &[u8], expected: &[f64]| {
            let array = parse(&npy(&header(kind, "(2,)"), data)).unwrap();
            assert_eq!(array.shape, [2]);
            assert_eq!(array.floats(), expected, "{kind}");
        };
        check("<f8", &[1.5f64.to_le_bytes(), (-2.0f64).to_le_bytes()].concat(), &[1.5, -2.0]);
        check("<f4", &[1.5f32.to_le_bytes(), 0.25f32.to_le_bytes()].concat(), &[1.5, 0.25]);
        check("<i8", &[7i64.to_le_bytes(), (-1i64).to_le_bytes()].concat(), &[7.0, -1.0]);
        check("<i4", &[7i32.to_le_bytes(), 8i32.to_le_bytes()].concat(), &[7.0, 8.0]);
        check("|b1", &[1, 0], &[1.0, 0.0]);
        let scalar = parse(&npy(&header("<i8", "()"), &9i64.to_le_bytes())).unwrap();
        assert_eq!((scalar.shape.len(), scalar.indices().unwrap()), (0, vec![9]));
        let negative = parse(&npy(&header("<i8", "(1,)"), &(-9i64).to_le_bytes())).unwrap();
        assert_eq!(negative.indices().unwrap_err(), "expected non-negative integers, got -9");
    }

    #[test]
    fn rejects_invalid_arrays() {
        let check = |bytes: &[u8], expected: &str| {
            let error = parse(bytes).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }";
        check(b"", "the file is not one");
        check(b"\x93NUMPY", "truncated");
        check(b"\x93NUMPY\x09\x00\x00\x00", "got 9");
        let sizes = "expected the values of shape [2], got ";
        check(&npy(header, &[0; 15]), &format!("{sizes}15 bytes: the array is truncated"));
        check(&npy(header, &[0; 17]), &format!("{sizes}17 bytes"));
        check(&npy(&header.replace("False", "True"), &[0; 16]), "Fortran order");
        check(&npy(&header.replace("<f8", "|O"), &[0; 16]), "got `|O`");
        check(&npy(&header.replace("(2,)", "(99999999999, 99999999999)"), &[0; 16]), "truncated");
        check(&npy(&header.replace("(2,)", "(99999999999,)"), &[0; 16]), "[99999999999], got 16 bytes");
        check(&npy("{}", &[]), "truncated");
        // A size that the input does not have allocates nothing.
        let huge = npy(&header.replace("(2,)", "(1000000000,)"), &[0; 16]);
        let error = super::parse(&huge[..], huge.len() as u64 - 16 + 8_000_000_000).unwrap_err();
        assert!(error.starts_with("the array is truncated or corrupted"), "{error}");
        let error = super::parse(&huge[..], huge.len() as u64 - 16 + 8_000_000_001).unwrap_err();
        assert!(error.starts_with("expected the values of shape [1000000000]"), "{error}");
    }
}
