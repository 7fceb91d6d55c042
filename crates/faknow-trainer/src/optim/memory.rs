//! The memory of tensors as slices.
//!
//! libtorch returns raw pointers, and any number of handles to one tensor. Slices of them are sound here because:
//!
//! - the tensor is dense memory of this element type on the CPU, each element once, in the order of the rows or of the
//!   columns of a matrix, and its pointer is not null and aligned ([`Memory::from_tensor`] checks all of that);
//! - the slices do not outlive the borrows of the tensors, which own the memory, and no tensor is resized meanwhile: an
//!   optimizer step calls no operation of libtorch while the slices exist;
//! - no slice that is written shares memory with another one ([`operands`] checks that);
//! - no other code uses the parameters, their gradients or the optimizer state during a step. That is the contract of
//!   `Optimizer::step`, as of libtorch's own operations, which write to the same memory.
#![expect(
    unsafe_code,
    reason = "an update in one pass needs direct access to the memory; the module documentation explains why it is sound"
)]

use std::slice;

use faknow_data::memory::{Memory, Order};
use tch::Tensor;
use tch::kind::Element;

use super::rule::MAX_SLOTS;

/// The operands of an update of a parameter or a part of one; all slices have the same length, unused slots are empty.
pub(super) struct Operands<'a, T> {
    pub(super) parameter: &'a mut [T],
    pub(super) gradient: &'a [T],
    pub(super) slots: [&'a mut [T]; MAX_SLOTS],
}

/// The operands of an update of an entire parameter.
pub(super) struct ParameterOperands<'a, T> {
    pub(super) operands: Operands<'a, T>,
    /// The rows of the gradient, in ascending order, if it is shorter than the parameter; `None` for all rows.
    pub(super) rows: Option<&'a [usize]>,
}

/// The tensors of one parameter's update.
pub(super) struct Tensors<'a> {
    pub(super) parameter: &'a mut Tensor,
    pub(super) gradient: &'a Tensor,
    pub(super) rows: Option<&'a [usize]>,
    pub(super) slots: &'a mut [Tensor],
}

/// Returns whether the memory of two tensors can be read as slices of `T` with the same order of values.
pub(super) fn are_slices<T: Element>(one: &Tensor, other: &Tensor) -> bool {
    let order = |t: &Tensor| Memory::<T>::from_tensor(t).map(|memory| memory.order);
    order(one).is_some_and(|order_of_one| order(other) == Some(order_of_one))
}

/// Returns the values of a tensor in the order of its memory; `None` if it is not dense CPU memory of this type.
pub(super) fn values<T: Element>(t: &Tensor) -> Option<&[T]> {
    let Memory { pointer, n, .. } = Memory::<T>::from_tensor(t)?;
    // SAFETY: `Memory::from_tensor` returns an aligned address of `n` initialized values of `T`, which the borrowed tensor keeps
    // alive; by the contract of this module no other code writes to them meanwhile.
    Some(unsafe { slice::from_raw_parts(pointer.as_ptr(), n) })
}

/// Returns the operands of all updates; `None` if the memory of a tensor is not a slice, if lengths or orders differ, or if a
/// tensor that is written shares memory with another one.
pub(super) fn operands<'a, T: Element>(all: &'a mut [Tensors<'_>]) -> Option<Vec<ParameterOperands<'a, T>>> {
    let mut written = Vec::with_capacity(all.len() * (1 + MAX_SLOTS));
    let mut read = Vec::with_capacity(all.len());
    for Tensors { parameter, gradient, rows, slots } in all.iter() {
        let parameter_memory = Memory::<T>::from_tensor(parameter)?;
        written.push(Range::new(&parameter_memory));
        let gradient_memory = Memory::<T>::from_tensor(gradient)?;
        read.push(Range::new(&gradient_memory));
        let fits = match rows {
            None => gradient_memory.n == parameter_memory.n,
            Some(rows) => fits(rows, &parameter_memory, parameter, gradient_memory.n),
        };
        let mut fits = fits && gradient_memory.order == parameter_memory.order && slots.len() <= MAX_SLOTS;
        for slot in slots.iter() {
            let slot_memory = Memory::<T>::from_tensor(slot)?;
            written.push(Range::new(&slot_memory));
            fits &= slot_memory.n == parameter_memory.n && slot_memory.order == parameter_memory.order;
        }
        if !fits {
            return None;
        }
    }
    if shares_memory(written, read) {
        return None;
    }
    let mut operands = Vec::with_capacity(all.len());
    for Tensors { parameter, gradient, rows, slots } in all {
        let mut memory: [&mut [T]; MAX_SLOTS] = Default::default();
        for (memory, slot) in memory.iter_mut().zip(slots.iter_mut()) {
            *memory = values_mut(slot)?;
        }
        let operands_of =
            Operands { parameter: values_mut(parameter)?, gradient: values(gradient)?, slots: memory };
        operands.push(ParameterOperands { operands: operands_of, rows: *rows });
    }
    Some(operands)
}

/// Returns whether `rows` are ascending rows of a row-major parameter, as many as the gradient has.
fn fits<T>(rows: &[usize], parameter_memory: &Memory<T>, parameter: &Tensor, n_gradient: usize) -> bool {
    let n_rows = parameter.size().first().map_or(0, |&n| n as usize);
    parameter_memory.order == Order::Rows
        && rows.is_sorted_by(|a, b| a < b)
        && rows.last().is_none_or(|&last| last < n_rows)
        && rows.len() * (parameter_memory.n / n_rows.max(1)) == n_gradient
}

/// Returns the values of a tensor as [`values`] does, mutably. Only for tensors that share no memory, which [`operands`]
/// checks.
fn values_mut<T: Element>(t: &mut Tensor) -> Option<&mut [T]> {
    let Memory { pointer, n, .. } = Memory::<T>::from_tensor(t)?;
    // SAFETY: as in `values`; and no other slice covers this memory, which `operands`, the only caller, checks first.
    Some(unsafe { slice::from_raw_parts_mut(pointer.as_ptr(), n) })
}

/// Addresses from `start` (inclusive) to `end` (exclusive).
#[derive(Clone, Copy)]
struct Range {
    start: usize,
    end: usize,
}

impl Range {
    fn new<T>(memory: &Memory<T>) -> Self {
        let start = memory.pointer.addr().get();
        Self { start, end: start + memory.n * size_of::<T>() }
    }
}

/// Returns whether one of the written ranges overlaps with any other range.
fn shares_memory(written: Vec<Range>, read: Vec<Range>) -> bool {
    let mark = |is_written: bool| move |range: Range| (range, is_written);
    let mut all: Vec<_> =
        written.into_iter().map(mark(true)).chain(read.into_iter().map(mark(false))).collect();
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
        let mut all = [Tensors { parameter: &mut parameter, gradient, rows: None, slots: &mut slots }];
        operands::<f32>(&mut all).map(|all| all[0].operands.parameter.len())
    }

    #[test]
    fn values_requires_dense_memory_of_the_kind() {
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
    fn operands_rejects_shared_memory() {
        let t = Tensor::zeros([12], tch::kind::FLOAT_CPU);
        let part = |from, n| t.narrow(0, from, n);
        let other = || Tensor::zeros([4], tch::kind::FLOAT_CPU);
        assert_eq!(operands_of(&part(0, 4), &part(4, 4), &[&part(8, 4)]), Some(4));
        assert_eq!(operands_of(&part(0, 4), &part(3, 4), &[]), None);
        assert_eq!(operands_of(&part(4, 4), &part(4, 4), &[]), None);
        assert_eq!(operands_of(&part(0, 4), &other(), &[&part(2, 4)]), None);
        assert_eq!(operands_of(&other(), &part(0, 4), &[&part(2, 4)]), None);
        assert_eq!(operands_of(&other(), &other(), &[&part(0, 4), &part(4, 4)]), Some(4));
        // Different orders: row-major and column-major.
        let (rows, columns) = (
            || Tensor::zeros([2, 3], tch::kind::FLOAT_CPU),
            || Tensor::zeros([3, 2], tch::kind::FLOAT_CPU).tr(),
        );
        assert_eq!(operands_of(&columns(), &columns(), &[&columns()]), Some(6));
        assert_eq!(operands_of(&rows(), &columns(), &[]), None);
        assert_eq!(operands_of(&columns(), &columns(), &[&rows()]), None);
        assert!(are_slices::<f32>(&columns(), &columns()) && !are_slices::<f32>(&columns(), &rows()));
        // Different lengths.
        assert_eq!(operands_of(&part(0, 4), &part(6, 3), &[]), None);
        // Memory that is only read may be shared.
        let (mut a, mut b, gradient) = (other(), other(), other());
        let mut all = [&mut a, &mut b].map(|parameter| Tensors {
            parameter,
            gradient: &gradient,
            rows: None,
            slots: &mut [],
        });
        assert!(operands::<f32>(&mut all).is_some());
        // The same parameter twice.
        let (mut a, mut same) = (part(0, 4), part(0, 4));
        let mut all = [&mut a, &mut same].map(|parameter| Tensors {
            parameter,
            gradient: &gradient,
            rows: None,
            slots: &mut [],
        });
        assert!(operands::<f32>(&mut all).is_none());
    }

    #[test]
    fn operands_requires_ascending_rows_of_the_parameter() {
        let zeros = |dims: [i64; 2]| Tensor::zeros(dims, tch::kind::FLOAT_CPU);
        let fit = |parameter: Tensor, n: i64, rows: &[usize]| {
            let (mut parameter, gradient) = (parameter, zeros([n, 3]));
            let tensors =
                Tensors { parameter: &mut parameter, gradient: &gradient, rows: Some(rows), slots: &mut [] };
            operands::<f32>(&mut [tensors]).is_some()
        };
        assert!(fit(zeros([4, 3]), 2, &[0, 3]));
        assert!(fit(zeros([4, 3]), 0, &[]));
        assert!(!fit(zeros([4, 3]), 2, &[3, 0]));
        assert!(!fit(zeros([4, 3]), 2, &[1, 1]));
        assert!(!fit(zeros([4, 3]), 2, &[0, 4]));
        assert!(!fit(zeros([4, 3]), 3, &[0, 1]));
        assert!(!fit(zeros([4, 2]), 2, &[0, 1]));
        assert!(!fit(zeros([3, 4]).tr(), 2, &[0, 1]));
    }
}
