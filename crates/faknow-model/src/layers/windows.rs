//! Max-over-time pooling of text convolutions, from the products of distinct words with the kernels.
//!
//! A convolution over time is a sum over the positions of its kernel. Each distinct word of a batch is multiplied once with all
//! positions of all kernels (by [`TextCnnLayer`](super::TextCnnLayer)); a window is then a sum of a few of these products.

use std::slice;

use faknow_data::memory::Memory;
use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;
use tch::kind::Element;
use tch::{Device, Kind, Tensor};

use crate::Result;

/// The distinct tokens of a batch.
pub(super) struct DistinctTokens {
    /// The distinct token ids, i64 `[n_words]`, ascending.
    pub(super) distinct: Tensor,
    /// The row of the products of each token of the batch, row by row: its index in `distinct`.
    rows: Vec<u32>,
    /// Length of the texts.
    len: usize,
}

impl DistinctTokens {
    /// Finds the distinct tokens among `ids`, i64 `[n, len]`.
    pub(super) fn new(ids: &Tensor) -> Result<Self> {
        let len = ids.size()[1] as usize;
        let ids = Vec::<i64>::try_from(ids.f_contiguous()?.f_view(-1)?)?;
        let mut distinct = ids.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let row = |id: &i64| distinct.partition_point(|other| other < id) as u32;
        let rows = ids.iter().map(row).collect();
        Ok(Self { distinct: Tensor::f_from_slice(&distinct)?, rows, len })
    }

    /// Replaces the rows by token ids, for products of all words.
    pub(super) fn indexed_by_id(mut self) -> Result<Self> {
        let distinct = Vec::<i64>::try_from(&self.distinct)?;
        self.rows.iter_mut().for_each(|row| *row = distinct[*row as usize] as u32);
        Ok(self)
    }

    /// Returns whether all token ids are in `0..n_words`.
    pub(super) fn are_below(&self, n_words: i64) -> Result<bool> {
        let distinct = &self.distinct;
        Ok(distinct.f_int64_value(&[0])? >= 0 && distinct.f_int64_value(&[-1])? < n_words)
    }
}

/// The columns of the kernels of one size in the products: `n_filters` per position of the kernel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    pub(super) first_column: usize,
    pub(super) kernel_size: usize,
    pub(super) n_filters: usize,
}

/// The windows of a batch with the largest sums.
pub(super) struct MaxWindows {
    /// The largest sum of each filter in each text, `[n, n_filters of all blocks]`.
    pub(super) sums: Tensor,
    /// The start of each of these windows in its text, row by row.
    starts: Vec<u32>,
}

/// Returns whether [`find_max_windows`] supports products of this device and kind.
pub(super) fn is_supported(device: Device, kind: Kind) -> bool {
    device == Device::Cpu && matches!(kind, Kind::Float | Kind::Double)
}

/// Finds the window with the largest sum of each filter in each text; `products` is `[n_words, n_columns]`, f32 or f64.
///
/// # Errors
/// libtorch rejects an operation.
pub(super) fn find_max_windows(
    products: &Tensor,
    tokens: &DistinctTokens,
    blocks: &[Block],
) -> Result<MaxWindows> {
    match products.kind() {
        Kind::Double => find_max_windows_of::<f64>(products, tokens, blocks),
        _ => find_max_windows_of::<f32>(products, tokens, blocks),
    }
}

fn find_max_windows_of<T: Float>(
    products: &Tensor,
    tokens: &DistinctTokens,
    blocks: &[Block],
) -> Result<MaxWindows> {
    let products = products.f_contiguous()?;
    let n_columns = products.size()[1] as usize;
    let n_filters: usize = blocks.iter().map(|block| block.n_filters).sum();
    let n_texts = tokens.rows.len() / tokens.len;
    let values: &[T] = values(&products)?;
    let mut sums = vec![T::LOWEST; n_texts * n_filters];
    let mut starts = vec![0u32; n_texts * n_filters];
    let texts = tokens.rows.par_chunks_exact(tokens.len).with_min_len(4);
    let results = sums.par_chunks_exact_mut(n_filters).zip(starts.par_chunks_exact_mut(n_filters));
    texts.zip(results).for_each(|(rows, (sums, starts))| {
        Arch::new().dispatch(MaxSearch { values, n_columns, blocks, rows, sums, starts });
    });
    let sums = Tensor::f_from_slice(&sums)?.f_view([n_texts as i64, n_filters as i64])?;
    Ok(MaxWindows { sums, starts })
}

impl MaxWindows {
    /// Returns the flat indices of the products that the sums consist of: i64 `[kernel_size, n, n_filters]` per block,
    /// concatenated.
    ///
    /// # Errors
    /// libtorch rejects an operation.
    pub(super) fn product_indices(
        &self,
        tokens: &DistinctTokens,
        blocks: &[Block],
        n_columns: usize,
    ) -> Result<Tensor> {
        let n_filters: usize = blocks.iter().map(|block| block.n_filters).sum();
        let n_products: usize = blocks.iter().map(|block| block.kernel_size * block.n_filters).sum();
        let mut indices = Vec::with_capacity(self.starts.len() / n_filters.max(1) * n_products);
        let mut first_filter = 0;
        for block in blocks {
            for position in 0..block.kernel_size {
                let column = block.first_column + position * block.n_filters;
                let texts = tokens.rows.chunks_exact(tokens.len).zip(self.starts.chunks_exact(n_filters));
                for (rows, starts) in texts {
                    let starts = &starts[first_filter..first_filter + block.n_filters];
                    indices.extend(starts.iter().enumerate().map(|(filter, &start)| {
                        (rows[start as usize + position] as usize * n_columns + column + filter) as i64
                    }));
                }
            }
            first_filter += block.n_filters;
        }
        Ok(Tensor::f_from_slice(&indices)?)
    }
}

/// The search for maximal windows in one text.
struct MaxSearch<'a, T> {
    values: &'a [T],
    n_columns: usize,
    blocks: &'a [Block],
    rows: &'a [u32],
    sums: &'a mut [T],
    starts: &'a mut [u32],
}

impl<T: Float> NullaryFnOnce for MaxSearch<'_, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { values, n_columns, blocks, rows, mut sums, mut starts } = self;
        // The text may end with repeats of one token (padding): of the windows of only that token, the first suffices.
        let n_words = rows.iter().rposition(|row| Some(row) != rows.last()).map_or(0, |last| last + 1);
        let mut window = vec![T::LOWEST; blocks.iter().map(|block| block.n_filters).max().unwrap_or(0)];
        for block in blocks {
            let (best, rest) = sums.split_at_mut(block.n_filters);
            sums = rest;
            let (best_start, rest) = starts.split_at_mut(block.n_filters);
            starts = rest;
            let window = &mut window[..block.n_filters];
            let n_windows = (rows.len() + 1 - block.kernel_size).min(n_words + 1);
            for (start, rows) in rows.windows(block.kernel_size).take(n_windows).enumerate() {
                let products = |position: usize| {
                    let first =
                        rows[position] as usize * n_columns + block.first_column + position * block.n_filters;
                    &values[first..first + block.n_filters]
                };
                window.copy_from_slice(products(0));
                for position in 1..block.kernel_size {
                    window.iter_mut().zip(products(position)).for_each(|(sum, &value)| *sum = *sum + value);
                }
                let start = start as u32;
                for ((best, best_start), &sum) in best.iter_mut().zip(best_start.iter_mut()).zip(&*window) {
                    // A NaN is retained, since no later window compares larger.
                    let is_better = (sum > *best) | sum.is_nan();
                    *best = if is_better { sum } else { *best };
                    *best_start = if is_better { start } else { *best_start };
                }
            }
        }
    }
}

/// The element type of products.
trait Float: Element + Copy + Send + Sync + PartialOrd + std::ops::Add<Output = Self> {
    const LOWEST: Self;

    #[inline(always)]
    fn is_nan(self) -> bool {
        self.partial_cmp(&self).is_none()
    }
}

impl Float for f32 {
    const LOWEST: Self = Self::NEG_INFINITY;
}

impl Float for f64 {
    const LOWEST: Self = Self::NEG_INFINITY;
}

/// Returns the values of a tensor, which must not be written to while they are borrowed.
#[expect(unsafe_code, reason = "copying the products would take longer than the search")]
fn values<T: Element>(products: &Tensor) -> Result<&[T]> {
    let Some(Memory { pointer, n, .. }) = Memory::<T>::from_tensor(products) else {
        return Err(tch::TchError::Kind(format!(
            "products: expected contiguous memory, got strides {:?}",
            products.stride()
        ))
        .into());
    };
    // SAFETY: `Memory::from_tensor` returns an aligned address of `n` initialized values of `T`, which the borrowed tensor
    // keeps alive. The products are the result of an operation of this layer, and no other code has a handle to them.
    Ok(unsafe { slice::from_raw_parts(pointer.as_ptr(), n) })
}
