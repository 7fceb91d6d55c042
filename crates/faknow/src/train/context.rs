//! What a run gets besides its config: callbacks, and the interrupt that may end it.

use faknow_callbacks::Callbacks;
use faknow_trainer::Interrupt;

/// Callbacks and interrupt of a run.
#[derive(Debug, Default)]
pub struct RunContext {
    /// Callbacks besides the run's own logs. Default: none.
    pub callbacks: Callbacks,
    /// Requests the end of the run. Default: never.
    pub interrupt: Interrupt,
}

impl From<Callbacks> for RunContext {
    fn from(callbacks: Callbacks) -> Self {
        Self { callbacks, ..Self::default() }
    }
}

/// Makes the [`RunContext`] of each of several runs, one after another.
#[derive(Default)]
pub struct ContextFactory<'a> {
    /// Creates the callbacks of the next run. Default: none.
    pub callbacks: Option<Box<dyn FnMut() -> Callbacks + 'a>>,
    /// Requests the end of all runs. Default: never.
    pub interrupt: Interrupt,
}

impl ContextFactory<'_> {
    /// Returns the context of the next run.
    pub(crate) fn next(&mut self) -> RunContext {
        let callbacks = self.callbacks.as_mut().map(|make| make()).unwrap_or_default();
        RunContext { callbacks, interrupt: self.interrupt.clone() }
    }
}

impl std::fmt::Debug for ContextFactory<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContextFactory").field("interrupt", &self.interrupt).finish_non_exhaustive()
    }
}
