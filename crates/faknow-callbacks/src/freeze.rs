//! Freezes weights by name, for a while or for the entire run.

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::VarStore;

use crate::{Callback, Error, FitEnd, HookResult, Interval, NamePattern, Result, Run};

/// Names in an error, so that it stays readable for a model of thousands of weights.
const SHOWN: usize = 40;

/// Freezes weights for a while or for the entire run: fine-tuning layer by layer, gradual unfreezing
/// (Howard & Ruder 2018, "Universal Language Model Fine-tuning for Text Classification", section 3.3).
///
/// ```
/// use faknow_callbacks::{Freeze, FreezeRule, Interval};
///
/// // The classifier alone in the first epoch, then the convolutions too; the word vectors stay.
/// let freeze = Freeze::new([
///     FreezeRule::until("convs.*", Interval::epochs(1.0)),
///     FreezeRule::always("word_embedding.*"),
/// ]);
/// # let _ = freeze;
/// ```
///
/// A frozen weight needs no gradient, so none is computed; the optimizer leaves it as it is, and continues with its
/// moments where they were once it is trained. All rules of a run go into one `Freeze`, since two would not know
/// each other's weights. A weight is frozen as long as any rule says so.
///
/// - What the model froze itself (`freeze_embedding`) stays frozen.
/// - Running statistics (of a batch normalization) are not parameters: they continue to change, whatever is frozen.
/// - After the fit all is as it was before.
///
/// Nothing needs to be saved: what is frozen follows from the rules and from where the run stands, so a resumed run,
/// one that was rolled back, and a second fit go on as they should.
///
/// # Errors
/// `on_fit_start` refuses a pattern that fits no weight, an invalid interval, and rules that leave nothing to train.
#[derive(Debug)]
pub struct Freeze {
    rules: Vec<FreezeRule>,
    /// The weights that the rules are about, by name; none between two fits.
    weights: Vec<(String, Tensor)>,
    /// Which rules are in force.
    in_force: Vec<bool>,
}

/// Which weights are frozen, and for how long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreezeRule {
    /// Whole names of weights, `*` standing for any characters: `word_embedding.*`; see [`NamePattern`]. Required.
    pub pattern: NamePattern,
    /// How long the run is when they are trained: `2 epochs`, `500 steps`. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Interval>,
}

impl FreezeRule {
    /// Freezes what fits `pattern` for the entire run.
    pub fn always(pattern: impl Into<NamePattern>) -> Self {
        Self { pattern: pattern.into(), until: None }
    }

    /// Freezes what fits `pattern` until the run is this long.
    pub fn until(pattern: impl Into<NamePattern>, until: Interval) -> Self {
        Self { pattern: pattern.into(), until: Some(until) }
    }

    fn is_in_force(&self, run: &Run) -> bool {
        !self.until.is_some_and(|until| until.is_reached(&run.timestamp()))
    }
}

impl Freeze {
    /// Freezes by these rules, in whatever order.
    pub fn new(rules: impl IntoIterator<Item = FreezeRule>) -> Self {
        Self { rules: rules.into_iter().collect(), weights: Vec::new(), in_force: Vec::new() }
    }

    /// Checks the rules against the variables that they are about, as the start of a fit does.
    ///
    /// # Errors
    /// A pattern fits no variable, an interval is invalid, or there would be nothing to train.
    pub fn check(&self, vars: &VarStore) -> Result<()> {
        let variables = sorted(vars);
        let names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
        for FreezeRule { pattern, until } in &self.rules {
            if !names.iter().any(|name| pattern.matches(name)) {
                let mut known = names[..names.len().min(SHOWN)].join(", ");
                if names.len() > SHOWN {
                    known.push_str(&format!(" and {} more", names.len() - SHOWN));
                }
                let expected = format!("a pattern that fits a weight ({known})");
                return Err(refuse("freeze.pattern", expected, format!("`{pattern}`")));
            }
            if let Some(until) = until.filter(|until| !until.is_valid()) {
                let expected = "a length above 0, in whole steps or samples".to_owned();
                return Err(refuse("freeze.until", expected, until.to_string()));
            }
        }
        let mut trainable = variables.iter().filter(|(_, tensor)| tensor.requires_grad()).peekable();
        if trainable.peek().is_some() && trainable.all(|(name, _)| self.names(name)) {
            let expected = "patterns that leave a weight to train".to_owned();
            return Err(refuse("freeze.pattern", expected, self.patterns(|_| true)));
        }
        Ok(())
    }

    /// Whether any rule is about the weight of this name.
    fn names(&self, name: &str) -> bool {
        self.rules.iter().any(|rule| rule.pattern.matches(name))
    }

    /// Freezes and releases what the rules say of the run where it stands now.
    fn follow(&mut self, run: &Run) -> Result<()> {
        let in_force: Vec<bool> = self.rules.iter().map(|rule| rule.is_in_force(run)).collect();
        if in_force == self.in_force {
            return Ok(());
        }
        for (name, tensor) in &self.weights {
            let mut rules = self.rules.iter().zip(&in_force);
            let frozen = rules.any(|(rule, in_force)| *in_force && rule.pattern.matches(name));
            set_trainable(name, tensor, !frozen)?;
        }
        let before = |i: usize| self.in_force.get(i).copied().unwrap_or(false);
        let frozen = self.patterns(|i| in_force[i] && !before(i));
        let released = self.patterns(|i| !in_force[i] && before(i));
        for (patterns, what) in [(frozen, "frozen"), (released, "released")] {
            if !patterns.is_empty() {
                tracing::info!("{what} at step {}: {patterns}", run.step());
            }
        }
        self.in_force = in_force;
        Ok(())
    }

    /// The patterns of some rules, in words.
    fn patterns(&self, which: impl Fn(usize) -> bool) -> String {
        let rules = self.rules.iter().enumerate().filter(|(i, _)| which(*i));
        let worded = rules.map(|(_, FreezeRule { pattern, until })| match until {
            Some(until) => format!("`{pattern}` until {until}"),
            None => format!("`{pattern}`"),
        });
        worded.collect::<Vec<_>>().join(", ")
    }

    /// Gives all weights back.
    fn release(&mut self) -> Result<()> {
        self.in_force.clear();
        std::mem::take(&mut self.weights)
            .into_iter()
            .try_for_each(|(name, tensor)| set_trainable(&name, &tensor, true))
    }
}

impl Callback for Freeze {
    fn on_fit_start(&mut self, run: &mut Run) -> HookResult {
        self.release()?;
        self.check(&run.vars)?;
        let ours = |(name, tensor): &(String, Tensor)| tensor.requires_grad() && self.names(name);
        self.weights = sorted(&run.vars).into_iter().filter(ours).collect();
        Ok(self.follow(run)?)
    }

    fn on_batch_start(&mut self, run: &mut Run) -> HookResult {
        Ok(self.follow(run)?)
    }

    fn on_fit_end(&mut self, _: &mut Run, _: FitEnd<'_>) -> HookResult {
        Ok(self.release()?)
    }
}

/// All variables, in the order of their names.
fn sorted(vars: &VarStore) -> Vec<(String, Tensor)> {
    let mut variables: Vec<_> = vars.variables().into_iter().collect();
    variables.sort_by(|a, b| a.0.cmp(&b.0));
    variables
}

fn set_trainable(name: &str, tensor: &Tensor, trainable: bool) -> Result<()> {
    let set = tensor.f_set_requires_grad(trainable);
    set.map(drop).map_err(|error| Error::Tensor { what: name.to_owned(), error })
}

fn refuse(name: &'static str, expected: String, got: String) -> Error {
    Error::Setting { name, expected, got }
}
