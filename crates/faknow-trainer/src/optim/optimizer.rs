//! The optimizer.

use std::time::{Duration, Instant};

use faknow_callbacks::NamePattern;
use tch::nn::VarStore;
use tch::{COptimizer, Device, TchError, Tensor, no_grad};

use super::deferred::DeferredCheck;
use super::grad_norm::{GradientCheck, Measurement, as_change, is_usable, measure};
use super::groups::{GroupSettings, assign, no_match};
use super::parameter::{Parameter, PendingUpdate, UpdatePath};
use super::paths::{by_operations, in_one_pass};
use super::{AccumulationWindow, Clip, Group, OptimizerConfig};
use crate::error::setting;
use crate::{Error, Result};

/// An optimizer, which updates the trainable variables of a store from their gradients.
///
/// The formulas are those of PyTorch. On the CPU, an update of `f32` or `f64` parameters is one pass over the memory, with as
/// many threads as libtorch uses; the result does not depend on their number. Otherwise libtorch operations are used.
/// Clipping is part of the update: [`Tensor::grad`] returns the unclipped gradients afterwards.
#[derive(Debug)]
pub struct Optimizer {
    pub(super) config: OptimizerConfig,
    /// Sorted by name.
    pub(super) parameters: Vec<Parameter>,
    pub(super) groups: Vec<GroupSettings>,
    base_learning_rates: Vec<f64>,
    pub(super) learning_rates: Vec<f64>,
    clip: Clip,
    /// An optimizer of libtorch that only clears gradients (sets them to undefined): tch can only set them to 0.
    pub(super) grad_clearer: COptimizer,
    /// The error of the last clearing of gradients; the next step returns it.
    clear_error: Option<TchError>,
    window: AccumulationWindow,
    has_updated: bool,
    /// Whether losses and gradients are checked by `check_finite` only.
    is_deferred: bool,
    deferred_check: DeferredCheck,
    grad_norm: Option<Tensor>,
    backward_time: Duration,
    update_time: Duration,
}

impl Optimizer {
    /// Creates an optimizer for all trainable variables of `vars`.
    ///
    /// A variable that is frozen later is not updated, and continues with its state when it is trainable again.
    ///
    /// # Errors
    /// A setting is out of range; the pattern of a group matches no variable.
    pub fn new(config: impl Into<OptimizerConfig>, vars: &VarStore, clip: Clip) -> Result<Self> {
        Self::from_variables(&config.into(), trainable(vars), clip)
    }

    /// Creates an optimizer for the trainable variables of `vars` that match at least one of the patterns.
    ///
    /// For models whose parts are trained with several optimizers, in a custom step.
    ///
    /// # Errors
    /// As [`Optimizer::new`]; there is no pattern, or one matches no variable.
    pub fn for_parameters(
        config: impl Into<OptimizerConfig>,
        vars: &VarStore,
        clip: Clip,
        patterns: &[NamePattern],
    ) -> Result<Self> {
        const KEY: &str = "patterns of an optimizer";
        if patterns.is_empty() {
            return Err(setting(KEY, "at least one", "none"));
        }
        patterns.iter().try_for_each(|pattern| check_pattern(KEY, pattern, vars))?;
        let mut variables = trainable(vars);
        variables.retain(|(name, _)| patterns.iter().any(|pattern| pattern.matches(name)));
        Self::from_variables(&config.into(), variables, clip)
    }

    fn from_variables(
        config: &OptimizerConfig,
        variables: Vec<(String, Tensor)>,
        clip: Clip,
    ) -> Result<Self> {
        clip.validate()?;
        config.validate()?;
        let names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
        let (groups, group_of) = assign(config, &names)?;
        let mut grad_clearer = COptimizer::sgd(0.0, 0.0, 0.0, 0.0, false)?;
        variables.iter().try_for_each(|(_, tensor)| grad_clearer.add_parameters(tensor, 0))?;
        let is_deferred = variables.iter().any(|(_, tensor)| tensor.device() != Device::Cpu);
        let parameter =
            |((name, tensor), group)| Parameter { name, tensor, group, n_updates: 0, slots: vec![] };
        let learning_rates: Vec<f64> = groups.iter().map(|group| group.base_lr).collect();
        Ok(Self {
            config: config.clone(),
            parameters: variables.into_iter().zip(group_of).map(parameter).collect(),
            groups,
            base_learning_rates: learning_rates.clone(),
            learning_rates,
            clip,
            grad_clearer,
            clear_error: None,
            window: AccumulationWindow::default(),
            has_updated: false,
            is_deferred,
            deferred_check: DeferredCheck::default(),
            grad_norm: None,
            backward_time: Duration::ZERO,
            update_time: Duration::ZERO,
        })
    }

    /// Creates an optimizer with the same settings and parameters, and no state.
    pub(crate) fn without_state(&self) -> Result<Self> {
        let variable = |parameter: &Parameter| (parameter.name.clone(), parameter.tensor.shallow_clone());
        Self::from_variables(&self.config, self.parameters.iter().map(variable).collect(), self.clip)
    }

    /// Returns the configured learning rate, which applies to groups that do not set one.
    pub(crate) fn configured_lr(&self) -> f64 {
        self.config.lr()
    }

    /// Returns the configured learning rate of each parameter group, from which schedules start.
    pub fn base_learning_rates(&self) -> &[f64] {
        &self.base_learning_rates
    }

    /// Returns the current learning rate of each parameter group.
    pub fn learning_rates(&self) -> &[f64] {
        &self.learning_rates
    }

    /// Sets the learning rate of each parameter group.
    pub fn set_learning_rates(&mut self, learning_rates: &[f64]) {
        for (old, new) in self.learning_rates.iter_mut().zip(learning_rates) {
            *old = *new;
        }
    }

    /// Returns the parameter groups in the order of the settings; the last one, `default`, has the parameters that match no
    /// pattern, and is omitted if every parameter matches one.
    pub fn groups(&self) -> Vec<Group<'_>> {
        let names_in = |group| {
            let members = self.parameters.iter().filter(move |parameter| parameter.group == group);
            members.map(|parameter| parameter.name.as_str()).collect()
        };
        let groups = self.groups.iter().zip(&self.learning_rates).enumerate();
        groups
            .map(|(index, (group, &lr))| Group {
                name: &group.name,
                parameters: names_in(index),
                lr,
                weight_decay: group.weight_decay,
            })
            .collect()
    }

    /// Returns all parameters with their names, sorted by name, including frozen ones.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.parameters.iter().map(|parameter| (parameter.name.as_str(), &parameter.tensor))
    }

    /// Sets the position and weight of the next batch in its accumulation window.
    ///
    /// [`Optimizer::zero_grad`], [`Optimizer::backward`] and [`Optimizer::step`] respect it, so that training steps do not
    /// have to. By default every batch is a separate update.
    pub fn set_window(&mut self, window: AccumulationWindow) {
        self.window = window;
        self.has_updated = false;
    }

    /// Returns the position and weight of the current batch in its accumulation window.
    pub fn window(&self) -> AccumulationWindow {
        self.window
    }

    /// Sets whether losses and gradients are checked later, by [`Optimizer::check_finite`], instead of in each step. Reading
    /// them makes the step wait for the device. Default: true if a parameter is not on the CPU.
    ///
    /// With deferred checks, no update is made from the first loss or gradient that is not finite until the next call of
    /// `check_finite`: a flag on the device masks them.
    pub fn set_deferred(&mut self, is_deferred: bool) {
        self.is_deferred = is_deferred;
    }

    /// Returns whether losses and gradients are checked later, see [`Optimizer::set_deferred`].
    pub fn is_deferred(&self) -> bool {
        self.is_deferred
    }

    /// Returns an error if, since the last call, a loss or gradient with deferred checks was not finite. Waits for the
    /// device: call it before weights are saved.
    ///
    /// ```
    /// use faknow_trainer::{Clip, Error, Optimizer, OptimizerConfig};
    /// use tch::{Device, nn};
    ///
    /// let vars = nn::VarStore::new(Device::Cpu);
    /// let weight = vars.root().ones("weight", &[]);
    /// let mut optimizer = Optimizer::new(OptimizerConfig::sgd(0.1), &vars, Clip::None)?;
    /// optimizer.set_deferred(true);
    /// for factor in [1.0, f64::NAN, 1.0] {
    ///     optimizer.backward_step(&(&weight * factor))?;
    /// }
    /// assert!((weight.double_value(&[]) - 0.9).abs() < 1e-6); // only the first update was made
    /// assert!(matches!(optimizer.check_finite(), Err(Error::NonFiniteUpdate { update: 2, .. })));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NonFiniteUpdate`], whose update is counted since the last call.
    pub fn check_finite(&mut self) -> Result<()> {
        let learning_rate = self.first_learning_rate();
        match self.deferred_check.read()? {
            None => Ok(()),
            Some(n) => Err(Error::NonFiniteUpdate { location: None, update: n + 1, learning_rate }),
        }
    }

    /// Returns the flag of the deferred checks, a boolean scalar on the device.
    pub(crate) fn deferred_flag(&self) -> Option<&Tensor> {
        self.deferred_check.flag().filter(|_| self.is_deferred)
    }

    /// Clears all gradients, if the batch is the first of its window.
    pub fn zero_grad(&mut self) {
        if self.window.is_first {
            self.clear_error = self.grad_clearer.zero_grad().err();
        }
    }

    /// Accumulates the gradients of a loss, times the batch's weight in its window.
    ///
    /// # Errors
    /// The loss does not require gradients, or a libtorch operation fails.
    pub fn backward(&mut self, loss: &Tensor) -> Result<()> {
        let start = Instant::now();
        if self.is_deferred {
            self.deferred_check.add(&loss.f_detach()?.f_isfinite()?.f_all()?)?;
        }
        let weight = self.window.weight;
        let result = if weight == 1.0 {
            loss.f_backward()
        } else {
            loss.f_mul_scalar(weight).and_then(|loss| loss.f_backward())
        };
        self.backward_time += start.elapsed();
        Ok(result?)
    }

    /// Measures and clips the gradients, and updates the parameters, if the batch is the last of its window.
    ///
    /// # Errors
    /// A libtorch operation fails; [`Error::NonFiniteGradient`] if a gradient is not finite, unless checks are
    /// [deferred](Self::set_deferred).
    pub fn step(&mut self) -> Result<()> {
        self.grad_norm = None;
        if let Some(error) = self.clear_error.take() {
            return Err(error.into());
        }
        if !self.window.is_last {
            return Ok(());
        }
        let start = Instant::now();
        let result = no_grad(|| self.update());
        self.update_time += start.elapsed();
        self.has_updated |= result.is_ok();
        result
    }

    /// Performs a full update from a loss: clears the gradients, computes those of the loss, clips them, and updates the
    /// parameters.
    ///
    /// # Errors
    /// As [`Optimizer::backward`] and [`Optimizer::step`].
    pub fn backward_step(&mut self, loss: &Tensor) -> Result<()> {
        self.zero_grad();
        self.backward(loss)?;
        self.step()
    }

    /// Returns whether the parameters were updated since the last [`Optimizer::set_window`].
    pub fn has_updated(&self) -> bool {
        self.has_updated
    }

    /// Returns the global norm of the gradients in the last update, before clipping: a scalar, on the device of the
    /// gradients. `None` if the last step did not update, or if there were no gradients.
    pub fn grad_norm(&self) -> Option<&Tensor> {
        self.grad_norm.as_ref()
    }

    /// Returns the durations of backward passes and of updates since the last call; asynchronous operations of a device are
    /// not included.
    pub fn take_times(&mut self) -> (Duration, Duration) {
        (std::mem::take(&mut self.backward_time), std::mem::take(&mut self.update_time))
    }

    /// Returns the learning rate of the first group, for error messages.
    pub(crate) fn first_learning_rate(&self) -> f64 {
        self.learning_rates.first().copied().unwrap_or(f64::NAN)
    }

    fn update(&mut self) -> Result<()> {
        let learning_rate = self.first_learning_rate();
        let Self { config, parameters, groups, learning_rates, clip, grad_norm, .. } = self;
        let (is_deferred, deferred_check) = (self.is_deferred, &mut self.deferred_check);
        let mut pending = Vec::with_capacity(parameters.len());
        for parameter in parameters {
            pending.extend(PendingUpdate::new(parameter)?);
        }
        if pending.is_empty() {
            return Ok(());
        }
        let Measurement { norm, check } = measure(&pending, *clip, is_deferred)?;
        if is_deferred {
            deferred_check.add(&is_usable(&norm, *clip)?)?;
            deferred_check.count_update()?;
        }
        let mask = deferred_check.flag().filter(|_| is_deferred);
        *grad_norm = Some(norm);
        if let GradientCheck::NonFinite { parameter, norm } = check {
            return Err(Error::NonFiniteGradient { location: None, parameter, norm, learning_rate });
        }
        let n_slots = config.slots().len();
        for pending in &mut pending {
            pending.parameter.prepare(n_slots, config.initial_value())?;
        }
        let rule = |parameter: &Parameter| {
            let weight_decay = groups[parameter.group].weight_decay;
            config.rule(learning_rates[parameter.group], weight_decay, parameter.n_updates)
        };
        match check {
            GradientCheck::Finite(limit) => {
                let (single, others) =
                    pending.iter_mut().partition(|pending| pending.path == UpdatePath::Single);
                let (double, others): (_, Vec<_>) =
                    Vec::into_iter(others).partition(|pending| pending.path == UpdatePath::Double);
                let change = as_change(limit);
                in_one_pass::<f32>(single, limit, &change, rule)?;
                in_one_pass::<f64>(double, limit, &change, rule)?;
                by_operations(others, &change, rule, None)?;
            }
            GradientCheck::Operations(change) => {
                by_operations(pending.iter_mut().collect(), &change, rule, mask)?;
            }
            GradientCheck::NonFinite { .. } => {}
        }
        for pending in pending {
            pending.parameter.n_updates += 1;
        }
        Ok(())
    }
}

/// Returns an error if a pattern matches no trainable variable; `key` is its setting.
pub(crate) fn check_pattern(key: &str, pattern: &NamePattern, vars: &VarStore) -> Result<()> {
    let variables = trainable(vars);
    let names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
    match names.iter().any(|name| pattern.matches(name)) {
        true => Ok(()),
        false => Err(no_match(key, pattern, &names, "")),
    }
}

/// Returns all trainable variables, sorted by name: the store is a hash map, and the order of all sums must be the same in
/// every process.
fn trainable(vars: &VarStore) -> Vec<(String, Tensor)> {
    let mut variables: Vec<_> = vars.variables().into_iter().filter(|(_, t)| t.requires_grad()).collect();
    variables.sort_by(|a, b| a.0.cmp(&b.0));
    variables
}
