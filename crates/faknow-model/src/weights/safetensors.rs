//! Named tensors as safetensors, in memory.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;

use safetensors::{Dtype, SafeTensors, View};
use tch::{Device, Kind, TchError, Tensor};

use crate::{Error, Result};

/// Named tensors as the bytes of a safetensors file; the same tensors give the same bytes.
///
/// # Errors
/// [`Error::Torch`] if a tensor is sparse or of a kind that the format has not (quantized, double complex).
pub fn to_bytes(tensors: &BTreeMap<String, Tensor>) -> Result<Vec<u8>> {
    let failed = Cell::new(None);
    let views = tensors
        .iter()
        .map(|(name, tensor)| Ok((name.as_str(), Values::new(name, tensor, &failed)?)))
        .collect::<Result<Vec<_>>>()?;
    let bytes =
        safetensors::serialize(views, None).map_err(|error| Error::Bytes { reason: error.to_string() })?;
    failed.take().map_or(Ok(bytes), |error| Err(error.into()))
}

/// The tensors in the bytes of a safetensors file, on the CPU; extra metadata in the file is passed over.
///
/// # Errors
/// [`Error::Bytes`] if the bytes are damaged, cut off or of another format, or a tensor is of a kind that libtorch's
/// bindings have not (unsigned integers wider than a byte, floats below a byte).
pub fn from_bytes(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>> {
    decode(bytes).map_err(|reason| Error::Bytes { reason })
}

/// As [`from_bytes`], with the bare reason.
pub(super) fn decode(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| format!("as safetensors: {error}"))?;
    file.iter()
        .map(|(name, view)| {
            let kind = kind_of(view.dtype())
                .ok_or_else(|| format!("tensor `{name}`: values of type {:?} are not read", view.dtype()))?;
            let shape = view.shape().iter().map(|&n| i64::try_from(n)).collect::<Result<Vec<_>, _>>();
            let shape =
                shape.map_err(|_| format!("tensor `{name}`: shape {:?} is too large", view.shape()))?;
            Ok((name.to_owned(), from_raw(view.data(), &shape, kind, name)?))
        })
        .collect()
}

/// A tensor of `shape` from its values' little-endian bytes, which the caller has found to be as many as the shape
/// asks for.
pub(super) fn from_raw(bytes: &[u8], shape: &[i64], kind: Kind, name: &str) -> Result<Tensor, String> {
    let failed = |error| format!("tensor `{name}`: {error}");
    if bytes.is_empty() {
        return Tensor::f_zeros(shape, (kind, Device::Cpu)).map_err(failed);
    }
    if kind == Kind::Bool && bytes.iter().any(|&b| b > 1) {
        return Err(format!("tensor `{name}`: holds bytes that are neither true nor false"));
    }
    Tensor::f_from_data_size(bytes, shape, kind).map_err(failed)
}

/// A tensor on its way into a file: its values are copied when their turn comes.
struct Values<'a> {
    tensor: Tensor,
    shape: Vec<usize>,
    dtype: Dtype,
    /// The trait below has no way to say that the copy failed, so it is retained here.
    failed: &'a Cell<Option<TchError>>,
}

impl<'a> Values<'a> {
    fn new(name: &str, tensor: &Tensor, failed: &'a Cell<Option<TchError>>) -> Result<Self> {
        let kind = tensor.f_kind()?;
        let refused =
            |what: String| TchError::Kind(format!("`{name}`: {what} cannot be written as safetensors"));
        let dtype = dtype_of(kind).ok_or_else(|| refused(format!("a tensor of kind {kind:?}")))?;
        if tensor.is_sparse() {
            return Err(refused("a sparse tensor".to_owned()).into());
        }
        let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
        let shape = tensor.size().iter().map(|&n| n as usize).collect();
        Ok(Self { tensor, shape, dtype, failed })
    }
}

impl View for Values<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = vec![0; self.data_len()];
        if let Err(error) = self.tensor.f_copy_data_u8(&mut bytes, self.tensor.numel()) {
            self.failed.set(Some(error));
        }
        bytes.into()
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * (self.dtype.bitsize() / 8)
    }
}

/// Which of libtorch's kinds is which of the format's.
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

    fn every_kind() -> BTreeMap<String, Tensor> {
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
    fn every_kind_comes_back_and_the_bytes_are_always_the_same() {
        let tensors = every_kind();
        let bytes = to_bytes(&tensors).unwrap();
        assert_eq!(bytes, to_bytes(&every_kind()).unwrap());
        let back = from_bytes(&bytes).unwrap();
        assert!(back.keys().eq(tensors.keys()));
        for (name, t) in &tensors {
            let b = &back[name];
            assert_eq!((b.kind(), b.size()), (t.kind(), t.size()), "{name}");
            let kind = if t.kind() == Kind::ComplexFloat { Kind::ComplexDouble } else { Kind::Double };
            assert!(b.to_kind(kind).equal(&t.to_kind(kind)), "{name}");
        }
    }

    #[test]
    fn damaged_bytes_are_errors() {
        let bytes = to_bytes(&every_kind()).unwrap();
        for n in 0..bytes.len() {
            assert!(matches!(from_bytes(&bytes[..n]), Err(Error::Bytes { .. })), "{n} bytes");
        }
        // A changed byte is an error or another value, never a panic.
        for n in 0..bytes.len() {
            for flip in [0x01, 0x10, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[n] ^= flip;
                drop(from_bytes(&changed));
            }
        }
        let text = |header: &str| [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
        for (header, says) in [
            (r#"{"a":{"dtype":"U64","shape":[0],"data_offsets":[0,0]}}"#, "`a`: values of type U64"),
            (r#"{"a":{"dtype":"F32","shape":[0,18446744073709551615],"data_offsets":[0,0]}}"#, "`a`: shape"),
            (r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#, "overflow"),
        ] {
            let error = from_bytes(&text(header)).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_kind_without_a_place_in_the_format_is_refused() {
        let complex = Tensor::zeros([1], (Kind::ComplexDouble, Device::Cpu));
        let error = to_bytes(&BTreeMap::from([("z".to_owned(), complex)])).unwrap_err().to_string();
        assert!(error.contains("`z`") && error.contains("ComplexDouble"), "{error}");
    }
}
