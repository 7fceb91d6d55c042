//! The memory of tensors as slices: the only `unsafe` code of the project.
//!
//! libtorch hands out pointers, and any number of handles to one tensor. What makes slices of them sound here:
//!
//! - the tensor is dense memory of this element type on the CPU, each element once, in the order of the rows or of the
//!   columns of a matrix, and its pointer is there and aligned ([`pointer`] checks all of that);
//! - the slices live no longer than the borrows of the tensors, which own the memory, and nothing resizes a tensor in
//!   between: an optimizer's step calls no operation of libtorch while it holds them;
//! - no slice that is written to shares memory with any other one ([`operands`] checks that);
//! - nobody else uses the parameters, their gradients or the optimizer's memory of them during a step. That is the
//!   contract of `Optimizer::step` as it is of libtorch's own operations, which write to the same memory.
#![expect(
    unsafe_code,
    reason = "an update in one pass needs the memory itself; what makes it sound is told above"
)]

use std::slice;

use tch::kind::Element;
use tch::{Device, Tensor};

use super::rule::MAX_SLOTS;

/// What the update of a parameter, or of a part of one, reads and writes; all slices are as long, unused slots empty.
pub(super) struct Operands<'a, T> {
    pub(super) parameter: &'a mut [T],
    pub(super) gradient: &'a [T],
    pub(super) slots: [&'a mut [T]; MAX_SLOTS],
}

/// The tensors of one parameter's update.
pub(super) struct Tensors<'a> {
    pub(super) parameter: &'a mut Tensor,
    pub(super) gradient: &'a Tensor,
    pub(super) slots: &'a mut [Tensor],
}

/// Whether the memory of two tensors can be read as slices of `T` in which their values stand in the same order.
pub(super) fn are_slices<T: Element>(one: &Tensor, other: &Tensor) -> bool {
    let order = |t: &Tensor| pointer::<T>(t).map(|(_, _, order)| order);
    order(one).is_some_and(|of_one| order(other) == Some(of_one))
}

/// The values of a tensor in the CPU's memory, in the order in which they lie there; `None` if they lie apart.
pub(super) fn values<T: Element>(t: &Tensor) -> Option<&[T]> {
    let (pointer, n, _) = pointer::<T>(t)?;
    // SAFETY: `pointer` answers an aligned address of `n` initialised values of `T`, which the borrowed tensor keeps
    // alive; nobody writes to them meanwhile by the module's contract.
    Some(unsafe { slice::from_raw_parts(pointer, n) })
}

/// The memory of all tensors; `None` if one of them has no slice, if lengths or orders differ, or if two share memory of which
/// one is written.
pub(super) fn operands<'a, T: Element>(all: &'a mut [Tensors<'_>]) -> Option<Vec<Operands<'a, T>>> {
    let mut written = Vec::with_capacity(all.len() * (1 + MAX_SLOTS));
    let mut read = Vec::with_capacity(all.len());
    for Tensors { parameter, gradient, slots } in all.iter() {
        let (address, n, order) = pointer::<T>(parameter)?;
        written.push(Range::new(address, n));
        let (address, n_gradient, order_of_gradient) = pointer::<T>(gradient)?;
        read.push(Range::new(address, n));
        let mut fits = n_gradient == n && order_of_gradient == order && slots.len() <= MAX_SLOTS;
        for slot in slots.iter() {
            let (address, n_slot, order_of_slot) = pointer::<T>(slot)?;
            written.push(Range::new(address, n));
            fits &= n_slot == n && order_of_slot == order;
        }
        if !fits {
            return None;
        }
    }
    if shares_memory(written, read) {
        return None;
    }
    let mut operands = Vec::with_capacity(all.len());
    for Tensors { parameter, gradient, slots } in all {
        let mut memory: [&mut [T]; MAX_SLOTS] = Default::default();
        for (memory, slot) in memory.iter_mut().zip(slots.iter_mut()) {
            *memory = values_mut(slot)?;
        }
        operands.push(Operands {
            parameter: values_mut(parameter)?,
            gradient: values(gradient)?,
            slots: memory,
        });
    }
    Some(operands)
}

/// As [`values`], to write to. Only for tensors of which [`operands`] knows that they share no memory.
fn values_mut<T: Element>(t: &mut Tensor) -> Option<&mut [T]> {
    let (pointer, n, _) = pointer::<T>(t)?;
    // SAFETY: as in `values`; and no other slice covers this memory, which `operands`, the only caller, has checked.
    Some(unsafe { slice::from_raw_parts_mut(pointer, n) })
}

/// In which order the values of a tensor lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Rows,
    /// A matrix, column by column: a weight that sparse features are multiplied with.
    Columns,
}

fn order(t: &Tensor) -> Option<Order> {
    if t.is_contiguous() {
        return Some(Order::Rows);
    }
    let by_columns = t.dim() == 2 && t.f_tr().is_ok_and(|t| t.is_contiguous());
    by_columns.then_some(Order::Columns)
}

/// The first of a tensor's values, their number and their order, if they lie in the CPU's memory side by side, as what `T` is.
fn pointer<T: Element>(t: &Tensor) -> Option<(*mut T, usize, Order)> {
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
        return Some((std::ptr::NonNull::dangling().as_ptr(), 0, order));
    }
    let pointer = t.data_ptr().cast::<T>();
    (!pointer.is_null() && pointer.is_aligned()).then_some((pointer, n, order))
}

/// Addresses from `start` to before `end`.
#[derive(Clone, Copy)]
struct Range {
    start: usize,
    end: usize,
}

impl Range {
    fn new<T>(start: *const T, n: usize) -> Self {
        Self { start: start.addr(), end: start.addr() + n * size_of::<T>() }
    }
}

/// Whether one of the first ranges overlaps with any other range.
fn shares_memory(written: Vec<Range>, read: Vec<Range>) -> bool {
    let marked = |is_written: bool| move |range: Range| (range, is_written);
    let mut all: Vec<_> =
        written.into_iter().map(marked(true)).chain(read.into_iter().map(marked(false))).collect();
    all.retain(|(range, _)| range.start < range.end);
    all.sort_unstable_by_key(|(range, _)| range.start);
    let (mut end, mut end_of_written) = (0, 0);
    for (range, is_written) in all {
        if range.start < if is_written { end } else { end_of_written } {
            return true;
        }
        end = end.max(range.end);
        if is_written {
            end_of_written = end_of_written.max(range.end);
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    fn operands_of(parameter: &Tensor, gradient: &Tensor, slots: &[&Tensor]) -> Option<usize> {
        let mut parameter = parameter.shallow_clone();
        let mut slots: Vec<Tensor> = slots.iter().map(|slot| slot.shallow_clone()).collect();
        let mut all = [Tensors { parameter: &mut parameter, gradient, slots: &mut slots }];
        operands::<f32>(&mut all).map(|operands| operands[0].parameter.len())
    }

    #[test]
    fn only_dense_memory_of_the_kind_is_taken() {
        let t = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]).view([2, 3]);
        assert_eq!(values::<f32>(&t), Some(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..]));
        assert_eq!(values::<f32>(&t.get(1)), Some(&[4.0, 5.0, 6.0][..]));
        assert_eq!(values::<f32>(&t.narrow(0, 0, 0)), Some(&[][..]));
        assert_eq!(values::<f32>(&Tensor::from(2.5f32)), Some(&[2.5][..]));
        assert_eq!(values::<f64>(&t), None);
        assert_eq!(values::<f32>(&t.transpose(0, 1)), Some(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..]));
        assert_eq!(values::<f32>(&t.transpose(0, 1).narrow(0, 0, 2)), None);
        assert_eq!(values::<f32>(&t.view([1, 2, 3]).transpose(1, 2)), None);
        assert_eq!(values::<f32>(&Tensor::from(1.0f32).expand([3], false)), None);
        assert_eq!(values::<f32>(&t.to_sparse(None, None::<i64>, None)), None);
        assert_eq!(values::<f32>(&t.to_kind(Kind::Half)), None);
        assert_eq!(values::<f32>(&t.internal_neg_view()), None);
        assert_eq!(values::<f32>(&Tensor::new()), None);
    }

    #[test]
    fn memory_that_is_written_is_nobody_elses() {
        let t = Tensor::zeros([12], tch::kind::FLOAT_CPU);
        let part = |from, n| t.narrow(0, from, n);
        let other = || Tensor::zeros([4], tch::kind::FLOAT_CPU);
        assert_eq!(operands_of(&part(0, 4), &part(4, 4), &[&part(8, 4)]), Some(4));
        assert_eq!(operands_of(&part(0, 4), &part(3, 4), &[]), None);
        assert_eq!(operands_of(&part(4, 4), &part(4, 4), &[]), None);
        assert_eq!(operands_of(&part(0, 4), &other(), &[&part(2, 4)]), None);
        assert_eq!(operands_of(&other(), &part(0, 4), &[&part(2, 4)]), None);
        assert_eq!(operands_of(&other(), &other(), &[&part(0, 4), &part(4, 4)]), Some(4));
        // Orders differ: the first value of one row is not that of one column.
        let (rows, columns) = (
            || Tensor::zeros([2, 3], tch::kind::FLOAT_CPU),
            || Tensor::zeros([3, 2], tch::kind::FLOAT_CPU).tr(),
        );
        assert_eq!(operands_of(&columns(), &columns(), &[&columns()]), Some(6));
        assert_eq!(operands_of(&rows(), &columns(), &[]), None);
        assert_eq!(operands_of(&columns(), &columns(), &[&rows()]), None);
        assert!(are_slices::<f32>(&columns(), &columns()) && !are_slices::<f32>(&columns(), &rows()));
        // Lengths differ.
        assert_eq!(operands_of(&part(0, 4), &part(6, 3), &[]), None);
        // Two may read the same.
        let (mut a, mut b, gradient) = (other(), other(), other());
        let mut all =
            [&mut a, &mut b].map(|parameter| Tensors { parameter, gradient: &gradient, slots: &mut [] });
        assert!(operands::<f32>(&mut all).is_some());
        // The same parameter twice.
        let (mut a, mut same) = (part(0, 4), part(0, 4));
        let mut all =
            [&mut a, &mut same].map(|parameter| Tensors { parameter, gradient: &gradient, slots: &mut [] });
        assert!(operands::<f32>(&mut all).is_none());
    }
}
