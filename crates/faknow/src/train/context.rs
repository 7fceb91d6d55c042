//! The context of a run: callbacks, interrupt, and what it shares with other runs.

use std::path::PathBuf;

use faknow_callbacks::Callbacks;
use faknow_trainer::Interrupt;

/// The callbacks and the interrupt of a run, and what it shares with other runs.
#[derive(Debug, Default)]
pub struct RunContext {
    /// Callbacks in addition to the logs of the run. Default: none.
    pub callbacks: Callbacks,
    /// Interrupt of the run. Default: never requested.
    pub interrupt: Interrupt,
    /// Directory of the output of an encoder that is not trained, for several runs on the same texts without `text.cache`.
    /// Default: the run directory.
    pub features: Option<PathBuf>,
}

impl From<Callbacks> for RunContext {
    fn from(callbacks: Callbacks) -> Self {
        Self { callbacks, ..Self::default() }
    }
}

/// Creates the [`RunContext`] of each of several runs.
#[derive(Default)]
pub struct ContextFactory<'a> {
    /// Creates the callbacks of the next run. Default: none.
    pub callbacks: Option<Box<dyn FnMut() -> Callbacks + 'a>>,
    /// Interrupt of all runs. Default: never requested.
    pub interrupt: Interrupt,
}

impl ContextFactory<'_> {
    /// Returns the context of the next run.
    pub(crate) fn next(&mut self) -> RunContext {
        let callbacks = self.callbacks.as_mut().map(|create| create()).unwrap_or_default();
        RunContext { callbacks, interrupt: self.interrupt.clone(), features: None }
    }
}

impl std::fmt::Debug for ContextFactory<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContextFactory").field("interrupt", &self.interrupt).finish_non_exhaustive()
    }
}
