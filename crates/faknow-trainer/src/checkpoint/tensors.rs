//! Groups of tensors as safetensors files, written piece by piece and read from bytes that were checked.

use std::collections::BTreeMap;

use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorInfo};
use tch::{Kind, Tensor, no_grad};

use super::disk::{self, CHUNK, Sink};
use super::error::Result;

/// Tensors in the order of their file, with the file's header.
pub(super) struct Layout<'a> {
    header: Vec<u8>,
    tensors: Vec<(&'a Tensor, Kind)>,
}

impl<'a> Layout<'a> {
    /// Lays out a file; the error says what of it cannot be saved.
    pub(super) fn new(tensors: &'a BTreeMap<String, Tensor>) -> std::result::Result<Self, String> {
        let mut entries = Vec::with_capacity(tensors.len());
        for (name, tensor) in tensors {
            let refuse = |what: String| format!("tensor `{name}` {what}");
            if name == "__metadata__" {
                return Err(refuse("has a name that safetensors files keep for themselves".into()));
            }
            if !tensor.defined() {
                return Err(refuse("is undefined".into()));
            }
            if tensor.is_sparse() {
                return Err(refuse("is sparse: make it dense".into()));
            }
            let kind = tensor.f_kind().map_err(|error| refuse(error.to_string()))?;
            let dtype =
                dtype(kind).ok_or_else(|| refuse(format!("has kind {kind:?}: convert it to a plain one")))?;
            let shape = tensor.size().into_iter().map(|n| n.unsigned_abs() as usize).collect::<Vec<_>>();
            entries.push((name, tensor, kind, dtype, shape));
        }
        // As the format's own writer does: the widest first, so that all are aligned; then by name.
        entries.sort_by(|a, b| b.3.cmp(&a.3).then_with(|| a.0.cmp(b.0)));
        let mut end = 0;
        let mut infos = Vec::with_capacity(entries.len());
        let mut tensors = Vec::with_capacity(entries.len());
        for (name, tensor, kind, dtype, shape) in entries {
            let start = end;
            end += tensor.numel() * kind.elt_size_in_bytes();
            infos.push((name.clone(), TensorInfo { dtype, shape, data_offsets: (start, end) }));
            tensors.push((tensor, kind));
        }
        let metadata = Metadata::new(None, infos).map_err(|error| error.to_string())?;
        let mut json = serde_json::to_vec(&metadata).map_err(|error| error.to_string())?;
        json.resize(json.len().next_multiple_of(8), b' ');
        let mut header = (json.len() as u64).to_le_bytes().to_vec();
        header.append(&mut json);
        Ok(Self { header, tensors })
    }

    /// Writes the file. Besides the tensors, memory holds one chunk, and one tensor that lies elsewhere or scattered.
    pub(super) fn write(&self, sink: &mut Sink) -> Result<std::result::Result<(), tch::TchError>> {
        sink.write(&self.header)?;
        let mut chunk = disk::buffer();
        for (tensor, kind) in &self.tensors {
            let flat = match no_grad(|| {
                tensor.f_detach()?.f_to_device(tch::Device::Cpu)?.f_contiguous()?.f_view([-1])
            }) {
                Ok(flat) => flat,
                Err(error) => return Ok(Err(error)),
            };
            let (width, n) = (kind.elt_size_in_bytes(), tensor.numel());
            for start in (0..n).step_by(CHUNK / width) {
                let len = (CHUNK / width).min(n - start);
                let bytes = &mut chunk[..len * width];
                let copied = flat
                    .f_narrow(0, start as i64, len as i64)
                    .and_then(|part| part.f_copy_data_u8(bytes, len));
                if let Err(error) = copied {
                    return Ok(Err(error));
                }
                sink.write(bytes)?;
            }
        }
        Ok(Ok(()))
    }
}

/// Reads the tensors of a file's bytes, on the CPU.
pub(super) fn parse(bytes: &[u8]) -> std::result::Result<BTreeMap<String, Tensor>, String> {
    let file =
        SafeTensors::deserialize(bytes).map_err(|error| format!("is not a safetensors file: {error}"))?;
    file.iter()
        .map(|(name, view)| {
            let refuse = |what: String| format!("has a tensor `{name}` that cannot be read: {what}");
            let kind = kind(view.dtype()).ok_or_else(|| refuse(format!("its type is {}", view.dtype())))?;
            let shape: std::result::Result<Vec<i64>, _> =
                view.shape().iter().map(|&n| i64::try_from(n)).collect();
            let shape = shape.map_err(|error| refuse(error.to_string()))?;
            let tensor =
                Tensor::f_from_data_size(view.data(), &shape, kind).map_err(|e| refuse(e.to_string()))?;
            Ok((name.to_owned(), tensor))
        })
        .collect()
}

/// The kinds of elements that a checkpoint can hold, as safetensors names them.
const KINDS: [(Kind, Dtype); 10] = [
    (Kind::Float, Dtype::F32),
    (Kind::Double, Dtype::F64),
    (Kind::Half, Dtype::F16),
    (Kind::BFloat16, Dtype::BF16),
    (Kind::Int64, Dtype::I64),
    (Kind::Int, Dtype::I32),
    (Kind::Int16, Dtype::I16),
    (Kind::Int8, Dtype::I8),
    (Kind::Uint8, Dtype::U8),
    (Kind::Bool, Dtype::BOOL),
];

fn dtype(kind: Kind) -> Option<Dtype> {
    KINDS.into_iter().find(|(k, _)| *k == kind).map(|(_, dtype)| dtype)
}

fn kind(dtype: Dtype) -> Option<Kind> {
    KINDS.into_iter().find(|(_, d)| *d == dtype).map(|(kind, _)| kind)
}
