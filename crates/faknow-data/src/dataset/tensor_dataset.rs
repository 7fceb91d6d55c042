//! Tensors as a dataset, and pairs of tensors as a batch, for models with numeric inputs.

use std::sync::{Mutex, PoisonError};

use tch::{Device, Kind, Tensor};

use crate::{Batch, Dataset, Error, Fingerprint, Result};

/// Inputs `[n, ...]` and, if the samples are labeled, class indices i64 `[n]`.
impl Batch for (Tensor, Option<Tensor>) {
    fn n_samples(&self) -> usize {
        self.0.size().first().map_or(0, |n| *n as usize)
    }

    fn labels(&self) -> Option<&Tensor> {
        self.1.as_ref()
    }

    fn to_device(&self, device: Device) -> Self {
        (self.0.to_device(device), self.1.as_ref().map(|labels| labels.to_device(device)))
    }
}

/// A dataset of tensors: sample `i` is row `i` of the inputs and of the labels.
///
/// Batches are pairs of tensors; models use `type Batch = (Tensor, Option<Tensor>)`. The tensors are not copied and must not be
/// changed in place afterwards.
///
/// ```
/// use faknow_data::{Dataset, TensorDataset};
/// use tch::Tensor;
///
/// let x = Tensor::from_slice2(&[[0.0_f32, 1.0], [2.0, 3.0], [4.0, 5.0]]);
/// let data = TensorDataset::new(x, Tensor::from_slice(&[0_i64, 1, 1]))?;
/// let (inputs, labels) = data.batch(&[2, 0])?;
/// assert_eq!(inputs, Tensor::from_slice2(&[[4.0_f32, 5.0], [0.0, 1.0]]));
/// assert_eq!(labels, Some(Tensor::from_slice(&[1_i64, 0])));
/// assert_eq!(data.class_counts(), [1, 2]);
/// # Ok::<(), faknow_data::Error>(())
/// ```
#[derive(Debug)]
pub struct TensorDataset {
    // tch's tensors are `Send` but not `Sync`: threads clone the handle under the lock and use the clone without it.
    inputs: Mutex<Tensor>,
    n_samples: usize,
    labels: Option<Vec<usize>>,
    fingerprint: u64,
}

impl TensorDataset {
    /// Creates a dataset of inputs `[n, ...]` of any kind and, if given, class indices `[n]` of an integer kind.
    ///
    /// `labels` is a tensor, or `None` for unlabeled samples.
    ///
    /// # Errors
    /// [`Error::Setting`]: the inputs are a scalar, or labels are not non-negative integers, one per sample.
    pub fn new(inputs: Tensor, labels: impl Into<Option<Tensor>>) -> Result<Self> {
        let invalid = |name, expected: &str, got| Error::Setting { name, expected: expected.to_owned(), got };
        let Some(n_samples) = inputs.size().first().map(|n| *n as usize) else {
            return Err(invalid("inputs", "a tensor [n, ...]", "a scalar".to_owned()));
        };
        let inputs = inputs.f_detach()?;
        let mut fingerprint = Fingerprint::new();
        add_tensor(&mut fingerprint, &inputs)?;
        let labels = labels.into().map(|labels| classes(&labels, n_samples)).transpose()?;
        labels.iter().flatten().for_each(|&class| fingerprint.add(class as u64));
        Ok(Self { inputs: Mutex::new(inputs), n_samples, labels, fingerprint: fingerprint.finish() })
    }

    fn inputs(&self) -> Tensor {
        self.inputs.lock().unwrap_or_else(PoisonError::into_inner).shallow_clone()
    }
}

impl Dataset for TensorDataset {
    type Batch = (Tensor, Option<Tensor>);

    fn n_samples(&self) -> usize {
        self.n_samples
    }

    fn batch(&self, indices: &[usize]) -> Result<Self::Batch> {
        if let Some(index) = indices.iter().find(|index| **index >= self.n_samples) {
            return Err(Error::Dataset(format!(
                "expected an index below {}, the number of samples, got {index}",
                self.n_samples
            )));
        }
        let inputs = self.inputs();
        let rows: Vec<i64> = indices.iter().map(|index| *index as i64).collect();
        let batch = inputs.f_index_select(0, &Tensor::from_slice(&rows).f_to_device(inputs.device())?)?;
        let labels = self.labels.as_ref().map(|labels| {
            let labels: Vec<i64> = indices.iter().map(|&index| labels[index] as i64).collect();
            Tensor::from_slice(&labels)
        });
        Ok((batch, labels))
    }

    fn fingerprint(&self) -> Option<u64> {
        Some(self.fingerprint)
    }

    fn class(&self, index: usize) -> Option<usize> {
        self.labels.as_ref()?.get(index).copied()
    }
}

/// Returns the class index of each sample.
fn classes(labels: &Tensor, n_samples: usize) -> Result<Vec<usize>> {
    let invalid = |got| Error::Setting {
        name: "labels",
        expected: format!("class indices [{n_samples}] of an integer kind, one per sample"),
        got,
    };
    let is_integer =
        matches!(labels.kind(), Kind::Int64 | Kind::Int | Kind::Int16 | Kind::Int8 | Kind::Uint8);
    if !is_integer || labels.size() != [n_samples as i64] {
        return Err(invalid(format!("{:?} {:?}", labels.kind(), labels.size())));
    }
    let labels: Vec<i64> = Vec::try_from(labels.f_to_device(Device::Cpu)?.f_to_kind(Kind::Int64)?)?;
    let class = |&label: &i64| usize::try_from(label).map_err(|_| invalid(format!("the label {label}")));
    labels.iter().map(class).collect()
}

/// Adds the kind, shape and values of a tensor.
fn add_tensor(fingerprint: &mut Fingerprint, tensor: &Tensor) -> Result<()> {
    const CHUNK: i64 = 1 << 16;
    fingerprint.add_str(&format!("{:?} {:?}", tensor.kind(), tensor.size()));
    let values = tensor.f_contiguous()?.f_view([-1])?;
    let n_values = values.size1()?;
    for start in (0..n_values).step_by(CHUNK as usize) {
        let chunk = values.f_narrow(0, start, CHUNK.min(n_values - start))?.f_to_device(Device::Cpu)?;
        let mut bytes = vec![0_u8; chunk.numel() * chunk.kind().elt_size_in_bytes()];
        let n_bytes = bytes.len();
        chunk.f_view_dtype(Kind::Uint8)?.f_copy_data(&mut bytes, n_bytes)?;
        fingerprint.add_bytes(&bytes);
    }
    Ok(())
}
