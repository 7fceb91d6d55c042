//! Training that is taken back: for tools that try something before a run.

use std::ops::ControlFlow;
use std::path::Path;

use faknow_callbacks::State;
use faknow_data::Loader;
use faknow_model::{Model, weights};

use crate::error::{Location, phase_name};
use crate::system::guard::guarded;
use crate::{AccumulationWindow, Error, Result, Trainer};

impl<M: Model> Trainer<M> {
    /// Does `work` with an optimizer of the same settings that remembers nothing, and then puts weights, optimizer,
    /// step and profile back as they were, also after an error. `work` must leave all else alone.
    pub(crate) fn tried<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let _inside = self.run.span().entered();
        let _guard = self.settings.interrupt.install();
        let weights = weights::snapshot(&self.run.vars);
        let step = copy(&self.task.step.state()?);
        let profile = self.state.profile;
        let fresh = self.optimization.optimizer.fresh()?;
        let own = std::mem::replace(&mut self.optimization.optimizer, fresh);
        let result = work(self);
        self.optimization.optimizer.set_window(AccumulationWindow::default());
        self.optimization.optimizer.zero_grad();
        self.optimization.optimizer = own;
        self.state.profile = profile;
        let put_back = weights::restore(&self.run.vars, &weights, Path::new("weights before the trial"))
            .map_err(Error::from)
            .and_then(|()| self.put_step_back(&step));
        // The first error is the one to return.
        let result = result?;
        put_back.map(|()| result)
    }

    /// Gives `work` the batches of `n_windows` updates, epoch after epoch, until it breaks off.
    pub(crate) fn for_each_window(
        &mut self,
        train: &dyn Loader<M::Batch>,
        n_windows: usize,
        mut work: impl FnMut(&mut Self, u64, Vec<(Location, M::Batch)>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let limited = self.settings.limits.apply(train);
        let mut done = 0;
        for epoch in 0.. {
            let before = done;
            let mut batches =
                guarded(1, move |batch| Location::training(epoch + 1, batch), || limited.batches(epoch, 0))?;
            loop {
                if done == n_windows {
                    return Ok(());
                }
                if self.settings.interrupt.is_requested() {
                    return Err(Error::Interrupted);
                }
                let window = batches
                    .by_ref()
                    .take(self.settings.accumulate_grad_batches)
                    .collect::<Result<Vec<_>>>()?;
                if window.is_empty() {
                    break;
                }
                if work(self, done as u64, window)?.is_break() {
                    return Ok(());
                }
                done += 1;
            }
            if done == before {
                let phase = phase_name(faknow_callbacks::Phase::Train);
                return Err(Error::EmptyLoader { phase, hint: "give it at least one sample" });
            }
        }
        Ok(())
    }

    fn put_step_back(&mut self, before: &State) -> Result<()> {
        // A step without a state need not be able to take one.
        if before.is_empty() && self.task.step.state()?.is_empty() {
            return Ok(());
        }
        self.task.step.restore(before)
    }
}

/// The state with tensors of its own, which further steps leave alone.
fn copy(state: &State) -> State {
    let tensors = state.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.copy())).collect();
    State { values: state.values.clone(), tensors }
}
