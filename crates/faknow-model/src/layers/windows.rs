//! The strongest window of each text, found among products of its words with the kernels.
//!
//! A convolution over time is a sum over the places of its kernel: what the word at the first place gives, what the one at the
//! second gives, and so on. Each distinct word of a batch is multiplied once with all places of all kernels
//! (by [`TextCnnLayer`](super::TextCnnLayer)); a window is then a sum of a few rows of that, and the maximum over time needs no more than those sums.

use std::slice;

use faknow_data::memory::Memory;
use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;
use tch::kind::Element;
use tch::{Device, Kind, Tensor};

use crate::Result;

/// The words of a batch, each once.
pub(super) struct Words {
    /// The distinct tokens, i64 `[n_words]`, ascending.
    pub(super) distinct: Tensor,
    /// For each place of the batch the number of its word among `distinct`, row by row.
    codes: Vec<u32>,
    len: usize,
}

impl Words {
    /// Finds the distinct ones among `tokens`, i64 `[n, len]`.
    pub(super) fn of(tokens: &Tensor) -> Result<Self> {
        let len = tokens.size()[1] as usize;
        let tokens = Vec::<i64>::try_from(tokens.f_contiguous()?.f_view(-1)?)?;
        let mut distinct = tokens.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let code = |token: &i64| distinct.partition_point(|other| other < token) as u32;
        let codes = tokens.iter().map(code).collect();
        Ok(Self { distinct: Tensor::f_from_slice(&distinct)?, codes, len })
    }

    /// The same texts, each word numbered by its token.
    pub(super) fn by_token(mut self) -> Result<Self> {
        let distinct = Vec::<i64>::try_from(&self.distinct)?;
        self.codes.iter_mut().for_each(|code| *code = distinct[*code as usize] as u32);
        Ok(self)
    }

    /// Whether all tokens are among `n_words`.
    pub(super) fn are_below(&self, n_words: i64) -> Result<bool> {
        let distinct = &self.distinct;
        Ok(distinct.f_int64_value(&[0])? >= 0 && distinct.f_int64_value(&[-1])? < n_words)
    }
}

/// What kernels of one size have in a row of the products: for each place of the kernel a block of `n_filters` columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    pub(super) first_column: usize,
    pub(super) kernel_size: usize,
    pub(super) n_filters: usize,
}

/// Where the strongest windows of a batch are, and how strong they are.
pub(super) struct Strongest {
    /// The largest sum of each filter over each text, `[n, n_filters of all blocks]`.
    pub(super) sums: Tensor,
    /// Where in its text each of these windows begins, row by row.
    starts: Vec<u32>,
}

/// Whether [`strongest`] can look at such values.
pub(super) fn can_be_searched(device: Device, kind: Kind) -> bool {
    device == Device::Cpu && matches!(kind, Kind::Float | Kind::Double)
}

/// Looks for the strongest window of each filter in each text; `products` is `[n_words, columns]`, of `f32` or `f64`.
///
/// # Errors
/// libtorch refuses an operation.
pub(super) fn strongest(products: &Tensor, words: &Words, blocks: &[Block]) -> Result<Strongest> {
    match products.kind() {
        Kind::Double => strongest_of::<f64>(products, words, blocks),
        _ => strongest_of::<f32>(products, words, blocks),
    }
}

fn strongest_of<T: Value>(products: &Tensor, words: &Words, blocks: &[Block]) -> Result<Strongest> {
    let products = products.f_contiguous()?;
    let n_columns = products.size()[1] as usize;
    let n_filters: usize = blocks.iter().map(|block| block.n_filters).sum();
    let n_texts = words.codes.len() / words.len;
    let values: &[T] = values(&products)?;
    let mut sums = vec![T::LOWEST; n_texts * n_filters];
    let mut starts = vec![0u32; n_texts * n_filters];
    let texts = words.codes.par_chunks_exact(words.len).with_min_len(4);
    let results = sums.par_chunks_exact_mut(n_filters).zip(starts.par_chunks_exact_mut(n_filters));
    texts.zip(results).for_each(|(codes, (sums, starts))| {
        Arch::new().dispatch(Search { values, n_columns, blocks, codes, sums, starts });
    });
    let sums = Tensor::f_from_slice(&sums)?.f_view([n_texts as i64, n_filters as i64])?;
    Ok(Strongest { sums, starts })
}

impl Strongest {
    /// The places in the products, read row by row, that the sums are of: for each block i64 `[kernel_size, n, n_filters]`, one
    /// block after the other.
    ///
    /// # Errors
    /// libtorch refuses an operation.
    pub(super) fn places(&self, words: &Words, blocks: &[Block], n_columns: usize) -> Result<Tensor> {
        let n_filters: usize = blocks.iter().map(|block| block.n_filters).sum();
        let n_places: usize = blocks.iter().map(|block| block.kernel_size * block.n_filters).sum();
        let mut places = Vec::with_capacity(self.starts.len() / n_filters.max(1) * n_places);
        let mut first_filter = 0;
        for block in blocks {
            for step in 0..block.kernel_size {
                let column = block.first_column + step * block.n_filters;
                let texts = words.codes.chunks_exact(words.len).zip(self.starts.chunks_exact(n_filters));
                for (codes, starts) in texts {
                    let starts = &starts[first_filter..first_filter + block.n_filters];
                    places.extend(starts.iter().enumerate().map(|(filter, &start)| {
                        (codes[start as usize + step] as usize * n_columns + column + filter) as i64
                    }));
                }
            }
            first_filter += block.n_filters;
        }
        Ok(Tensor::f_from_slice(&places)?)
    }
}

/// The search in one text.
struct Search<'a, T> {
    values: &'a [T],
    n_columns: usize,
    blocks: &'a [Block],
    codes: &'a [u32],
    sums: &'a mut [T],
    starts: &'a mut [u32],
}

impl<T: Value> NullaryFnOnce for Search<'_, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { values, n_columns, blocks, codes, mut sums, mut starts } = self;
        // Behind the last word that is another than its neighbor all windows are alike: the first of them is enough.
        let n_words = codes.iter().rposition(|code| Some(code) != codes.last()).map_or(0, |last| last + 1);
        let mut window = vec![T::LOWEST; blocks.iter().map(|block| block.n_filters).max().unwrap_or(0)];
        for block in blocks {
            let (best, rest) = sums.split_at_mut(block.n_filters);
            sums = rest;
            let (best_start, rest) = starts.split_at_mut(block.n_filters);
            starts = rest;
            let window = &mut window[..block.n_filters];
            let n_windows = (codes.len() + 1 - block.kernel_size).min(n_words + 1);
            for (start, codes) in codes.windows(block.kernel_size).take(n_windows).enumerate() {
                let row = |step: usize| {
                    let from = codes[step] as usize * n_columns + block.first_column + step * block.n_filters;
                    &values[from..from + block.n_filters]
                };
                window.copy_from_slice(row(0));
                for step in 1..block.kernel_size {
                    window.iter_mut().zip(row(step)).for_each(|(sum, &value)| *sum = *sum + value);
                }
                let start = start as u32;
                for ((best, best_start), &sum) in best.iter_mut().zip(best_start.iter_mut()).zip(&*window) {
                    // What is not a number stays: no later window is larger.
                    let is_better = (sum > *best) | sum.is_not_a_number();
                    *best = if is_better { sum } else { *best };
                    *best_start = if is_better { start } else { *best_start };
                }
            }
        }
    }
}

/// Values of products.
trait Value: Element + Copy + Send + Sync + PartialOrd + std::ops::Add<Output = Self> {
    const LOWEST: Self;

    #[inline(always)]
    fn is_not_a_number(self) -> bool {
        self.partial_cmp(&self).is_none()
    }
}

impl Value for f32 {
    const LOWEST: Self = Self::NEG_INFINITY;
}

impl Value for f64 {
    const LOWEST: Self = Self::NEG_INFINITY;
}

/// The values of a tensor that nobody writes to while they are looked at.
#[expect(unsafe_code, reason = "copying the products to look at them would take longer than looking")]
fn values<T: Element>(products: &Tensor) -> Result<&[T]> {
    let Some(Memory { pointer, n, .. }) = Memory::<T>::from_tensor(products) else {
        return Err(tch::TchError::Kind(format!("products of kind {:?} lie apart", products.kind())).into());
    };
    // SAFETY: `Memory::from_tensor` returns an aligned address of `n` initialized values of `T`, which the borrowed tensor keeps
    // alive. The products are the result of an operation that this layer has just called; it has not given a handle of
    // them away.
    Ok(unsafe { slice::from_raw_parts(pointer.as_ptr(), n) })
}
