//! What a run is surrounded by: who watches it, and who may end it.

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
