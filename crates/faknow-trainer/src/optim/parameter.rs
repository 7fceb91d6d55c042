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
    pub(super) fn prepare(&mut self, n_slots: usize, initial_value: f64) -> Result<(), TchError> {
        if self.slots.len() != n_slots {
            let slot = || self.tensor.f_zeros_like()?.f_fill_(initial_value);
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
    /// Its gradient, dense; only those of `rows` if there are any.
    pub(super) gradient: Tensor,
    /// Which rows the gradient has, in ascending order; it is 0 in all others. `None` for all rows.
    rows: Option<Vec<usize>>,
    pub(super) path: UpdatePath,
}

/// How a parameter is updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UpdatePath {
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
        let gradient = parameter.tensor.f_grad()?;
        if !gradient.defined() {
            return Ok(None);
        }
        if gradient.is_sparse() {
            return Ok(Some(Self::of_rows(parameter, &gradient)?));
        }
        let path = path(&parameter.tensor, &gradient);
        Ok(Some(Self { parameter, gradient, rows: None, path }))
    }

    /// A sparse gradient: rows of a parameter that lies row by row are taken as they are, what else there may be is made
    /// dense.
    fn of_rows(parameter: &'a mut Parameter, gradient: &Tensor) -> Result<Self, TchError> {
        let gradient = gradient.f_coalesce()?;
        let values = gradient.f_values()?.f_contiguous()?;
        let path = path(&parameter.tensor, &values);
        if gradient.f_sparse_dim()? == 1 && parameter.tensor.is_contiguous() && path != UpdatePath::Operations
        {
            let rows = Vec::<i64>::try_from(gradient.f_indices()?.f_view(-1)?)?;
            let rows = Some(rows.into_iter().map(|row| row as usize).collect());
            return Ok(Self { parameter, gradient: values, rows, path });
        }
        let gradient = gradient.f_to_dense(None, false)?;
        let path = self::path(&parameter.tensor, &gradient);
        Ok(Self { parameter, gradient, rows: None, path })
    }

    /// The tensors that an update by `rule` reads and writes.
    pub(super) fn tensors(&mut self, rule: Rule) -> (Rule, memory::Tensors<'_>) {
        let Parameter { tensor, slots, .. } = &mut *self.parameter;
        let rows = self.rows.as_deref();
        (rule, memory::Tensors { parameter: tensor, gradient: &self.gradient, rows, slots })
    }

    /// The gradient of all rows.
    pub(super) fn dense_gradient(&self) -> Result<Tensor, TchError> {
        let Some(rows) = &self.rows else { return Ok(self.gradient.shallow_clone()) };
        let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        self.parameter.tensor.f_zeros_like()?.f_index_copy(0, &Tensor::f_from_slice(&rows)?, &self.gradient)
    }
}

fn path(parameter: &Tensor, gradient: &Tensor) -> UpdatePath {
    if memory::are_slices::<f32>(parameter, gradient) {
        UpdatePath::Single
    } else if memory::are_slices::<f64>(parameter, gradient) {
        UpdatePath::Double
    } else {
        UpdatePath::Operations
    }
}
