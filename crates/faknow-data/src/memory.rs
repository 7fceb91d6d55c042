//! Where the values of a tensor lie: what code needs that reads or writes them without libtorch's operations.

use std::ptr::NonNull;

use tch::kind::Element;
use tch::{Device, Tensor};

/// In which order the values of a tensor lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The last dimension side by side.
    Rows,
    /// A matrix, column by column: a weight that sparse features are multiplied with.
    Columns,
}

/// The values of a tensor in the CPU's memory, each once and side by side.
#[derive(Debug, Clone, Copy)]
pub struct Memory<T> {
    /// The first value; aligned, and not null even if there are no values.
    pub pointer: NonNull<T>,
    /// The number of values.
    pub n: usize,
    /// Their order.
    pub order: Order,
}

impl<T: Element> Memory<T> {
    /// Looks where the values of `t` lie; `None` if they are not dense memory of `T` on the CPU.
    ///
    /// Whoever makes a slice of it must see to it that `t` lives and is not resized meanwhile, and that nobody writes to the
    /// same memory through another handle of `t` or of a view of it.
    pub fn from_tensor(t: &Tensor) -> Option<Self> {
        let is_plain = t.defined()
            && t.device() == Device::Cpu
            && !t.is_sparse()
            && !t.is_mkldnn()
            && t.f_kind().is_ok_and(|kind| kind == T::KIND)
            // Values that libtorch would negate on reading.
            && t.f_is_neg().is_ok_and(|is_negated| !is_negated);
        if !is_plain {
            return None;
        }
        let (n, order) = (t.numel(), order(t)?);
        if n == 0 {
            // An empty tensor may have no address at all.
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
    let by_columns = t.dim() == 2 && t.f_tr().is_ok_and(|t| t.is_contiguous());
    by_columns.then_some(Order::Columns)
}
