//! The products of all words, kept while many texts are classified with the same weights.

use std::cell::RefCell;

use tch::Tensor;

use crate::Result;

/// Largest table that is retained, in bytes.
const MAX_BYTES: usize = 256 << 20;

/// Products of all words with the kernels, made when the words that were multiplied one batch at a time were twice as many:
/// from then on a batch needs none. Any change of the weights makes it forget.
#[derive(Debug, Default)]
pub(super) struct WordTable {
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    weights: Vec<Version>,
    /// Words multiplied with these weights so far.
    n_multiplied: usize,
    table: Option<Tensor>,
}

/// Where a weight lies and how often it was changed, which libtorch counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    address: usize,
    n_changes: i64,
}

impl Version {
    fn of(weight: &Tensor) -> Result<Self> {
        Ok(Self { address: weight.data_ptr().addr(), n_changes: weight.f_internal_version()? })
    }
}

impl WordTable {
    /// The table of the products `[n_words, n_columns]` for a batch of at least `n` distinct words, if there is one or it now pays;
    /// `multiply` makes it.
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
        if state.table.is_none() && fits && state.n_multiplied >= 2 * n_words {
            state.table = Some(multiply()?);
        }
        Ok(state.table.as_ref().map(Tensor::shallow_clone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_products_are_made_when_they_pay_and_forgotten_with_the_weights() {
        let mut weight = Tensor::ones([10, 3], tch::kind::FLOAT_CPU);
        let table = WordTable::default();
        let made = RefCell::new(0);
        let get = |weight: &Tensor, n| {
            let multiply = || {
                *made.borrow_mut() += 1;
                Ok(weight.shallow_clone())
            };
            table.get(&[weight], [10, 3], n, multiply).unwrap().is_some()
        };
        assert_eq!([7, 7, 5, 1].map(|n| get(&weight, n)), [false, false, false, true]);
        assert!(get(&weight, 1) && *made.borrow() == 1);
        let _ = weight.f_add_scalar_(1.0).unwrap();
        assert!(!get(&weight, 19) && get(&weight, 1) && *made.borrow() == 2);
        assert!(!get(&weight.copy(), 1));
        let huge = table.get(&[&weight], [1 << 20, 1 << 10], 1 << 22, || panic!("too large"));
        assert!(huge.unwrap().is_none());
    }
}
