//! What runs are surrounded by: who watches them, and who may end them.

use faknow_callbacks::Callbacks;
use faknow_trainer::Interrupt;

/// What a run is surrounded by, beside its config.
#[derive(Debug, Default)]
pub struct Session {
    /// Who watches the run. Default: nobody beside the run's own logs.
    pub callbacks: Callbacks,
    /// Who may ask for its end. Default: nobody.
    pub interrupt: Interrupt,
}

impl From<Callbacks> for Session {
    fn from(callbacks: Callbacks) -> Self {
        Self { callbacks, ..Self::default() }
    }
}

/// What several runs, one after another, are surrounded by.
#[derive(Default)]
pub struct Sessions<'a> {
    /// Makes the callbacks that watch a run, for each run anew. Default: nobody watches.
    pub callbacks: Option<Box<dyn FnMut() -> Callbacks + 'a>>,
    /// Who may ask for the end of them all. Default: nobody.
    pub interrupt: Interrupt,
}

impl Sessions<'_> {
    /// The surroundings of the next run.
    pub(super) fn next(&mut self) -> Session {
        let callbacks = self.callbacks.as_mut().map(|make| make()).unwrap_or_default();
        Session { callbacks, interrupt: self.interrupt.clone() }
    }
}

impl std::fmt::Debug for Sessions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("interrupt", &self.interrupt).finish_non_exhaustive()
    }
}
