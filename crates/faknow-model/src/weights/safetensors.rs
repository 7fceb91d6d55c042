//! The safetensors format.

use std::collections::BTreeMap;

use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorInfo};
use tch::{Device, Kind, Tensor, no_grad};

use crate::{Error, Result};

/// Size of the copy buffer in bytes.
const CHUNK_SIZE: usize = 1 << 18;

/// Writes named tensors as a safetensors file, in chunks; the same tensors give the same bytes.
#[derive(Debug)]
pub struct SafetensorsWriter<'a> {
    header: Vec<u8>,
    tensors: Vec<(&'a Tensor, Kind)>,
}

impl<'a> SafetensorsWriter<'a> {
    /// Creates the header of a file with these tensors.
    ///
    /// # Errors
    /// [`Error::UnsupportedTensor`] if a tensor is undefined, sparse, of a kind that safetensors does not support (quantized,
    /// double complex), or named `__metadata__`.
    pub fn new(tensors: &'a BTreeMap<String, Tensor>) -> Result<Self> {
        let mut entries = Vec::with_capacity(tensors.len());
        for (name, tensor) in tensors {
            let unsupported = |reason: String| Error::UnsupportedTensor { tensor: name.clone(), reason };
            if name == "__metadata__" {
                return Err(unsupported("expected another name, since safetensors reserves it".into()));
            }
            if !tensor.defined() {
                return Err(unsupported("expected a defined tensor".into()));
            }
            if tensor.is_sparse() {
                return Err(unsupported(
                    "expected a dense tensor, got a sparse one; convert it with `to_dense`".into(),
                ));
            }
            let kind = tensor.f_kind()?;
            let dtype = dtype_of(kind).ok_or_else(|| {
                unsupported(format!(
                    "expected a kind of safetensors, got {kind:?}; convert it with `to_kind`"
                ))
            })?;
            let shape: Vec<usize> = tensor.size().iter().map(|&n| n as usize).collect();
            entries.push((name, tensor, kind, dtype, shape));
        }
        // As the safetensors library: the widest types first, so all are aligned; then by name.
        entries.sort_by(|a, b| b.3.cmp(&a.3).then_with(|| a.0.cmp(b.0)));
        let mut end = 0;
        let mut infos = Vec::with_capacity(entries.len());
        let mut ordered = Vec::with_capacity(entries.len());
        for (name, tensor, kind, dtype, shape) in entries {
            let start = end;
            end += tensor.numel() * kind.elt_size_in_bytes();
            infos.push((name.clone(), TensorInfo { dtype, shape, data_offsets: (start, end) }));
            ordered.push((tensor, kind));
        }
        let invalid = |reason: String| Error::Bytes { reason };
        let metadata = Metadata::new(None, infos).map_err(|error| invalid(error.to_string()))?;
        let mut json = serde_json::to_vec(&metadata).map_err(|error| invalid(error.to_string()))?;
        json.resize(json.len().next_multiple_of(8), b' ');
        let mut header = (json.len() as u64).to_le_bytes().to_vec();
        header.append(&mut json);
        Ok(Self { header, tensors: ordered })
    }

    /// Writes the file to `sink`; `convert_error` converts an error of libtorch to the sink's type.
    ///
    /// Needs memory for one chunk, and for a copy of one tensor if it is not contiguous on the CPU.
    ///
    /// # Errors
    /// The sink fails, or a tensor cannot be copied to the CPU.
    pub fn write<E>(
        &self,
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
        convert_error: impl Fn(Error) -> E,
    ) -> Result<(), E> {
        sink(&self.header)?;
        let mut chunk = vec![0; CHUNK_SIZE];
        for (tensor, kind) in &self.tensors {
            let flat = no_grad(|| tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?.f_view([-1]))
                .map_err(|error| convert_error(error.into()))?;
            let (width, n) = (kind.elt_size_in_bytes(), tensor.numel());
            for start in (0..n).step_by(CHUNK_SIZE / width) {
                let len = (CHUNK_SIZE / width).min(n - start);
                let bytes = &mut chunk[..len * width];
                flat.f_narrow(0, start as i64, len as i64)
                    .and_then(|part| part.f_copy_data_u8(bytes, len))
                    .map_err(|error| convert_error(error.into()))?;
                sink(bytes)?;
            }
        }
        Ok(())
    }
}

/// Returns named tensors as the bytes of a safetensors file; the same tensors give the same bytes.
///
/// # Errors
/// As [`SafetensorsWriter::new`].
pub fn to_bytes(tensors: &BTreeMap<String, Tensor>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    SafetensorsWriter::new(tensors)?.write(
        |chunk| {
            bytes.extend_from_slice(chunk);
            Ok(())
        },
        |error| error,
    )?;
    Ok(bytes)
}

/// Reads the tensors from the bytes of a safetensors file, to the CPU; metadata of the file is ignored.
///
/// # Errors
/// [`Error::Bytes`] if the bytes are corrupted, truncated or of another format, or a tensor has a type that tch does not
/// support (unsigned integers wider than 8 bits, floats narrower than 8 bits).
pub fn from_bytes(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>> {
    decode(bytes).map_err(|reason| Error::Bytes { reason })
}

/// Works as [`from_bytes`], but returns only the reason of an error.
pub(super) fn decode(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, String> {
    let file =
        SafeTensors::deserialize(bytes).map_err(|error| format!("invalid safetensors file: {error}"))?;
    file.iter()
        .map(|(name, view)| {
            let kind = kind_of(view.dtype())
                .ok_or_else(|| format!("tensor `{name}`: unsupported type {:?}", view.dtype()))?;
            let shape = view.shape().iter().map(|&n| i64::try_from(n)).collect::<Result<Vec<_>, _>>();
            let shape =
                shape.map_err(|_| format!("tensor `{name}`: shape {:?} is too large", view.shape()))?;
            Ok((name.to_owned(), from_raw(view.data(), &shape, kind, name)?))
        })
        .collect()
}

/// Creates a tensor of `shape` from little-endian bytes; the caller has checked their number.
pub(super) fn from_raw(bytes: &[u8], shape: &[i64], kind: Kind, name: &str) -> Result<Tensor, String> {
    let invalid = |error| format!("tensor `{name}`: {error}");
    if bytes.is_empty() {
        return Tensor::f_zeros(shape, (kind, Device::Cpu)).map_err(invalid);
    }
    if kind == Kind::Bool && bytes.iter().any(|&b| b > 1) {
        return Err(format!("tensor `{name}`: expected bytes 0 and 1 for booleans"));
    }
    Tensor::f_from_data_size(bytes, shape, kind).map_err(invalid)
}

/// The kinds of libtorch and the equivalent types of safetensors.
const KINDS: [(Kind, Dtype); 15] = [
    (Kind::Bool, Dtype::BOOL),
    (Kind::Uint8, Dtype::U8),
    (Kind::Int8, Dtype::I8),
    (Kind::Int16, Dtype::I16),
    (Kind::Int, Dtype::I32),
    (Kind::Int64, Dtype::I64),
    (Kind::Half, Dtype::F16),
    (Kind::BFloat16, Dtype::BF16),
    (Kind::Float, Dtype::F32),
    (Kind::Double, Dtype::F64),
    (Kind::ComplexFloat, Dtype::C64),
    (Kind::Float8e5m2, Dtype::F8_E5M2),
    (Kind::Float8e4m3fn, Dtype::F8_E4M3),
    (Kind::Float8e5m2fnuz, Dtype::F8_E5M2FNUZ),
    (Kind::Float8e4m3fnuz, Dtype::F8_E4M3FNUZ),
];

fn dtype_of(kind: Kind) -> Option<Dtype> {
    KINDS.iter().find(|(k, _)| *k == kind).map(|(_, dtype)| *dtype)
}

fn kind_of(dtype: Dtype) -> Option<Kind> {
    KINDS.iter().find(|(_, d)| *d == dtype).map(|(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors_of_all_kinds() -> BTreeMap<String, Tensor> {
        let values = Tensor::from_slice(&[0.0f64, 1.0, 1.0, 0.0, 1.0, 0.0]).view([2, 3]);
        KINDS
            .iter()
            .map(|(kind, dtype)| (format!("{dtype:?}"), values.to_kind(*kind)))
            .chain([
                ("scalar".to_owned(), Tensor::from(2.5f32)),
                ("empty".to_owned(), Tensor::zeros([0, 4], tch::kind::FLOAT_CPU)),
                ("transposed".to_owned(), values.transpose(0, 1)),
                ("learning".to_owned(), Tensor::ones([2], tch::kind::FLOAT_CPU).set_requires_grad(true)),
            ])
            .collect()
    }

    #[test]
    fn roundtrip_preserves_all_kinds_and_is_deterministic() {
        let tensors = tensors_of_all_kinds();
        let bytes = to_bytes(&tensors).unwrap();
        assert_eq!(bytes, to_bytes(&tensors_of_all_kinds()).unwrap());
        let restored = from_bytes(&bytes).unwrap();
        assert!(restored.keys().eq(tensors.keys()));
        for (name, t) in &tensors {
            let b = &restored[name];
            assert_eq!((b.kind(), b.size()), (t.kind(), t.size()), "{name}");
            let kind = if t.kind() == Kind::ComplexFloat { Kind::ComplexDouble } else { Kind::Double };
            assert!(b.to_kind(kind).equal(&t.to_kind(kind)), "{name}");
        }
    }

    #[test]
    fn corrupted_bytes_are_errors() {
        let bytes = to_bytes(&tensors_of_all_kinds()).unwrap();
        for n in 0..bytes.len() {
            assert!(matches!(from_bytes(&bytes[..n]), Err(Error::Bytes { .. })), "{n} bytes");
        }
        // A changed byte results in an error or another value, never a panic.
        for n in 0..bytes.len() {
            for flip in [0x01, 0x10, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[n] ^= flip;
                drop(from_bytes(&changed));
            }
        }
        let file = |header: &str| [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
        for (header, expected) in [
            (r#"{"a":{"dtype":"U64","shape":[0],"data_offsets":[0,0]}}"#, "`a`: unsupported type U64"),
            (r#"{"a":{"dtype":"F32","shape":[0,18446744073709551615],"data_offsets":[0,0]}}"#, "`a`: shape"),
            (r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#, "overflow"),
        ] {
            let error = from_bytes(&file(header)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn rejects_kinds_that_safetensors_does_not_support() {
        let complex = Tensor::zeros([1], (Kind::ComplexDouble, Device::Cpu));
        let error = to_bytes(&BTreeMap::from([("z".to_owned(), complex)])).unwrap_err().to_string();
        assert!(error.contains("`z`: expected a kind of safetensors, got ComplexDouble"), "{error}");
    }
}
