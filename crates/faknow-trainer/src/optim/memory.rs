//! The memory of tensors as slices.
//!
//! libtorch hands out pointers, and any number of handles to one tensor. What makes slices of them sound here:
//!
//! - the tensor is dense memory of this element type on the CPU, each element once, in the order of the rows or of the
//!   columns of a matrix, and its pointer is there and aligned ([`Memory::from_tensor`] checks all of that);
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

use faknow_data::memory::{Memory, Order};
use tch::Tensor;
use tch::kind::Element;

use super::rule::MAX_SLOTS;

/// What the update of a parameter, or of a part of one, reads and writes; all slices are as long, unused slots empty.
pub(super) struct Operands<'a, T> {
    pub(super) parameter: &'a mut [T],
    pub(super) gradient: &'a [T],
    pub(super) slots: [&'a mut [T]; MAX_SLOTS],
}

/// What the update of a whole parameter reads and writes.
pub(super) struct Whole<'a, T> {
    pub(super) operands: Operands<'a, T>,
    /// The rows, in ascending order, that the gradient has; it is shorter than the parameter then. `None` for all rows.
    pub(super) rows: Option<&'a [usize]>,
}

/// The tensors of one parameter's update.
pub(super) struct Tensors<'a> {
    pub(super) parameter: &'a mut Tensor,
    pub(super) gradient: &'a Tensor,
    pub(super) rows: Option<&'a [usize]>,
    pub(super) slots: &'a mut [Tensor],
}

/// Whether the memory of two tensors can be read as slices of `T` in which their values stand in the same order.
pub(super) fn are_slices<T: Element>(one: &Tensor, other: &Tensor) -> bool {
    let order = |t: &Tensor| Memory::<T>::from_tensor(t).map(|memory| memory.order);
    order(one).is_some_and(|of_one| order(other) == Some(of_one))
}

/// The values of a tensor in the CPU's memory, in the order in which they lie there; `None` if they lie apart.
pub(super) fn values<T: Element>(t: &Tensor) -> Option<&[T]> {
    let Memory { pointer, n, .. } = Memory::<T>::from_tensor(t)?;
    // SAFETY: `Memory::from_tensor` answers an aligned address of `n` initialized values of `T`, which the borrowed tensor keeps
    // alive; nobody writes to them meanwhile by the module's contract.
    Some(unsafe { slice::from_raw_parts(pointer.as_ptr(), n) })
}

/// The memory of all tensors; `None` if one of them has no slice, if lengths or orders differ, or if two share memory of which
/// one is written.
pub(super) fn operands<'a, T: Element>(all: &'a mut [Tensors<'_>]) -> Option<Vec<Whole<'a, T>>> {
    let mut written = Vec::with_capacity(all.len() * (1 + MAX_SLOTS));
    let mut read = Vec::with_capacity(all.len());
    for Tensors { parameter, gradient, rows, slots } in all.iter() {
        let of_parameter = Memory::<T>::from_tensor(parameter)?;
        written.push(Range::new(&of_parameter));
        let of_gradient = Memory::<T>::from_tensor(gradient)?;
        read.push(Range::new(&of_gradient));
        let fits = match rows {
            None => of_gradient.n == of_parameter.n,
            Some(rows) => fits(rows, &of_parameter, parameter, of_gradient.n),
        };
        let mut fits = fits && of_gradient.order == of_parameter.order && slots.len() <= MAX_SLOTS;
        for slot in slots.iter() {
            let of_slot = Memory::<T>::from_tensor(slot)?;
            written.push(Range::new(&of_slot));
            fits &= of_slot.n == of_parameter.n && of_slot.order == of_parameter.order;
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
        operands.push(Whole { operands: operands_of, rows: *rows });
    }
    Some(operands)
}

/// Whether `rows` are rows of a parameter that lies row by row, in ascending order, and the gradient has as many.
fn fits<T>(rows: &[usize], of_parameter: &Memory<T>, parameter: &Tensor, n_gradient: usize) -> bool {
    let n_rows = parameter.size().first().map_or(0, |&n| n as usize);
    of_parameter.order == Order::Rows
        && rows.is_sorted_by(|a, b| a < b)
        && rows.last().is_none_or(|&last| last < n_rows)
        && rows.len() * (of_parameter.n / n_rows.max(1)) == n_gradient
}

/// As [`values`], to write to. Only for tensors of which [`operands`] knows that they share no memory.
fn values_mut<T: Element>(t: &mut Tensor) -> Option<&mut [T]> {
    let Memory { pointer, n, .. } = Memory::<T>::from_tensor(t)?;
    // SAFETY: as in `values`; and no other slice covers this memory, which `operands`, the only caller, has checked.
    Some(unsafe { slice::from_raw_parts_mut(pointer.as_ptr(), n) })
}

/// Addresses from `start` to before `end`.
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
        let mut all = [Tensors { parameter: &mut parameter, gradient, rows: None, slots: &mut slots }];
        operands::<f32>(&mut all).map(|all| all[0].operands.parameter.len())
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
    fn rows_of_a_gradient_are_ascending_rows_of_the_parameter() {
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
