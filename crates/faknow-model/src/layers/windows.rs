//! Max-over-time pooling of text convolutions, from the products of distinct words with the kernels.
//!
//! A convolution over time is a sum over the positions of its kernel. Each distinct word of a batch is multiplied once with all
//! positions of all kernels (by [`TextCnnLayer`](super::TextCnnLayer)); a window is then a sum of a few of these products.

use std::iter::repeat_n;
use std::slice;

use faknow_data::memory::Memory;
use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;
use tch::kind::Element;
use tch::{Device, Kind, Tensor};

use crate::Result;

/// The distinct tokens of a batch.
#[derive(Debug)]
pub(super) struct DistinctTokens {
    /// The distinct token ids, i64 `[n_words]`, ascending.
    pub(super) distinct: Tensor,
    /// The row of the products of each token of the batch, row by row: its index in `distinct`.
    rows: Vec<u32>,
    /// Length of the texts.
    len: usize,
    /// Number of tokens of each text, if the others are padding, which belongs to no window.
    lengths: Option<Vec<i64>>,
}

impl DistinctTokens {
    /// Finds the distinct tokens among `ids`, i64 `[n, len]`.
    pub(super) fn new(ids: &Tensor) -> Result<Self> {
        let len = ids.size()[1] as usize;
        let ids = Vec::<i64>::try_from(ids.f_contiguous()?.f_view(-1)?)?;
        let distinct = distinct(ids.clone());
        let rows = ids.iter().map(|id| row_of(&distinct, *id)).collect();
        Ok(Self { distinct: Tensor::f_from_slice(&distinct)?, rows, len, lengths: None })
    }

    /// Finds the distinct tokens among `ids`, i64 `[n, len]`, of texts with these numbers of tokens, i64 `[n]`. The row of
    /// padding is the one after those of all distinct tokens.
    pub(super) fn without_padding(ids: &Tensor, lengths: &Tensor) -> Result<Self> {
        let len = ids.size()[1] as usize;
        let ids = Vec::<i64>::try_from(ids.f_contiguous()?.f_view(-1)?)?;
        let lengths = Vec::<i64>::try_from(lengths)?;
        let texts = || ids.chunks_exact(len.max(1)).zip(lengths.iter().map(|&length| length as usize));
        let distinct = distinct(texts().flat_map(|(ids, length)| &ids[..length]).copied().collect());
        let mut rows = vec![distinct.len() as u32; ids.len()];
        for ((ids, length), rows) in texts().zip(rows.chunks_exact_mut(len.max(1))) {
            rows.iter_mut().zip(&ids[..length]).for_each(|(row, id)| *row = row_of(&distinct, *id));
        }
        Ok(Self { distinct: Tensor::f_from_slice(&distinct)?, rows, len, lengths: Some(lengths) })
    }

    /// Returns the length of the texts, padding included.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns the row of each token, i64 `[n * len]`.
    pub(super) fn rows(&self) -> Result<Tensor> {
        let rows: Vec<i64> = self.rows.iter().copied().map(i64::from).collect();
        Ok(Tensor::f_from_slice(&rows)?)
    }

    /// Returns the tokens of the same texts, padded to at least `len`.
    pub(super) fn padded_to(&self, len: usize) -> Self {
        let padding = self.distinct.numel() as u32;
        let len = len.max(self.len);
        let texts = self.rows.chunks_exact(self.len.max(1));
        let padded = texts.flat_map(|rows| rows.iter().copied().chain(repeat_n(padding, len - self.len)));
        Self {
            distinct: self.distinct.shallow_clone(),
            rows: padded.collect(),
            len,
            lengths: self.lengths.clone(),
        }
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

fn distinct(mut ids: Vec<i64>) -> Vec<i64> {
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn row_of(distinct: &[i64], id: i64) -> u32 {
    distinct.partition_point(|&other| other < id) as u32
}

/// The columns of the kernels of one size in the products: `n_filters` per position of the kernel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    pub(super) first_column: usize,
    pub(super) kernel_size: usize,
    pub(super) n_filters: usize,
}

/// The windows of a batch with the largest sums.
struct MaxWindows {
    /// The largest sum of each filter in each text, `[n, n_filters of all blocks]`.
    sums: Tensor,
    /// The start of each of these windows in its text, row by row.
    starts: Vec<u32>,
}

/// Returns whether [`find_max_windows`] supports products of this device and kind.
pub(super) fn is_supported(device: Device, kind: Kind) -> bool {
    device == Device::Cpu && matches!(kind, Kind::Float | Kind::Double)
}

/// Returns the largest sum of each filter in each text, `[n, n_filters]` per block; `products` is `[n_words, n_columns]`, f32 or
/// f64. The sums have a gradient if the products do.
///
/// # Errors
/// libtorch rejects an operation.
pub(super) fn max_over_time(
    products: &Tensor,
    tokens: &DistinctTokens,
    blocks: &[Block],
) -> Result<Vec<Tensor>> {
    let max_windows = find_max_windows(products, tokens, blocks)?;
    let mut start = 0;
    if !products.requires_grad() {
        let sums = blocks.iter().map(|block| {
            let sums = max_windows.sums.f_narrow(1, start, block.n_filters as i64)?;
            start += block.n_filters as i64;
            Ok(sums)
        });
        return sums.collect();
    }
    // Only the maximal windows have a gradient: their sums are computed again by libtorch, for autograd.
    let n = max_windows.sums.size()[0];
    let indices = max_windows.product_indices(tokens, blocks, products.size()[1] as usize)?;
    let summands = products.f_view(-1)?.f_index_select(0, &indices)?;
    let sums = blocks.iter().map(|block| {
        let (kernel_size, n_filters) = (block.kernel_size as i64, block.n_filters as i64);
        let size = kernel_size * n * n_filters;
        let sums = summands.f_narrow(0, start, size)?.f_view([kernel_size, n, n_filters])?;
        start += size;
        Ok(sums.f_sum_dim_intlist(0, false, None)?)
    });
    sums.collect()
}

/// Finds the window with the largest sum of each filter in each text; `products` is `[n_words, n_columns]`, f32 or f64.
///
/// # Errors
/// libtorch rejects an operation.
fn find_max_windows(products: &Tensor, tokens: &DistinctTokens, blocks: &[Block]) -> Result<MaxWindows> {
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
    let texts = tokens.rows.par_chunks_exact(tokens.len).with_min_len(4).enumerate();
    let lengths = tokens.lengths.as_deref();
    let results = sums.par_chunks_exact_mut(n_filters).zip(starts.par_chunks_exact_mut(n_filters));
    texts.zip(results).for_each(|((text, rows), (sums, starts))| {
        let length = lengths.map(|lengths| lengths[text] as usize);
        Arch::new().dispatch(MaxSearch { values, n_columns, blocks, rows, length, sums, starts });
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
    fn product_indices(&self, tokens: &DistinctTokens, blocks: &[Block], n_columns: usize) -> Result<Tensor> {
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
    /// Number of tokens, if the others are padding.
    length: Option<usize>,
    sums: &'a mut [T],
    starts: &'a mut [u32],
}

impl<T: Float> NullaryFnOnce for MaxSearch<'_, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { values, n_columns, blocks, rows, length, mut sums, mut starts } = self;
        // The text may end with repeats of one token (padding): of the windows of only that token, the first suffices.
        let n_words = rows.iter().rposition(|row| Some(row) != rows.last()).map_or(0, |last| last + 1);
        // Windows are within the text; one that is shorter than the kernel has a single window.
        let n_windows = |kernel: usize| match length {
            Some(length) => (length + 1).saturating_sub(kernel).max(1),
            None => (rows.len() + 1 - kernel).min(n_words + 1),
        };
        let mut window = vec![T::LOWEST; blocks.iter().map(|block| block.n_filters).max().unwrap_or(0)];
        for block in blocks {
            let (best, rest) = sums.split_at_mut(block.n_filters);
            sums = rest;
            let (best_start, rest) = starts.split_at_mut(block.n_filters);
            starts = rest;
            let window = &mut window[..block.n_filters];
            let n_windows = n_windows(block.kernel_size);
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
