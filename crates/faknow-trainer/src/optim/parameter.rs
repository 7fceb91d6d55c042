//! A parameter with what an optimizer remembers of it.

use tch::{TchError, Tensor};

use super::memory;
use super::rule::Rule;

/// A variable of a store, by name.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) tensor: Tensor,
    /// The number of its group.
    pub(super) group: usize,
    /// Updates of it so far; PyTorch too counts them for each parameter.
    pub(super) n_updates: u64,
    /// What the algorithm remembers of it; nothing before the first update.
    pub(super) slots: Vec<Tensor>,
}

impl Parameter {
    /// Makes the slots ready for an update: there, of the parameter's kind and device, which may have changed, and in its
    /// order in memory, which a file does not tell.
    pub(super) fn prepare(&mut self, n_slots: usize, first_value: f64) -> Result<(), TchError> {
        if self.slots.len() != n_slots {
            let slot = || self.tensor.f_zeros_like()?.f_fill_(first_value);
            self.slots = (0..n_slots).map(|_| slot()).collect::<Result<_, _>>()?;
        }
        let (kind, device) = (self.tensor.f_kind()?, self.tensor.device());
        for slot in &mut self.slots {
            if slot.f_kind()? != kind || slot.device() != device {
                *slot = slot.f_to_kind(kind)?.f_to_device(device)?;
            }
            if slot.stride() != self.tensor.stride() {
                let mut ordered = self.tensor.f_zeros_like()?;
                ordered.f_copy_(slot)?;
                *slot = ordered;
            }
        }
        Ok(())
    }
}

/// A parameter that is about to be updated.
pub(super) struct Ready<'a> {
    pub(super) parameter: &'a mut Parameter,
    /// Its gradient, dense.
    pub(super) gradient: Tensor,
    pub(super) lane: Lane,
}

/// How a parameter is updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// In one pass over memory of `f32`.
    Single,
    /// In one pass over memory of `f64`.
    Double,
    /// By operations of libtorch.
    Operations,
}

impl<'a> Ready<'a> {
    /// `None` if there is nothing to update: no gradient, or a frozen parameter, whatever gradient it still has.
    pub(super) fn new(parameter: &'a mut Parameter) -> Result<Option<Self>, TchError> {
        if !parameter.tensor.requires_grad() {
            return Ok(None);
        }
        let mut gradient = parameter.tensor.f_grad()?;
        if !gradient.defined() {
            return Ok(None);
        }
        if gradient.is_sparse() {
            gradient = gradient.f_to_dense(None, false)?;
        }
        let tensor = &parameter.tensor;
        let lane = if memory::are_slices::<f32>(tensor, &gradient) {
            Lane::Single
        } else if memory::are_slices::<f64>(tensor, &gradient) {
            Lane::Double
        } else {
            Lane::Operations
        };
        Ok(Some(Self { parameter, gradient, lane }))
    }

    /// The tensors that an update by `rule` reads and writes.
    pub(super) fn tensors(&mut self, rule: Rule) -> (Rule, memory::Tensors<'_>) {
        let Parameter { tensor, slots, .. } = &mut *self.parameter;
        (rule, memory::Tensors { parameter: tensor, gradient: &self.gradient, slots })
    }
}
