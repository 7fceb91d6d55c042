//! The optimizer: from gradients to new parameters.

use std::time::{Duration, Instant};

use faknow_callbacks::NamePattern;
use tch::nn::VarStore;
use tch::{COptimizer, TchError, Tensor, no_grad};

use super::gradients::{Measured, Verdict, as_change, measure};
use super::groups::{GroupSettings, assign, matches_nothing};
use super::kernels::{Limit, Real};
use super::operations::{self, Change};
use super::parameter::{Parameter, Ready, UpdatePath};
use super::rule::Rule;
use super::{AccumulationWindow, Clip, Group, OptimizerConfig, fused, memory};
use crate::error::setting;
use crate::{Error, Result};

/// Updates the trainable variables of a store from their gradients.
///
/// The formulas are PyTorch's. On the CPU an update of `f32` or `f64` parameters is one pass over the memory, by as
/// many threads as libtorch computes with, and its result does not depend on their number; elsewhere operations of
/// libtorch do it. Clipping is part of the update: the gradients that tensors show afterwards are the unclipped ones.
#[derive(Debug)]
pub struct Optimizer {
    pub(super) config: OptimizerConfig,
    /// In the order of their names.
    pub(super) parameters: Vec<Parameter>,
    pub(super) groups: Vec<GroupSettings>,
    base_learning_rates: Vec<f64>,
    pub(super) learning_rates: Vec<f64>,
    clip: Clip,
    /// libtorch's own optimizer drops gradients, which tch alone can only set to 0; it does nothing else.
    pub(super) dropper: COptimizer,
    /// Why the last gradients are still there, if libtorch would not drop them; the next step tells.
    not_dropped: Option<TchError>,
    window: AccumulationWindow,
    has_updated: bool,
    grad_norm: Option<Tensor>,
    backward_time: Duration,
    update_time: Duration,
}

impl Optimizer {
    /// An optimizer over all trainable variables of `vars`.
    ///
    /// A variable that is frozen later is left as it is, and goes on where it was when it is trainable again.
    ///
    /// # Errors
    /// A setting is outside its range; a group's pattern fits no variable.
    pub fn new(config: impl Into<OptimizerConfig>, vars: &VarStore, clip: Clip) -> Result<Self> {
        Self::of(&config.into(), trainable(vars), clip)
    }

    /// An optimizer over those trainable variables of `vars` that fit at least one of the patterns.
    ///
    /// For models whose parts are trained by several optimizers, in a step of your own.
    ///
    /// # Errors
    /// As [`Optimizer::new`]; there is no pattern, or one fits no variable.
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
        Self::of(&config.into(), variables, clip)
    }

    fn of(config: &OptimizerConfig, variables: Vec<(String, Tensor)>, clip: Clip) -> Result<Self> {
        clip.validate()?;
        config.validate()?;
        let names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
        let (groups, group_of) = assign(config, &names)?;
        let mut dropper = COptimizer::sgd(0.0, 0.0, 0.0, 0.0, false)?;
        variables.iter().try_for_each(|(_, tensor)| dropper.add_parameters(tensor, 0))?;
        let parameter =
            |((name, tensor), group)| Parameter { name, tensor, group, n_updates: 0, slots: vec![] };
        let rates: Vec<f64> = groups.iter().map(|group| group.base_lr).collect();
        Ok(Self {
            config: config.clone(),
            parameters: variables.into_iter().zip(group_of).map(parameter).collect(),
            groups,
            base_learning_rates: rates.clone(),
            learning_rates: rates,
            clip,
            dropper,
            not_dropped: None,
            window: AccumulationWindow::default(),
            has_updated: false,
            grad_norm: None,
            backward_time: Duration::ZERO,
            update_time: Duration::ZERO,
        })
    }

    /// An optimizer of the same settings over the same parameters, which remembers nothing.
    pub(crate) fn fresh(&self) -> Result<Self> {
        let named = |parameter: &Parameter| (parameter.name.clone(), parameter.tensor.shallow_clone());
        Self::of(&self.config, self.parameters.iter().map(named).collect(), self.clip)
    }

    /// The learning rate of the settings, which groups without a rate of their own have.
    pub(crate) fn configured_lr(&self) -> f64 {
        self.config.lr()
    }

    /// The learning rate of each parameter group as configured: what schedules start from.
    pub fn base_learning_rates(&self) -> &[f64] {
        &self.base_learning_rates
    }

    /// The learning rate of each parameter group, now in force.
    pub fn learning_rates(&self) -> &[f64] {
        &self.learning_rates
    }

    /// Sets the learning rate of each parameter group.
    pub fn set_learning_rates(&mut self, rates: &[f64]) {
        for (old, new) in self.learning_rates.iter_mut().zip(rates) {
            *old = *new;
        }
    }

    /// The parameter groups in the order of the settings, `default` last, which has all parameters that fit no
    /// pattern and is left out if there are none.
    pub fn groups(&self) -> Vec<Group<'_>> {
        let names_in = |group| {
            let here = self.parameters.iter().filter(move |parameter| parameter.group == group);
            here.map(|parameter| parameter.name.as_str()).collect()
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

    /// The parameters by name, in the order of their names; frozen ones are among them.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.parameters.iter().map(|parameter| (parameter.name.as_str(), &parameter.tensor))
    }

    /// Sets what the next batch has to do with the next update: its part of it, whether it is the first, the last.
    ///
    /// A step need not know of it: [`Optimizer::zero_grad`], [`Optimizer::backward`] and [`Optimizer::step`] follow
    /// it. By default every batch is an update of its own.
    pub fn set_window(&mut self, window: AccumulationWindow) {
        self.window = window;
        self.has_updated = false;
    }

    /// What the present batch has to do with the next update.
    pub fn window(&self) -> AccumulationWindow {
        self.window
    }

    /// Drops all gradients, if the batch is the first of its window.
    pub fn zero_grad(&mut self) {
        if self.window.is_first {
            self.not_dropped = self.dropper.zero_grad().err();
        }
    }

    /// Adds the gradients of a loss, times the batch's weight in its window.
    ///
    /// # Errors
    /// The loss has no gradient, or libtorch refuses an operation.
    pub fn backward(&mut self, loss: &Tensor) -> Result<()> {
        let start = Instant::now();
        let weight = self.window.weight;
        let result = if weight == 1.0 {
            loss.f_backward()
        } else {
            loss.f_mul_scalar(weight).and_then(|loss| loss.f_backward())
        };
        self.backward_time += start.elapsed();
        Ok(result?)
    }

    /// Measures the gradients, then updates the parameters by the clipped ones, if the batch is the last of its window.
    ///
    /// # Errors
    /// libtorch refuses an operation; [`Error::NonFiniteGradient`] where reading the norm does not wait for a device.
    pub fn step(&mut self) -> Result<()> {
        self.grad_norm = None;
        if let Some(error) = self.not_dropped.take() {
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

    /// The whole update from a loss: drop the old gradients, go backward, measure, clip, step.
    ///
    /// # Errors
    /// As [`Optimizer::backward`] and [`Optimizer::step`].
    pub fn backward_step(&mut self, loss: &Tensor) -> Result<()> {
        self.zero_grad();
        self.backward(loss)?;
        self.step()
    }

    /// Whether there was an update since [`Optimizer::set_window`], and not only batches before it in their window.
    pub fn has_updated(&self) -> bool {
        self.has_updated
    }

    /// Global norm of the gradients in the last update, before clipping: a scalar, on the gradients' device. `None`
    /// if the last step was no update, or if there were no gradients.
    pub fn grad_norm(&self) -> Option<&Tensor> {
        self.grad_norm.as_ref()
    }

    /// How long going backward and updating took since the last call; operations on a device may still be under way.
    pub fn take_times(&mut self) -> (Duration, Duration) {
        (std::mem::take(&mut self.backward_time), std::mem::take(&mut self.update_time))
    }

    /// The learning rate that errors tell of.
    pub(crate) fn first_learning_rate(&self) -> f64 {
        self.learning_rates.first().copied().unwrap_or(f64::NAN)
    }

    fn update(&mut self) -> Result<()> {
        let learning_rate = self.first_learning_rate();
        let Self { config, parameters, groups, learning_rates, clip, grad_norm, .. } = self;
        let mut ready = Vec::with_capacity(parameters.len());
        for parameter in parameters {
            ready.extend(Ready::new(parameter)?);
        }
        if ready.is_empty() {
            return Ok(());
        }
        let Measured { norm, verdict } = measure(&ready, *clip)?;
        *grad_norm = Some(norm);
        if let Verdict::NotFinite { parameter, norm } = verdict {
            return Err(Error::NonFiniteGradient { location: None, parameter, norm, learning_rate });
        }
        let n_slots = config.slots().len();
        for ready in &mut ready {
            ready.parameter.prepare(n_slots, config.initial_value())?;
        }
        let rule = |parameter: &Parameter| {
            let weight_decay = groups[parameter.group].weight_decay;
            config.rule(learning_rates[parameter.group], weight_decay, parameter.n_updates)
        };
        match verdict {
            Verdict::Clip(limit) => {
                let (single, others) = ready.iter_mut().partition(|ready| ready.path == UpdatePath::Single);
                let (double, others): (_, Vec<_>) =
                    Vec::into_iter(others).partition(|ready| ready.path == UpdatePath::Double);
                let change = as_change(limit);
                in_one_pass::<f32>(single, limit, &change, rule)?;
                in_one_pass::<f64>(double, limit, &change, rule)?;
                by_operations(others, &change, rule)?;
            }
            Verdict::Unread(change) => by_operations(ready.iter_mut().collect(), &change, rule)?,
            Verdict::NotFinite { .. } => {}
        }
        for ready in ready {
            ready.parameter.n_updates += 1;
        }
        Ok(())
    }
}

/// Updates parameters whose memory are slices of `T`.
fn in_one_pass<T: Real>(
    mut all: Vec<&mut Ready<'_>>,
    limit: Limit,
    change: &Change,
    rule: impl Fn(&Parameter) -> Rule,
) -> Result<(), TchError> {
    if all.is_empty() {
        return Ok(());
    }
    let (rules, mut tensors): (Vec<_>, Vec<_>) = all
        .iter_mut()
        .map(|ready| {
            let rule = rule(ready.parameter);
            ready.tensors(rule)
        })
        .unzip();
    let Some(operands) = memory::operands::<T>(&mut tensors) else {
        // Parameters that share memory: one after the other.
        return by_operations(all, change, rule);
    };
    fused::update(rules.into_iter().zip(operands).collect(), limit);
    // libtorch counts the changes of a tensor, to refuse going backward through values that are no more. A copy onto
    // itself copies nothing and counts.
    for ready in all {
        let itself = ready.parameter.tensor.shallow_clone();
        ready.parameter.tensor.f_copy_(&itself)?;
    }
    Ok(())
}

fn by_operations(
    all: Vec<&mut Ready<'_>>,
    change: &Change,
    rule: impl Fn(&Parameter) -> Rule,
) -> Result<(), TchError> {
    all.into_iter().try_for_each(|ready| {
        let rule = rule(ready.parameter);
        let gradient = ready.dense_gradient()?;
        let Parameter { tensor, slots, .. } = &mut *ready.parameter;
        operations::update(&rule, change, tensor, &gradient, slots)
    })
}

/// Refuses a pattern that fits no trainable variable; `key` is the setting that it comes from.
pub(crate) fn check_pattern(key: &str, pattern: &NamePattern, vars: &VarStore) -> Result<()> {
    let variables = trainable(vars);
    let names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
    match names.iter().any(|name| pattern.matches(name)) {
        true => Ok(()),
        false => Err(matches_nothing(key, pattern, &names, "")),
    }
}

/// All trainable variables by name. The store is a hash map: sorted names make the order of all sums the same in
/// every process.
fn trainable(vars: &VarStore) -> Vec<(String, Tensor)> {
    let mut variables: Vec<_> = vars.variables().into_iter().filter(|(_, t)| t.requires_grad()).collect();
    variables.sort_by(|a, b| a.0.cmp(&b.0));
    variables
}
