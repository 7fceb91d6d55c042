//! Reading of NumPy arrays (`.npy`).

use std::path::Path;

use crate::{Error, Result};

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
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        parse(&bytes).map_err(|message| Error::file(path, message))
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

/// Parses NumPy's format, versions 1 to 3.
pub(super) fn parse(bytes: &[u8]) -> std::result::Result<Npy, String> {
    let invalid = || "expected a NumPy array (.npy): the file is not one, or is truncated".to_owned();
    let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or_else(invalid)?;
    let (&major, rest) = rest.get(..2).and_then(|v| v.first()).zip(rest.get(2..)).ok_or_else(invalid)?;
    let (length, rest) = match major {
        1 => rest.split_first_chunk().map(|(n, rest)| (u32::from(u16::from_le_bytes(*n)), rest)),
        2 | 3 => rest.split_first_chunk().map(|(n, rest)| (u32::from_le_bytes(*n), rest)),
        other => return Err(format!("expected version 1, 2 or 3 of NumPy's format, got {other}")),
    }
    .ok_or_else(invalid)?;
    let (header, data) = rest.split_at_checked(length as usize).ok_or_else(invalid)?;
    let header = std::str::from_utf8(header).map_err(|_| invalid())?;
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
    let values = match kind {
        "<f8" => Values::Floats(numbers(data, n, f64::from_le_bytes).ok_or_else(invalid)?),
        "<f4" => Values::Floats(numbers(data, n, |b| f64::from(f32::from_le_bytes(b))).ok_or_else(invalid)?),
        "<i8" => Values::Ints(numbers(data, n, i64::from_le_bytes).ok_or_else(invalid)?),
        "<i4" => Values::Ints(numbers(data, n, |b| i64::from(i32::from_le_bytes(b))).ok_or_else(invalid)?),
        "|u1" | "|b1" => Values::Ints(numbers(data, n, |[b]: [u8; 1]| i64::from(b)).ok_or_else(invalid)?),
        other => return Err(format!("expected numbers (<f8, <f4, <i8, <i4, |u1 or |b1), got `{other}`")),
    };
    Ok(Npy { shape, values })
}

/// Parses exactly `n` numbers of `SIZE` bytes each.
fn numbers<const SIZE: usize, T>(
    data: &[u8],
    n: usize,
    from_bytes: impl Fn([u8; SIZE]) -> T,
) -> Option<Vec<T>> {
    if n.checked_mul(SIZE) != Some(data.len()) {
        return None;
    }
    let number = |chunk: &[u8]| -> Option<T> { Some(from_bytes(chunk.try_into().ok()?)) };
    data.chunks_exact(SIZE).map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
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
        check(&npy(header, &[0; 15]), "truncated");
        check(&npy(header, &[0; 17]), "truncated");
        check(&npy(&header.replace("False", "True"), &[0; 16]), "Fortran order");
        check(&npy(&header.replace("<f8", "|O"), &[0; 16]), "got `|O`");
        check(&npy(&header.replace("(2,)", "(99999999999, 99999999999)"), &[0; 16]), "truncated");
        check(&npy("{}", &[]), "truncated");
    }
}
