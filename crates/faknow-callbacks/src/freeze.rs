//! Freezing of weights by name, temporarily or for the entire run.

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::VarStore;

use crate::{Callback, Error, FitEnd, HookResult, Interval, NamePattern, Result, Run};

/// Maximum number of names in an error.
const MAX_SHOWN: usize = 40;

/// Freezes weights temporarily or for the entire run, for layer-wise fine-tuning or gradual unfreezing
/// (Howard & Ruder 2018, "Universal Language Model Fine-tuning for Text Classification", section 3.3).
///
/// ```
/// use faknow_callbacks::{Freeze, FreezeRule, Interval};
///
/// // Trains only the classifier in the first epoch, then the convolutions too, but never the word vectors.
/// let freeze = Freeze::new([
///     FreezeRule::until("convs.*", Interval::epochs(1.0)),
///     FreezeRule::always("word_embedding.*"),
/// ]);
/// # let _ = freeze;
/// ```
///
/// Frozen weights have `requires_grad = false`: no gradients are computed, and the optimizer skips them and retains its
/// state for later. Use one `Freeze` with all rules of a run, since two would overwrite each other's settings. A weight is
/// frozen as long as any rule applies.
///
/// - Weights frozen by the model itself (`freeze_embedding`) stay frozen.
/// - Running statistics (of a batch normalization) are not parameters and continue to be updated.
/// - After the fit, all weights are as trainable as before.
///
/// The callback has no state: the rules and the progress of the run determine which weights are frozen, also in a resumed
/// run, after a rollback and in a second fit.
///
/// # Errors
/// `on_fit_start` rejects a pattern that matches no weight, an invalid interval, and rules that leave no trainable weight.
#[derive(Debug)]
pub struct Freeze {
    rules: Vec<FreezeRule>,
    /// The weights that any rule matches, by name; empty between two fits.
    weights: Vec<(String, Tensor)>,
    /// Whether each rule is active.
    is_active: Vec<bool>,
}

/// A rule of [`Freeze`]: which weights are frozen, and for how long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreezeRule {
    /// Pattern of the full names of weights, as in `word_embedding.*`; see [`NamePattern`]. Required.
    pub pattern: NamePattern,
    /// Length of the run after which the weights are trained, as in `2 epochs` or `500 steps`. Default: never trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Interval>,
}

impl FreezeRule {
    /// Creates a rule that freezes the weights matching `pattern` for the entire run.
    pub fn always(pattern: impl Into<NamePattern>) -> Self {
        Self { pattern: pattern.into(), until: None }
    }

    /// Creates a rule that freezes the weights matching `pattern` until the run has reached this length.
    pub fn until(pattern: impl Into<NamePattern>, until: Interval) -> Self {
        Self { pattern: pattern.into(), until: Some(until) }
    }

    fn is_active(&self, run: &Run) -> bool {
        !self.until.is_some_and(|until| until.is_reached(&run.timestamp()))
    }
}

impl Freeze {
    /// Creates a callback with these rules; their order does not matter.
    pub fn new(rules: impl IntoIterator<Item = FreezeRule>) -> Self {
        Self { rules: rules.into_iter().collect(), weights: Vec::new(), is_active: Vec::new() }
    }

    /// Checks the rules against the variables of a model, as the start of a fit does.
    ///
    /// # Errors
    /// A pattern matches no variable, an interval is invalid, or no weight would be trainable.
    pub fn check(&self, vars: &VarStore) -> Result<()> {
        let variables = sorted_variables(vars);
        let names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
        for FreezeRule { pattern, until } in &self.rules {
            if !names.iter().any(|name| pattern.matches(name)) {
                let mut list = names[..names.len().min(MAX_SHOWN)].join(", ");
                if names.len() > MAX_SHOWN {
                    list.push_str(&format!(" and {} more", names.len() - MAX_SHOWN));
                }
                let expected = format!("a pattern that matches a weight ({list})");
                return Err(setting_error("freeze.pattern", expected, format!("`{pattern}`")));
            }
            if let Some(until) = until.filter(|until| !until.is_valid()) {
                let expected = "an interval above 0, with an integer number of steps or samples".to_owned();
                return Err(setting_error("freeze.until", expected, until.to_string()));
            }
        }
        let mut trainable = variables.iter().filter(|(_, tensor)| tensor.requires_grad()).peekable();
        if trainable.peek().is_some() && trainable.all(|(name, _)| self.matches(name)) {
            let expected = "patterns that leave at least one weight trainable".to_owned();
            return Err(setting_error("freeze.pattern", expected, self.format_rules(|_| true)));
        }
        Ok(())
    }

    /// Returns whether any rule matches the name.
    fn matches(&self, name: &str) -> bool {
        self.rules.iter().any(|rule| rule.pattern.matches(name))
    }

    /// Freezes and unfreezes weights by the rules for the current progress of the run.
    fn update(&mut self, run: &Run) -> Result<()> {
        let is_active: Vec<bool> = self.rules.iter().map(|rule| rule.is_active(run)).collect();
        if is_active == self.is_active {
            return Ok(());
        }
        for (name, tensor) in &self.weights {
            let mut rules = self.rules.iter().zip(&is_active);
            let is_frozen = rules.any(|(rule, is_active)| *is_active && rule.pattern.matches(name));
            set_trainable(name, tensor, !is_frozen)?;
        }
        let was_active = |i: usize| self.is_active.get(i).copied().unwrap_or(false);
        let freezing = self.format_rules(|i| is_active[i] && !was_active(i));
        let unfreezing = self.format_rules(|i| !is_active[i] && was_active(i));
        for (rules, action) in [(freezing, "freezing"), (unfreezing, "unfreezing")] {
            if !rules.is_empty() {
                tracing::info!("{action} at step {}: {rules}", run.step());
            }
        }
        self.is_active = is_active;
        Ok(())
    }

    /// Formats the selected rules for messages.
    fn format_rules(&self, which: impl Fn(usize) -> bool) -> String {
        let rules = self.rules.iter().enumerate().filter(|(i, _)| which(*i));
        let texts = rules.map(|(_, FreezeRule { pattern, until })| match until {
            Some(until) => format!("`{pattern}` until {until}"),
            None => format!("`{pattern}`"),
        });
        texts.collect::<Vec<_>>().join(", ")
    }

    /// Makes all frozen weights trainable again.
    fn unfreeze(&mut self) -> Result<()> {
        self.is_active.clear();
        std::mem::take(&mut self.weights)
            .into_iter()
            .try_for_each(|(name, tensor)| set_trainable(&name, &tensor, true))
    }
}

impl Callback for Freeze {
    fn on_fit_start(&mut self, run: &mut Run) -> HookResult {
        self.unfreeze()?;
        self.check(&run.vars)?;
        let is_controlled = |(name, tensor): &(String, Tensor)| tensor.requires_grad() && self.matches(name);
        self.weights = sorted_variables(&run.vars).into_iter().filter(is_controlled).collect();
        Ok(self.update(run)?)
    }

    fn on_batch_start(&mut self, run: &mut Run) -> HookResult {
        Ok(self.update(run)?)
    }

    fn on_fit_end(&mut self, _: &mut Run, _: FitEnd<'_>) -> HookResult {
        Ok(self.unfreeze()?)
    }
}

/// Returns all variables, sorted by name.
fn sorted_variables(vars: &VarStore) -> Vec<(String, Tensor)> {
    let mut variables: Vec<_> = vars.variables().into_iter().collect();
    variables.sort_by(|a, b| a.0.cmp(&b.0));
    variables
}

fn set_trainable(name: &str, tensor: &Tensor, trainable: bool) -> Result<()> {
    let result = tensor.f_set_requires_grad(trainable);
    result.map(drop).map_err(|error| Error::tensor(name, error))
}

fn setting_error(name: &'static str, expected: String, got: String) -> Error {
    Error::Setting { name, expected, got }
}
