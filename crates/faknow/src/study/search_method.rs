//! How a search chooses its trials, and for how long each is trained.

use serde::{Deserialize, Serialize};
use toml::Table;

use crate::study::SearchSpace;
use crate::{Error, Result};

/// How a search chooses its trials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum SearchMethod {
    /// Every combination of listed values, each trained to its end.
    Grid {},
    /// Combinations drawn at random, each trained to its end (Bergstra and Bengio, Random Search for Hyper-Parameter
    /// Optimization, JMLR 2012).
    Random {
        /// How many, at least 1.
        trials: usize,
    },
    /// Combinations drawn at random and trained for a few epochs; the best are trained for more, in several rungs (Jamieson
    /// and Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter Optimization, AISTATS 2016).
    ///
    /// The last rung has `trainer.epochs` epochs in all, each before it an `eta`-th part of the next one's and `eta`
    /// times its trials, so that every rung costs about the same.
    Halving {
        /// How many in the first rung, at least 2.
        trials: usize,
        /// Reduction factor: one in `eta` trials advances, at least 2.
        eta: usize,
    },
}

/// A part of a search: so many trials are trained up to an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rung {
    pub(crate) n_trials: usize,
    /// The epoch at which they are paused; `None`: they are trained to their end.
    pub(crate) pause_after: Option<usize>,
}

impl SearchMethod {
    /// Checks the method's own settings.
    pub(crate) fn validate(&self) -> Result<()> {
        let at_least = |key: &str, least: usize, got: usize| {
            if got >= least {
                Ok(())
            } else {
                Err(Error::config(key, format!("expected at least {least}, got {got}")))
            }
        };
        match self {
            Self::Grid {} => Ok(()),
            Self::Random { trials } => at_least("trials", 1, *trials),
            Self::Halving { trials, eta } => at_least("trials", 2, *trials).and(at_least("eta", 2, *eta)),
        }
    }

    /// The settings of all trials, in their order.
    pub(crate) fn trials(&self, space: &SearchSpace, seed: u64) -> Result<Vec<Table>> {
        match self {
            Self::Grid {} => space.grid(),
            Self::Random { trials } | Self::Halving { trials, .. } => space.sample(seed, *trials),
        }
    }

    /// The rungs of a search with so many trials, none of which is trained for more than `epochs`.
    pub(crate) fn rungs(&self, n_trials: usize, epochs: usize) -> Vec<Rung> {
        let Self::Halving { eta, .. } = self else { return vec![Rung { n_trials, pause_after: None }] };
        // No more rungs than leave a trial for the last, and an epoch for the first.
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
    fn every_rung_of_a_halving_costs_about_the_same() {
        let check = |trials, eta, epochs, expected: &[(usize, Option<usize>)]| {
            let rungs = SearchMethod::Halving { trials, eta }.rungs(trials, epochs);
            let rungs: Vec<_> = rungs.iter().map(|rung| (rung.n_trials, rung.pause_after)).collect();
            assert_eq!(rungs, expected, "{trials} trials, eta {eta}, {epochs} epochs");
        };
        check(27, 3, 27, &[(27, Some(1)), (9, Some(3)), (3, Some(9)), (1, None)]);
        check(8, 2, 20, &[(8, Some(2)), (4, Some(5)), (2, Some(10)), (1, None)]);
        // Too few epochs for as many rungs as trials, and the other way round.
        check(27, 3, 4, &[(27, Some(1)), (9, None)]);
        check(2, 2, 100, &[(2, Some(50)), (1, None)]);
        check(20, 3, 20, &[(20, Some(2)), (6, Some(6)), (2, None)]);
        check(5, 3, 1, &[(5, None)]);
    }

    #[test]
    fn trials_of_other_methods_are_trained_to_their_end() {
        let whole = [Rung { n_trials: 6, pause_after: None }];
        assert_eq!(SearchMethod::Grid {}.rungs(6, 20), whole);
        assert_eq!(SearchMethod::Random { trials: 6 }.rungs(6, 20), whole);
    }

    #[test]
    fn a_method_outside_its_range_is_refused() {
        let check = |method: SearchMethod, expected: &str| {
            assert_eq!(method.validate().unwrap_err().to_string(), expected);
        };
        check(SearchMethod::Random { trials: 0 }, "`trials`: expected at least 1, got 0");
        check(SearchMethod::Halving { trials: 1, eta: 3 }, "`trials`: expected at least 2, got 1");
        check(SearchMethod::Halving { trials: 9, eta: 1 }, "`eta`: expected at least 2, got 1");
    }
}
