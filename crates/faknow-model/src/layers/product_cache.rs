//! Cache of the products of all words with the kernels, while the weights do not change.

use std::cell::RefCell;

use tch::Tensor;

use crate::Result;

/// Maximum size of the cache in bytes.
const MAX_BYTES: usize = 256 << 20;

/// Products of all words with the kernels, computed once twice as many words were multiplied batch by batch; from then on
/// batches need no products. Cleared when a weight changes.
#[derive(Debug, Default)]
pub(super) struct ProductCache {
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    weights: Vec<Version>,
    /// Number of words multiplied with these weights so far.
    n_multiplied: usize,
    products: Option<Tensor>,
}

/// Address and version counter of a weight; libtorch counts in-place changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    address: usize,
    counter: i64,
}

impl Version {
    fn of(weight: &Tensor) -> Result<Self> {
        Ok(Self { address: weight.data_ptr().addr(), counter: weight.f_internal_version()? })
    }
}

impl ProductCache {
    /// Returns the products `[n_words, n_columns]` for a batch of `n` distinct words, computed by `multiply` at most once per
    /// version of the weights; `None` while computing them does not pay off.
    pub(super) fn get(
        &self,
        weights: &[&Tensor],
        [n_words, n_columns]: [usize; 2],
        n: usize,
        multiply: impl FnOnce() -> Result<Tensor>,
    ) -> Result<Option<Tensor>> {
        let mut state = self.state.borrow_mut();
        let versions: Vec<Version> =
            weights.iter().map(|weight| Version::of(weight)).collect::<Result<_>>()?;
        if state.weights != versions {
            *state = State { weights: versions, ..State::default() };
        }
        state.n_multiplied += n;
        let fits = n_words * n_columns * size_of::<f32>() <= MAX_BYTES;
        if state.products.is_none() && fits && state.n_multiplied >= 2 * n_words {
            state.products = Some(multiply()?);
        }
        Ok(state.products.as_ref().map(Tensor::shallow_clone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computes_products_after_enough_words_and_clears_them_with_the_weights() {
        let mut weight = Tensor::ones([10, 3], tch::kind::FLOAT_CPU);
        let cache = ProductCache::default();
        let n_calls = RefCell::new(0);
        let get = |weight: &Tensor, n| {
            let multiply = || {
                *n_calls.borrow_mut() += 1;
                Ok(weight.shallow_clone())
            };
            cache.get(&[weight], [10, 3], n, multiply).unwrap().is_some()
        };
        assert_eq!([7, 7, 5, 1].map(|n| get(&weight, n)), [false, false, false, true]);
        assert!(get(&weight, 1) && *n_calls.borrow() == 1);
        let _ = weight.f_add_scalar_(1.0).unwrap();
        assert!(!get(&weight, 19) && get(&weight, 1) && *n_calls.borrow() == 2);
        assert!(!get(&weight.copy(), 1));
        let too_large = cache.get(&[&weight], [1 << 20, 1 << 10], 1 << 22, || {
            panic!("computed products above the maximum size")
        });
        assert!(too_large.unwrap().is_none());
    }
}
