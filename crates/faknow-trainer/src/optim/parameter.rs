//! A parameter with its optimizer state.

use tch::{TchError, Tensor};

use super::memory;
use super::rule::Rule;

/// A variable of a store with its optimizer state.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) tensor: Tensor,
    /// The index of its group.
    pub(super) group: usize,
    /// Number of updates so far, per parameter as in PyTorch.
    pub(super) n_updates: u64,
    /// The state tensors of the algorithm; empty before the first update.
    pub(super) slots: Vec<Tensor>,
}

impl Parameter {
    /// Creates the slots if needed, and converts them to the kind, device and memory order of the parameter: its kind and
    /// device may have changed, and checkpoints do not store the memory order.
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

/// A parameter that is to be updated, with its gradient.
pub(super) struct PendingUpdate<'a> {
    pub(super) parameter: &'a mut Parameter,
    /// The gradient, dense; only the rows in `rows`, if given.
    pub(super) gradient: Tensor,
    /// The rows of the gradient, in ascending order; it is 0 in all others. `None` for all rows.
    rows: Option<Vec<usize>>,
    pub(super) path: UpdatePath,
}

/// The implementation that updates a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UpdatePath {
    /// In one pass over memory of `f32`.
    Single,
    /// In one pass over memory of `f64`.
    Double,
    /// With libtorch operations.
    Operations,
}

impl<'a> PendingUpdate<'a> {
    /// Returns `None` if the parameter has no gradient or is frozen, even with a gradient.
    pub(super) fn new(parameter: &'a mut Parameter) -> Result<Option<Self>, TchError> {
        if !parameter.tensor.requires_grad() {
            return Ok(None);
        }
        let gradient = parameter.tensor.f_grad()?;
        if !gradient.defined() {
            return Ok(None);
        }
        if gradient.is_sparse() {
            return Ok(Some(Self::from_sparse(parameter, &gradient)?));
        }
        let path = path(&parameter.tensor, &gradient);
        Ok(Some(Self { parameter, gradient, rows: None, path }))
    }

    /// Creates an update from a sparse gradient: its rows are used if the parameter is row-major, otherwise it is converted to
    /// a dense gradient.
    fn from_sparse(parameter: &'a mut Parameter, gradient: &Tensor) -> Result<Self, TchError> {
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

    /// Returns `rule` with the tensors of the update.
    pub(super) fn tensors(&mut self, rule: Rule) -> (Rule, memory::Tensors<'_>) {
        let Parameter { tensor, slots, .. } = &mut *self.parameter;
        let rows = self.rows.as_deref();
        (rule, memory::Tensors { parameter: tensor, gradient: &self.gradient, rows, slots })
    }

    /// Returns the gradient of all rows.
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
