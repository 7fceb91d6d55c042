//! The methods of a search: the choice of trials, and the length of their training.

use serde::{Deserialize, Serialize};
use toml::Table;

use crate::study::SearchSpace;
use crate::{Error, Result};

/// The method of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum SearchMethod {
    /// Grid search: every combination of the listed values, each trained completely.
    Grid {},
    /// Random search: random combinations, each trained completely (Bergstra and Bengio, JMLR 2012).
    Random {
        /// Number of trials, at least 1.
        trials: usize,
    },
    /// Successive halving: random combinations are trained for a few epochs, and the best ones for more in each rung
    /// (Jamieson and Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter Optimization, AISTATS 2016).
    ///
    /// Trials of the last rung have `trainer.epochs` epochs in total. Each earlier rung has 1/`eta` of the epochs and `eta`
    /// times the trials of the next one, so that all rungs have about the same cost.
    Halving {
        /// Number of trials in the first rung, at least 2.
        trials: usize,
        /// Reduction factor: one in `eta` trials advances, at least 2.
        eta: usize,
    },
}

/// A rung of a search: a number of trials that are trained up to an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rung {
    pub(crate) n_trials: usize,
    /// Epoch after which trials are paused; `None` if they are trained completely.
    pub(crate) pause_after: Option<usize>,
}

impl SearchMethod {
    /// Checks the settings of the method.
    pub(crate) fn validate(&self) -> Result<()> {
        let at_least = |key: &str, min: usize, got: usize| {
            if got >= min {
                Ok(())
            } else {
                Err(Error::config(key, format!("expected at least {min}, got {got}")))
            }
        };
        match self {
            Self::Grid {} => Ok(()),
            Self::Random { trials } => at_least("trials", 1, *trials),
            Self::Halving { trials, eta } => at_least("trials", 2, *trials).and(at_least("eta", 2, *eta)),
        }
    }

    /// Returns the settings of all trials, in order.
    pub(crate) fn trials(&self, space: &SearchSpace, seed: u64) -> Result<Vec<Table>> {
        match self {
            Self::Grid {} => space.grid(),
            Self::Random { trials } | Self::Halving { trials, .. } => space.sample(seed, *trials),
        }
    }

    /// Returns the rungs of a search with `n_trials` trials of at most `epochs` epochs.
    pub(crate) fn rungs(&self, n_trials: usize, epochs: usize) -> Vec<Rung> {
        let Self::Halving { eta, .. } = self else { return vec![Rung { n_trials, pause_after: None }] };
        // The last rung has at least one trial, and the first rung at least one epoch.
        let (mut trials, mut budgets) = (vec![n_trials], vec![epochs]);
        while let (Some(n), Some(budget)) = (trials.last(), budgets.last())
            && n / eta >= 1
            && budget / eta >= 1
        {
            let next = (n / eta, budget / eta);
            trials.push(next.0);
            budgets.push(next.1);
        }
        let last = trials.len() - 1;
        let rung =
            |(index, n_trials)| Rung { n_trials, pause_after: (index < last).then(|| budgets[last - index]) };
        trials.into_iter().enumerate().map(rung).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_of_halving_have_similar_cost() {
        let check = |trials, eta, epochs, expected: &[(usize, Option<usize>)]| {
            let rungs = SearchMethod::Halving { trials, eta }.rungs(trials, epochs);
            let rungs: Vec<_> = rungs.iter().map(|rung| (rung.n_trials, rung.pause_after)).collect();
            assert_eq!(rungs, expected, "{trials} trials, eta {eta}, {epochs} epochs");
        };
        check(27, 3, 27, &[(27, Some(1)), (9, Some(3)), (3, Some(9)), (1, None)]);
        check(8, 2, 20, &[(8, Some(2)), (4, Some(5)), (2, Some(10)), (1, None)]);
        // The number of rungs is limited by the epochs or by the trials.
        check(27, 3, 4, &[(27, Some(1)), (9, None)]);
        check(2, 2, 100, &[(2, Some(50)), (1, None)]);
        check(20, 3, 20, &[(20, Some(2)), (6, Some(6)), (2, None)]);
        check(5, 3, 1, &[(5, None)]);
    }

    #[test]
    fn trials_of_other_methods_are_trained_completely() {
        let single = [Rung { n_trials: 6, pause_after: None }];
        assert_eq!(SearchMethod::Grid {}.rungs(6, 20), single);
        assert_eq!(SearchMethod::Random { trials: 6 }.rungs(6, 20), single);
    }

    #[test]
    fn rejects_methods_outside_their_range() {
        let check = |method: SearchMethod, expected: &str| {
            assert_eq!(method.validate().unwrap_err().to_string(), expected);
        };
        check(SearchMethod::Random { trials: 0 }, "`trials`: expected at least 1, got 0");
        check(SearchMethod::Halving { trials: 1, eta: 3 }, "`trials`: expected at least 2, got 1");
        check(SearchMethod::Halving { trials: 9, eta: 1 }, "`eta`: expected at least 2, got 1");
    }
}
