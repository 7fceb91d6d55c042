//! Deferred checks of losses and gradients: a flag on the device, which masks updates and is read later.

use tch::{Kind, TchError, Tensor, no_grad};

/// Whether all losses and gradients since the last [`read`](Self::read) are finite, on their device.
#[derive(Debug, Default)]
pub(super) struct DeferredCheck {
    /// `None` before the first value.
    state: Option<State>,
}

#[derive(Debug)]
struct State {
    /// A boolean scalar. False from the first value that is not finite on.
    is_finite: Tensor,
    /// Number of updates before that value, an integer scalar.
    n_updates: Tensor,
}

impl DeferredCheck {
    /// Adds a boolean scalar to the flag.
    pub(super) fn add(&mut self, is_finite: &Tensor) -> Result<(), TchError> {
        no_grad(|| {
            self.state = Some(match self.state.take() {
                None => State {
                    is_finite: is_finite.shallow_clone(),
                    n_updates: is_finite.f_zeros_like()?.f_to_kind(Kind::Int64)?,
                },
                Some(State { is_finite: earlier, n_updates }) => {
                    State { is_finite: earlier.f_logical_and(is_finite)?, n_updates }
                }
            });
            Ok(())
        })
    }

    /// Counts an update, unless the flag masks it.
    pub(super) fn count_update(&mut self) -> Result<(), TchError> {
        let Some(State { is_finite, n_updates }) = &mut self.state else { return Ok(()) };
        *n_updates = no_grad(|| n_updates.f_add(is_finite))?;
        Ok(())
    }

    /// Returns the flag; `None` if nothing was added yet.
    pub(super) fn flag(&self) -> Option<&Tensor> {
        self.state.as_ref().map(|state| &state.is_finite)
    }

    /// Reads and resets the flag, which waits for the device. Returns the number of updates before the first value that is
    /// not finite, if there is one.
    pub(super) fn read(&mut self) -> Result<Option<u64>, TchError> {
        let Some(State { is_finite, n_updates }) = self.state.take() else { return Ok(None) };
        if is_finite.f_int64_value(&[])? != 0 {
            return Ok(None);
        }
        Ok(Some(n_updates.f_int64_value(&[])?.unsigned_abs()))
    }
}
