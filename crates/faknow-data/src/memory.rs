//! Direct access to the memory of a tensor, without libtorch operations.

use std::ptr::NonNull;

use tch::kind::Element;
use tch::{Device, Tensor};

/// The memory layout of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Row-major: the last dimension is contiguous.
    Rows,
    /// Column-major, for a matrix only: the layout of weights that are multiplied with sparse features.
    Columns,
}

/// The contiguous values of a tensor in CPU memory.
#[derive(Debug, Clone, Copy)]
pub struct Memory<T> {
    /// Pointer to the first value; aligned, and not null even if there are no values.
    pub pointer: NonNull<T>,
    /// Number of values.
    pub n: usize,
    /// Memory layout.
    pub order: Order,
}

impl<T: Element> Memory<T> {
    /// Returns the memory of `t`; `None` if it is not dense CPU memory of `T`.
    ///
    /// A caller that creates a slice from it must ensure that `t` is neither dropped nor resized in the meantime, and that the
    /// memory is not written through another handle of `t` or of a view of it.
    pub fn from_tensor(t: &Tensor) -> Option<Self> {
        let is_plain = t.defined()
            && t.device() == Device::Cpu
            && !t.is_sparse()
            && !t.is_mkldnn()
            && t.f_kind().is_ok_and(|kind| kind == T::KIND)
            // Lazily negated values.
            && t.f_is_neg().is_ok_and(|is_negated| !is_negated);
        if !is_plain {
            return None;
        }
        let (n, order) = (t.numel(), order(t)?);
        if n == 0 {
            // An empty tensor may have no address.
            return Some(Self { pointer: NonNull::dangling(), n, order });
        }
        let pointer = NonNull::new(t.data_ptr().cast::<T>()).filter(|pointer| pointer.is_aligned())?;
        Some(Self { pointer, n, order })
    }
}

fn order(t: &Tensor) -> Option<Order> {
    if t.is_contiguous() {
        return Some(Order::Rows);
    }
    let is_column_major = t.dim() == 2 && t.f_tr().is_ok_and(|t| t.is_contiguous());
    is_column_major.then_some(Order::Columns)
}
