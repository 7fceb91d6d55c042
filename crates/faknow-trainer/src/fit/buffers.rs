//! The buffers of a model, which an update that fails or is skipped leaves unchanged.

use std::collections::BTreeSet;

use tch::nn::VarStore;
use tch::{TchError, Tensor, no_grad};

/// The buffers of a model: variables that were never trainable, such as the running statistics of batch normalization.
///
/// A forward pass changes them before it is known whether the update succeeds, so they are copied before each update. A
/// model without buffers costs nothing.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    buffers: Vec<Buffer>,
}

#[derive(Debug)]
struct Buffer {
    tensor: Tensor,
    saved: Tensor,
}

impl Buffers {
    /// Finds the buffers of a model. Frozen parameters are not among them: nothing changes them during an update.
    pub(crate) fn new(vars: &VarStore) -> Result<Self, TchError> {
        // tch has no names for trainable variables.
        let trainable: BTreeSet<usize> =
            vars.trainable_variables().iter().map(|tensor| tensor.data_ptr() as usize).collect();
        let variables = vars.variables().into_values();
        let buffers = variables.filter(|tensor| !trainable.contains(&(tensor.data_ptr() as usize)));
        let buffer = |tensor: Tensor| Ok(Buffer { saved: no_grad(|| tensor.f_empty_like())?, tensor });
        Ok(Self { buffers: buffers.map(buffer).collect::<Result<_, TchError>>()? })
    }

    /// Saves the current values.
    pub(crate) fn save(&mut self) -> Result<(), TchError> {
        no_grad(|| self.buffers.iter_mut().try_for_each(|buffer| buffer.saved.f_copy_(&buffer.tensor)))
    }

    /// Restores the saved values.
    pub(crate) fn restore(&self) -> Result<(), TchError> {
        let restore = |buffer: &Buffer| buffer.tensor.shallow_clone().f_copy_(&buffer.saved);
        no_grad(|| self.buffers.iter().try_for_each(restore))
    }

    /// Restores the saved values unless `is_finite`, a boolean scalar on the device, is true; without reading it.
    pub(crate) fn restore_unless(&self, is_finite: &Tensor) -> Result<(), TchError> {
        no_grad(|| {
            for Buffer { tensor, saved } in &self.buffers {
                let _ = tensor.f_where_self_out(tensor, is_finite, saved)?;
            }
            Ok(())
        })
    }
}
