//! Trial updates that are reverted, for tools that measure something before a run.

use std::ops::ControlFlow;
use std::path::Path;

use faknow_callbacks::State;
use faknow_data::Loader;
use faknow_model::{Model, weights};

use crate::error::{Location, phase_name};
use crate::system::guard::guarded;
use crate::{AccumulationWindow, Error, Result, Trainer};

impl<M: Model> Trainer<M> {
    /// Runs `work` with a new optimizer of the same settings, and then restores weights, optimizer, step and profile, even
    /// after an error. `work` must not change anything else.
    pub(crate) fn run_trial<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let _span = self.run.span().entered();
        let _guard = self.settings.interrupt.install();
        let weights = weights::snapshot(&self.run.vars);
        let step_state = deep_copy(&self.task.step.state()?);
        let profile = self.state.profile;
        let fresh = self.optimization.optimizer.without_state()?;
        let optimizer = std::mem::replace(&mut self.optimization.optimizer, fresh);
        let result = work(self);
        self.optimization.optimizer.set_window(AccumulationWindow::default());
        self.optimization.optimizer.zero_grad();
        self.optimization.optimizer = optimizer;
        self.state.profile = profile;
        let restored = weights::restore(&self.run.vars, &weights, Path::new("weights before the trial"))
            .map_err(Error::from)
            .and_then(|()| self.restore_step(&step_state));
        // The first error is returned.
        let value = result?;
        restored.map(|()| value)
    }

    /// Calls `work` with the batches of `n_windows` updates, epoch after epoch, until it breaks.
    pub(crate) fn for_each_window(
        &mut self,
        train: &dyn Loader<M::Batch>,
        n_windows: usize,
        mut work: impl FnMut(&mut Self, u64, Vec<(Location, M::Batch)>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let limited = self.settings.limits.apply(train);
        let mut n_done = 0;
        for epoch in 0.. {
            let n_before = n_done;
            let mut batches =
                guarded(1, move |batch| Location::training(epoch + 1, batch), || limited.batches(epoch, 0))?;
            loop {
                if n_done == n_windows {
                    return Ok(());
                }
                self.settings.interrupt.check()?;
                let window = batches
                    .by_ref()
                    .take(self.settings.accumulate_grad_batches)
                    .collect::<Result<Vec<_>>>()?;
                if window.is_empty() {
                    break;
                }
                if work(self, n_done as u64, window)?.is_break() {
                    return Ok(());
                }
                n_done += 1;
            }
            if n_done == n_before {
                let phase = phase_name(faknow_callbacks::Phase::Train);
                return Err(Error::EmptyLoader { phase, hint: "add at least one sample" });
            }
        }
        Ok(())
    }

    fn restore_step(&mut self, state: &State) -> Result<()> {
        // A step without state may not support restoring.
        if state.is_empty() && self.task.step.state()?.is_empty() {
            return Ok(());
        }
        self.task.step.restore(state)
    }
}

/// Returns a deep copy of the state, which later steps do not change.
fn deep_copy(state: &State) -> State {
    let tensors = state.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.copy())).collect();
    State { values: state.values.clone(), tensors }
}
